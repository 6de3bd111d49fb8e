// Products with the matrices of chosen experts. Few rows: every (row, k) by itself. Many rows: pairs grouped by expert on the GPU, so
// that an expert's weights serve all its rows; nothing is read back. Of a table with a board the experts are brought first, and where
// they may outnumber the ring, products go in waves: those of a wave's experts at a time, their sums when all are done.
#include <stdio.h>

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
  char name[32];
  snprintf(name, sizeof name, "experts.tiles.%u", tile);  // waves need groups of two tile sizes at once
  groups g = {.n_tile = n_tile, .tiles = pm_gpu_temp(r, name, PM_GROUP_WORDS(n_tile))};
  snprintf(name, sizeof name, "experts.list.%u", tile);
  g.list = pm_gpu_temp(r, name, n_pair);
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

// One matrix of the experts, or gate and up, over grouped pairs: y[row][k] from x[row][k], or from x[row] if x has no batch.
typedef struct grouped {
  const pm_expert_table *experts;
  uint32_t matrix;
  bool gated;
  const pm_view *x, *y, *ids;
  uint32_t pass;
} grouped;

static void record_grouped(pm_gpu_recorder *r, const pm_gpu_pick *pick, groups g, const grouped *a) {
  const pm_tensor *const matrices[] = {a->experts->gate, a->experts->up, a->experts->down};
  const pm_tensor *w = matrices[a->matrix];
  uint32_t n_pair = pm_gpu_rows(r, PM_ROWS_ALL) * a->ids->n, n_expert = a->experts->n_expert;
  pm_push_view x = pm_gpu_record_input(r, pick, a->x, PM_ROWS_ALL);
  if (a->x->n_batch == 1) x.batch = 0;
  pm_gpu_tiles tiles = {
      .push = {.w = push_experts(r, a->experts, a->matrix),
               .up_at = push_experts(r, a->experts, UP).at,
               .x = x,
               .y = pm_gpu_push_view(a->y),
               .groups_at = pm_gpu_word(g.tiles),
               .list_at = pm_gpu_word(g.list),
               .n_used = a->ids->n,
               .pass = a->pass},
      .type = w->type,
      .gated = a->gated,
      .grouped = true,
      .n_tile = g.n_tile,
      .n_batch = 1,
      .cost = pm_gpu_weight_cost(w, a->gated ? 2 : 1, n_pair, n_pair < n_expert ? n_pair : n_expert),
  };
  pm_gpu_record_read_experts(r, a->experts, (int)a->matrix, (int)a->matrix + (a->gated ? 2 : 1));
  pm_gpu_record_read(r, g.tiles);
  pm_gpu_record_read(r, g.list);
  pm_gpu_record_write(r, a->y->tensor);
  pm_gpu_record_tiles(r, pick, &tiles);
}

// Gate and up of one type go through one dispatch, others through two and a third that joins them.
static bool is_gated(const pm_expert_table *t) { return t->gate->type == t->up->type; }

static void record_glu_tiles(pm_gpu_recorder *r, const pm_gpu_pick *pick, groups g, const pm_op_experts_glu *a, uint32_t pass) {
  bool gated = is_gated(a->experts);
  grouped job = {.experts = a->experts, .matrix = GATE, .gated = gated, .x = &a->x, .y = &a->y, .ids = &a->ids, .pass = pass};
  record_grouped(r, pick, g, &job);
  if (gated) return;
  pm_view up = pm_gpu_temp_like(r, &a->y, pm_gpu_rows(r, PM_ROWS_ALL));
  job.matrix = UP, job.y = &up;
  record_grouped(r, pick, g, &job);
  pm_gpu_record_glu(r, &a->y, &up, PM_ROWS_ALL);
}

// The products of a table's down matrices, one by one.
static pm_view temp_products(pm_gpu_recorder *r, const pm_expert_table *t, uint32_t n_used) {
  uint32_t n = (uint32_t)t->down->ne[1];
  pm_tensor *products = pm_gpu_temp(r, "experts.down", (uint64_t)pm_gpu_rows(r, PM_ROWS_ALL) * n_used * n);
  return (pm_view){.tensor = products, .n = n, .n_batch = n_used, .stride_batch = n, .stride_row = n * n_used};
}

