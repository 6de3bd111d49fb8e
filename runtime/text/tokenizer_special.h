// Special tokens inside of a text: found before anything else, longest first.
#ifndef PM_TOKENIZER_SPECIAL_H
#define PM_TOKENIZER_SPECIAL_H

#include "key_heap.h"
#include "tokenizer_vocab.h"

typedef struct pm_special {
  const char *text;  // in the vocabulary
  uint32_t bytes;
  uint32_t id;
  uint32_t rank;  // in the order of preference: longer first, then lower id
} pm_special;

// Special tokens sorted by text, so that those with a common beginning are side by side.
typedef struct pm_special_set {
  pm_special *sorted;
  const pm_special **by_rank;
  uint32_t n;
  uint32_t first[257];  // sorted[first[b]] to sorted[first[b + 1]] begin with byte b
} pm_special_set;

// Of the vocabulary's special tokens; user-defined ones alone if `control` is false.
pm_status pm_special_set_init(pm_special_set *set, const pm_vocab *v, bool control) PM_MUST_USE;
void pm_special_set_finish(pm_special_set *set);

// The token with exactly this text; NULL if there is none.
const pm_special *pm_special_get(const pm_special_set *set, const char *text, size_t bytes);

// Fills `hits` with keys (position << 32 | rank); popped, they come in the order of the text and do not overlap. As if, for each token by
// rank, the text were cut at each of its occurrences in what is left.
pm_status pm_special_cut(const pm_special_set *set, const char *text, size_t bytes, pm_key_heap *hits) PM_MUST_USE;

#endif
