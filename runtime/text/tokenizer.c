#include "tokenizer.h"

#include <string.h>

#include "memory.h"
#include "tokenizer_merge.h"
#include "tokenizer_special.h"
#include "tokenizer_split.h"
#include "tokenizer_vocab.h"

enum { MAX_ENDS = 32 };

struct pm_tokenizer {
  pm_vocab vocab;
  const pm_split_rule *rule;  // NULL: SPM
  pm_special_set specials;    // all
  pm_special_set user_defined;
  int32_t bos, eos, unknown;  // -1 = none
  int32_t ends[MAX_ENDS];     // tokens that end an answer
  uint32_t n_end;
  bool add_bos, add_eos, add_space_prefix;
};

// ---- creation ------------------------------------------------------------------------------------------------------

// Texts of tokens that end an answer although no key says so. `with`: only if the vocabulary has that token too; `unless`: not if it has
// both of those.
static const struct end_text {
  const char *text, *with, *unless[2];
} end_texts[] = {
    {"<|eot_id|>"},
    {"<|im_end|>"},
    {"<|end|>", .unless = {"<|return|>", "<|call|>"}},  // there <|end|> ends a message within the answer
    {"<|return|>"},
    {"<|call|>"},
    {"<end_of_turn>"},
    {"<|endoftext|>"},
    {"<|eom_id|>"},
    {"<EOT>"},
    {"[EOT]"},
    {"[EOS]"},
    {"<|end_of_text|>"},
    {"</s>"},
    {"<｜end▁of▁sentence｜>"},
    {"[e~["},
    {"<|user|>", .with = "[gMASK]"},  // GLM ends its answer by opening the next turn
    {"<|observation|>", .with = "[gMASK]"},
};

// A special token's id by its text, -1 if there is none.
static int32_t find_special(const pm_tokenizer *t, const char *text) {
  const pm_special *s = pm_special_get(&t->specials, text, strlen(text));
  return s ? (int32_t)s->id : -1;
}

static void add_end(pm_tokenizer *t, int32_t id) {
  if (id >= 0 && !pm_token_is_end(t, id)) t->ends[t->n_end++] = id;
}

static void find_ends(pm_tokenizer *t) {
  for (const struct end_text *e = end_texts; e < end_texts + sizeof end_texts / sizeof *end_texts; e++) {
    if (e->with && find_special(t, e->with) < 0) continue;
    if (e->unless[0] && find_special(t, e->unless[0]) >= 0 && find_special(t, e->unless[1]) >= 0) continue;
    add_end(t, find_special(t, e->text));
  }
}

// The value of a key that holds a token id; -1 if it is absent and has no default.
static pm_status read_id(const pm_tokenizer *t, const pm_model_file *f, const char *key, int32_t fallback, int32_t *out) {
  *out = fallback < (int32_t)t->vocab.n_token ? fallback : -1;
  if (!pm_model_file_find_meta(f, key)) return PM_OK;
  uint32_t id = 0;
  PM_TRY(pm_meta_u32(f, key, 0, &id));
  if (id >= t->vocab.n_token)
    PM_FAIL(PM_ERR_FORMAT, "%s: %s is %u, expected less than %u, the number of tokens", pm_model_file_path(f), key, id, t->vocab.n_token);
  *out = (int32_t)id;
  return PM_OK;
}

static pm_status read_options(pm_tokenizer *t, const pm_model_file *f) {
  bool spm = !t->rule;
  t->add_bos = spm || (pm_split_rule_flags(t->rule) & PM_SPLIT_ADD_BOS);
  t->add_space_prefix = spm;
  PM_TRY(pm_meta_bool(f, "tokenizer.ggml.add_bos_token", 0, &t->add_bos));
  PM_TRY(pm_meta_bool(f, "tokenizer.ggml.add_eos_token", 0, &t->add_eos));
  PM_TRY(pm_meta_bool(f, "tokenizer.ggml.add_space_prefix", 0, &t->add_space_prefix));
  int32_t eot, eom;
  PM_TRY(read_id(t, f, "tokenizer.ggml.unknown_token_id", spm ? 0 : -1, &t->unknown));
  PM_TRY(read_id(t, f, "tokenizer.ggml.bos_token_id", spm ? 1 : -1, &t->bos));
  PM_TRY(read_id(t, f, "tokenizer.ggml.eos_token_id", spm ? 2 : -1, &t->eos));
  PM_TRY(read_id(t, f, "tokenizer.ggml.eot_token_id", -1, &eot));
  PM_TRY(read_id(t, f, "tokenizer.ggml.eom_token_id", -1, &eom));
  add_end(t, t->eos);
  add_end(t, eot);
  add_end(t, eom);
  find_ends(t);
  return PM_OK;
}

