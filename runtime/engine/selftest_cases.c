#include "selftest_cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "half.h"
#include "memory.h"

enum { MAX_PORT = 4, GAP = 8, MARGIN = 4, MOST_EXPERTS = 512 };
static const uint32_t poison_f32 = 0x7fc5dead;  // a quiet NaN
static const uint16_t poison_f16 = 0x7e5a;

// How a tensor is filled before a step, and whether it is compared after it.
typedef enum port_kind { INPUT, OUTPUT, IN_OUT } port_kind;
typedef enum fill { NORMAL, FEW_VALUES, EXPERT_IDS } fill;

// A router and its bias (NULL: none).
typedef struct router {
  const pm_case *c;
  const float *bias;
} router;

typedef struct port {
  port_kind kind;
  fill fill;
  pm_tensor *t;
  pm_view view;  // tensor NULL: a cache, all of it
  uint32_t n_expert;
  pm_rows rows;
  router router;  // that reads it; c NULL: none
} port;

// One case in one program.
typedef struct built {
  uint32_t n_port;
  port ports[MAX_PORT];
} built;

// The group on one backend.
typedef struct side {
  pm_program program;
  pm_backend *backend;
  built *cases;
} side;

typedef struct bench {
  const pm_case_group *g;
  const pm_case_target *tested;
  pm_arena arena;  // weights, step tables
  pm_rng rng;
  side tested_side, reference_side;
  uint32_t max_rows, max_logits, n_cell, most_pos;
  const void *(*weights)[3];           // [n_case]: matrix, up matrix or router bias or norm
  uint8_t *before, *after, *expected;  // the largest tensor
  pm_row *rows;
  uint32_t *logit_row;
  float *rope;
  pm_case_report_fn *report;
  void *user;
} bench;

static uint32_t at_least_1(uint32_t n) { return n ? n : 1; }

static float normal(pm_rng *rng) {  // a sum of four uniforms: near enough, and bounded
  uint64_t r = pm_rng_next(rng);
  float sum = (float)((r & 0xffff) + (r >> 16 & 0xffff) + (r >> 32 & 0xffff) + (r >> 48)) - 2 * 65535.0f;
  return sum * (1.7320508f / 65535);
}

// ---- weights: drawn once, shared by both programs ----

static const void *draw_weight(bench *b, pm_type type, uint64_t n_in, uint64_t n_rows) {
  void *w = pm_arena_alloc(&b->arena, pm_format_bytes(type, n_in) * n_rows);
  for (uint64_t r = 0; w && r < n_rows; r++)
    pm_format_get(type)->random(&b->rng, 1 / sqrtf((float)n_in), (uint8_t *)w + r * pm_format_bytes(type, n_in), n_in);
  return w;
}

// 1 + noise for norms; eighths around 0 for the router's bias, so that ties stay ties.
static const void *draw_vector(bench *b, uint32_t n, bool bias) {
  float *v = pm_arena_alloc(&b->arena, n * sizeof *v);
  for (uint32_t i = 0; v && i < n; i++) v[i] = bias ? (float)(pm_rng_next(&b->rng) % 5) / 8 - 0.25f : 1 + 0.2f * normal(&b->rng);
  return v;
}

static pm_status draw_weights(bench *b) {
  for (uint32_t i = 0; i < b->g->n_case; i++) {
    const pm_case *c = &b->g->cases[i];
    const void **w = b->weights[i];
    uint64_t n_out = (uint64_t)at_least_1(c->n_out) * (c->n_expert ? c->n_expert : c->op == PM_OP_MATMUL ? at_least_1(c->n_batch) : 1);
    bool vector = c->op == PM_OP_NORM || c->op == PM_OP_MLA_CACHE || c->op == PM_OP_ROUTE;
    w[0] = vector ? draw_vector(b, c->n_in, c->op == PM_OP_ROUTE) : draw_weight(b, c->type, c->n_in, n_out);
    w[1] = vector ? w[0] : draw_weight(b, c->type_up, c->n_in, n_out);
    if (!w[0] || !w[1]) PM_FAIL(PM_ERR_MEMORY, "out of memory: weights of the self-test");
  }
  return PM_OK;
}

