// Products with weights: matvec for few rows, matmul in tiles for many.
#include <string.h>

#include "halve.h"
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

static bool is_coop(const pm_gpu_pick *pick) { return !strcmp(pick->kernel, "matmul_coop"); }

bool pm_gpu_is_tiled(const pm_gpu_pick *pick) { return is_coop(pick) || !strcmp(pick->kernel, "matmul"); }

uint32_t pm_gpu_tile_rows(const pm_gpu_pick *pick) { return is_coop(pick) ? pick->b : 4 * pick->c * (pick->workgroup / pick->a); }

// Rows of x in another form, in `n` words each.
static pm_push_view record_converted(pm_gpu_recorder *r, const char *kernel, const pm_view *x, pm_rows rows, uint32_t n_unit, uint32_t n) {
  uint32_t n_row = pm_gpu_rows(r, rows);
  uint32_t workgroup = pm_gpu_traits_of(r)->max_invocations;
  if (workgroup > 256) workgroup = 256;
  pm_tensor *converted = pm_gpu_temp(r, kernel, (uint64_t)n_row * x->n_batch * n);
  pm_push_halve push = {.x = pm_gpu_push_input(r, x),
                        .y = {.at = pm_gpu_word(converted), .row = n * x->n_batch, .batch = n},
                        .n = x->n,
                        .n_unit = n_unit,
                        .logits = rows == PM_ROWS_LOGITS};
  pm_gpu_record_read(r, x->tensor);
  pm_gpu_record_write(r, converted);
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = kernel,
                                               .constants = &workgroup,
                                               .n_constant = 1,
                                               .push = &push,
                                               .push_bytes = sizeof push,
                                               .groups = {n_row, x->n_batch, 1},
                                               .cost = 10.0 * n_row * x->n_batch * x->n});
  pm_gpu_record_read(r, converted);
  return push.y;
}

pm_push_view pm_gpu_record_input(pm_gpu_recorder *r, const pm_gpu_pick *pick, const pm_view *x, pm_rows rows) {
  uint32_t n_unit = pm_gpu_row_units(x->n);
  if (is_coop(pick)) return record_converted(r, "halve", x, rows, n_unit, PM_HALVES_WORDS(n_unit));
  if (strstr(pick->kernel, "_dot8")) return record_converted(r, "fix", x, rows, n_unit, PM_FIXED_WORDS(n_unit));
  pm_gpu_record_read(r, x->tensor);
  return pm_gpu_push_input(r, x);
}

// Constants of the kernel, and how many outputs a tile has.
static uint32_t tile_constants(const pm_gpu_pick *pick, const pm_gpu_tiles *t, uint32_t constants[7]) {
  uint32_t out4 = t->gated ? 2 : pick->b;
  memcpy(constants, (uint32_t[]){pick->workgroup, pick->a, out4, pick->c, t->gated, t->accumulate, t->grouped}, 7 * sizeof *constants);
  return 4 * pick->a * (t->gated ? 1 : out4);
}

static uint32_t coop_constants(const pm_gpu_traits *traits, const pm_gpu_pick *pick, const pm_gpu_tiles *t, uint32_t constants[11]) {
  const pm_gpu_matrix *m = &traits->matrix;
  uint32_t side = pick->c, row_side = pick->workgroup / traits->subgroup / side;
  uint32_t outs = pick->a / (m->m * side), rows = pick->b / (m->n * row_side);
  memcpy(constants,
         (uint32_t[]){pick->workgroup, traits->subgroup, side, outs, rows, t->gated, t->accumulate, t->grouped, m->m, m->n, m->k},
         11 * sizeof *constants);
  return t->gated ? pick->a / 2 : pick->a;
}

void pm_gpu_record_tiles(pm_gpu_recorder *r, const pm_gpu_pick *pick, const pm_gpu_tiles *t) {
  uint32_t constants[11], n_constant = is_coop(pick) ? 11 : 7;
  uint32_t outputs = is_coop(pick) ? coop_constants(pm_gpu_traits_of(r), pick, t, constants) : tile_constants(pick, t, constants);
  pm_gpu_record_dispatch(r, &(pm_gpu_dispatch){.kernel = pm_gpu_kernel_name(pick->kernel, t->type).text,
                                               .constants = constants,
                                               .n_constant = n_constant,
                                               .push = &t->push,
                                               .push_bytes = sizeof t->push,
                                               .groups = {pm_gpu_groups(t->push.w.n_out, outputs), t->n_tile, t->n_batch},
                                               .cost = t->cost});
}

static void record_lanes(pm_gpu_recorder *r, const pm_op_matmul *a, const pm_gpu_pick *pick, pm_push_weight w, pm_push_weight up) {
  uint32_t n_row = pm_gpu_rows(r, a->rows), n_batch = (uint32_t)a->w->ne[2], n_pass = pm_gpu_groups(n_row, pick->c);
  bool gated = a->w_up != NULL;
  pm_push_view x = pm_gpu_record_input(r, pick, &a->x, a->rows);
  pm_push_matvec push = {
      .w = w,
      .up_arena = up.arena,
      .up_at = up.at,
      .x = x,
      .y = pm_gpu_push_view(&a->y),
      .logits = a->rows == PM_ROWS_LOGITS,
  };
  uint32_t constants[] = {pick->workgroup, pm_gpu_traits_of(r)->subgroup, pick->a, pick->b, pick->c, gated, a->accumulate};
  pm_gpu_record_write(r, a->y.tensor);
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
  if (!pm_gpu_is_tiled(&pick)) {
    record_lanes(r, a, &pick, w, up);
    return;
  }
  pm_push_view x = pm_gpu_record_input(r, &pick, &a->x, a->rows);
  pm_gpu_record_write(r, a->y.tensor);
  uint32_t n_tile = pm_gpu_groups(n_row, pm_gpu_tile_rows(&pick));
  pm_gpu_tiles tiles = {
      .push = {.w = w,
               .up_arena = up.arena,
               .up_at = up.at,
               .x = x,
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