static pm_status get_string(const pm_model_file *f, const char *key, const char *expected, const char **text, size_t *bytes) {
  if (!pm_model_file_find_meta(f, key)) PM_FAIL(PM_ERR_FORMAT, "%s: %s is missing, expected %s", pm_model_file_path(f), key, expected);
  return pm_meta_string(f, key, 0, text, bytes);
}

// How much of a file's string fits a message.
static int shown(size_t bytes) { return bytes < 64 ? (int)bytes : 64; }

// There is no default: text cut by another rule gives a model tokens it does not know, and answers that are worse for no visible reason.
static pm_status find_rule(pm_tokenizer *t, const pm_model_file *f) {
  char known[256];
  pm_split_rule_names(known, sizeof known);
  const char *pre = "";
  size_t bytes = 0;
  PM_TRY(get_string(f, "tokenizer.ggml.pre", known, &pre, &bytes));
  t->rule = pm_split_rule_find(pre, bytes);
  if (!t->rule)
    PM_FAIL(PM_ERR_UNSUPPORTED, "%s: tokenizer.ggml.pre is \"%.*s\", expected one of: %s", pm_model_file_path(f), shown(bytes), pre, known);
  return PM_OK;
}

static pm_status load(pm_tokenizer *t, const pm_model_file *f) {
  const char *model = "";
  size_t bytes = 0;
  PM_TRY(get_string(f, "tokenizer.ggml.model", "gpt2 or llama", &model, &bytes));
  bool bpe = bytes == 4 && memcmp(model, "gpt2", 4) == 0, spm = bytes == 5 && memcmp(model, "llama", 5) == 0;
  if (!bpe && !spm)
    PM_FAIL(PM_ERR_UNSUPPORTED, "%s: tokenizer.ggml.model is \"%.*s\", expected gpt2 or llama", pm_model_file_path(f), shown(bytes), model);
  if (bpe) PM_TRY(find_rule(t, f));
  PM_TRY(bpe ? pm_vocab_load_bpe(&t->vocab, f, pm_split_rule_flags(t->rule) & PM_SPLIT_RANKS_ARE_IDS) : pm_vocab_load_spm(&t->vocab, f));
  PM_TRY(pm_special_set_init(&t->specials, &t->vocab, true));
  PM_TRY(pm_special_set_init(&t->user_defined, &t->vocab, false));
  return read_options(t, f);
}

pm_status pm_tokenizer_create(const pm_model_file *file, pm_tokenizer **out) {
  *out = NULL;
  pm_tokenizer *t;
  PM_NEW(&t, 1, "tokenizer");
  pm_status status = load(t, file);
  if (status == PM_OK)
    *out = t;
  else
    pm_tokenizer_destroy(t);
  return status;
}

void pm_tokenizer_destroy(pm_tokenizer *t) {
  if (!t) return;
  pm_special_set_finish(&t->user_defined);
  pm_special_set_finish(&t->specials);
  pm_vocab_finish(&t->vocab);
  pm_free(t);
}

// ---- text to tokens ------------------------------------------------------------------------------------------------

// What one call of pm_tokenize works with.
typedef struct work {
  const pm_tokenizer *t;
  pm_token_list tokens;
  pm_merger merger;
  pm_key_heap hits;
  pm_uchar *chars;  // of the longest fragment so far
  char *spaced;
  size_t n_chars, n_spaced;  // capacities

  const pm_uchar *next_char;  // where the splitter is
  const char *next_byte;
} work;

// Makes *buf at least `needed` items long; what was in it is lost.
static pm_status make_room(void **buf, size_t *capacity, size_t needed, size_t size) {
  if (*capacity >= needed) return PM_OK;
  pm_free(*buf);
  *buf = pm_alloc(needed * size);
  *capacity = *buf ? needed : 0;
  if (!*buf) PM_FAIL(PM_ERR_MEMORY, "out of memory: %zu bytes while tokenizing", needed * size);
  return PM_OK;
}

static pm_status bpe_piece(void *user, size_t n_char) {
  work *w = user;
  const pm_vocab *v = &w->t->vocab;
  const char *text = w->next_byte;
  for (size_t i = 0; i < n_char; i++) w->next_byte += pm_uchar_bytes(*w->next_char++);
  size_t bytes = (size_t)(w->next_byte - text);
  if (pm_split_rule_flags(w->t->rule) & PM_SPLIT_WHOLE_WORDS) {
    uint32_t id = pm_vocab_find(v, text, bytes);
    if (id < v->n_token) return pm_token_append(&w->tokens, id), PM_OK;
  }
  return pm_merge_piece(&w->merger, v, text, bytes, -1, &w->tokens);
}