// ---- a case as tensors and an op, one function per op ----

typedef struct builder {
  const bench *bench;
  const pm_case *c;
  const void *const *w;
  pm_program *p;
  built *out;
  char name[32];
  uint32_t n_tensor;
} builder;

static const char *next_name(builder *b) {
  snprintf(b->name, sizeof b->name, "case%u.%u", (unsigned)(b->c - b->bench->g->cases), (unsigned)b->n_tensor++);
  return b->name;
}

static void add_port(builder *b, port p) { b->out->ports[b->out->n_port++] = p; }

// A scratch tensor with one view of n_batch items of n values.
static pm_view add_view(builder *b, port_kind kind, uint32_t n, uint32_t n_batch, bool gaps) {
  uint32_t item = gaps ? n + GAP : n, row = item * n_batch + (gaps ? 2 * MARGIN : 0);
  pm_tensor *t = pm_program_scratch(b->p, next_name(b), row);
  pm_view v = {.tensor = t, .offset = gaps ? MARGIN : 0, .n = n, .n_batch = n_batch, .stride_batch = item, .stride_row = row};
  add_port(b, (port){.kind = kind, .t = t, .view = v});
  return v;
}

static bool has(const builder *b, uint32_t flag) { return b->c->flags & flag; }

static pm_view add_rows(builder *b, port_kind kind, uint32_t n, uint32_t n_batch) {
  return add_view(b, kind, n, n_batch, has(b, PM_CASE_STRIDED));
}

static pm_view add_ids(builder *b, port_kind kind, uint32_t n_used) {
  pm_tensor *t = pm_program_output(b->p, next_name(b), PM_TYPE_I32, n_used, b->p->max_rows);
  pm_view v = pm_view_rows(t);
  add_port(b, (port){.kind = kind, .fill = EXPERT_IDS, .t = t, .view = v, .n_expert = b->c->n_expert});
  return v;
}

static pm_tensor *add_cache(builder *b, port_kind kind) {
  pm_tensor *t = pm_program_kv(b->p, next_name(b), b->c->type, b->c->n_in + b->p->n_rope, b->bench->n_cell);
  add_port(b, (port){.kind = kind, .t = t});
  return t;
}

static pm_tensor *add_weight(builder *b, int i, pm_type type, uint64_t n_in, uint64_t n_out, uint64_t n) {
  return pm_program_weight(b->p, next_name(b), type, (uint64_t[]){n_in, n_out, n}, b->w[i], 0);
}

static pm_rows rows_of(const builder *b) { return has(b, PM_CASE_LOGITS) ? PM_ROWS_LOGITS : PM_ROWS_ALL; }

static pm_op build_embed(builder *b) {
  const pm_tensor *table = add_weight(b, 0, b->c->type, b->c->n_in, b->c->n_out, 1);
  return (pm_op){.embed = {table, add_rows(b, OUTPUT, b->c->n_in, 1)}};
}

static pm_op build_norm(builder *b) {
  const pm_tensor *weight = add_weight(b, 0, PM_TYPE_F32, b->c->n_in, 1, 1);
  pm_view x = add_rows(b, INPUT, b->c->n_in, 1), y = add_rows(b, OUTPUT, b->c->n_in, 1);
  b->out->ports[1].rows = rows_of(b);
  return (pm_op){.norm = {x, y, weight, 1e-6f, rows_of(b)}};
}

static pm_op build_matmul(builder *b) {
  const pm_case *c = b->c;
  uint32_t n_batch = at_least_1(c->n_batch);
  const pm_tensor *w = add_weight(b, 0, c->type, c->n_in, c->n_out, n_batch);
  const pm_tensor *up = has(b, PM_CASE_GATED) ? add_weight(b, 1, c->type_up, c->n_in, c->n_out, n_batch) : NULL;
  pm_view x = add_rows(b, INPUT, c->n_in, n_batch), y;
  if (has(b, PM_CASE_LOGITS)) {
    b->p->logits = pm_program_output(b->p, next_name(b), PM_TYPE_F32, c->n_out, b->p->max_logits);
    y = pm_view_rows(b->p->logits);
    add_port(b, (port){.kind = OUTPUT, .t = b->p->logits, .view = y, .rows = PM_ROWS_LOGITS});
  } else {
    y = add_rows(b, has(b, PM_CASE_ACCUMULATE) ? IN_OUT : OUTPUT, c->n_out, n_batch);
  }
  return (pm_op){.matmul = {.w = w,
                            .w_up = up,
                            .x = x,
                            .y = y,
                            .accumulate = has(b, PM_CASE_ACCUMULATE),
                            .precise = has(b, PM_CASE_PRECISE),
                            .rows = rows_of(b)}};
}

