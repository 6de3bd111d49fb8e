// Every op in the plainest way: weights decoded to floats, sums in double precision, one thread. This is what the fast path, the GPU and
// the self-test are compared with, so it favours being obviously right.
#include <math.h>
#include <string.h>

#include "cpu.h"
#include "memory.h"

struct pm_cpu_reference {
  const pm_program *program;
  float *row[2];  // a decoded weight or cache row
  double *wide;   // sums of one row
  float *score;   // router: what experts are chosen by
  bool *taken;    // router: experts (or groups) that are out
};

static double dot(const float *a, const float *b, uint64_t n) {
  double sum = 0;
  for (uint64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
  return sum;
}

static double silu(double x) { return x / (1 + exp(-x)); }

static void embed(pm_cpu_reference *r, const pm_op_embed *a, const pm_step *s) {
  (void)r;
  for (uint32_t i = 0; i < s->n_row; i++)
    pm_format_get(a->table->type)->decode(pm_cpu_weight(a->table, 0, s->rows[i].token), pm_cpu_at(&a->out, i, 0), a->out.n);
}

static void norm_row(const float *x, const float *weight, float eps, uint32_t n, float *y) {
  double scale = 1 / sqrt(dot(x, x, n) / n + (double)eps);
  for (uint32_t i = 0; i < n; i++) y[i] = (float)((double)x[i] * scale * (double)weight[i]);
}

static void norm(pm_cpu_reference *r, const pm_op_norm *a, const pm_step *s) {
  (void)r;
  for (uint32_t i = 0; i < pm_cpu_n_row(a->rows, s); i++) {
    uint32_t from = a->rows == PM_ROWS_LOGITS ? s->logit_row[i] : i;
    norm_row(pm_cpu_at(&a->x, from, 0), a->weight->host, a->eps, a->x.n, pm_cpu_at(&a->y, i, 0));
  }
}

static void matmul(pm_cpu_reference *r, const pm_op_matmul *a, const pm_step *s) {
  uint64_t n_in = a->w->ne[0], n_out = a->w->ne[1];
  for (uint32_t b = 0; b < a->x.n_batch; b++)
    for (uint32_t o = 0; o < n_out; o++) {
      pm_format_get(a->w->type)->decode(pm_cpu_weight(a->w, b, o), r->row[0], n_in);
      if (a->w_up) pm_format_get(a->w_up->type)->decode(pm_cpu_weight(a->w_up, b, o), r->row[1], n_in);
      for (uint32_t i = 0; i < pm_cpu_n_row(a->rows, s); i++) {
        const float *x = pm_cpu_at(&a->x, i, b);
        float *y = pm_cpu_at(&a->y, i, b) + o;
        double sum = dot(r->row[0], x, n_in);
        if (a->w_up) sum = silu(sum) * dot(r->row[1], x, n_in);
        *y = (float)(a->accumulate ? (double)*y + sum : sum);
      }
    }
}

static void rotate(const float *x, const float *angles, uint32_t n, float *y) {
  for (uint32_t i = 0; i < n; i += 2) {
    double c = (double)angles[i], sn = (double)angles[i + 1], x0 = (double)x[i], x1 = (double)x[i + 1];
    y[i] = (float)(x0 * c - x1 * sn);
    y[i + 1] = (float)(x0 * sn + x1 * c);
  }
}

static void rope(pm_cpu_reference *r, const pm_op_rope *a, const pm_step *s) {
  for (uint32_t i = 0; i < s->n_row; i++)
    for (uint32_t b = 0; b < a->x.n_batch; b++)
      rotate(pm_cpu_at(&a->x, i, b), s->rope + (size_t)i * r->program->n_rope, a->x.n, pm_cpu_at(&a->y, i, b));
}

static void mla_cache(pm_cpu_reference *r, const pm_op_mla_cache *a, const pm_step *s) {
  for (uint32_t i = 0; i < s->n_row; i++) {
    const float *x = pm_cpu_at(&a->x, i, 0);
    norm_row(x, a->weight->host, a->eps, a->n_latent, r->row[0]);
    rotate(x + a->n_latent, s->rope + (size_t)i * r->program->n_rope, a->x.n - a->n_latent, r->row[0] + a->n_latent);
    pm_format_get(a->kv->type)->encode(r->row[0], NULL, pm_cpu_cell(a->kv, s->rows[i].base + s->rows[i].pos), a->x.n);
  }
}

// Scores are computed twice, first for their maximum, so that no memory grows with the context.
static void mla_attention(pm_cpu_reference *r, const pm_op_mla_attention *a, const pm_step *s) {
  const pm_format *f = pm_format_get(a->kv->type);
  for (uint32_t i = 0; i < s->n_row; i++)
    for (uint32_t h = 0; h < a->q.n_batch; h++) {
      const float *q = pm_cpu_at(&a->q, i, h);
      double most = -INFINITY, total = 0;
      for (int pass = 0; pass < 2; pass++) {
        memset(r->wide, 0, a->n_latent * sizeof *r->wide);
        for (uint32_t j = 0; j <= s->rows[i].pos; j++) {
          f->decode(pm_cpu_cell(a->kv, s->rows[i].base + j), r->row[0], a->q.n);
          double score = (double)a->scale * dot(q, r->row[0], a->q.n);
          if (pass == 0) {
            most = fmax(most, score);
            continue;
          }
          double p = exp(score - most);
          total += p;
          for (uint32_t k = 0; k < a->n_latent; k++) r->wide[k] += p * (double)r->row[0][k];
        }
      }
      for (uint32_t k = 0; k < a->n_latent; k++) pm_cpu_at(&a->y, i, h)[k] = (float)(r->wide[k] / total);
    }
}

// ---- router ----

// Index of the largest of n values that is not taken, the lowest of equals; takes it. n must exceed the number taken so far.
static uint32_t take_best(const float *v, bool *taken, uint32_t n) {
  uint32_t best = UINT32_MAX;
  for (uint32_t i = 0; i < n; i++)
    if (!taken[i] && (best == UINT32_MAX || v[i] > v[best])) best = i;
  taken[best] = true;
  return best;
}

// Selection keeps the best groups: experts of the others get -infinity.
static void mask_groups(pm_cpu_reference *r, const pm_op_route *a) {
  uint32_t n = a->logits.n, width = n / a->n_group;
  float *group = r->row[1];
  for (uint32_t g = 0; g < a->n_group; g++) {
    memset(r->taken, 0, n * sizeof *r->taken);
    const float *v = r->score + g * width;
    group[g] = v[take_best(v, r->taken, width)];
    if (a->bias && width > 1) group[g] += v[take_best(v, r->taken, width)];
  }
  memset(r->taken, 0, n * sizeof *r->taken);
  for (uint32_t i = 0; i < a->n_group_used; i++) take_best(group, r->taken, a->n_group);
  for (uint32_t g = 0; g < a->n_group; g++)
    for (uint32_t e = 0; !r->taken[g] && e < width; e++) r->score[g * width + e] = -INFINITY;
}

static void route_row(pm_cpu_reference *r, const pm_op_route *a, const float *logits, int32_t *ids, float *weights) {
  uint32_t n = a->logits.n, n_used = a->ids.n;
  double most = -INFINITY, total = 0, sum = 0;
  for (uint32_t e = 0; e < n; e++) most = fmax(most, (double)logits[e]);
  for (uint32_t e = 0; e < n; e++) total += exp((double)logits[e] - most);
  float *probs = r->row[0];  // a stored f32 quantity: ties are ties of f32
  for (uint32_t e = 0; e < n; e++) {
    double x = (double)logits[e];
    probs[e] = a->gating == PM_GATING_SOFTMAX   ? (float)(exp(x - most) / total)
               : a->gating == PM_GATING_SIGMOID ? (float)(1 / (1 + exp(-x)))
                                                : logits[e];
    r->score[e] = probs[e] + (a->bias ? ((const float *)a->bias->host)[e] : 0);
  }
  if (a->n_group > 1) mask_groups(r, a);
  memset(r->taken, 0, n * sizeof *r->taken);
  for (uint32_t k = 0; k < n_used; k++) {
    ids[k] = (int32_t)take_best(r->score, r->taken, n);
    r->wide[k] = (double)probs[ids[k]];
  }
  if (a->gating == PM_GATING_SOFTMAX_CHOSEN) {
    for (uint32_t k = n_used; k--;) r->wide[k] = exp(r->wide[k] - r->wide[0]);
    for (uint32_t k = 0; k < n_used; k++) sum += r->wide[k];
    for (uint32_t k = 0; k < n_used; k++) r->wide[k] /= sum;
  }
  sum = 0;
  for (uint32_t k = 0; k < n_used; k++) sum += r->wide[k];
  double scale = (double)a->scale / (a->normalize ? fmax(sum, 0x1p-14) : 1);
  for (uint32_t k = 0; k < n_used; k++) weights[k] = (float)(r->wide[k] * scale);
}

static void route(pm_cpu_reference *r, const pm_op_route *a, const pm_step *s) {
  for (uint32_t i = 0; i < s->n_row; i++)
    route_row(r, a, pm_cpu_at(&a->logits, i, 0), (int32_t *)pm_cpu_at(&a->ids, i, 0), pm_cpu_at(&a->weights, i, 0));
}

// ---- experts ----

static double expert_dot(pm_cpu_reference *r, const pm_tensor *w, const void *slab, uint32_t o, const float *x) {
  pm_format_get(w->type)->decode((const char *)slab + o * pm_tensor_row_bytes(w), r->row[0], w->ne[0]);
  return dot(r->row[0], x, w->ne[0]);
}

static void experts_glu(pm_cpu_reference *r, const pm_op_experts_glu *a, const pm_step *s) {
  const pm_expert_table *t = a->experts;
  for (uint32_t i = 0; i < s->n_row; i++)
    for (uint32_t k = 0; k < a->ids.n; k++) {
      int32_t e = ((const int32_t *)pm_cpu_at(&a->ids, i, 0))[k];
      const float *x = pm_cpu_at(&a->x, i, 0);
      for (uint32_t o = 0; o < a->y.n; o++)
        pm_cpu_at(&a->y, i, k)[o] = (float)(silu(expert_dot(r, t->gate, t->slab[0][e], o, x)) * expert_dot(r, t->up, t->slab[1][e], o, x));
    }
}

static void experts_down(pm_cpu_reference *r, const pm_op_experts_down *a, const pm_step *s) {
  const pm_expert_table *t = a->experts;
  for (uint32_t i = 0; i < s->n_row; i++)
    for (uint32_t o = 0; o < a->y.n; o++) {
      double sum = (double)pm_cpu_at(&a->y, i, 0)[o];
      for (uint32_t k = 0; k < a->ids.n; k++) {
        int32_t e = ((const int32_t *)pm_cpu_at(&a->ids, i, 0))[k];
        sum += (double)pm_cpu_at(&a->weights, i, 0)[k] * expert_dot(r, t->down, t->slab[2][e], o, pm_cpu_at(&a->x, i, k));
      }
      pm_cpu_at(&a->y, i, 0)[o] = (float)sum;
    }
}

void pm_cpu_reference_run(pm_cpu_reference *r, const pm_step *step) {
  for (uint32_t i = 0; i < r->program->n_op; i++) {
    const pm_op *op = &r->program->ops[i];
    switch (op->kind) {
#define PM_OP(NAME, member, text) \
  case PM_OP_##NAME:              \
    member(r, &op->member, step); \
    break;
#include "ops.def"
#undef PM_OP
      case PM_OP_COUNT: break;
    }
  }
}

pm_status pm_cpu_reference_create(const pm_program *p, pm_cpu_reference **out) {
  uint64_t widest = 1;
  for (uint32_t i = 0; i < p->n_tensor; i++) widest = p->tensors[i]->ne[0] > widest ? p->tensors[i]->ne[0] : widest;
  size_t n = (size_t)widest;
  pm_cpu_reference *r;
  PM_NEW(&r, 1, "the reference path");
  *out = r;  // the owner destroys it, whatever happens below
  r->program = p;
  for (int i = 0; i < 2; i++) PM_NEW(&r->row[i], n, "decoded rows of the reference path");
  PM_NEW(&r->wide, n, "sums of the reference path");
  PM_NEW(&r->score, n, "router scores of the reference path");
  PM_NEW(&r->taken, n, "router choices of the reference path");
  return PM_OK;
}

void pm_cpu_reference_destroy(pm_cpu_reference *r) {
  if (!r) return;
  pm_free(r->row[0]);
  pm_free(r->row[1]);
  pm_free(r->wide);
  pm_free(r->score);
  pm_free(r->taken);
  pm_free(r);
}
