#include "op.h"

#include <stdio.h>
#include <string.h>

#include "memory.h"

static const char *const op_names[] = {
#define PM_OP(NAME, member, text) [PM_OP_##NAME] = #NAME,
#include "ops.def"
#undef PM_OP
};

const char *pm_op_name(pm_op_kind kind) { return op_names[kind]; }

void pm_program_init(pm_program *p, uint32_t max_rows, uint32_t max_logits, uint32_t n_rope) {
  *p = (pm_program){.max_rows = max_rows, .max_logits = max_logits, .n_rope = n_rope};
}

void pm_program_finish(pm_program *p) {
  pm_arena_finish(&p->arena);
  pm_free(p->ops);
  pm_free(p->tensors);
  pm_free(p->tables);
  *p = (pm_program){0};
}

pm_status pm_program_check(const pm_program *p) { return p->error ? pm_fail(p->error, "%s", p->message) : PM_OK; }

// Keeps the first failure: appending code then needs no checks of its own.
static void latch(pm_program *p, pm_status status) {
  if (p->error || status == PM_OK) return;
  p->error = status;
  snprintf(p->message, sizeof p->message, "%s", pm_fail_message());
}

static pm_status out_of_memory(void) { PM_FAIL(PM_ERR_MEMORY, "out of memory while building the program of a step"); }

// Makes room for one more item of `size` bytes; false (and latched) when memory is short.
static bool grow(pm_program *p, void **items, uint32_t n, uint32_t *capacity, size_t size) {
  if (n < *capacity) return true;
  uint32_t wanted = *capacity ? *capacity * 2 : 64;
  void *bigger = pm_realloc(*items, wanted * size);
  if (!bigger) return latch(p, out_of_memory()), false;
  *items = bigger, *capacity = wanted;
  return true;
}

static pm_tensor *add_tensor(pm_program *p, const char *name, pm_tensor t) {
  static pm_tensor dummy;  // stands in after a failure; nothing runs then
  pm_tensor *copy = pm_arena_alloc(&p->arena, sizeof *copy);
  char *kept = pm_arena_strdup(&p->arena, name);
  if (!copy || !kept) return latch(p, out_of_memory()), &dummy;
  if (!grow(p, (void **)&p->tensors, p->n_tensor, &p->tensor_capacity, sizeof *p->tensors)) return &dummy;
  *copy = t;
  copy->name = kept;
  return p->tensors[p->n_tensor++] = copy;
}

pm_tensor *pm_program_weight(pm_program *p, const char *name, pm_type type, const uint64_t ne[3], const void *host, size_t slab_bytes) {
  pm_tensor t = {.role = PM_ROLE_WEIGHT, .type = type, .ne = {ne[0], ne[1], ne[2]}, .host = host, .slab_bytes = slab_bytes};
  if (!slab_bytes) t.slab_bytes = pm_tensor_slab_bytes(&t);
  return add_tensor(p, name, t);
}

// The rows of a matrix's slab from n_row on.
static const pm_slab *rest_of_slab(pm_program *p, const pm_tensor *w, uint64_t n_row) {
  pm_slab *s = pm_arena_alloc(&p->arena, sizeof *s);
  if (!s) return latch(p, out_of_memory()), NULL;
  *s = *w->slabs;
  s->data = (const char *)s->data + n_row * (s->scales ? w->ne[0] : pm_tensor_row_bytes(w));
  s->first_row += n_row;
  return s;
}

pm_tensor *pm_program_cut(pm_program *p, const pm_tensor *w, uint64_t n_row) {
  size_t head_bytes = pm_tensor_row_bytes(w) * n_row;
  uint32_t i = 0;
  while (i < p->n_tensor && p->tensors[i] != w) i++;
  const uint64_t ne[3] = {w->ne[0], w->ne[1] - n_row, 1};
  pm_tensor *rest = pm_program_weight(p, w->name, w->type, ne, w->host ? (const char *)w->host + head_bytes : NULL, 0);
  if (w->slabs) rest->slabs = rest_of_slab(p, w, n_row);
  if (i < p->n_tensor && !p->error) p->tensors[i]->ne[1] = n_row, p->tensors[i]->slab_bytes = head_bytes;
  return rest;
}