static pm_op build_rope(builder *b) {
  uint32_t n_batch = at_least_1(b->c->n_batch), n = b->p->n_rope;
  bool in_place = has(b, PM_CASE_IN_PLACE);
  pm_view x = add_rows(b, in_place ? IN_OUT : INPUT, n, n_batch);
  return (pm_op){.rope = {x, in_place ? x : add_rows(b, OUTPUT, n, n_batch)}};
}

static pm_op build_mla_cache(builder *b) {
  const pm_tensor *weight = add_weight(b, 0, PM_TYPE_F32, b->c->n_in, 1, 1);
  pm_view x = add_rows(b, INPUT, b->c->n_in + b->p->n_rope, 1);
  return (pm_op){.mla_cache = {x, weight, add_cache(b, OUTPUT), b->c->n_in, 1e-6f}};
}

static pm_op build_mla_attention(builder *b) {
  uint32_t n_head = at_least_1(b->c->n_batch), width = b->c->n_in + b->p->n_rope;
  pm_view q = add_rows(b, INPUT, width, n_head), y = add_rows(b, OUTPUT, b->c->n_in, n_head);
  return (pm_op){.mla_attention = {q, y, add_cache(b, INPUT), b->c->n_in, 2 / sqrtf((float)width)}};
}

static pm_op build_route(builder *b) {
  const pm_case *c = b->c;
  const pm_tensor *bias = has(b, PM_CASE_BIAS) ? add_weight(b, 0, PM_TYPE_F32, c->n_in, 1, 1) : NULL;
  pm_view logits = add_rows(b, INPUT, c->n_in, 1);
  b->out->ports[0].fill = has(b, PM_CASE_TIES) ? FEW_VALUES : NORMAL;
  b->out->ports[0].router = (router){c->n_in <= MOST_EXPERTS ? c : NULL, bias ? b->w[0] : NULL};
  pm_view ids = add_ids(b, OUTPUT, c->n_batch), weights = add_rows(b, OUTPUT, c->n_batch, 1);
  return (pm_op){.route = {logits, ids, weights, bias, c->gating, c->n_group, c->n_group_used, has(b, PM_CASE_NORMALIZE), 2.5f}};
}

static const pm_expert_table *add_experts(builder *b, bool down) {
  const pm_case *c = b->c;
  const pm_tensor *w = add_weight(b, 0, c->type, c->n_in, c->n_out, c->n_expert);
  const pm_tensor *up = add_weight(b, 1, c->type_up, c->n_in, c->n_out, c->n_expert);
  // A table always has three matrices; the op under test uses those that have its shape.
  return down ? pm_program_experts(b->p, up, up, w) : pm_program_experts(b->p, w, up, up);
}

static pm_op build_experts_glu(builder *b) {
  const pm_expert_table *experts = add_experts(b, false);
  pm_view x = add_rows(b, INPUT, b->c->n_in, 1), ids = add_ids(b, INPUT, b->c->n_batch);
  return (pm_op){.experts_glu = {experts, x, ids, add_rows(b, OUTPUT, b->c->n_out, b->c->n_batch)}};
}

static pm_op build_experts_down(builder *b) {
  const pm_expert_table *experts = add_experts(b, true);
  pm_view x = add_rows(b, INPUT, b->c->n_in, b->c->n_batch), ids = add_ids(b, INPUT, b->c->n_batch);
  pm_view weights = add_rows(b, INPUT, b->c->n_batch, 1);
  return (pm_op){.experts_down = {experts, x, ids, weights, add_rows(b, IN_OUT, b->c->n_out, 1)}};
}

