// The tokens of a vocabulary in the order of their bytes, for finding all those that may follow a text at once: tokens that begin alike
// are neighbours, and share the way through the grammar.
#ifndef PM_TOKEN_ORDER_H
#define PM_TOKEN_ORDER_H

#include "matcher.h"
#include "tokenizer.h"

typedef struct pm_token_order pm_token_order;

// Of all tokens that show bytes and end no answer. The tokenizer must outlive it.
pm_status pm_token_order_create(const pm_tokenizer *t, pm_token_order **out) PM_MUST_USE;
void pm_token_order_destroy(pm_token_order *o);  // NULL is fine

// Sets the bits of the tokens with which the grammar may go on, and clears all others. allowed: (n_vocab + 63) / 64 words.
void pm_token_order_allow(const pm_token_order *o, pm_matcher *m, uint64_t *allowed, uint32_t n_vocab);

#endif
