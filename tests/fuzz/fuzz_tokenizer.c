// Makes a vocabulary, a chat template and a text out of the input, and checks what must hold of tokens, prompts and streams.
//
// The input is lines. The first byte of each says what the rest is: 1 to 6 a token of that type, m a merge, p the pre-tokenizer, t the chat
// template, s = SPM, b = add tokens for all 256 bytes, i = special ids (a byte each), / = from here on all is text.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat.h"
#include "fuzz.h"
#include "meta_doc.h"

#define K "tokenizer.ggml."

static void must(bool holds) {
  if (!holds) abort();
}

enum { MAX_LINES = 1024, N_ID = 5 };

typedef struct recipe {
  const char *tokens[MAX_LINES + 256], *merges[MAX_LINES];
  int32_t types[MAX_LINES + 256];
  float scores[MAX_LINES + 256];
  size_t n_token, n_merge;
  const char *pre, *chat_template, *ids, *text;
  size_t n_text;
  bool spm, bytes;
} recipe;

static void add_token(recipe *r, const char *text, int32_t type) {
  r->tokens[r->n_token] = text;
  r->types[r->n_token] = type;
  r->scores[r->n_token] = (float)(r->n_token * 7919 % 64);  // some are equal
  r->n_token++;
}

static void add_line(recipe *r, const char *line) {
  switch (*line) {
    case 'm': r->merges[r->n_merge++] = line + 1; break;
    case 'p': r->pre = line + 1; break;
    case 't': r->chat_template = line + 1; break;
    case 'i': r->ids = line + 1; break;
    case 's': r->spm = true; break;
    case 'b': r->bytes = true; break;
    default:
      if (*line >= '0' && *line <= '9') add_token(r, line + 1, *line - '0');
  }
}

static void add_bytes(recipe *r) {
  static char texts[256][8];
  for (unsigned b = 0, extra = 0x100; b < 256; b++) {
    bool itself = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
    unsigned c = itself ? b : extra++;
    if (r->spm)
      sprintf(texts[b], "<0x%02X>", b);
    else if (c < 0x80)
      sprintf(texts[b], "%c", (int)c);
    else
      sprintf(texts[b], "%c%c", (int)(0xc0 | c >> 6), (int)(0x80 | (c & 0x3f)));
    add_token(r, texts[b], r->spm ? 6 : 1);
  }
}

static void parse(recipe *r, char *input, size_t size) {
  char *line = input;
  for (int n = 0; n < MAX_LINES && line < input + size; n++) {
    if (*line == '/') {
      r->text = line + 1;
      r->n_text = (size_t)(input + size - r->text);
      break;
    }
    char *end = memchr(line, '\n', (size_t)(input + size - line));
    if (end) *end = 0;
    add_line(r, line);
    if (!end) break;
    line = end + 1;
  }
  if (r->bytes) add_bytes(r);
}

static pm_model_file *make_file(const recipe *r) {
  static const char *const id_keys[N_ID] = {K "bos_token_id", K "eos_token_id", K "eot_token_id", K "unknown_token_id", K "eom_token_id"};
  meta_doc d = {0};
  meta_string(&d, K "model", r->spm ? "llama" : "gpt2");
  if (r->pre) meta_string(&d, K "pre", r->pre);
  if (r->chat_template) meta_string(&d, "tokenizer.chat_template", r->chat_template);
  meta_strings(&d, K "tokens", r->tokens, r->n_token);
  meta_i32s(&d, K "token_type", r->types, r->n_token);
  meta_f32s(&d, K "scores", r->scores, r->n_token);
  if (r->n_merge) meta_strings(&d, K "merges", r->merges, r->n_merge);
  for (size_t i = 0; i < N_ID && r->ids && r->ids[i]; i++) meta_u32(&d, id_keys[i], (unsigned char)r->ids[i]);
  meta_bool(&d, K "add_bos_token", true);
  meta_bool(&d, K "add_eos_token", r->ids);
  return meta_open(&d);
}

static bool append(void *user, bool thinking, const char *text, size_t bytes) {
  (void)thinking;
  must(bytes > 0);
  char **to = user;
  memcpy(*to, text, bytes);
  *to += bytes;
  return true;
}