static pm_op (*const build_table[PM_OP_COUNT])(builder *) = {
#define PM_OP(NAME, member, text) [PM_OP_##NAME] = build_##member,
#include "ops.def"
#undef PM_OP
};

static pm_status open_side(bench *b, side *s, const pm_case_target *target) {
  PM_NEW(&s->cases, b->g->n_case, "the self-test");
  pm_program_init(&s->program, b->max_rows, b->max_logits, b->g->n_rope);
  for (uint32_t i = 0; i < b->g->n_case; i++) {
    builder build = {.bench = b, .c = &b->g->cases[i], .w = b->weights[i], .p = &s->program, .out = &s->cases[i]};
    pm_op op = build_table[build.c->op](&build);
    op.kind = build.c->op, op.layer = (int32_t)i;
    pm_program_append(&s->program, op);
  }
  PM_TRY(pm_program_check(&s->program));
  PM_TRY(target->make(target->user, &s->backend));
  return s->backend->ops->load(s->backend, &s->program, NULL, NULL, NULL);
}

static void close_side(side *s) {
  if (s->backend) s->backend->ops->destroy(s->backend);
  pm_free(s->cases);
  pm_program_finish(&s->program);
}

// ---- filling ----

static void fill_ids(bench *b, const port *p, int32_t *ids, uint32_t n) {
  for (uint32_t row = 0; row < n / p->view.n; row++, ids += p->view.n)
    for (uint32_t k = 0; k < p->view.n; k++) {
      bool fresh = false;
      while (!fresh) {  // half of the choices fall on the first experts, so that some experts have many rows and some none
        ids[k] = (int32_t)(pm_rng_next(&b->rng) % (pm_rng_next(&b->rng) % 2 ? p->n_expert : p->view.n));
        fresh = true;
        for (uint32_t j = 0; j < k; j++) fresh &= ids[j] != ids[k];
      }
    }
}

static void fill_poison(const port *p, void *dst) {
  size_t n = pm_tensor_bytes(p->t);
  if (p->t->type == PM_TYPE_F16) {
    for (size_t i = 0; i < n / 2; i++) memcpy((uint8_t *)dst + 2 * i, &poison_f16, 2);
  } else {
    for (size_t i = 0; i < n / 4; i++) memcpy((uint8_t *)dst + 4 * i, &poison_f32, 4);
  }
}

static void put_value(pm_type type, uint8_t *dst, size_t i, float f) {
  if (type == PM_TYPE_F16) {
    uint16_t h = pm_f32_to_f16(f);
    memcpy(dst + 2 * i, &h, 2);
  } else {
    memcpy(dst + 4 * i, &f, 4);
  }
}

static int falling(const void *a, const void *b) {
  const double *x = a, *y = b;
  return (*x < *y) - (*x > *y);
}

static void router_scores(router r, const float *logits, double *score) {
  double total = 0;
  for (uint32_t i = 0; i < r.c->n_in; i++) total += exp((double)logits[i]);
  for (uint32_t i = 0; i < r.c->n_in; i++) {
    double x = (double)logits[i];
    score[i] = r.c->gating == PM_GATING_SOFTMAX ? exp(x) / total : r.c->gating == PM_GATING_SIGMOID ? 1 / (1 + exp(-x)) : x;
    if (r.bias) score[i] += (double)r.bias[i];
  }
}

// Whether the rounding of scores can change what a router chooses: some are nearly, but not exactly, equal, or the sums of two by which
// groups are compared are, from different scores.
static bool hangs_on_rounding(router r, const float *logits) {
  double score[MOST_EXPERTS], first[MOST_EXPERTS], sum[MOST_EXPERTS];
  uint32_t n = r.c->n_in, n_group = r.bias && r.c->n_group > 1 ? r.c->n_group : 0;
  router_scores(r, logits, score);
  for (uint32_t g = 0; g < n_group; g++) {
    double best[2] = {-INFINITY, -INFINITY};
    for (uint32_t i = g * (n / n_group); i < (g + 1) * (n / n_group); i++) {
      best[1] = fmax(best[1], fmin(best[0], score[i]));
      best[0] = fmax(best[0], score[i]);
    }
    first[g] = best[0], sum[g] = best[0] + (n > n_group ? best[1] : 0);
  }
  qsort(score, n, sizeof *score, falling);
  double near = 2e-6 * fabs(score[0]);  // Vulkan's exp() may be off by 3 + 2 |x| units in the last place
  for (uint32_t i = 1; i < n; i++)
    if (score[i] < score[i - 1] && score[i] > score[i - 1] - near) return true;
  for (uint32_t g = 0; g < n_group; g++)
    for (uint32_t h = 0; h < g; h++)
      if (first[g] != first[h] && fabs(sum[g] - sum[h]) < near) return true;
  return false;
}

