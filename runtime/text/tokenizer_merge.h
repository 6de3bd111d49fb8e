// Merging of adjacent symbols, best pair first, the leftmost of equals: byte-pair encoding and SPM differ only in what "best" is.
#ifndef PM_TOKENIZER_MERGE_H
#define PM_TOKENIZER_MERGE_H

#include "key_heap.h"
#include "tokenizer_vocab.h"

typedef struct pm_token_list {
  int32_t *out;
  size_t capacity;
  size_t n;  // counts on when out is full
} pm_token_list;

static inline void pm_token_append(pm_token_list *l, uint32_t id) {
  if (l->n < l->capacity) l->out[l->n] = (int32_t)id;
  l->n++;
}

typedef struct pm_merge_symbol pm_merge_symbol;

// Memory that lives through one text; zeroed = ready.
typedef struct pm_merger {
  pm_merge_symbol *symbols;
  size_t capacity;
  pm_key_heap heap;
} pm_merger;

// Appends the tokens of one piece of fewer than 2^32 bytes. `unknown` stands for a character that has no token (SPM); if it is negative
// the character is dropped.
pm_status pm_merge_piece(pm_merger *m, const pm_vocab *v, const char *text, size_t bytes, int32_t unknown, pm_token_list *out) PM_MUST_USE;
void pm_merger_finish(pm_merger *m);

#endif
