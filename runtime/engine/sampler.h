// From logits to a token: penalties, top-k, top-p, min-p, temperature, in this order.
#ifndef PM_SAMPLER_H
#define PM_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rng.h"

typedef struct pm_sampler_desc {
  bool greedy;
  float temperature;     // > 0
  uint32_t top_k;        // 0 or >= n_vocab: off
  float top_p;           // >= 1: off (Holtzman et al. 2020)
  float min_p;           // <= 0: off (Nguyen et al. 2024): drops what is less likely than min_p times the best
  float repeat_penalty;  // 1 = off (Keskar et al. 2019): divides positive and multiplies negative logits
  float presence_penalty, frequency_penalty;
  uint32_t penalty_last_n;
} pm_sampler_desc;

// Bytes of working memory for a vocabulary.
size_t pm_sampler_bytes(uint32_t n_vocab);

// history: the newest tokens, oldest first. Equal logits: the lower id wins. Tokens with NaN logits are never chosen. Allocates nothing.
int32_t pm_sample(const pm_sampler_desc *d, pm_rng *rng, const float *logits, uint32_t n_vocab, const int32_t *history, size_t n_history,
                  void *memory);

#endif
