#include "step_shapes.h"

enum { CELLS = 4096, EXPERTS = 256, USED = 8, LATENT = 512, ROTATED = 64, MAX_ROWS = 512 };

typedef struct shape {
  pm_op_kind op;
  uint32_t rows, n_in, n_out, n_batch;  // n_batch: heads, where there are such
  bool every;                           // of every format; else of the usual ones alone
  bool gated, accumulate;
} shape;

// Decode first.
static const shape shapes[] = {
    {PM_OP_MATMUL, 1, 7168, 24576, 1, .every = true},
    {PM_OP_EXPERTS_GLU, 1, 7168, 2048, 1, .every = true},
    {PM_OP_EXPERTS_DOWN, 1, 2048, 7168, 1, .every = true},
    {PM_OP_EMBED, 1, 7168, 0, 1},
    {PM_OP_MATMUL, 1, 7168, 1536, 1},                       // query latent, router
    {PM_OP_MATMUL, 1, 7168, 2048, 1, .gated = true},        // shared expert
    {PM_OP_MATMUL, 1, 16384, 7168, 1, .accumulate = true},  // attention output
    {PM_OP_MATMUL, 1, 2048, 7168, 1, .accumulate = true},
    {PM_OP_MATMUL, 1, 1536, 24576, 1},
    {PM_OP_MATMUL, 1, 1408, 2048, 1, .accumulate = true},
    {PM_OP_MATMUL, 1, 512, 128, 128},
    {PM_OP_MATMUL, 1, 128, 512, 128},
    {PM_OP_EXPERTS_GLU, 1, 2048, 1408, 1},
    {PM_OP_MATMUL, 2, 7168, 24576, 1},
    {PM_OP_MATMUL, 4, 7168, 24576, 1, .every = true},
    {PM_OP_MATMUL, 8, 7168, 24576, 1},
    {PM_OP_MATMUL, 32, 7168, 24576, 1},
    {PM_OP_MATMUL, 512, 7168, 24576, 1},
    {PM_OP_MATMUL, 512, 7168, 2048, 1, .gated = true},
    {PM_OP_EXPERTS_GLU, 512, 7168, 2048, 1, .every = true},
    {PM_OP_EXPERTS_DOWN, 512, 2048, 7168, 1},
};

static const pm_type usual[] = {PM_TYPE_Q4_K, PM_TYPE_Q8_0, PM_TYPE_F32};

// Without weights that have a format.
static const shape plain[] = {
    {PM_OP_NORM, 1, 7168},
    {PM_OP_ROPE, 1, .n_batch = 128},
    {PM_OP_MLA_CACHE, 1},
    {PM_OP_MLA_ATTENTION, 1, .n_batch = 128},
    {PM_OP_MLA_ATTENTION, 1, .n_batch = 16},
    {PM_OP_ROUTE, 1, EXPERTS},
    {PM_OP_MLA_ATTENTION, 8, .n_batch = 128},
    {PM_OP_MLA_ATTENTION, 512, .n_batch = 128},
};

#define COUNT(a) (uint32_t)(sizeof(a) / sizeof *(a))

// Calls count, and stops, at item i of all (shape, format) that there are: true if found.
static bool find(bool decode, uint32_t i, uint32_t *n, shape *s, pm_type *type) {
  *n = 0;
  for (uint32_t k = 0; k < COUNT(plain); k++)
    if ((!decode || plain[k].rows == 1) && (*n)++ == i) return *s = plain[k], *type = PM_TYPE_F32, true;
  for (uint32_t k = 0; k < COUNT(shapes); k++) {
    if (decode && shapes[k].rows > 1) continue;
    const pm_format *f;
    for (uint32_t j = 0; shapes[k].every && (f = pm_format_row(j)); j++)
      if (f->decode && (*n)++ == i) return *s = shapes[k], *type = f->type, true;
    for (uint32_t j = 0; !shapes[k].every && j < COUNT(usual); j++)
      if ((*n)++ == i) return *s = shapes[k], *type = usual[j], true;
  }
  return false;
}

uint32_t step_shapes_count(bool decode) {
  uint32_t n;
  shape s;
  pm_type type;
  find(decode, UINT32_MAX, &n, &s, &type);
  return n;
}

static pm_tensor *weight(pm_program *p, const char *name, pm_type type, uint64_t n_in, uint64_t n_out, uint64_t n_batch) {
  const uint64_t ne[3] = {n_in, n_out, n_batch};
  return pm_program_weight(p, name, type, ne, NULL, pm_format_bytes(type, n_in) * n_out);
}

static pm_op make_matmul(pm_program *p, const shape *s, pm_type type) {
  return (pm_op){.kind = PM_OP_MATMUL,
                 .matmul = {.w = weight(p, "w", type, s->n_in, s->n_out, s->n_batch),
                            .w_up = s->gated ? weight(p, "up", type, s->n_in, s->n_out, s->n_batch) : NULL,
                            .x = pm_view_batch(pm_program_scratch(p, "x", (uint64_t)s->n_in * s->n_batch), s->n_batch),
                            .y = pm_view_batch(pm_program_scratch(p, "y", (uint64_t)s->n_out * s->n_batch), s->n_batch),
                            .accumulate = s->accumulate}};
}

