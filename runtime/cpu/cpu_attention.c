// Attention over the latent cache in one pass with a running maximum (Milakov and Gimelshein 2018; Dao et al. 2022). A tile of cache
// cells is widened to floats once and used by a group of heads. With few rows the context is cut into parts that run side by side and
// are joined afterwards; the cut depends on the context alone, so results do not depend on the number of threads.
#include <math.h>
#include <string.h>

#include "executor.h"

enum {
  HEAD_TILE = 16,
  SPLIT_ROWS = 4,   // at most so many rows are cut into parts
  PART_CELLS = 64,  // smallest part worth its own tile
  MAX_PART = 16,
  PART_HEAD = 16,  // floats before a partial result: its maximum and its sum (padded to a cache line)
};

static uint32_t n_part_of(const pm_cpu_ctx *c) {
  const pm_step *s = c->step;
  uint32_t longest = 0;
  if (s->n_row > SPLIT_ROWS) return 1;
  for (uint32_t i = 0; i < s->n_row; i++) longest = s->rows[i].pos >= longest ? s->rows[i].pos + 1 : longest;
  uint32_t n = pm_cpu_div_up(longest, PART_CELLS);
  return n < MAX_PART ? n : MAX_PART;
}

static float *part_at(const pm_cpu_work *w, uint32_t row, uint32_t head, uint32_t part, uint32_t n_part) {
  const pm_op_mla_attention *a = &w->op->mla_attention;
  return *w->parts + (((size_t)row * a->q.n_batch + head) * n_part + part) * (PART_HEAD + a->n_latent);
}

static uint32_t count_attention(const pm_cpu_work *w, const pm_cpu_ctx *c) {
  return c->step->n_row * pm_cpu_div_up(w->op->mla_attention.q.n_batch, HEAD_TILE) * n_part_of(c);
}

// This thread's scratch, carved.
typedef struct workspace {
  float *cells;   // [PM_CPU_CELL_TILE][width], for an f16 cache
  float *scores;  // [HEAD_TILE][PM_CPU_CELL_TILE]
  float *acc;     // [HEAD_TILE][n_latent]
} workspace;

static workspace workspace_of(const pm_op_mla_attention *a, const pm_cpu_ctx *c) {
  float *scores = c->scratch + (size_t)PM_CPU_CELL_TILE * a->q.n;
  return (workspace){c->scratch, scores, scores + HEAD_TILE * PM_CPU_CELL_TILE};
}

// Running state of n heads over cells [first, end) of the sequence that begins at cell `base`; sums of weighted rows are left in ws->acc.
static void attend(const pm_op_mla_attention *a, const pm_cpu_ctx *c, const workspace *ws, const float *q, uint32_t n, uint32_t first,
                   uint32_t end, uint32_t base, float *most, float *sum) {
  uint32_t width = a->q.n;
  float factor[HEAD_TILE];
  memset(ws->acc, 0, (size_t)n * a->n_latent * sizeof(float));
  for (uint32_t h = 0; h < n; h++) most[h] = -INFINITY, sum[h] = 0;
  for (uint32_t j = first; j < end; j += PM_CPU_CELL_TILE) {
    uint32_t n_cell = end - j < PM_CPU_CELL_TILE ? end - j : PM_CPU_CELL_TILE;
    const float *k = pm_cpu_cell(a->kv, base + j);
    if (a->kv->type != PM_TYPE_F32) {
      c->loops->from_f16((const uint16_t *)k, ws->cells, n_cell * width);
      k = ws->cells;
    }
    c->loops->scores(q, a->q.stride_batch, n, k, width, n_cell, ws->scores);
    for (uint32_t h = 0; h < n; h++) factor[h] = c->loops->softmax(ws->scores + h * PM_CPU_CELL_TILE, n_cell, a->scale, &most[h], &sum[h]);
    c->loops->mix(ws->scores, factor, n, k, width, n_cell, a->n_latent, ws->acc);
  }
}