static pm_status bpe_fragment(work *w, const char *text, size_t bytes) {
  PM_TRY(make_room((void **)&w->chars, &w->n_chars, bytes, sizeof *w->chars));
  size_t n_char = pm_uchar_decode(text, bytes, w->chars);
  w->next_char = w->chars, w->next_byte = text;
  return pm_split(w->t->rule, w->chars, n_char, bpe_piece, w);
}

// The vocabulary writes U+2581 as a space; a text that has that character is treated as if it had spaces, too.
static pm_status spm_fragment(work *w, const char *text, size_t bytes) {
  PM_TRY(make_room((void **)&w->spaced, &w->n_spaced, bytes + 1, 1));
  size_t n = 0;
  if (w->t->add_space_prefix) w->spaced[n++] = ' ';
  for (size_t i = 0; i < bytes;) {
    bool mark = bytes - i >= 3 && memcmp(text + i, "\xe2\x96\x81", 3) == 0;
    w->spaced[n++] = mark ? ' ' : text[i];
    i += mark ? 3 : 1;
  }
  return pm_merge_piece(&w->merger, &w->t->vocab, w->spaced, n, w->t->unknown, &w->tokens);
}

static pm_status fragment(work *w, const char *text, size_t bytes) {
  if (bytes == 0) return PM_OK;
  return w->t->rule ? bpe_fragment(w, text, bytes) : spm_fragment(w, text, bytes);
}

static pm_status tokenize(work *w, const char *text, size_t bytes, pm_tokenize_flags flags) {
  const pm_tokenizer *t = w->t;
  const pm_special_set *set = flags.parse_special ? &t->specials : &t->user_defined;
  PM_TRY(pm_special_cut(set, text, bytes, &w->hits));
  if (flags.add_special && t->add_bos && t->bos >= 0) pm_token_append(&w->tokens, (uint32_t)t->bos);
  size_t done = 0;
  for (uint64_t hit; pm_key_heap_pop(&w->hits, &hit);) {
    const pm_special *s = set->by_rank[(uint32_t)hit];
    size_t at = (size_t)(hit >> 32);
    PM_TRY(fragment(w, text + done, at - done));
    bool second_bos = at == 0 && w->tokens.n && (int32_t)s->id == t->bos;
    if (!second_bos) pm_token_append(&w->tokens, s->id);
    done = at + s->bytes;
  }
  PM_TRY(fragment(w, text + done, bytes - done));
  if (flags.add_special && t->add_eos && t->eos >= 0) pm_token_append(&w->tokens, (uint32_t)t->eos);
  return PM_OK;
}

pm_status pm_tokenize(const pm_tokenizer *t, const char *text, size_t bytes, pm_tokenize_flags flags, int32_t *out, size_t *n) {
  if (bytes > INT32_MAX) PM_FAIL(PM_ERR_ARGUMENT, "a text of %zu bytes, expected at most %d", bytes, INT32_MAX);
  work w = {.t = t, .tokens = {.out = out, .capacity = *n}};
  pm_status status = tokenize(&w, text, bytes, flags);
  pm_merger_finish(&w.merger);
  pm_key_heap_finish(&w.hits);
  pm_free(w.chars);
  pm_free(w.spaced);
  PM_TRY(status);
  size_t capacity = *n;
  *n = w.tokens.n;
  if (*n > capacity) PM_FAIL(PM_ERR_ARGUMENT, "room for %zu tokens, the text has %zu", capacity, *n);
  return PM_OK;
}

// ---- tokens --------------------------------------------------------------------------------------------------------

uint32_t pm_tokenizer_n_vocab(const pm_tokenizer *t) { return t->vocab.n_token; }
int32_t pm_tokenizer_bos(const pm_tokenizer *t) { return t->bos; }
int32_t pm_tokenizer_eos(const pm_tokenizer *t) { return t->eos; }

bool pm_token_is_end(const pm_tokenizer *t, int32_t id) {
  for (uint32_t i = 0; i < t->n_end; i++)
    if (t->ends[i] == id) return true;
  return false;
}

int32_t pm_token_find(const pm_tokenizer *t, const char *text) {
  if (!*text) return -1;
  int32_t special = find_special(t, text);
  if (special >= 0) return special;
  uint32_t id = pm_vocab_find(&t->vocab, text, strlen(text));
  return id < t->vocab.n_token ? (int32_t)id : -1;
}

const char *pm_token_bytes(const pm_tokenizer *t, int32_t id, bool special, size_t *bytes) {
  *bytes = 0;
  if (id < 0 || (uint32_t)id >= t->vocab.n_token) return "";
  if (t->vocab.type[id] == PM_TOKEN_CONTROL && !special) return "";
  return pm_vocab_text(&t->vocab, (uint32_t)id, bytes);
}
