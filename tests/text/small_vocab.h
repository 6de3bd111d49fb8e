// Vocabularies of a few tokens, written out in a test.
#ifndef PM_TEST_SMALL_VOCAB_H
#define PM_TEST_SMALL_VOCAB_H

#include "meta_doc.h"
#include "tokenizer.h"

#define K "tokenizer.ggml."
#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };

typedef struct small_token {
  const char *text;
  int32_t type;
  float score;
} small_token;

void put_tokens(meta_doc *d, const small_token *tokens, size_t n);  // at most 512
// Byte-level BPE; merges NULL: none are written.
void bpe_doc(meta_doc *d, const char *pre, const small_token *tokens, size_t n_token, const char *const *merges, size_t n_merge);

pm_tokenizer *from_doc(meta_doc *d);  // frees what `d` holds; fails the test if it cannot be had

#endif