static void draw_row(bench *b, const port *p, uint8_t *dst, size_t row) {
  uint32_t n_batch = p->view.tensor ? p->view.n_batch : 1, n = p->view.tensor ? p->view.n : (uint32_t)p->t->ne[0];
  for (uint32_t item = 0; item < n_batch; item++)
    for (uint32_t i = 0; i < n; i++) {
      size_t at = row * p->t->ne[0] + p->view.offset + (size_t)item * p->view.stride_batch + i;
      put_value(p->t->type, dst, at, p->fill == FEW_VALUES ? (float)(pm_rng_next(&b->rng) % 4) / 2 : normal(&b->rng));
    }
}

// The whole tensor is poisoned, and then, if it is an input, every item of the view of every row (or the whole cache) is drawn.
static void fill_port(bench *b, const port *p, uint8_t *dst) {
  fill_poison(p, dst);
  if (p->kind == OUTPUT) return;
  if (p->fill == EXPERT_IDS) {
    fill_ids(b, p, (int32_t *)(void *)dst, (uint32_t)(p->t->ne[0] * p->t->ne[1]));
    return;
  }
  for (uint64_t row = 0; row < p->t->ne[1]; row++) {
    const float *values = (const float *)(const void *)dst + row * p->t->ne[0] + p->view.offset;
    do draw_row(b, p, dst, row);
    while (p->router.c && hangs_on_rounding(p->router, values));
  }
}

static pm_status fill_case(bench *b, uint32_t i) {
  for (uint32_t k = 0; k < b->tested_side.cases[i].n_port; k++) {
    const port *p = &b->tested_side.cases[i].ports[k], *q = &b->reference_side.cases[i].ports[k];
    fill_port(b, p, b->before);
    PM_TRY(b->tested_side.backend->ops->write(b->tested_side.backend, p->t, 0, b->before, pm_tensor_bytes(p->t)));
    PM_TRY(b->reference_side.backend->ops->write(b->reference_side.backend, q->t, 0, b->before, pm_tensor_bytes(q->t)));
  }
  return PM_OK;
}

static void draw_step(bench *b, const pm_case_step *s, pm_step *step) {
  uint32_t n_seq = at_least_1(s->n_seq), per_seq = (s->n_row + n_seq - 1) / n_seq, n_vocab = UINT32_MAX;
  for (uint32_t i = 0; i < b->g->n_case; i++)
    if (b->g->cases[i].op == PM_OP_EMBED && b->g->cases[i].n_out < n_vocab) n_vocab = b->g->cases[i].n_out;
  for (uint32_t r = 0; r < s->n_row; r++) {
    uint32_t seq = r / per_seq;
    b->rows[r] = (pm_row){(uint32_t)(pm_rng_next(&b->rng) % n_vocab), s->pos + r % per_seq, 1 + seq * (s->pos + per_seq)};
    for (uint32_t i = 0; i < b->g->n_rope / 2; i++) {
      double angle = b->rows[r].pos * pow(10000, -2.0 * i / b->g->n_rope);
      b->rope[r * b->g->n_rope + 2 * i] = (float)cos(angle), b->rope[r * b->g->n_rope + 2 * i + 1] = (float)sin(angle);
    }
  }
  for (uint32_t i = 0; i < s->n_logit; i++) b->logit_row[i] = (uint32_t)((uint64_t)(i + 1) * s->n_row / s->n_logit) - 1;
  *step = (pm_step){s->n_row, s->n_logit, b->rows, b->logit_row, b->rope};
}

// ---- comparing ----

