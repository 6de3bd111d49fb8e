// Expert products: the (row, choice) pairs of a step are sorted by expert, so that an expert's weights are read once for all its rows.
#include <string.h>

#include "executor.h"

static int32_t expert_of(const pm_view *ids, uint32_t row, uint32_t k) { return ((const int32_t *)pm_cpu_at(ids, row, 0))[k]; }

// A counting sort: experts ascending, rows ascending within an expert. A negative id is nobody's pair.
static void sort_pairs(const pm_cpu_work *w, const pm_cpu_ctx *c, uint32_t index) {
  (void)index;
  pm_cpu_sort *s = w->sort;
  uint32_t n_used = w->source->n, first = 0;
  uint32_t n_expert = w->op->kind == PM_OP_EXPERTS_GLU ? w->op->experts_glu.experts->n_expert : w->op->experts_down.experts->n_expert;
  memset(s->count, 0, n_expert * sizeof *s->count);
  for (uint32_t row = 0; row < c->step->n_row; row++)
    for (uint32_t k = 0; k < n_used; k++)
      if (expert_of(w->source, row, k) >= 0) s->count[expert_of(w->source, row, k)]++;
  s->n_run = 0;
  for (uint32_t e = 0; e < n_expert; e++) {
    uint32_t n = s->count[e];
    s->count[e] = first;  // from here on: where the expert's next pair goes
    for (uint32_t done = 0; done < n; done += PM_CPU_ROW_TILE)
      s->runs[s->n_run++] = (pm_cpu_run){e, first + done, n - done < PM_CPU_ROW_TILE ? n - done : PM_CPU_ROW_TILE};
    first += n;
  }
  for (uint32_t row = 0; row < c->step->n_row; row++)
    for (uint32_t k = 0; k < n_used; k++)
      if (expert_of(w->source, row, k) >= 0) s->order[s->count[expert_of(w->source, row, k)]++] = row * n_used + k;
}

static void want_sorted(pm_cpu_executor *e, pm_cpu_work *w, const pm_view *ids, const pm_expert_table *t) {
  pm_cpu_sort *s = w->sort = pm_cpu_want_sort(e, t->n_expert, ids->n);
  pm_cpu_touches(w, s, false);
  pm_cpu_touches(w, e, false);  // the experts stay where they are until this is done
  if (s->holds.tensor && pm_cpu_same_view(&s->holds, ids)) return;
  pm_cpu_work sort = {.spread = PM_CPU_ONCE, .run = sort_pairs, .op = w->op, .source = ids, .sort = s};
  pm_cpu_reads(&sort, ids);
  pm_cpu_touches(&sort, s, true);
  pm_cpu_append(e, &sort);
  s->holds = *ids;
}

// ---- gate and up ----

static uint32_t glu_out_tile(const pm_cpu_work *w, const pm_cpu_ctx *c) {
  const pm_op_experts_glu *a = &w->op->experts_glu;
  return pm_cpu_out_tile(a->experts->gate->ne[0], a->y.n, w->sort->n_run, c->n_thread);
}

static uint32_t count_glu(const pm_cpu_work *w, const pm_cpu_ctx *c) {
  return w->sort->n_run * pm_cpu_div_up(w->op->experts_glu.y.n, glu_out_tile(w, c));
}

static void run_glu(const pm_cpu_work *w, const pm_cpu_ctx *c, uint32_t tile) {
  const pm_op_experts_glu *a = &w->op->experts_glu;
  const pm_expert_table *t = a->experts;
  uint32_t out_tile = glu_out_tile(w, c), n_out_tile = pm_cpu_div_up(a->y.n, out_tile), out_first = tile % n_out_tile * out_tile;
  const pm_cpu_run *run = &w->sort->runs[tile / n_out_tile];
  const void *x[PM_CPU_ROW_TILE], *x_up[PM_CPU_ROW_TILE];
  float *y[PM_CPU_ROW_TILE];
  for (uint32_t i = 0; i < run->n; i++) {
    uint32_t pair = w->sort->order[run->first + i], row = pair / a->ids.n;
    x[i] = pm_cpu_input_at(&w->in[0], row, 0), x_up[i] = pm_cpu_input_at(&w->in[1], row, 0);
    y[i] = pm_cpu_at(&a->y, row, pair % a->ids.n);
  }
  pm_cpu_glu glu = {
      .gate = {.type = t->gate->type,
               .act = w->in[0].act,
               .w = t->slab[0][run->expert],
               .n_in = t->gate->ne[0],
               .out_first = out_first,
               .out_end = out_first + out_tile < a->y.n ? out_first + out_tile : a->y.n,
               .x = x,
               .y = y,
               .n_row = run->n},
      .up_type = t->up->type,
      .up_act = w->in[1].act,
      .up_w = t->slab[1][run->expert],
      .up_x = x_up,
  };
  pm_cpu_glu_run(&glu);
}