static void append_experts(pm_program *p, const shape *s, pm_type type) {
  uint32_t d = s->op == PM_OP_EXPERTS_GLU ? s->n_in : s->n_out, d_ff = s->op == PM_OP_EXPERTS_GLU ? s->n_out : s->n_in;
  pm_expert_table *t = pm_program_experts(p, weight(p, "gate", type, d, d_ff, EXPERTS), weight(p, "up", type, d, d_ff, EXPERTS),
                                          weight(p, "down", type, d_ff, d, EXPERTS));
  pm_tensor *ids = pm_program_output(p, "ids", PM_TYPE_I32, USED, MAX_ROWS);
  pm_view chosen = pm_view_rows(ids), hidden = pm_view_batch(pm_program_scratch(p, "hidden", (uint64_t)USED * d_ff), USED);
  pm_view x = pm_view_rows(pm_program_scratch(p, "x", d));
  if (s->op == PM_OP_EXPERTS_GLU)
    pm_program_append(p, (pm_op){.kind = s->op, .experts_glu = {t, x, chosen, hidden}});
  else
    pm_program_append(p,
                      (pm_op){.kind = s->op, .experts_down = {t, hidden, chosen, pm_view_rows(pm_program_scratch(p, "weights", USED)), x}});
}

static void append_attention(pm_program *p, const shape *s) {
  pm_tensor *kv = pm_program_kv(p, "kv", PM_TYPE_F16, LATENT + ROTATED, CELLS);
  pm_view q = pm_view_batch(pm_program_scratch(p, "q", (uint64_t)s->n_batch * (LATENT + ROTATED)), s->n_batch);
  pm_view y = pm_view_batch(pm_program_scratch(p, "y", (uint64_t)s->n_batch * LATENT), s->n_batch);
  pm_program_append(p, (pm_op){.kind = s->op, .mla_attention = {q, y, kv, LATENT, 0.1f}});
}

static void append_plain(pm_program *p, const shape *s) {
  pm_view rows = pm_view_rows(pm_program_scratch(p, "rows", LATENT + ROTATED));
  if (s->op == PM_OP_NORM) {
    pm_view x = pm_view_rows(pm_program_scratch(p, "x", s->n_in));
    pm_program_append(p, (pm_op){.kind = s->op, .norm = {x, x, weight(p, "norm", PM_TYPE_F32, s->n_in, 1, 1), 1e-6f, PM_ROWS_ALL}});
  } else if (s->op == PM_OP_ROPE) {
    pm_view heads = pm_view_batch(pm_program_scratch(p, "heads", (uint64_t)s->n_batch * ROTATED), s->n_batch);
    pm_program_append(p, (pm_op){.kind = s->op, .rope = {heads, heads}});
  } else if (s->op == PM_OP_MLA_CACHE) {
    pm_tensor *kv = pm_program_kv(p, "kv", PM_TYPE_F16, LATENT + ROTATED, CELLS);
    pm_program_append(p, (pm_op){.kind = s->op, .mla_cache = {rows, weight(p, "norm", PM_TYPE_F32, LATENT, 1, 1), kv, LATENT, 1e-6f}});
  } else {
    pm_op_route route = {.logits = pm_view_rows(pm_program_scratch(p, "logits", s->n_in)),
                         .ids = pm_view_rows(pm_program_output(p, "ids", PM_TYPE_I32, USED, MAX_ROWS)),
                         .weights = pm_view_rows(pm_program_scratch(p, "weights", USED)),
                         .gating = PM_GATING_SIGMOID,
                         .n_group = 8,
                         .n_group_used = 4,
                         .normalize = true,
                         .scale = 2.5f};
    pm_program_append(p, (pm_op){.kind = s->op, .route = route});
  }
}

uint32_t step_shapes_build(pm_program *p, bool decode, uint32_t i) {
  shape s = {0};
  pm_type type = PM_TYPE_F32;
  uint32_t n;
  pm_program_init(p, MAX_ROWS, MAX_ROWS, ROTATED);
  find(decode, i, &n, &s, &type);
  switch (s.op) {
    case PM_OP_MATMUL: pm_program_append(p, make_matmul(p, &s, type)); break;
    case PM_OP_EMBED: {
      pm_view out = pm_view_rows(pm_program_scratch(p, "x", s.n_in));
      pm_program_append(p, (pm_op){.kind = s.op, .embed = {weight(p, "embed", type, s.n_in, 1000, 1), out}});
      break;
    }
    case PM_OP_EXPERTS_GLU:
    case PM_OP_EXPERTS_DOWN: append_experts(p, &s, type); break;
    case PM_OP_MLA_ATTENTION: append_attention(p, &s); break;
    default: append_plain(p, &s);
  }
  return s.rows;
}
