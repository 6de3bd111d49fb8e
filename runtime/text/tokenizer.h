// Text to token ids and back: byte-level BPE and SPM, from the metadata of a model file.
#ifndef PM_TOKENIZER_H
#define PM_TOKENIZER_H

#include "model_file.h"

typedef struct pm_tokenizer pm_tokenizer;

pm_status pm_tokenizer_create(const pm_model_file *file, pm_tokenizer **out) PM_MUST_USE;
void pm_tokenizer_destroy(pm_tokenizer *t);

typedef struct pm_tokenize_flags {
  bool add_special;    // BOS/EOS as the file says (no second BOS if the text already begins with it)
  bool parse_special;  // control tokens in the text become their ids
} pm_tokenize_flags;

// *n: capacity on entry, tokens on return. PM_ERR_ARGUMENT with *n = what is needed when there is not enough room.
pm_status pm_tokenize(const pm_tokenizer *t, const char *text, size_t bytes, pm_tokenize_flags flags, int32_t *out, size_t *n) PM_MUST_USE;

uint32_t pm_tokenizer_n_vocab(const pm_tokenizer *t);
int32_t pm_tokenizer_bos(const pm_tokenizer *t);  // -1 if none
int32_t pm_tokenizer_eos(const pm_tokenizer *t);
bool pm_token_is_end(const pm_tokenizer *t, int32_t id);         // EOS, EOT, EOM and the known texts of such tokens
int32_t pm_token_find(const pm_tokenizer *t, const char *text);  // the token with exactly this literal text, e.g. "<think>"; -1 if none

// Bytes of a token, "" for control tokens unless `special`; part of a UTF-8 character is possible. Lives as long as the tokenizer.
const char *pm_token_bytes(const pm_tokenizer *t, int32_t id, bool special, size_t *bytes);

// Whole characters out of token bytes: keeps up to 3 bytes of an unfinished character back. Invalid bytes become U+FFFD.
typedef struct pm_utf8_stream {
  unsigned char pending[4];
  uint32_t n_pending;
} pm_utf8_stream;
// Writes at most (bytes + 3) * 3 bytes to out and returns how many; `end` flushes what is unfinished.
size_t pm_utf8_stream_push(pm_utf8_stream *s, const char *src, size_t bytes, bool end, char *out);

#endif
