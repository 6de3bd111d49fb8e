// Sampling an answer: token by token, as whole characters, thinking told apart.
#ifndef PM_GENERATE_H
#define PM_GENERATE_H

#include "sampler.h"
#include "session.h"

typedef enum pm_stop { PM_STOP_END, PM_STOP_LENGTH, PM_STOP_CALLER } pm_stop;

typedef struct pm_generated {
  pm_stop stop;
  uint64_t n_token;
} pm_generated;

// Needs logits (an evaluated prompt). Emits text through `emit`; a false return stops. max_tokens 0: until the context is full.
// Cancelling the session stops like a false return. Allocates nothing per token.
pm_status pm_generate(pm_session *s, const pm_sampler_desc *d, uint64_t seed, size_t max_tokens, pm_think_fn *emit, void *user,
                      pm_generated *out) PM_MUST_USE;

#endif
