// Matrix products: tiles of (batch item, output rows, step rows), each handed to the kernels.
#include "executor.h"

typedef struct tiling {
  uint32_t out_tile, n_out_tile, n_row, n_row_tile;
} tiling;

static tiling tiling_of(const pm_op_matmul *a, const pm_cpu_ctx *c) {
  tiling t = {.n_row = pm_cpu_n_row(a->rows, c->step)};
  t.n_row_tile = pm_cpu_div_up(t.n_row, PM_CPU_ROW_TILE);
  t.out_tile = pm_cpu_out_tile(a->w->ne[0], a->w->ne[1], (uint64_t)a->x.n_batch * t.n_row_tile, c->n_thread);
  t.n_out_tile = pm_cpu_div_up(a->w->ne[1], t.out_tile);
  return t;
}

static uint32_t count_tiles(const pm_cpu_work *w, const pm_cpu_ctx *c) {
  tiling t = tiling_of(&w->op->matmul, c);
  return w->op->matmul.x.n_batch * t.n_out_tile * t.n_row_tile;
}

// Rows are the fastest index, so that neighbouring tiles share their weights.
static void run_tile(const pm_cpu_work *w, const pm_cpu_ctx *c, uint32_t tile) {
  const pm_op_matmul *a = &w->op->matmul;
  tiling t = tiling_of(a, c);
  uint32_t row_tile = tile % t.n_row_tile, out_tile = tile / t.n_row_tile % t.n_out_tile, item = tile / t.n_row_tile / t.n_out_tile;
  uint32_t first = row_tile * PM_CPU_ROW_TILE, n_row = t.n_row - first < PM_CPU_ROW_TILE ? t.n_row - first : PM_CPU_ROW_TILE;
  const void *x[PM_CPU_ROW_TILE], *x_up[PM_CPU_ROW_TILE];
  float *y[PM_CPU_ROW_TILE];
  for (uint32_t r = 0; r < n_row; r++) x[r] = pm_cpu_input_at(&w->in[0], first + r, item), y[r] = pm_cpu_at(&a->y, first + r, item);
  uint64_t out_first = (uint64_t)out_tile * t.out_tile, out_end = out_first + t.out_tile;
  pm_cpu_mm mm = {
      .type = a->w->type,
      .act = w->in[0].act,
      .w = pm_cpu_weight(a->w, item, 0),
      .n_in = a->w->ne[0],
      .out_first = out_first,
      .out_end = out_end < a->w->ne[1] ? out_end : a->w->ne[1],
      .x = x,
      .y = y,
      .n_row = n_row,
      .accumulate = a->accumulate,
  };
  if (!a->w_up) {
    pm_cpu_mm_run(&mm);
    return;
  }
  for (uint32_t r = 0; r < n_row; r++) x_up[r] = pm_cpu_input_at(&w->in[1], first + r, item);
  pm_cpu_glu glu = {.gate = mm, .up_type = a->w_up->type, .up_act = w->in[1].act, .up_w = pm_cpu_weight(a->w_up, item, 0), .up_x = x_up};
  pm_cpu_glu_run(&glu);
}

void pm_cpu_plan_matmul(pm_cpu_executor *e, const pm_op *op) {
  const pm_op_matmul *a = &op->matmul;
  pm_cpu_work w = {.spread = PM_CPU_TILES, .run = run_tile, .count = count_tiles, .op = op};
  pm_cpu_prepare(e, &w, 0, &a->x, a->w->type, a->precise, a->rows);
  if (a->w_up) pm_cpu_prepare(e, &w, 1, &a->x, a->w_up->type, a->precise, a->rows);
  pm_cpu_writes(&w, &a->y);
  pm_cpu_append(e, &w);
}