typedef struct verdict {
  double nmse;
  char detail[160];
} verdict;

#define BAD(v, ...) snprintf((v)->detail, sizeof(v)->detail, __VA_ARGS__)

static double value_of(const uint8_t *at, pm_type type) {
  float f;
  if (type == PM_TYPE_F16) {
    uint16_t h;
    memcpy(&h, at, 2);
    return (double)pm_f16_to_f32(h);
  }
  memcpy(&f, at, 4);
  return (double)f;
}

static uint64_t written_rows(const port *p, const pm_case_step *s) { return p->rows == PM_ROWS_LOGITS ? s->n_logit : s->n_row; }

static uint64_t written_values(const port *p, const pm_case_step *s) {
  return written_rows(p, s) * (p->view.tensor ? p->view.n_batch * p->view.n : p->t->ne[0]);
}

// Whether value i is part of the output, judged by the reference. What it adds to may stay as it was: so small a sum is part of it too.
static bool is_written(const port *p, const pm_case_step *s, size_t i, const uint8_t *was, const uint8_t *want) {
  size_t size = pm_format_bytes(p->t->type, 1);
  if (memcmp(was, want, size)) return true;
  return p->kind == IN_OUT && i / p->t->ne[0] < written_rows(p, s) && memcmp(was, &poison_f32, size);
}

static bool is_product(const pm_case *c) { return c->op == PM_OP_MATMUL || c->op == PM_OP_EXPERTS_GLU || c->op == PM_OP_EXPERTS_DOWN; }

// Products with quantized weights have a limit of their own, and an f16 cache that of its rounding. What is gated is the product of two
// such products, of which each is off.
static double limit_of(const bench *b, const pm_case *c) {
  bool has_up = c->op == PM_OP_EXPERTS_GLU || c->flags & PM_CASE_GATED;
  bool quantized = pm_format_get(c->type)->block_elements > 1 || (has_up && pm_format_get(c->type_up)->block_elements > 1);
  double factors = has_up ? 2 : 1;
  if (is_product(c) && quantized && !(c->flags & PM_CASE_PRECISE)) return factors * fmax(b->tested->nmse_quantized, b->tested->nmse_halves);
  if (is_product(c) && (c->type != PM_TYPE_F32 || (has_up && c->type_up != PM_TYPE_F32)))
    return factors * fmax(b->tested->nmse, b->tested->nmse_halves);
  return c->op == PM_OP_MLA_CACHE && c->type == PM_TYPE_F16 && b->tested->nmse > 0 ? fmax(b->tested->nmse, 1e-7) : b->tested->nmse;
}

// before: what the tensor held; expected: the reference afterwards; after: the backend under test afterwards.
static void compare(const bench *b, const pm_case *c, const port *p, const pm_case_step *s, verdict *v) {
  size_t size = pm_format_bytes(p->t->type, 1), n = pm_tensor_bytes(p->t) / size;
  double error = 0, power = 0, most = 0;
  uint64_t n_written = 0;
  for (size_t i = 0; i < n && !*v->detail; i++) {
    const uint8_t *was = b->before + i * size, *want = b->expected + i * size, *got = b->after + i * size;
    if (!is_written(p, s, i, was, want)) {
      if (memcmp(was, got, size))
        BAD(v, "value %zu of row %zu is written, though it is not part of the output", i % p->t->ne[0], i / p->t->ne[0]);
      continue;
    }
    n_written++;
    if (p->t->type == PM_TYPE_I32) {
      if (memcmp(want, got, size)) BAD(v, "row %zu, choice %zu differs", i / p->t->ne[0], i % p->t->ne[0]);
      continue;
    }
    double x = value_of(want, p->t->type), y = value_of(got, p->t->type);
    if (!isfinite(x)) BAD(v, "the reference has %g at value %zu of row %zu", x, i % p->t->ne[0], i / p->t->ne[0]);
    if (!isfinite(y))
      BAD(v, "value %zu of row %zu is %s", i % p->t->ne[0], i / p->t->ne[0], memcmp(was, got, size) ? "not finite" : "not written");
    error += (y - x) * (y - x), power += x * x, most = fmax(most, fabs(y - x));
  }
  if (*v->detail) return;
  if (p->kind == OUTPUT && n_written != written_values(p, s))
    BAD(v, "the reference wrote %llu values, expected %llu", (unsigned long long)n_written, (unsigned long long)written_values(p, s));
  // Products are drawn to have a deviation near 1: few values that happen to be small must not make an error look large,
  // and the mean of few squares scatters: one alone is 16 times what many come to once in 10,000 times, and what is gated has longer tails.
  if (is_product(c) && n_written < 16) power = fmax(power, (double)n_written);
  double limit = limit_of(b, c) * (1 + 32 / fmax((double)n_written, 1)), nmse = power > 0 ? error / power : 0,
         single = 24 * sqrt(limit * power / fmax((double)n_written, 1));
  v->nmse = fmax(v->nmse, nmse);
  if (nmse > limit) BAD(v, "error %.2e, limit %.2e", nmse, limit);
  if (most > single) BAD(v, "a value is off by %.2e, limit %.2e", most, single);
}