pm_tensor *pm_program_kv(pm_program *p, const char *name, pm_type type, uint64_t n, uint64_t n_cell) {
  return add_tensor(p, name, (pm_tensor){.role = PM_ROLE_KV, .type = type, .ne = {n, n_cell, 1}});
}

pm_tensor *pm_program_scratch(pm_program *p, const char *name, uint64_t n) {
  for (uint32_t i = 0; i < p->n_tensor; i++) {
    pm_tensor *t = p->tensors[i];
    if (t->role == PM_ROLE_SCRATCH && t->ne[0] == n && !strcmp(t->name, name)) return t;
  }
  return add_tensor(p, name, (pm_tensor){.role = PM_ROLE_SCRATCH, .type = PM_TYPE_F32, .ne = {n, p->max_rows, 1}});
}

pm_tensor *pm_program_output(pm_program *p, const char *name, pm_type type, uint64_t n, uint64_t n_row) {
  return add_tensor(p, name, (pm_tensor){.role = PM_ROLE_OUTPUT, .type = type, .ne = {n, n_row, 1}});
}

pm_expert_table *pm_program_experts(pm_program *p, const pm_tensor *gate, const pm_tensor *up, const pm_tensor *down) {
  static pm_expert_table dummy;
  uint32_t n = (uint32_t)gate->ne[2];
  pm_expert_table *t = pm_arena_alloc(&p->arena, sizeof *t);
  const void **slabs = pm_arena_alloc(&p->arena, 3 * (size_t)n * sizeof *slabs);
  if (!t || !slabs) return latch(p, out_of_memory()), &dummy;
  if (!grow(p, (void **)&p->tables, p->n_table, &p->table_capacity, sizeof *p->tables)) return &dummy;
  *t = (pm_expert_table){.n_expert = n, .gate = gate, .up = up, .down = down, .slab = {slabs, slabs + n, slabs + 2 * (size_t)n}};
  const pm_tensor *matrices[3] = {gate, up, down};
  for (int m = 0; m < 3; m++)
    for (uint32_t e = 0; e < n; e++) t->slab[m][e] = pm_tensor_slab(matrices[m], e);
  return p->tables[p->n_table++] = t;
}

void pm_program_resize(pm_program *p, uint32_t max_rows, uint32_t max_logits, uint32_t n_cell) {
  for (uint32_t i = 0; i < p->n_tensor; i++) {
    pm_tensor *t = p->tensors[i];
    if (t->role == PM_ROLE_KV) t->ne[1] = n_cell;
    if (t->role == PM_ROLE_SCRATCH || t->role == PM_ROLE_OUTPUT) t->ne[1] = t == p->logits ? max_logits : max_rows;
  }
  p->max_rows = max_rows, p->max_logits = max_logits;
}

// ---- shape rules, one function per op ----

#define EXPECT(what, got, wanted)                                                                                             \
  do {                                                                                                                        \
    if ((uint64_t)(got) != (uint64_t)(wanted))                                                                                \
      PM_FAIL(PM_ERR_ARGUMENT, "%s is %llu, expected %llu", (what), (unsigned long long)(got), (unsigned long long)(wanted)); \
  } while (0)

static pm_status check_embed(const pm_op_embed *a) {
  EXPECT("width of the output rows", a->out.n, a->table->ne[0]);
  return PM_OK;
}

static pm_status check_norm(const pm_op_norm *a) {
  EXPECT("width of the output rows", a->y.n, a->x.n);
  EXPECT("length of the weight", a->weight->ne[0], a->x.n);
  EXPECT("type of the weight", a->weight->type, PM_TYPE_F32);
  return PM_OK;
}

static pm_status check_matmul(const pm_op_matmul *a) {
  EXPECT("values per input row", a->x.n, a->w->ne[0]);
  EXPECT("values per output row", a->y.n, a->w->ne[1]);
  EXPECT("batch of the input", a->x.n_batch, a->w->ne[2]);
  EXPECT("batch of the output", a->y.n_batch, a->w->ne[2]);
  if (!a->w_up) return PM_OK;
  for (int i = 0; i < 3; i++) EXPECT("dimension of the up matrix", a->w_up->ne[i], a->w->ne[i]);
  EXPECT("accumulation of a gated product", a->accumulate, 0);
  return PM_OK;
}

