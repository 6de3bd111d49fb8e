// Ops that need nothing but their own row: embedding, norm, rotation, cache append, router.
#include <math.h>
#include <string.h>

#include "executor.h"
#include "half.h"

static void embed_row(const pm_cpu_work *w, const pm_cpu_ctx *c, uint32_t row) {
  const pm_op_embed *a = &w->op->embed;
  pm_format_get(a->table->type)->decode(pm_cpu_weight(a->table, 0, c->step->rows[row].token), pm_cpu_at(&a->out, row, 0), a->out.n);
}

void pm_cpu_plan_embed(pm_cpu_executor *e, const pm_op *op) {
  pm_cpu_work w = {.spread = PM_CPU_ROWS, .run = embed_row, .op = op};
  pm_cpu_writes(&w, &op->embed.out);
  pm_cpu_append(e, &w);
}

static void norm_row(const pm_cpu_work *w, const pm_cpu_ctx *c, uint32_t row) {
  const pm_op_norm *a = &w->op->norm;
  uint32_t from = a->rows == PM_ROWS_LOGITS ? c->step->logit_row[row] : row;
  c->loops->norm(pm_cpu_at(&a->x, from, 0), a->weight->host, a->eps, a->x.n, pm_cpu_at(&a->y, row, 0));
}

void pm_cpu_plan_norm(pm_cpu_executor *e, const pm_op *op) {
  pm_cpu_work w = {.spread = op->norm.rows == PM_ROWS_LOGITS ? PM_CPU_ROWS_LOGITS : PM_CPU_ROWS, .run = norm_row, .op = op};
  pm_cpu_reads(&w, &op->norm.x);
  pm_cpu_writes(&w, &op->norm.y);
  pm_cpu_append(e, &w);
}

static const float *angles(const pm_cpu_ctx *c, uint32_t row) { return c->step->rope + (size_t)row * c->n_rope; }

static void rotate(const float *x, const float *angle, uint32_t n, float *y) {
  for (uint32_t i = 0; i < n; i += 2) {
    float cosine = angle[i], sine = angle[i + 1], x0 = x[i], x1 = x[i + 1];
    y[i] = x0 * cosine - x1 * sine;
    y[i + 1] = x0 * sine + x1 * cosine;
  }
}

static void rope_row(const pm_cpu_work *w, const pm_cpu_ctx *c, uint32_t row) {
  const pm_op_rope *a = &w->op->rope;
  for (uint32_t b = 0; b < a->x.n_batch; b++) rotate(pm_cpu_at(&a->x, row, b), angles(c, row), a->x.n, pm_cpu_at(&a->y, row, b));
}

void pm_cpu_plan_rope(pm_cpu_executor *e, const pm_op *op) {
  pm_cpu_work w = {.spread = PM_CPU_ROWS, .run = rope_row, .op = op};
  pm_cpu_reads(&w, &op->rope.x);
  pm_cpu_writes(&w, &op->rope.y);
  pm_cpu_append(e, &w);
}

static void mla_cache_row(const pm_cpu_work *w, const pm_cpu_ctx *c, uint32_t row) {
  const pm_op_mla_cache *a = &w->op->mla_cache;
  const pm_row *r = &c->step->rows[row];
  const float *x = pm_cpu_at(&a->x, row, 0);
  void *cell = pm_cpu_cell(a->kv, r->base + r->pos);
  float *y = a->kv->type == PM_TYPE_F32 ? cell : c->scratch;
  c->loops->norm(x, a->weight->host, a->eps, a->n_latent, y);
  rotate(x + a->n_latent, angles(c, row), a->x.n - a->n_latent, y + a->n_latent);
  if (y != cell) c->loops->to_f16(y, cell, a->x.n);
}

void pm_cpu_plan_mla_cache(pm_cpu_executor *e, const pm_op *op) {
  pm_cpu_work w = {.spread = PM_CPU_ROWS, .run = mla_cache_row, .op = op};
  pm_cpu_reads(&w, &op->mla_cache.x);
  pm_cpu_touches(&w, op->mla_cache.kv, true);
  pm_cpu_want_scratch(e, op->mla_cache.x.n);
  pm_cpu_append(e, &w);
}

// ---- router ----

