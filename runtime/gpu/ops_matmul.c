// Products with weights: plain, batched, gated, and over chosen experts.
#include "layout.h"
#include "matvec.h"
#include "ops.h"
#include "rows.h"

// y = silu(y) * up, where gate and up could not share a kernel.
static void record_glu(pm_gpu_recorder *r, const pm_view *y, const pm_view *up, pm_rows rows) {
  enum { WORKGROUP = 64 };
  uint32_t constants[] = {WORKGROUP}, n_row = pm_gpu_rows(r, rows);
  pm_push_glu push = {
      .y = pm_gpu_push_view(y), .up = pm_gpu_push_view(up), .n = y->n, .n_batch = y->n_batch, .logits = rows == PM_ROWS_LOGITS};
  pm_gpu_record_read(r, up->tensor);
  pm_gpu_record_write(r, y->tensor);
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = "glu",
                                               .constants = constants,
                                               .n_constant = 1,
                                               .push = &push,
                                               .push_bytes = sizeof push,
                                               .groups = {pm_gpu_groups(y->n, WORKGROUP), y->n_batch, n_row},
                                               .cost = 12.0 * n_row * y->n * y->n_batch});
}

// A dense stand-in for y, for the up half of a product whose matrices differ in type.
static pm_view temp_like(pm_gpu_recorder *r, const pm_view *y, uint32_t n_row) {
  pm_tensor *t = pm_gpu_temp(r, "glu.up", (uint64_t)n_row * y->n * y->n_batch);
  return (pm_view){.tensor = t, .n = y->n, .n_batch = y->n_batch, .stride_batch = y->n, .stride_row = y->n * y->n_batch};
}

// Bytes of the weights, read once per pass over the rows, and a sixteenth of the multiply-adds.
static double weight_cost(const pm_tensor *w, double n_slab, double n_row, double n_pass) {
  return n_slab * ((double)pm_gpu_slab_bytes(w->type, w->ne[0], w->ne[1]) * n_pass + (double)w->ne[0] * (double)w->ne[1] * n_row / 16);
}

static void record_matmul(pm_gpu_recorder *r, const pm_op_matmul *a) {
  uint32_t n_row = pm_gpu_rows(r, a->rows), n_batch = (uint32_t)a->w->ne[2];
  pm_push_matvec push = {
      .w = pm_gpu_push_weight(a->w), .x = pm_gpu_push_view(&a->x), .y = pm_gpu_push_view(&a->y), .logits = a->rows == PM_ROWS_LOGITS};
  if (a->w_up) {
    pm_push_weight up = pm_gpu_push_weight(a->w_up);
    push.up_arena = up.arena, push.up_at = up.at;
  }
  pm_gpu_pick pick = pm_gpu_pick_find(r, (pm_gpu_shape){PM_OP_MATMUL, n_row, push.w.n_unit, push.w.n_out * n_batch});
  uint32_t rows = pick.c, per_group = pick.workgroup / pick.a * pick.b;
  uint32_t constants[] = {pick.workgroup, pm_gpu_traits_of(r)->subgroup,      pick.a,          pick.b,
                          rows,           pm_gpu_is_wide(&a->x, PM_GPU_UNIT), a->w_up != NULL, a->accumulate};
  pm_gpu_record_read(r, a->x.tensor);
  pm_gpu_record_write(r, a->y.tensor);
  pm_gpu_record_dispatch(r,
                         &(pm_gpu_dispatch){.kernel = pm_gpu_kernel_name(pick.kernel, a->w->type).text,
                                            .constants = constants,
                                            .n_constant = 8,
                                            .push = &push,
                                            .push_bytes = sizeof push,
                                            .groups = {pm_gpu_groups(push.w.n_out, per_group), pm_gpu_groups(n_row, rows), n_batch},
                                            .cost = weight_cost(a->w, n_batch * (a->w_up ? 2.0 : 1.0), n_row, pm_gpu_groups(n_row, rows))});
}

void pm_gpu_op_matmul(pm_gpu_recorder *r, const pm_op *op) {
  pm_op_matmul a = op->matmul;
  if (!a.w_up || a.w_up->type == a.w->type) {
    record_matmul(r, &a);
    return;
  }
  pm_op_matmul up = {.w = a.w_up, .x = a.x, .y = temp_like(r, &a.y, pm_gpu_rows(r, a.rows)), .rows = a.rows};
  a.w_up = NULL;
  record_matmul(r, &a);
  record_matmul(r, &up);
  record_glu(r, &a.y, &up.y, a.rows);
}

// Matrices of an expert table, in the order of its entries.
enum { GATE, UP, DOWN };

