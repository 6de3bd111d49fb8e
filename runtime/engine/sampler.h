// From logits to a token: bias, penalties, top-k, top-p, min-p, temperature, in this order.
#ifndef PM_SAMPLER_H
#define PM_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rng.h"

typedef struct pm_bias {
  int32_t token;
  float value;  // added to the token's logit; -INFINITY bans it
} pm_bias;

typedef struct pm_sampler_desc {
  bool greedy;           // the likeliest token after bias and penalties
  float temperature;     // > 0
  uint32_t top_k;        // 0 or >= n_vocab: off
  float top_p;           // >= 1: off (Holtzman et al. 2020)
  float min_p;           // <= 0: off (Nguyen et al. 2024): drops what is less likely than min_p times the best
  float repeat_penalty;  // 1 = off (Keskar et al. 2019): divides positive and multiplies negative logits
  float presence_penalty, frequency_penalty;
  uint32_t penalty_last_n;
  const pm_bias *bias;  // tokens of the vocabulary
  size_t n_bias;
} pm_sampler_desc;

// Bytes of working memory for a vocabulary.
size_t pm_sampler_bytes(uint32_t n_vocab);

typedef struct pm_sampler_input {
  const float *logits;  // [n_vocab]; NaN: never chosen
  uint32_t n_vocab;
  const int32_t *history;  // the newest tokens, oldest first
  size_t n_history;
  const uint64_t *allowed;  // a bit for each token, from the lowest of the first word on; NULL: all
} pm_sampler_input;

// Equal logits: the lower id wins. -1 if every token is banned. Allocates nothing.
int32_t pm_sample(const pm_sampler_desc *d, pm_rng *rng, const pm_sampler_input *in, void *memory);

typedef struct pm_token_prob {
  int32_t token;
  float log_probability;  // natural
} pm_token_prob;

// Of the distribution that the logits stand for: out[0] is `chosen`, out[1] .. out[n] are the likeliest tokens in falling order.
// n <= n_vocab, small.
void pm_top_tokens(const float *logits, uint32_t n_vocab, int32_t chosen, uint32_t n, pm_token_prob *out);

#endif
