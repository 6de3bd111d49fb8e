#include "small_vocab.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

void put_tokens(meta_doc *d, const small_token *tokens, size_t n) {
  const char *texts[512];
  int32_t types[512];
  float scores[512];
  for (size_t i = 0; i < n; i++) texts[i] = tokens[i].text, types[i] = tokens[i].type, scores[i] = tokens[i].score;
  meta_strings(d, K "tokens", texts, n);
  meta_i32s(d, K "token_type", types, n);
  meta_f32s(d, K "scores", scores, n);
}

void bpe_doc(meta_doc *d, const char *pre, const small_token *tokens, size_t n_token, const char *const *merges, size_t n_merge) {
  meta_string(d, K "model", "gpt2");
  meta_string(d, K "pre", pre);
  put_tokens(d, tokens, n_token);
  if (merges) meta_strings(d, K "merges", merges, n_merge);
}

pm_tokenizer *from_doc(meta_doc *d) {
  pm_model_file *file = meta_open(d);
  pm_tokenizer *t;
  if (pm_tokenizer_create(file, &t)) fail_msg("%s", pm_fail_message());
  pm_model_file_close(file);  // a tokenizer needs its file no longer
  return t;
}