void pm_cpu_plan_experts_glu(pm_cpu_executor *e, const pm_op *op) {
  const pm_op_experts_glu *a = &op->experts_glu;
  pm_cpu_work w = {.spread = PM_CPU_TILES, .run = run_glu, .count = count_glu, .op = op};
  pm_cpu_ask_host(e, op, a->experts, &a->ids);
  pm_cpu_prepare(e, &w, 0, &a->x, a->experts->gate->type, false, PM_ROWS_ALL);
  pm_cpu_prepare(e, &w, 1, &a->x, a->experts->up->type, false, PM_ROWS_ALL);
  want_sorted(e, &w, &a->ids, a->experts);
  pm_cpu_writes(&w, &a->y);
  pm_cpu_append(e, &w);
}

// ---- down: a tile is a range of outputs and walks all experts in ascending order, so that every sum has one order whatever the number of
//      threads and rows ----

static uint32_t down_out_tile(const pm_op_experts_down *a, const pm_cpu_ctx *c) { return pm_cpu_out_tile(a->x.n, a->y.n, 1, c->n_thread); }

static uint32_t count_down(const pm_cpu_work *w, const pm_cpu_ctx *c) {
  return pm_cpu_div_up(w->op->experts_down.y.n, down_out_tile(&w->op->experts_down, c));
}

static void run_down(const pm_cpu_work *w, const pm_cpu_ctx *c, uint32_t tile) {
  const pm_op_experts_down *a = &w->op->experts_down;
  const pm_expert_table *t = a->experts;
  uint32_t out_tile = down_out_tile(a, c), out_first = tile * out_tile;
  const void *x[PM_CPU_ROW_TILE];
  float *y[PM_CPU_ROW_TILE], scale[PM_CPU_ROW_TILE];
  for (const pm_cpu_run *run = w->sort->runs; run < w->sort->runs + w->sort->n_run; run++) {
    for (uint32_t i = 0; i < run->n; i++) {
      uint32_t pair = w->sort->order[run->first + i], row = pair / a->ids.n, k = pair % a->ids.n;
      x[i] = pm_cpu_input_at(&w->in[0], row, k), y[i] = pm_cpu_at(&a->y, row, 0), scale[i] = pm_cpu_at(&a->weights, row, 0)[k];
    }
    pm_cpu_mm mm = {
        .type = t->down->type,
        .act = w->in[0].act,
        .w = t->slab[2][run->expert],
        .n_in = t->down->ne[0],
        .out_first = out_first,
        .out_end = out_first + out_tile < a->y.n ? out_first + out_tile : a->y.n,
        .x = x,
        .y = y,
        .n_row = run->n,
        .accumulate = true,
        .row_scale = scale,
    };
    pm_cpu_mm_run(&mm);
  }
}

void pm_cpu_plan_experts_down(pm_cpu_executor *e, const pm_op *op) {
  const pm_op_experts_down *a = &op->experts_down;
  pm_cpu_work w = {.spread = PM_CPU_TILES, .run = run_down, .count = count_down, .op = op};
  pm_cpu_prepare(e, &w, 0, &a->x, a->experts->down->type, false, PM_ROWS_ALL);
  want_sorted(e, &w, &a->ids, a->experts);
  pm_cpu_reads(&w, &a->weights);
  pm_cpu_writes(&w, &a->y);
  pm_cpu_append(e, &w);
}