static pm_status check_rope(const pm_op_rope *a) {
  EXPECT("values per output item", a->y.n, a->x.n);
  EXPECT("items per output row", a->y.n_batch, a->x.n_batch);
  EXPECT("remainder of the width by 2", a->x.n % 2, 0);
  return PM_OK;
}

static pm_status check_mla_cache(const pm_op_mla_cache *a) {
  EXPECT("width of a cache row", a->kv->ne[0], a->x.n);
  EXPECT("length of the latent norm", a->weight->ne[0], a->n_latent);
  EXPECT("type of the latent norm", a->weight->type, PM_TYPE_F32);
  return PM_OK;
}

static pm_status check_mla_attention(const pm_op_mla_attention *a) {
  EXPECT("width of a cache row", a->kv->ne[0], a->q.n);
  EXPECT("heads of the output", a->y.n_batch, a->q.n_batch);
  EXPECT("values per head of the output", a->y.n, a->n_latent);
  return PM_OK;
}

static pm_status check_route(const pm_op_route *a) {
  EXPECT("weights per row", a->weights.n, a->ids.n);
  EXPECT("type of the ids", a->ids.tensor->type, PM_TYPE_I32);
  if (a->bias) EXPECT("length of the selection bias", a->bias->ne[0], a->logits.n);
  if (a->n_group > 1) EXPECT("experts left over by the groups", a->logits.n % a->n_group, 0);
  return PM_OK;
}

static pm_status check_experts_glu(const pm_op_experts_glu *a) {
  EXPECT("values per input row", a->x.n, a->experts->gate->ne[0]);
  EXPECT("values per expert output", a->y.n, a->experts->gate->ne[1]);
  EXPECT("experts per output row", a->y.n_batch, a->ids.n);
  for (int i = 0; i < 3; i++) EXPECT("dimension of the up matrices", a->experts->up->ne[i], a->experts->gate->ne[i]);
  return PM_OK;
}

static pm_status check_experts_down(const pm_op_experts_down *a) {
  EXPECT("values per expert input", a->x.n, a->experts->down->ne[0]);
  EXPECT("values per output row", a->y.n, a->experts->down->ne[1]);
  EXPECT("experts per input row", a->x.n_batch, a->ids.n);
  EXPECT("weights per row", a->weights.n, a->ids.n);
  return PM_OK;
}

static pm_status check_op(const pm_op *op) {
  switch (op->kind) {
#define PM_OP(NAME, member, text) \
  case PM_OP_##NAME:              \
    return check_##member(&op->member);
#include "ops.def"
#undef PM_OP
    case PM_OP_COUNT: break;
  }
  PM_FAIL(PM_ERR_ARGUMENT, "unknown operation %d", (int)op->kind);
}

void pm_program_append(pm_program *p, pm_op op) {
  if (p->error) return;  // operands may be dummies
  pm_status status = check_op(&op);
  if (status) status = pm_fail_prefix(status, "layer %d, %s", (int)op.layer, pm_op_name(op.kind));
  latch(p, status);
  if (!grow(p, (void **)&p->ops, p->n_op, &p->op_capacity, sizeof *p->ops)) return;
  p->ops[p->n_op++] = op;
}

bool pm_program_is_expert(const pm_program *p, const pm_tensor *t) {
  for (uint32_t i = 0; i < p->n_table; i++)
    for (int m = 0; m < 3; m++)
      if (pm_expert_matrix(p->tables[i], m) == t) return true;
  return false;
}

static bool same_shape(const pm_tensor *a, const pm_tensor *b) {
  return a->type == b->type && a->ne[0] == b->ne[0] && a->ne[1] == b->ne[1];
}

static bool same_class(const pm_expert_table *a, const pm_expert_table *b) {
  return same_shape(a->gate, b->gate) && same_shape(a->up, b->up) && same_shape(a->down, b->down);
}

uint32_t pm_program_expert_classes(const pm_program *p, uint32_t *class_of) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < p->n_table; i++) {
    uint32_t j = 0;
    while (j < i && !same_class(p->tables[j], p->tables[i])) j++;
    class_of[i] = j < i ? class_of[j] : n++;
  }
  return n;
}
