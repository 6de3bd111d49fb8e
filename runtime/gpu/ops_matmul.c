// Products with weights: matvec for few rows, matmul in tiles for many.
#include <string.h>

#include "layout.h"
#include "matvec.h"
#include "ops.h"
#include "rows.h"

void pm_gpu_record_glu(pm_gpu_recorder *r, const pm_view *y, const pm_view *up, pm_rows rows) {
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

pm_view pm_gpu_temp_like(pm_gpu_recorder *r, const pm_view *y, uint32_t n_row) {
  pm_tensor *t = pm_gpu_temp(r, "glu.up", (uint64_t)n_row * y->n * y->n_batch);
  return (pm_view){.tensor = t, .n = y->n, .n_batch = y->n_batch, .stride_batch = y->n, .stride_row = y->n * y->n_batch};
}

double pm_gpu_weight_cost(const pm_tensor *w, double n_slab, double n_row, double n_pass) {
  return n_slab * ((double)pm_gpu_slab_bytes(w->type, w->ne[0], w->ne[1]) * n_pass + (double)w->ne[0] * (double)w->ne[1] * n_row / 16);
}

bool pm_gpu_is_tiled(const pm_gpu_pick *pick) { return !strcmp(pick->kernel, "matmul"); }

uint32_t pm_gpu_tile_rows(const pm_gpu_pick *pick) { return 4 * pick->c * (pick->workgroup / pick->a); }

void pm_gpu_record_tiles(pm_gpu_recorder *r, const pm_gpu_pick *pick, const pm_gpu_tiles *t) {
  uint32_t out4 = t->gated ? 2 : pick->b, outputs = 4 * pick->a * (t->gated ? 1 : out4);
  uint32_t constants[] = {pick->workgroup, pick->a, out4, pick->c, t->gated, t->accumulate, t->grouped};
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = pm_gpu_kernel_name(pick->kernel, t->type).text,
                                               .constants = constants,
                                               .n_constant = 7,
                                               .push = &t->push,
                                               .push_bytes = sizeof t->push,
                                               .groups = {pm_gpu_groups(t->push.w.n_out, outputs), t->n_tile, t->n_batch},
                                               .cost = t->cost});
}

static void record_lanes(pm_gpu_recorder *r, const pm_op_matmul *a, const pm_gpu_pick *pick, pm_push_weight w, pm_push_weight up) {
  uint32_t n_row = pm_gpu_rows(r, a->rows), n_batch = (uint32_t)a->w->ne[2], n_pass = pm_gpu_groups(n_row, pick->c);
  bool gated = a->w_up != NULL;
  pm_push_matvec push = {
      .w = w,
      .up_arena = up.arena,
      .up_at = up.at,
      .x = pm_gpu_push_input(r, &a->x),
      .y = pm_gpu_push_view(&a->y),
      .logits = a->rows == PM_ROWS_LOGITS,
  };
  uint32_t constants[] = {pick->workgroup, pm_gpu_traits_of(r)->subgroup, pick->a, pick->b, pick->c, gated, a->accumulate};
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = pm_gpu_kernel_name(pick->kernel, a->w->type).text,
                                               .constants = constants,
                                               .n_constant = 7,
                                               .push = &push,
                                               .push_bytes = sizeof push,
                                               .groups = {pm_gpu_groups(w.n_out, pick->workgroup / pick->a * pick->b), n_pass, n_batch},
                                               .cost = pm_gpu_weight_cost(a->w, n_batch * (gated ? 2.0 : 1.0), n_row, n_pass)});
}

static void record_matmul(pm_gpu_recorder *r, const pm_op_matmul *a) {
  uint32_t n_row = pm_gpu_rows(r, a->rows), n_batch = (uint32_t)a->w->ne[2];
  pm_push_weight w = pm_gpu_push_weight(a->w), up = a->w_up ? pm_gpu_push_weight(a->w_up) : w;
  pm_gpu_pick pick = pm_gpu_pick_find(r, (pm_gpu_shape){PM_OP_MATMUL, n_row, w.n_unit, w.n_out * n_batch, a->w->type});
  pm_gpu_record_read(r, a->x.tensor);
  pm_gpu_record_write(r, a->y.tensor);
  if (!pm_gpu_is_tiled(&pick)) {
    record_lanes(r, a, &pick, w, up);
    return;
  }
  uint32_t n_tile = pm_gpu_groups(n_row, pm_gpu_tile_rows(&pick));
  pm_gpu_tiles tiles = {
      .push = {.w = w,
               .up_arena = up.arena,
               .up_at = up.at,
               .x = pm_gpu_push_input(r, &a->x),
               .y = pm_gpu_push_view(&a->y),
               .logits = a->rows == PM_ROWS_LOGITS,
               .n_used = 1},
      .type = a->w->type,
      .gated = a->w_up != NULL,
      .accumulate = a->accumulate,
      .n_tile = n_tile,
      .n_batch = n_batch,
      .cost = pm_gpu_weight_cost(a->w, n_batch * (a->w_up ? 2.0 : 1.0), n_row, n_tile),
  };
  pm_gpu_record_tiles(r, &pick, &tiles);
}

void pm_gpu_op_matmul(pm_gpu_recorder *r, const pm_op *op) {
  pm_op_matmul a = op->matmul;
  if (!a.w_up || a.w_up->type == a.w->type) {
    record_matmul(r, &a);
    return;
  }
  pm_op_matmul up = {.w = a.w_up, .x = a.x, .y = pm_gpu_temp_like(r, &a.y, pm_gpu_rows(r, a.rows)), .rows = a.rows};
  a.w_up = NULL;
  record_matmul(r, &a);
  record_matmul(r, &up);
  pm_gpu_record_glu(r, &a.y, &up.y, a.rows);
}