// Inserts candidate i into the list of the n_best best so far, in falling order; of equals the one met first stays ahead.
static void insert_best(const float *v, uint32_t i, int32_t *best, uint32_t *n, uint32_t n_best) {
  if (*n == n_best && !(v[i] > v[best[*n - 1]])) return;
  uint32_t at = *n < n_best ? (*n)++ : n_best - 1;
  for (; at && v[i] > v[best[at - 1]]; at--) best[at] = best[at - 1];
  best[at] = (int32_t)i;
}

// Sum of the two largest of n values, or the largest alone.
static float group_score(const float *v, uint32_t n, bool two) {
  float first = -INFINITY, second = -INFINITY;
  for (uint32_t i = 0; i < n; i++) {
    if (v[i] > first) {
      second = first, first = v[i];
    } else if (v[i] > second) {
      second = v[i];
    }
  }
  return two && n > 1 ? first + second : first;
}

// Experts outside the best groups are chosen by -infinity, that is last.
static void mask_groups(const pm_op_route *a, float *score, float *group, int32_t *kept) {
  uint32_t width = a->logits.n / a->n_group, n_kept = 0;
  for (uint32_t g = 0; g < a->n_group; g++) {
    group[g] = group_score(score + g * width, width, a->bias != NULL);
    insert_best(group, g, kept, &n_kept, a->n_group_used);
  }
  for (uint32_t g = 0; g < a->n_group; g++) {
    bool keep = false;
    for (uint32_t i = 0; i < n_kept; i++) keep |= kept[i] == (int32_t)g;
    for (uint32_t i = 0; !keep && i < width; i++) score[g * width + i] = -INFINITY;
  }
}

static void gate_probs(pm_gating gating, const float *logits, uint32_t n, float *probs) {
  if (gating == PM_GATING_SIGMOID) {
    for (uint32_t i = 0; i < n; i++) probs[i] = 1 / (1 + expf(-logits[i]));
    return;
  }
  memcpy(probs, logits, n * sizeof *probs);
  if (gating == PM_GATING_SOFTMAX_CHOSEN) return;
  float most = -INFINITY, total = 0;
  for (uint32_t i = 0; i < n; i++) most = fmaxf(most, logits[i]);
  for (uint32_t i = 0; i < n; i++) total += probs[i] = expf(logits[i] - most);
  for (uint32_t i = 0; i < n; i++) probs[i] /= total;
}

static void route_row(const pm_cpu_work *w, const pm_cpu_ctx *c, uint32_t row) {
  const pm_op_route *a = &w->op->route;
  uint32_t n = a->logits.n, n_used = a->ids.n, n_chosen = 0;
  float *probs = c->scratch, *score = probs + n, *group = score + n, *weights = pm_cpu_at(&a->weights, row, 0), sum = 0;
  int32_t *ids = (int32_t *)pm_cpu_at(&a->ids, row, 0);
  gate_probs(a->gating, pm_cpu_at(&a->logits, row, 0), n, probs);
  for (uint32_t i = 0; i < n; i++) score[i] = probs[i] + (a->bias ? ((const float *)a->bias->host)[i] : 0);
  if (a->n_group > 1) mask_groups(a, score, group, (int32_t *)(group + a->n_group));
  for (uint32_t i = 0; i < n; i++) insert_best(score, i, ids, &n_chosen, n_used);
  for (uint32_t k = 0; k < n_used; k++) weights[k] = probs[ids[k]];
  if (a->gating == PM_GATING_SOFTMAX_CHOSEN) {
    memcpy(probs, weights, n_used * sizeof *probs);
    gate_probs(PM_GATING_SOFTMAX, probs, n_used, weights);
  }
  for (uint32_t k = 0; k < n_used; k++) sum += weights[k];
  float scale = a->normalize ? a->scale / fmaxf(sum, 0x1p-14f) : a->scale;
  for (uint32_t k = 0; k < n_used; k++) weights[k] *= scale;
}

void pm_cpu_plan_route(pm_cpu_executor *e, const pm_op *op) {
  pm_cpu_work w = {.spread = PM_CPU_ROWS, .run = route_row, .op = op};
  pm_cpu_reads(&w, &op->route.logits);
  pm_cpu_writes(&w, &op->route.ids);
  pm_cpu_writes(&w, &op->route.weights);
  pm_cpu_want_scratch(e, 2 * (size_t)op->route.logits.n + 2 * op->route.n_group);
  pm_cpu_append(e, &w);
}
