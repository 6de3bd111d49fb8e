#include "sampler.h"

#include <math.h>
#include <stdlib.h>

typedef struct candidate {
  float logit;
  int32_t id;
} candidate;

// Working memory: the candidates, and behind them how often each token is in the history.
size_t pm_sampler_bytes(uint32_t n_vocab) { return n_vocab * (sizeof(candidate) + sizeof(uint32_t)); }

static bool before(candidate a, candidate b) { return a.logit > b.logit || (a.logit == b.logit && a.id < b.id); }

static int compare(const void *a, const void *b) { return before(*(const candidate *)a, *(const candidate *)b) ? -1 : 1; }

// Restores the heap order (worst candidate at the root) below node i.
static void sift_down(candidate *heap, uint32_t n, uint32_t i) {
  for (;;) {
    uint32_t worst = i, left = 2 * i + 1;
    if (left < n && before(heap[worst], heap[left])) worst = left;
    if (left + 1 < n && before(heap[worst], heap[left + 1])) worst = left + 1;
    if (worst == i) return;
    candidate t = heap[i];
    heap[i] = heap[worst], heap[worst] = t;
    i = worst;
  }
}

// Moves the k best candidates to the front, sorted. A heap of k keeps this linear for the usual small k.
static uint32_t keep_best(candidate *c, uint32_t n, uint32_t k) {
  if (k < n) {
    for (uint32_t i = k / 2; i-- > 0;) sift_down(c, k, i);
    for (uint32_t i = k; i < n; i++)
      if (before(c[i], c[0])) c[0] = c[i], sift_down(c, k, 0);
    n = k;
  }
  qsort(c, n, sizeof *c, compare);
  return n;
}

static bool penalises(const pm_sampler_desc *d) {
  return (d->repeat_penalty > 0 && d->repeat_penalty != 1) || d->presence_penalty != 0 || d->frequency_penalty != 0;
}

// Candidates are in the order of their ids.
static void penalise(const pm_sampler_desc *d, candidate *c, const pm_sampler_input *in) {
  uint32_t *count = (uint32_t *)(void *)(c + in->n_vocab);
  size_t first = in->n_history > d->penalty_last_n ? in->n_history - d->penalty_last_n : 0;
  for (size_t i = first; i < in->n_history; i++) count[in->history[i]] = 0;
  for (size_t i = first; i < in->n_history; i++) count[in->history[i]]++;
  for (size_t i = first; i < in->n_history; i++) {
    candidate *t = &c[in->history[i]];
    uint32_t n = count[t->id];
    if (!n) continue;
    if (d->repeat_penalty > 0) t->logit = t->logit > 0 ? t->logit / d->repeat_penalty : t->logit * d->repeat_penalty;
    t->logit -= d->presence_penalty + (float)n * d->frequency_penalty;
    count[t->id] = 0;
  }
}

static bool is_allowed(const pm_sampler_input *in, uint32_t id) { return !in->allowed || in->allowed[id / 64] >> id % 64 & 1; }

// Every token with what bias and penalties make of its logit, in the order of the ids.
static void fill(const pm_sampler_desc *d, candidate *c, const pm_sampler_input *in) {
  for (uint32_t i = 0; i < in->n_vocab; i++)
    c[i] = (candidate){isnan(in->logits[i]) || !is_allowed(in, i) ? -INFINITY : in->logits[i], (int32_t)i};
  for (size_t i = 0; i < d->n_bias; i++) c[d->bias[i].token].logit += d->bias[i].value;
  if (penalises(d)) penalise(d, c, in);
}

static int32_t best_of(const float *logits, uint32_t n) {
  int32_t best = -1;
  for (uint32_t i = 0; i < n; i++)
    if (logits[i] > (best < 0 ? -INFINITY : logits[best])) best = (int32_t)i;
  return best;
}

static int32_t best_candidate(const candidate *c, uint32_t n) {
  const candidate *best = c;
  for (uint32_t i = 1; i < n; i++)
    if (before(c[i], *best)) best = &c[i];
  return best->logit > -INFINITY ? best->id : -1;
}

// Sorted candidates that top-p and min-p leave; at least one.
static uint32_t cut_tail(const pm_sampler_desc *d, const candidate *c, uint32_t n) {
  if (d->top_p < 1) {
    double sum = 0, kept = 0;
    for (uint32_t i = 0; i < n; i++) sum += exp((double)c[i].logit - c[0].logit);
    for (uint32_t i = 0; i < n; i++) {
      kept += exp((double)c[i].logit - c[0].logit);
      if (kept >= d->top_p * sum) n = i + 1;
    }
  }
  if (d->min_p > 0)
    while (n > 1 && exp((double)c[n - 1].logit - c[0].logit) < d->min_p) n--;
  return n;
}

int32_t pm_sample(const pm_sampler_desc *d, pm_rng *rng, const pm_sampler_input *in, void *memory) {
  if (d->greedy && !d->n_bias && !in->allowed && !penalises(d)) return best_of(in->logits, in->n_vocab);
  candidate *c = memory;
  fill(d, c, in);
  if (d->greedy) return best_candidate(c, in->n_vocab);
  uint32_t n = keep_best(c, in->n_vocab, d->top_k ? d->top_k : in->n_vocab);
  if (!(c[0].logit > -INFINITY)) return -1;
  n = cut_tail(d, c, n);
  double sum = 0;
  for (uint32_t i = 0; i < n; i++) sum += exp(((double)c[i].logit - c[0].logit) / d->temperature);
  double target = pm_rng_uniform(rng) * sum;
  for (uint32_t i = 0; i < n; i++) {
    target -= exp(((double)c[i].logit - c[0].logit) / d->temperature);
    if (target < 0) return c[i].id;
  }
  return c[0].id;
}

void pm_top_tokens(const float *logits, uint32_t n_vocab, int32_t chosen, uint32_t n, pm_token_prob *out) {
  uint32_t n_top = 0;
  pm_token_prob *top = out + 1;
  for (uint32_t id = 0; n && id < n_vocab; id++) {
    float logit = isnan(logits[id]) ? -INFINITY : logits[id];
    if (n_top == n && logit <= top[n - 1].log_probability) continue;
    uint32_t i = n_top < n ? n_top++ : n - 1;
    for (; i > 0 && top[i - 1].log_probability < logit; i--) top[i] = top[i - 1];
    top[i] = (pm_token_prob){(int32_t)id, logit};
  }
  double most = -INFINITY, sum = 0;
  for (uint32_t id = 0; id < n_vocab; id++) most = fmax(most, logits[id]);
  for (uint32_t id = 0; id < n_vocab; id++)
    if (!isnan(logits[id])) sum += exp(logits[id] - most);
  out[0] = (pm_token_prob){chosen, logits[chosen]};
  for (uint32_t i = 0; i <= n_top; i++) out[i].log_probability = (float)(out[i].log_probability - most - log(sum));
}