static pm_status compare_case(bench *b, uint32_t i, const pm_case_step *s, pm_rng rng_before, verdict *v) {
  const built *c = &b->tested_side.cases[i], *ref = &b->reference_side.cases[i];
  pm_rng rng_after = b->rng;
  b->rng = rng_before;  // draws again what the tensors held before the step
  for (uint32_t k = 0; k < c->n_port; k++) {
    const port *p = &c->ports[k];
    fill_port(b, p, b->before);
    if (p->kind == INPUT) continue;
    size_t bytes = pm_tensor_bytes(p->t);
    PM_TRY(b->tested_side.backend->ops->read(b->tested_side.backend, p->t, 0, b->after, bytes));
    PM_TRY(b->reference_side.backend->ops->read(b->reference_side.backend, ref->ports[k].t, 0, b->expected, bytes));
    if (!*v->detail) compare(b, &b->g->cases[i], p, s, v);
    if (p->t == b->tested_side.program.logits && s->n_logit && !*v->detail) {
      const float *logits = b->tested_side.backend->ops->logits(b->tested_side.backend);
      if (!logits || memcmp(logits, b->after, s->n_logit * pm_tensor_row_bytes(p->t))) BAD(v, "logits() is not what the tensor holds");
    }
  }
  b->rng = rng_after;
  return PM_OK;
}

// ---- running ----

static void name_case(const pm_case *c, const pm_case_step *s, char *name, size_t n) {
  static const struct {
    uint32_t flag;
    const char *word;
  } words[] = {{PM_CASE_GATED, " gated"},     {PM_CASE_ACCUMULATE, " accumulated"}, {PM_CASE_LOGITS, " logits"},
               {PM_CASE_PRECISE, " precise"}, {PM_CASE_STRIDED, " strided"},        {PM_CASE_IN_PLACE, " in place"},
               {PM_CASE_BIAS, " bias"},       {PM_CASE_NORMALIZE, " normalized"},   {PM_CASE_TIES, " ties"}};
  int at = snprintf(name, n, "%s %s %u", pm_op_name(c->op), pm_format_get(c->type)->name, c->n_in);
  if (c->n_out) at += snprintf(name + at, n - (size_t)at, "x%u", c->n_out);
  if (c->n_batch) at += snprintf(name + at, n - (size_t)at, "x%u", c->n_batch);
  if (c->n_expert) at += snprintf(name + at, n - (size_t)at, " of %u", c->n_expert);
  if (c->gating) at += snprintf(name + at, n - (size_t)at, " gating %d, groups %u of %u", (int)c->gating, c->n_group_used, c->n_group);
  if (c->flags & PM_CASE_GATED || c->op == PM_OP_EXPERTS_GLU)
    at += snprintf(name + at, n - (size_t)at, " up %s", pm_format_get(c->type_up)->name);
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (c->flags & words[i].flag) at += snprintf(name + at, n - (size_t)at, "%s", words[i].word);
  snprintf(name + at, n - (size_t)at, ", %u rows, %u logits, %u sequences from %u", s->n_row, s->n_logit, at_least_1(s->n_seq), s->pos);
}

