// Products with the matrices of chosen experts. Few rows: every (row, k) by itself. Many rows: pairs grouped by expert on the GPU, so
// that an expert's weights serve all its rows; nothing is read back.
#include "layout.h"
#include "matvec.h"
#include "ops.h"

// Matrices of an expert table, in the order of its entries.
enum { GATE, UP, DOWN };

static pm_push_weight push_experts(pm_gpu_recorder *r, const pm_expert_table *t, uint32_t matrix) {
  const pm_tensor *const matrices[] = {t->gate, t->up, t->down};
  pm_push_weight push = pm_gpu_push_weight(matrices[matrix]);
  push.at = pm_gpu_table_first(r, t) + matrix * t->n_expert;
  return push;
}

// ---- many rows ----

// Where experts_group leaves its results.
typedef struct groups {
  pm_tensor *tiles, *list;
  uint32_t n_tile;  // at most
} groups;

static groups record_group(pm_gpu_recorder *r, const pm_view *ids, uint32_t n_expert, uint32_t tile) {
  uint32_t n_pair = pm_gpu_rows(r, PM_ROWS_ALL) * ids->n, workgroup = pm_gpu_traits_of(r)->max_invocations;
  uint32_t n_tile = n_pair / tile + n_expert < n_pair ? n_pair / tile + n_expert : n_pair;
  groups g = {
      .tiles = pm_gpu_temp(r, "experts.tiles", PM_GROUP_WORDS(n_tile)), .list = pm_gpu_temp(r, "experts.list", n_pair), .n_tile = n_tile};
  if (workgroup > 256) workgroup = 256;
  pm_push_view from = pm_gpu_push_view(ids);
  pm_push_group push = {
      .ids_at = from.at,
      .ids_row = from.row,
      .n_expert = n_expert,
      .n_used = ids->n,
      .tile = tile,
      .groups_at = pm_gpu_word(g.tiles),
      .list_at = pm_gpu_word(g.list),
  };
  pm_gpu_record_read(r, ids->tensor);
  pm_gpu_record_write(r, g.tiles);
  pm_gpu_record_write(r, g.list);
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = "experts_group",
                                               .constants = &workgroup,
                                               .n_constant = 1,
                                               .push = &push,
                                               .push_bytes = sizeof push,
                                               .groups = {1, 1, 1},
                                               .cost = 16.0 * n_pair});
  return g;
}

// One matrix of the experts, or gate and up, over grouped pairs: y[row][k] from x[row][k] (x_batch values apart, 0: x[row]).
typedef struct grouped {
  const pm_expert_table *experts;
  uint32_t matrix;
  bool gated;
  const pm_view *x, *y, *ids;
  uint32_t x_batch;
} grouped;

static void record_grouped(pm_gpu_recorder *r, const pm_gpu_pick *pick, groups g, const grouped *a) {
  const pm_tensor *const matrices[] = {a->experts->gate, a->experts->up, a->experts->down};
  const pm_tensor *w = matrices[a->matrix];
  uint32_t n_pair = pm_gpu_rows(r, PM_ROWS_ALL) * a->ids->n, n_expert = a->experts->n_expert;
  pm_gpu_tiles tiles = {
      .push = {.w = push_experts(r, a->experts, a->matrix),
               .up_at = push_experts(r, a->experts, UP).at,
               .x = pm_gpu_push_input(r, a->x),
               .y = pm_gpu_push_view(a->y),
               .groups_at = pm_gpu_word(g.tiles),
               .list_at = pm_gpu_word(g.list),
               .n_used = a->ids->n},
      .type = w->type,
      .gated = a->gated,
      .grouped = true,
      .n_tile = g.n_tile,
      .n_batch = 1,
      .cost = pm_gpu_weight_cost(w, a->gated ? 2 : 1, n_pair, n_pair < n_expert ? n_pair : n_expert),
  };
  tiles.push.x.batch = a->x_batch;
  pm_gpu_record_read(r, a->x->tensor);
  pm_gpu_record_read(r, g.tiles);
  pm_gpu_record_read(r, g.list);
  pm_gpu_record_write(r, a->y->tensor);
  pm_gpu_record_tiles(r, pick, &tiles);
}

static void record_down_tiles(pm_gpu_recorder *r, const pm_gpu_pick *pick, const pm_op_experts_down *a) {
  enum { WORKGROUP = 64 };
  uint32_t n_row = pm_gpu_rows(r, PM_ROWS_ALL), n_used = a->ids.n, workgroup = WORKGROUP, n = a->y.n;
  groups g = record_group(r, &a->ids, a->experts->n_expert, pm_gpu_tile_rows(pick));
  pm_tensor *products = pm_gpu_temp(r, "experts.down", (uint64_t)n_row * n_used * n);
  pm_view each = {.tensor = products, .n = n, .n_batch = n_used, .stride_batch = n, .stride_row = n * n_used};
  record_grouped(r, pick, g,
                 &(grouped){.experts = a->experts, .matrix = DOWN, .x = &a->x, .y = &each, .ids = &a->ids, .x_batch = a->x.stride_batch});

  pm_push_view y = pm_gpu_push_view(&a->y), weights = pm_gpu_push_view(&a->weights);
  pm_push_expert_sum push = {
      .x = pm_gpu_push_view(&each),
      .y_at = y.at,
      .y_row = y.row,
      .weights_at = weights.at,
      .weights_row = weights.row,
      .n = n,
      .n_used = n_used,
  };
  pm_gpu_record_read(r, products);
  pm_gpu_record_read(r, a->weights.tensor);
  pm_gpu_record_write(r, a->y.tensor);
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = "experts_sum",
                                               .constants = &workgroup,
                                               .n_constant = 1,
                                               .push = &push,
                                               .push_bytes = sizeof push,
                                               .groups = {pm_gpu_groups(n, WORKGROUP), n_row, 1},
                                               .cost = 4.0 * n_row * (n_used + 2) * n});
}

