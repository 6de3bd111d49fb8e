// The vocabulary of a file: the bytes of every token, which strings are tokens, and which pairs merge.
#ifndef PM_TOKENIZER_VOCAB_H
#define PM_TOKENIZER_VOCAB_H

#include "model_file.h"

enum { PM_TOKEN_NORMAL = 1, PM_TOKEN_UNKNOWN, PM_TOKEN_CONTROL, PM_TOKEN_USER_DEFINED, PM_TOKEN_UNUSED, PM_TOKEN_BYTE };

#define PM_NO_SYMBOL UINT32_MAX

typedef enum pm_merge_order {
  PM_MERGE_BY_RANK,   // the pair that is first in tokenizer.ggml.merges
  PM_MERGE_BY_ID,     // the pair that makes the token with the lowest id
  PM_MERGE_BY_SCORE,  // the pair that makes the token with the highest score
} pm_merge_order;

typedef struct pm_merge {
  uint32_t left, right;  // symbols; left is PM_NO_SYMBOL in a free place
  uint32_t rank, result;
} pm_merge;

// A symbol is a token (its number is the id), or a string that merges pass through without being a token (numbers from n_token on).
// Texts are what the token stands for: the byte alphabet of BPE files is undone, SPM's U+2581 is a space, a byte token is its byte.
typedef struct pm_vocab {
  pm_merge_order order;
  uint32_t n_token, n_symbol, symbol_capacity;
  char *text;  // of all symbols, one after another
  size_t text_capacity;
  uint32_t *at;        // [n_symbol + 1] bytes into text
  uint8_t *type;       // [n_token]
  float *score;        // [n_token]; PM_MERGE_BY_SCORE only
  uint32_t max_bytes;  // of the longest symbol that can be found

  uint32_t *slots;  // hash table: symbol, or PM_NO_SYMBOL; holds what plain text can become, so no special tokens
  uint32_t n_slot, n_used;
  pm_merge *merges;  // hash table by (left, right)
  uint32_t n_merge_slot;
  uint32_t of_byte[256];  // the symbol or byte token of each byte; PM_NO_SYMBOL if there is none
} pm_vocab;

pm_status pm_vocab_load_bpe(pm_vocab *v, const pm_model_file *file, bool ranks_may_be_ids) PM_MUST_USE;
pm_status pm_vocab_load_spm(pm_vocab *v, const pm_model_file *file) PM_MUST_USE;
void pm_vocab_finish(pm_vocab *v);

// The symbol of a string; PM_NO_SYMBOL if there is none.
uint32_t pm_vocab_find(const pm_vocab *v, const char *text, size_t bytes);
// The merge of two symbols; NULL if there is none.
const pm_merge *pm_vocab_find_merge(const pm_vocab *v, uint32_t left, uint32_t right);

static inline const char *pm_vocab_text(const pm_vocab *v, uint32_t symbol, size_t *bytes) {
  *bytes = v->at[symbol + 1] - v->at[symbol];
  return v->text + v->at[symbol];
}

static inline bool pm_vocab_is_special(const pm_vocab *v, uint32_t id) {
  return v->type[id] == PM_TOKEN_CONTROL || v->type[id] == PM_TOKEN_USER_DEFINED || v->type[id] == PM_TOKEN_UNKNOWN;
}

#endif