static pm_push_weight push_experts(pm_gpu_recorder *r, const pm_expert_table *t, const pm_tensor *w, uint32_t matrix) {
  pm_push_weight push = pm_gpu_push_weight(w);
  push.at = pm_gpu_table_first(r, t) + matrix * t->n_expert;
  return push;
}

// One matrix of the chosen experts, or gate and up at once, for every (row, k).
static void record_experts_glu(pm_gpu_recorder *r, const pm_op_experts_glu *a, const pm_view *y, const pm_tensor *w, uint32_t matrix,
                               bool gated) {
  uint32_t n_row = pm_gpu_rows(r, PM_ROWS_ALL), n_used = a->ids.n;
  pm_push_view ids = pm_gpu_push_view(&a->ids);
  pm_push_experts push = {
      .w = push_experts(r, a->experts, w, matrix),
      .up_at = push_experts(r, a->experts, w, UP).at,
      .x = pm_gpu_push_view(&a->x),
      .y = pm_gpu_push_view(y),
      .ids_at = ids.at,
      .ids_row = ids.row,
      .n_used = n_used,
  };
  pm_gpu_pick pick = pm_gpu_pick_find(r, (pm_gpu_shape){PM_OP_EXPERTS_GLU, n_row, push.w.n_unit, push.w.n_out * n_used});
  uint32_t constants[] = {pick.workgroup, pm_gpu_traits_of(r)->subgroup, pick.a, pick.b, pick.c, pm_gpu_is_wide(&a->x, PM_GPU_UNIT), gated};
  pm_gpu_record_read(r, a->x.tensor);
  pm_gpu_record_read(r, a->ids.tensor);
  pm_gpu_record_write(r, y->tensor);
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = pm_gpu_kernel_name(pick.kernel, w->type).text,
                                               .constants = constants,
                                               .n_constant = 7,
                                               .push = &push,
                                               .push_bytes = sizeof push,
                                               .groups = {pm_gpu_groups(push.w.n_out, pick.workgroup / pick.a * pick.b), n_used, n_row},
                                               .cost = weight_cost(w, (double)n_row * n_used * (gated ? 2 : 1), 1, 1)});
}

void pm_gpu_op_experts_glu(pm_gpu_recorder *r, const pm_op *op) {
  const pm_op_experts_glu *a = &op->experts_glu;
  const pm_tensor *gate = a->experts->gate, *up = a->experts->up;
  if (gate->type == up->type) {
    record_experts_glu(r, a, &a->y, gate, GATE, true);
    return;
  }
  pm_view temp = temp_like(r, &a->y, pm_gpu_rows(r, PM_ROWS_ALL));
  record_experts_glu(r, a, &a->y, gate, GATE, false);
  record_experts_glu(r, a, &temp, up, UP, false);
  record_glu(r, &a->y, &temp, PM_ROWS_ALL);
}

void pm_gpu_op_experts_down(pm_gpu_recorder *r, const pm_op *op) {
  const pm_op_experts_down *a = &op->experts_down;
  uint32_t n_row = pm_gpu_rows(r, PM_ROWS_ALL);
  pm_push_view ids = pm_gpu_push_view(&a->ids), weights = pm_gpu_push_view(&a->weights);
  pm_push_experts push = {
      .w = push_experts(r, a->experts, a->experts->down, DOWN),
      .x = pm_gpu_push_view(&a->x),
      .y = pm_gpu_push_view(&a->y),
      .ids_at = ids.at,
      .ids_row = ids.row,
      .weights_at = weights.at,
      .weights_row = weights.row,
      .n_used = a->ids.n,
  };
  pm_gpu_pick pick = pm_gpu_pick_find(r, (pm_gpu_shape){PM_OP_EXPERTS_DOWN, n_row, push.w.n_unit, push.w.n_out});
  uint32_t constants[] = {pick.workgroup, pm_gpu_traits_of(r)->subgroup, pick.a, pick.b, pick.c, pm_gpu_is_wide(&a->x, PM_GPU_UNIT)};
  pm_gpu_record_read(r, a->x.tensor);
  pm_gpu_record_read(r, a->ids.tensor);
  pm_gpu_record_read(r, a->weights.tensor);
  pm_gpu_record_write(r, a->y.tensor);
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = pm_gpu_kernel_name(pick.kernel, a->experts->down->type).text,
                                               .constants = constants,
                                               .n_constant = 6,
                                               .push = &push,
                                               .push_bytes = sizeof push,
                                               .groups = {pm_gpu_groups(push.w.n_out, pick.workgroup / pick.a * pick.b), 1, n_row},
                                               .cost = weight_cost(a->experts->down, (double)n_row * a->ids.n, 1, 1)});
}