// ---- few rows ----

static void record_glu_lanes(pm_gpu_recorder *r, const pm_gpu_pick *pick, const pm_op_experts_glu *a, const pm_view *y, uint32_t matrix,
                             bool gated) {
  const pm_tensor *w = matrix == GATE ? a->experts->gate : a->experts->up;
  uint32_t n_row = pm_gpu_rows(r, PM_ROWS_ALL), n_used = a->ids.n;
  pm_push_view ids = pm_gpu_push_view(&a->ids);
  pm_push_experts push = {
      .w = push_experts(r, a->experts, matrix),
      .up_at = push_experts(r, a->experts, UP).at,
      .x = pm_gpu_push_input(r, &a->x),
      .y = pm_gpu_push_view(y),
      .ids_at = ids.at,
      .ids_row = ids.row,
      .n_used = n_used,
  };
  uint32_t constants[] = {pick->workgroup, pm_gpu_traits_of(r)->subgroup, pick->a, pick->b, pick->c, gated};
  pm_gpu_record_read(r, a->x.tensor);
  pm_gpu_record_read(r, a->ids.tensor);
  pm_gpu_record_write(r, y->tensor);
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = pm_gpu_kernel_name(pick->kernel, w->type).text,
                                               .constants = constants,
                                               .n_constant = 6,
                                               .push = &push,
                                               .push_bytes = sizeof push,
                                               .groups = {pm_gpu_groups(push.w.n_out, pick->workgroup / pick->a * pick->b), n_used, n_row},
                                               .cost = pm_gpu_weight_cost(w, (double)n_row * n_used * (gated ? 2 : 1), 1, 1)});
}

static void record_down_lanes(pm_gpu_recorder *r, const pm_gpu_pick *pick, const pm_op_experts_down *a) {
  uint32_t n_row = pm_gpu_rows(r, PM_ROWS_ALL);
  pm_push_view ids = pm_gpu_push_view(&a->ids), weights = pm_gpu_push_view(&a->weights);
  pm_push_experts push = {
      .w = push_experts(r, a->experts, DOWN),
      .x = pm_gpu_push_input(r, &a->x),
      .y = pm_gpu_push_view(&a->y),
      .ids_at = ids.at,
      .ids_row = ids.row,
      .weights_at = weights.at,
      .weights_row = weights.row,
      .n_used = a->ids.n,
  };
  uint32_t constants[] = {pick->workgroup, pm_gpu_traits_of(r)->subgroup, pick->a, pick->b, pick->c};
  pm_gpu_record_read(r, a->x.tensor);
  pm_gpu_record_read(r, a->ids.tensor);
  pm_gpu_record_read(r, a->weights.tensor);
  pm_gpu_record_write(r, a->y.tensor);
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = pm_gpu_kernel_name(pick->kernel, a->experts->down->type).text,
                                               .constants = constants,
                                               .n_constant = 5,
                                               .push = &push,
                                               .push_bytes = sizeof push,
                                               .groups = {pm_gpu_groups(push.w.n_out, pick->workgroup / pick->a * pick->b), 1, n_row},
                                               .cost = pm_gpu_weight_cost(a->experts->down, (double)n_row * a->ids.n, 1, 1)});
}

// ---- the ops ----

// Gate and up of one type go through one dispatch, others through two and a third that joins them.
void pm_gpu_op_experts_glu(pm_gpu_recorder *r, const pm_op *op) {
  const pm_op_experts_glu *a = &op->experts_glu;
  bool gated = a->experts->gate->type == a->experts->up->type;
  uint32_t n_row = pm_gpu_rows(r, PM_ROWS_ALL), n_unit = pm_gpu_row_units(a->x.n);
  pm_gpu_pick pick = pm_gpu_pick_find(r, (pm_gpu_shape){PM_OP_EXPERTS_GLU, n_row, n_unit, a->y.n * a->ids.n});
  pm_view up = gated ? a->y : pm_gpu_temp_like(r, &a->y, n_row);
  if (pm_gpu_is_tiled(&pick)) {
    groups g = record_group(r, &a->ids, a->experts->n_expert, pm_gpu_tile_rows(&pick));
    grouped job = {.experts = a->experts, .matrix = GATE, .gated = gated, .x = &a->x, .y = &a->y, .ids = &a->ids};
    record_grouped(r, &pick, g, &job);
    job.matrix = UP, job.y = &up;
    if (!gated) record_grouped(r, &pick, g, &job);
  } else {
    record_glu_lanes(r, &pick, a, &a->y, GATE, gated);
    if (!gated) record_glu_lanes(r, &pick, a, &up, UP, false);
  }
  if (!gated) pm_gpu_record_glu(r, &a->y, &up, PM_ROWS_ALL);
}

void pm_gpu_op_experts_down(pm_gpu_recorder *r, const pm_op *op) {
  const pm_op_experts_down *a = &op->experts_down;
  uint32_t n_row = pm_gpu_rows(r, PM_ROWS_ALL), n_unit = pm_gpu_row_units(a->x.n);
  pm_gpu_pick pick = pm_gpu_pick_find(r, (pm_gpu_shape){PM_OP_EXPERTS_DOWN, n_row, n_unit, a->y.n});
  if (pm_gpu_is_tiled(&pick))
    record_down_tiles(r, &pick, a);
  else
    record_down_lanes(r, &pick, a);
}