// Heads are the slowest index: neighbouring tiles read the same queries, and different cells.
static void run_attention(const pm_cpu_work *w, const pm_cpu_ctx *c, uint32_t tile) {
  const pm_op_mla_attention *a = &w->op->mla_attention;
  uint32_t n_part = n_part_of(c), n_row = c->step->n_row, part = tile % n_part, row = tile / n_part % n_row;
  uint32_t head = tile / n_part / n_row * HEAD_TILE, n = a->q.n_batch - head < HEAD_TILE ? a->q.n_batch - head : HEAD_TILE;
  const pm_row *r = &c->step->rows[row];
  uint32_t n_cell = r->pos + 1, first = (uint32_t)((uint64_t)n_cell * part / n_part),
           end = (uint32_t)((uint64_t)n_cell * (part + 1) / n_part);
  workspace ws = workspace_of(a, c);
  float most[HEAD_TILE], sum[HEAD_TILE];
  attend(a, c, &ws, pm_cpu_at(&a->q, row, head), n, first, end, r->base, most, sum);
  for (uint32_t h = 0; h < n; h++) {
    const float *acc = ws.acc + (size_t)h * a->n_latent;
    float *y = pm_cpu_at(&a->y, row, head + h), scale = 1 / sum[h];
    if (n_part > 1) {
      float *p = part_at(w, row, head + h, part, n_part);
      p[0] = most[h], p[1] = sum[h];
      y = p + PART_HEAD, scale = 1;
    }
    for (uint32_t i = 0; i < a->n_latent; i++) y[i] = acc[i] * scale;
  }
}

// ---- joining the parts ----

static uint32_t count_join(const pm_cpu_work *w, const pm_cpu_ctx *c) {
  return n_part_of(c) > 1 ? c->step->n_row * w->op->mla_attention.q.n_batch : 0;
}

static void run_join(const pm_cpu_work *w, const pm_cpu_ctx *c, uint32_t tile) {
  const pm_op_mla_attention *a = &w->op->mla_attention;
  uint32_t n_part = n_part_of(c), row = tile / a->q.n_batch, head = tile % a->q.n_batch;
  float most = -INFINITY, sum = 0, *y = pm_cpu_at(&a->y, row, head);
  for (uint32_t part = 0; part < n_part; part++) most = fmaxf(most, part_at(w, row, head, part, n_part)[0]);
  memset(y, 0, a->n_latent * sizeof *y);
  for (uint32_t part = 0; part < n_part; part++) {  // a part without cells has the maximum -infinity and weighs nothing
    const float *p = part_at(w, row, head, part, n_part);
    float weight = expf(p[0] - most);
    sum += weight * p[1];
    for (uint32_t i = 0; i < a->n_latent; i++) y[i] += weight * p[PART_HEAD + i];
  }
  for (uint32_t i = 0; i < a->n_latent; i++) y[i] /= sum;
}

void pm_cpu_plan_mla_attention(pm_cpu_executor *e, const pm_op *op) {
  const pm_op_mla_attention *a = &op->mla_attention;
  pm_cpu_want_scratch(e, (size_t)PM_CPU_CELL_TILE * a->q.n + HEAD_TILE * (PM_CPU_CELL_TILE + (size_t)a->n_latent));
  pm_cpu_work w = {.spread = PM_CPU_TILES, .run = run_attention, .count = count_attention, .op = op};
  pm_cpu_want_parts(e, &w, (size_t)SPLIT_ROWS * a->q.n_batch * MAX_PART * (PART_HEAD + a->n_latent));
  pm_cpu_work join = w;
  pm_cpu_reads(&w, &a->q);
  pm_cpu_touches(&w, a->kv, false);
  pm_cpu_touches(&w, w.parts, true);
  pm_cpu_writes(&w, &a->y);
  pm_cpu_append(e, &w);
  join.run = run_join, join.count = count_join;
  pm_cpu_touches(&join, w.parts, true);
  pm_cpu_writes(&join, &a->y);
  pm_cpu_append(e, &join);
}
