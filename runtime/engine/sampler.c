#include "sampler.h"

#include <math.h>
#include <stdlib.h>

typedef struct candidate {
  float logit;
  int32_t id;
} candidate;

size_t pm_sampler_bytes(uint32_t n_vocab) { return n_vocab * sizeof(candidate); }

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

static void penalise(const pm_sampler_desc *d, candidate *c, uint32_t n_vocab, const int32_t *history, size_t n) {
  bool off = (d->repeat_penalty == 1 || d->repeat_penalty <= 0) && d->presence_penalty == 0 && d->frequency_penalty == 0;
  if (off) return;
  size_t first = n > d->penalty_last_n ? n - d->penalty_last_n : 0;
  for (size_t i = first; i < n; i++) {
    if ((uint32_t)history[i] >= n_vocab) continue;
    candidate *t = &c[history[i]];
    t->logit -= d->frequency_penalty;
    bool seen = false;
    for (size_t j = first; j < i && !seen; j++) seen = history[j] == history[i];
    if (seen) continue;
    t->logit -= d->presence_penalty;
    if (d->repeat_penalty > 0) t->logit = t->logit > 0 ? t->logit / d->repeat_penalty : t->logit * d->repeat_penalty;
  }
}

static int32_t best_of(const float *logits, uint32_t n) {
  int32_t best = 0;
  for (uint32_t i = 1; i < n; i++)
    if (logits[i] > logits[best] || isnan(logits[best])) best = (int32_t)i;
  return best;
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

int32_t pm_sample(const pm_sampler_desc *d, pm_rng *rng, const float *logits, uint32_t n_vocab, const int32_t *history, size_t n_history,
                  void *memory) {
  if (d->greedy) return best_of(logits, n_vocab);
  candidate *c = memory;
  for (uint32_t i = 0; i < n_vocab; i++) c[i] = (candidate){isnan(logits[i]) ? -INFINITY : logits[i], (int32_t)i};
  penalise(d, c, n_vocab, history, n_history);
  uint32_t n = keep_best(c, n_vocab, d->top_k ? d->top_k : n_vocab);
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