static void record_down_tiles(pm_gpu_recorder *r, const pm_gpu_pick *pick, groups g, const pm_expert_table *t, const pm_view *x,
                              const pm_view *ids, uint32_t pass) {
  pm_view each = temp_products(r, t, ids->n);
  record_grouped(r, pick, g, &(grouped){.experts = t, .matrix = DOWN, .x = x, .y = &each, .ids = ids, .pass = pass});
}

static void record_sum(pm_gpu_recorder *r, const pm_op_experts_down *a) {
  enum { WORKGROUP = 64 };
  uint32_t n_row = pm_gpu_rows(r, PM_ROWS_ALL), n_used = a->ids.n, workgroup = WORKGROUP, n = a->y.n;
  pm_view each = temp_products(r, a->experts, n_used);
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
  pm_gpu_record_read(r, each.tensor);
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

static void record_gate_lanes(pm_gpu_recorder *r, const pm_gpu_pick *pick, const pm_op_experts_glu *a, const pm_view *y, uint32_t matrix,
                              bool gated) {
  const pm_tensor *w = matrix == GATE ? a->experts->gate : a->experts->up;
  uint32_t n_row = pm_gpu_rows(r, PM_ROWS_ALL), n_used = a->ids.n;
  pm_push_view x = pm_gpu_record_input(r, pick, &a->x, PM_ROWS_ALL), ids = pm_gpu_push_view(&a->ids);
  pm_push_experts push = {
      .w = push_experts(r, a->experts, matrix),
      .up_at = push_experts(r, a->experts, UP).at,
      .x = x,
      .y = pm_gpu_push_view(y),
      .ids_at = ids.at,
      .ids_row = ids.row,
      .n_used = n_used,
  };
  uint32_t constants[] = {pick->workgroup, pm_gpu_traits_of(r)->subgroup, pick->a, pick->b, pick->c, gated};
  pm_gpu_record_read_experts(r, a->experts, (int)matrix, (int)matrix + (gated ? 2 : 1));
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

static void record_glu_lanes(pm_gpu_recorder *r, const pm_gpu_pick *pick, const pm_op_experts_glu *a) {
  bool gated = is_gated(a->experts);
  record_gate_lanes(r, pick, a, &a->y, GATE, gated);
  if (gated) return;
  pm_view up = pm_gpu_temp_like(r, &a->y, pm_gpu_rows(r, PM_ROWS_ALL));
  record_gate_lanes(r, pick, a, &up, UP, false);
  pm_gpu_record_glu(r, &a->y, &up, PM_ROWS_ALL);
}

static void record_down_lanes(pm_gpu_recorder *r, const pm_gpu_pick *pick, const pm_op_experts_down *a) {
  uint32_t n_row = pm_gpu_rows(r, PM_ROWS_ALL);
  pm_push_view x = pm_gpu_record_input(r, pick, &a->x, PM_ROWS_ALL);
  pm_push_view ids = pm_gpu_push_view(&a->ids), weights = pm_gpu_push_view(&a->weights);
  pm_push_experts push = {
      .w = push_experts(r, a->experts, DOWN),
      .x = x,
      .y = pm_gpu_push_view(&a->y),
      .ids_at = ids.at,
      .ids_row = ids.row,
      .weights_at = weights.at,
      .weights_row = weights.row,
      .n_used = a->ids.n,
  };
  uint32_t constants[] = {pick->workgroup, pm_gpu_traits_of(r)->subgroup, pick->a, pick->b, pick->c};
  pm_gpu_record_read_experts(r, a->experts, DOWN, DOWN + 1);
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

// ---- in passes ----

// Whether the recording computes a table's products in passes; what is summed up after them is grouped, whatever the rows.
static bool in_passes(pm_gpu_recorder *r, const pm_expert_table *t, pm_gpu_board *board) {
  return pm_gpu_board_find(r, t, board) && !board->few;
}

// Experts that come and go need tiles where they come in passes. A step of few rows leaves out what the host computes, which kernels that
// sum as they go can do, and tiles that are summed later cannot.
static pm_gpu_pick pick_kernel(pm_gpu_recorder *r, pm_op_kind op, const pm_expert_table *t, uint32_t n_used) {
  pm_gpu_board board;
  const pm_tensor *w = op == PM_OP_EXPERTS_GLU ? t->gate : t->down;
  bool move = pm_gpu_board_find(r, t, &board), passes = move && !board.few;
  uint32_t n_out = (uint32_t)w->ne[1] * (op == PM_OP_EXPERTS_GLU ? n_used : 1);
  uint32_t n_row = passes ? UINT32_MAX : move ? 1 : pm_gpu_rows(r, PM_ROWS_ALL);
  pm_gpu_pick pick = pm_gpu_pick_find(r, (pm_gpu_shape){op, n_row, pm_gpu_row_units(w->ne[0]), n_out, w->type});
  if (move && pm_gpu_is_tiled(&pick) != passes)
    pm_gpu_record_fail(r, pm_fail(PM_ERR_UNSUPPORTED, "kernel %s cannot take experts that come and go", pick.kernel));
  return pick;
}

// The passes over a table's experts, and the kernels of their products.
typedef struct passes {
  const pm_op_experts_glu *a;
  pm_gpu_board board;
  pm_gpu_pick glu, down;
  groups glu_groups, down_groups;
} passes;

// The wave that pass `pass` is over (record.h); its first pass may be over none.
static bool has_wave(const passes *p, uint32_t pass) { return p->board.ahead || pass > 0; }
static uint32_t wave_of(const passes *p, uint32_t pass) { return p->board.ahead ? pass : pass - 1; }

// What a step takes if it takes the pass.
static void begin_pass(pm_gpu_recorder *r, const passes *p, uint32_t pass) {
  pm_gpu_record_when(r, pass ? PM_GPU_WAVE : PM_GPU_ALWAYS, p->a->experts, pass ? wave_of(p, pass) : 0);
}

// Matrices [first, end) of the wave after that of the pass: the next of this table or, beside the last pass, the first of the next one.
static void fill_beside(pm_gpu_recorder *r, const passes *p, uint32_t pass, int first, int end) {
  const pm_expert_table *t = p->a->experts, *next = p->board.ahead ? pm_gpu_next_table(r, t) : NULL;
  uint32_t n_used = p->a->ids.n, wave = wave_of(p, pass + 1);
  if (wave < p->board.n_wave) {
    pm_gpu_record_when(r, PM_GPU_WAVE, t, wave);
    pm_gpu_record_fill(r, t, n_used, wave, first, end);
  }
  if (next) {
    pm_gpu_record_when(r, PM_GPU_LAST, t, wave_of(p, pass));
    pm_gpu_record_fill(r, next, n_used, 0, first, end);
  }
}

static void pace_beside(pm_gpu_recorder *r, const passes *p, uint32_t pass) {
  const pm_expert_table *t = p->a->experts;
  if (!p->board.paced) return;
  if (has_wave(p, pass)) pm_gpu_record_when(r, PM_GPU_ARRIVED, t, wave_of(p, pass));
  if (wave_of(p, pass + 1) < p->board.n_wave) pm_gpu_record_when(r, PM_GPU_SENT, t, wave_of(p, pass + 1));
  if (p->board.ahead && pm_gpu_next_table(r, t)) pm_gpu_record_when(r, PM_GPU_SENT_AHEAD, t, wave_of(p, pass));
}

// The gate and up matrices of the next wave come beside the products of gate and up, its down matrix beside those of down: between two
// fences everything may overlap. A ring of one record has no room for a next wave.
static void record_pass(pm_gpu_recorder *r, const passes *p, uint32_t pass) {
  const pm_op_experts_glu *a = p->a;
  bool beside = p->board.n_half > 1;
  begin_pass(r, p, pass);
  pm_gpu_record_fence(r);
  pace_beside(r, p, pass);
  if (beside) fill_beside(r, p, pass, GATE, DOWN);
  begin_pass(r, p, pass);
  record_glu_tiles(r, &p->glu, p->glu_groups, a, pass);
  pm_gpu_record_fence(r);
  if (beside) fill_beside(r, p, pass, DOWN, DOWN + 1);
  begin_pass(r, p, pass);
  record_down_tiles(r, &p->down, p->down_groups, a->experts, &a->y, &a->ids, pass);
  if (beside) return;
  pm_gpu_record_fence(r);
  fill_beside(r, p, pass, GATE, DOWN + 1);
}

// Gate, up and down of one pass after another; pm_gpu_op_experts_down then finds all products.
static void record_passes(pm_gpu_recorder *r, passes *p) {
  const pm_expert_table *t = p->a->experts, *next = p->board.ahead ? pm_gpu_next_table(r, t) : NULL;
  p->down = pick_kernel(r, PM_OP_EXPERTS_DOWN, t, p->a->ids.n);
  uint32_t tile = pm_gpu_tile_rows(&p->glu), down_tile = pm_gpu_tile_rows(&p->down);
  if (!p->board.ahead) pm_gpu_record_resolve(r, t, &p->a->ids);
  if (next) pm_gpu_record_resolve(r, next, NULL);
  p->glu_groups = record_group(r, &p->a->ids, t->n_expert, tile);
  p->down_groups = tile == down_tile ? p->glu_groups : record_group(r, &p->a->ids, t->n_expert, down_tile);
  for (uint32_t pass = 0; pass < p->board.n_wave + !p->board.ahead; pass++) record_pass(r, p, pass);
  pm_gpu_record_when(r, PM_GPU_ALWAYS, t, 0);
}

void pm_gpu_record_ahead(pm_gpu_recorder *r) {
  pm_gpu_board board;
  const pm_expert_table *t = pm_gpu_next_table(r, NULL);
  if (!t || !pm_gpu_board_find(r, t, &board) || !board.ahead) return;
  pm_gpu_record_resolve(r, t, NULL);
  if (board.paced) pm_gpu_record_when(r, PM_GPU_SENT, t, 0);
  pm_gpu_record_when(r, PM_GPU_ALWAYS, t, 0);
  pm_gpu_record_fill(r, t, 0, 0, GATE, DOWN + 1);
}

// ---- the ops ----

void pm_gpu_op_experts_glu(pm_gpu_recorder *r, const pm_op *op) {
  const pm_op_experts_glu *a = &op->experts_glu;
  passes p = {.a = a, .glu = pick_kernel(r, PM_OP_EXPERTS_GLU, a->experts, a->ids.n)};
  if (in_passes(r, a->experts, &p.board)) {
    record_passes(r, &p);
    return;
  }
  pm_gpu_record_resolve(r, a->experts, &a->ids);
  pm_gpu_record_fill(r, a->experts, a->ids.n, 0, GATE, DOWN + 1);
  if (pm_gpu_is_tiled(&p.glu))
    record_glu_tiles(r, &p.glu, record_group(r, &a->ids, a->experts->n_expert, pm_gpu_tile_rows(&p.glu)), a, 0);
  else
    record_glu_lanes(r, &p.glu, a);
}

void pm_gpu_op_experts_down(pm_gpu_recorder *r, const pm_op *op) {
  const pm_op_experts_down *a = &op->experts_down;
  pm_gpu_board board;
  pm_gpu_pick pick = pick_kernel(r, PM_OP_EXPERTS_DOWN, a->experts, a->ids.n);
  if (!pm_gpu_is_tiled(&pick)) {
    record_down_lanes(r, &pick, a);
    return;
  }
  if (!in_passes(r, a->experts, &board))
    record_down_tiles(r, &pick, record_group(r, &a->ids, a->experts->n_expert, pm_gpu_tile_rows(&pick)), a->experts, &a->x, &a->ids, 0);
  record_sum(r, a);
}