static pm_status run_step(bench *b, const pm_case_step *s, pm_rng *drawn) {
  pm_step step;
  draw_step(b, s, &step);
  for (uint32_t i = 0; i < b->g->n_case; i++) {
    drawn[i] = b->rng;
    PM_TRY(fill_case(b, i));
  }
  PM_TRY(b->tested_side.backend->ops->run(b->tested_side.backend, &step));
  PM_TRY(b->reference_side.backend->ops->run(b->reference_side.backend, &step));
  for (uint32_t i = 0; i < b->g->n_case; i++) {
    verdict v = {0};
    char name[160];
    PM_TRY(compare_case(b, i, s, drawn[i], &v));
    name_case(&b->g->cases[i], s, name, sizeof name);
    pm_case_result result = {&b->g->cases[i], s, name, !*v.detail, v.nmse, v.detail};
    if (!b->report(b->user, &result)) PM_FAIL(PM_ERR_CANCELLED, "the self-test was stopped");
  }
  return PM_OK;
}

static void measure(bench *b) {
  for (uint32_t i = 0; i < b->g->n_step; i++) {
    const pm_case_step *s = &b->g->steps[i];
    uint32_t n_seq = at_least_1(s->n_seq), n_cell = 1 + n_seq * (s->pos + (s->n_row + n_seq - 1) / n_seq);
    b->max_rows = s->n_row > b->max_rows ? s->n_row : b->max_rows;
    b->max_logits = s->n_logit > b->max_logits ? s->n_logit : b->max_logits;
    b->n_cell = n_cell > b->n_cell ? n_cell : b->n_cell;
  }
  b->max_rows++, b->max_logits++, b->n_cell++;  // at least one of each is never written
}

static pm_status run_group(bench *b, const pm_case_target *reference) {
  measure(b);
  b->weights = pm_arena_alloc(&b->arena, b->g->n_case * sizeof *b->weights);
  b->rows = pm_arena_alloc(&b->arena, b->max_rows * sizeof *b->rows);
  b->logit_row = pm_arena_alloc(&b->arena, b->max_logits * sizeof *b->logit_row);
  b->rope = pm_arena_alloc(&b->arena, (size_t)b->max_rows * (b->g->n_rope + 1) * sizeof *b->rope);
  pm_rng *drawn = pm_arena_alloc(&b->arena, b->g->n_case * sizeof *drawn);
  if (!b->weights || !b->rows || !b->logit_row || !b->rope || !drawn) PM_FAIL(PM_ERR_MEMORY, "out of memory: the self-test");
  PM_TRY(draw_weights(b));
  PM_TRY(open_side(b, &b->tested_side, b->tested));
  PM_TRY(open_side(b, &b->reference_side, reference));
  size_t largest = 0;
  for (uint32_t i = 0; i < b->tested_side.program.n_tensor; i++) {
    const pm_tensor *t = b->tested_side.program.tensors[i];
    if (t->role != PM_ROLE_WEIGHT && pm_tensor_bytes(t) > largest) largest = pm_tensor_bytes(t);
  }
  PM_NEW(&b->before, largest, "tensors of the self-test");
  PM_NEW(&b->after, largest, "tensors of the self-test");
  PM_NEW(&b->expected, largest, "tensors of the self-test");
  for (uint32_t i = 0; i < b->g->n_step; i++) PM_TRY(run_step(b, &b->g->steps[i], drawn));
  return PM_OK;
}

static pm_status make_reference(void *user, pm_backend **out) {
  (void)user;
  return pm_cpu_create(&(pm_cpu_desc){.reference = true}, out);
}

pm_status pm_cases_run(const pm_case_group *g, const pm_case_target *tested, const pm_case_target *reference, uint64_t seed,
                       pm_case_report_fn *report, void *user) {
  static const pm_case_target plain = {.make = make_reference};
  bench b = {.g = g, .tested = tested, .rng = pm_rng_seed(seed), .report = report, .user = user};
  pm_status status = run_group(&b, reference ? reference : &plain);
  close_side(&b.tested_side);
  close_side(&b.reference_side);
  pm_free(b.before), pm_free(b.after), pm_free(b.expected);
  pm_arena_finish(&b.arena);
  return status;
}