// The tokens' bytes through both streams: at once and byte by byte give the same.
static void check_streams(const char *bytes, size_t n) {
  char *whole = malloc((n + 3) * 3), *parts = malloc((n + 3) * 3), *thought[2] = {malloc((n + 3) * 3), malloc((n + 3) * 3)};
  must(whole && parts && thought[0] && thought[1]);
  pm_utf8_stream one = {0}, many = {0};
  size_t n_whole = pm_utf8_stream_push(&one, bytes, n, true, whole), n_parts = 0;
  for (size_t i = 0; i < n; i++) n_parts += pm_utf8_stream_push(&many, bytes + i, 1, i + 1 == n, parts + n_parts);
  must(n_whole == n_parts && memcmp(whole, parts, n_whole) == 0);

  pm_think_stream streams[2];
  char *ends[2] = {thought[0], thought[1]};
  for (int i = 0; i < 2; i++) pm_think_stream_init(&streams[i], n % 2);
  must(pm_think_stream_push(&streams[0], whole, n_whole, true, append, &ends[0]));
  for (size_t i = 0; i < n_whole; i++) must(pm_think_stream_push(&streams[1], whole + i, 1, i + 1 == n_whole, append, &ends[1]));
  size_t length = (size_t)(ends[0] - thought[0]);
  must(length <= n_whole && length == (size_t)(ends[1] - thought[1]) && memcmp(thought[0], thought[1], length) == 0);
  free(whole), free(parts), free(thought[0]), free(thought[1]);
}

static void check_tokens(const recipe *r, const pm_tokenizer *t, pm_tokenize_flags flags) {
  size_t most = 3 * r->n_text + 8, n = most, again = most, total = 0;
  int32_t *ids = malloc(most * sizeof *ids);
  must(ids && pm_tokenize(t, r->text, r->n_text, flags, ids, &n) == PM_OK && n <= most);
  if (n > 0) {
    again = n - 1;
    must(pm_tokenize(t, r->text, r->n_text, flags, ids, &again) == PM_ERR_ARGUMENT && again == n);
    must(pm_tokenize(t, r->text, r->n_text, flags, ids, &again) == PM_OK && again == n);
  }
  for (size_t i = 0; i < n; i++) {
    must(ids[i] >= 0 && (uint32_t)ids[i] < pm_tokenizer_n_vocab(t));
    size_t bytes;
    pm_token_bytes(t, ids[i], true, &bytes);
    total += bytes;
  }
  char *back = malloc(total + 1), *p = back;
  must(back);
  for (size_t i = 0, bytes; i < n; i++, p += bytes) {
    const char *text = pm_token_bytes(t, ids[i], true, &bytes);
    memcpy(p, text, bytes);
  }
  if (r->bytes && !r->spm && !flags.add_special) must(total == r->n_text && memcmp(back, r->text, total) == 0);
  check_streams(back, total);
  free(back);
  free(ids);
}

static void check_chat(const pm_model_file *file, const recipe *r, const pm_tokenizer *t) {
  const pm_chat_format *f = pm_chat_format_detect(file, t);
  if (!f) return;
  char *content = malloc(r->n_text + 1);
  must(content);
  memcpy(content, r->text, r->n_text);
  content[r->n_text] = 0;
  const pm_message talk[] = {{"system", content}, {"user", content}, {"assistant", content}, {"system", content}, {"assistant", content}};
  for (size_t from = 0; from < 5; from++) {
    size_t n = 0, needed;
    must(pm_chat_render(f, t, talk + from, 5 - from, true, from % 2, NULL, &n) == PM_ERR_ARGUMENT && n > 0);
    needed = n;
    char *out = malloc(n);
    must(out && pm_chat_render(f, t, talk + from, 5 - from, true, from % 2, out, &n) == PM_OK && n + 1 == needed && out[n] == 0);
    free(out);
  }
  free(content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > 1 << 16) return 0;
  char *input = malloc(size + 1);
  must(input);
  memcpy(input, data, size);
  input[size] = 0;
  static recipe r;
  r = (recipe){.text = ""};
  parse(&r, input, size);
  pm_model_file *file = make_file(&r);
  pm_tokenizer *t;
  pm_status status = pm_tokenizer_create(file, &t);
  must((status == PM_OK) == (t != NULL) && (status == PM_OK || pm_fail_message()[0]));
  for (int flags = 0; t && flags < 4; flags++) check_tokens(&r, t, (pm_tokenize_flags){flags & 1, flags & 2});
  if (t) check_chat(file, &r, t);
  pm_tokenizer_destroy(t);
  pm_model_file_close(file);
  free(input);
  return 0;
}
