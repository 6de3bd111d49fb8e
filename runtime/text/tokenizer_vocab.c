#include "tokenizer_vocab.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "utf8.h"

#define KEY_TOKENS "tokenizer.ggml.tokens"
#define KEY_TYPES "tokenizer.ggml.token_type"
#define KEY_SCORES "tokenizer.ggml.scores"
#define KEY_MERGES "tokenizer.ggml.merges"

enum { MAX_TOKENS = 1 << 24, MAX_MERGES = 1 << 24 };

// ---- strings to symbols --------------------------------------------------------------------------------------------

static uint64_t hash_bytes(const char *text, size_t bytes) {
  uint64_t h = 0xcbf29ce484222325u;
  for (size_t i = 0; i < bytes; i++) h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
  return h ^ h >> 32;
}

// The place of a string in the table: where it is, or where it would go.
static uint32_t *slot_of(const pm_vocab *v, const char *text, size_t bytes) {
  for (uint64_t i = hash_bytes(text, bytes);; i++) {
    uint32_t *slot = &v->slots[i & (v->n_slot - 1)];
    if (*slot == PM_NO_SYMBOL) return slot;
    size_t n;
    const char *there = pm_vocab_text(v, *slot, &n);
    if (n == bytes && memcmp(there, text, bytes) == 0) return slot;
  }
}

uint32_t pm_vocab_find(const pm_vocab *v, const char *text, size_t bytes) {
  return bytes > v->max_bytes ? PM_NO_SYMBOL : *slot_of(v, text, bytes);
}

static pm_status resize_slots(pm_vocab *v, uint32_t n_slot) {
  uint32_t *old = v->slots, n_old = v->n_slot;
  uint32_t *slots = pm_alloc(n_slot * sizeof *slots);
  if (!slots) PM_FAIL(PM_ERR_MEMORY, "out of memory: vocabulary, %zu bytes", n_slot * sizeof *slots);
  memset(slots, 0xff, n_slot * sizeof *slots);
  v->slots = slots, v->n_slot = n_slot;
  for (uint32_t i = 0; i < n_old; i++) {
    if (old[i] == PM_NO_SYMBOL) continue;
    size_t bytes;
    const char *text = pm_vocab_text(v, old[i], &bytes);
    *slot_of(v, text, bytes) = old[i];
  }
  pm_free(old);
  return PM_OK;
}

// Makes a symbol findable. Of two with the same text the first wins.
static pm_status publish(pm_vocab *v, uint32_t symbol) {
  if (2 * (v->n_used + 1) > v->n_slot) PM_TRY(resize_slots(v, v->n_slot ? v->n_slot * 2 : 1024));
  size_t bytes;
  const char *text = pm_vocab_text(v, symbol, &bytes);
  if (bytes == 0) return PM_OK;
  uint32_t *slot = slot_of(v, text, bytes);
  if (*slot != PM_NO_SYMBOL) return PM_OK;
  *slot = symbol, v->n_used++;
  if (bytes > v->max_bytes) v->max_bytes = (uint32_t)bytes;
  return PM_OK;
}

// Room for one more symbol of up to `bytes` bytes; its text may then be written at v->text + v->at[v->n_symbol].
static pm_status reserve(pm_vocab *v, size_t bytes) {
  if (v->n_symbol + 1 >= v->symbol_capacity) {
    uint32_t wanted = v->symbol_capacity ? v->symbol_capacity * 2 : 1024;
    uint32_t *at = pm_realloc(v->at, wanted * sizeof *at);
    if (!at) PM_FAIL(PM_ERR_MEMORY, "out of memory: vocabulary, %zu bytes", wanted * sizeof *at);
    if (!v->at) at[0] = 0;
    v->at = at, v->symbol_capacity = wanted;
  }
  size_t needed = v->at[v->n_symbol] + bytes;
  if (needed > UINT32_MAX) PM_FAIL(PM_ERR_FORMAT, "the vocabulary has more than 4 GiB of text");
  if (needed >= v->text_capacity) {  // so that there is a text even if all are empty
    size_t wanted = needed + v->text_capacity + 4096;
    char *text = pm_realloc(v->text, wanted);
    if (!text) PM_FAIL(PM_ERR_MEMORY, "out of memory: vocabulary, %zu bytes", wanted);
    v->text = text, v->text_capacity = wanted;
  }
  return PM_OK;
}

static uint32_t append(pm_vocab *v, size_t bytes) {
  v->at[v->n_symbol + 1] = v->at[v->n_symbol] + (uint32_t)bytes;
  return v->n_symbol++;
}

// The symbol of a string, made if need be.
static pm_status intern(pm_vocab *v, const char *text, size_t bytes, uint32_t *symbol) {
  *symbol = pm_vocab_find(v, text, bytes);
  if (*symbol != PM_NO_SYMBOL) return PM_OK;
  PM_TRY(reserve(v, bytes));
  memcpy(v->text + v->at[v->n_symbol], text, bytes);
  *symbol = append(v, bytes);
  return publish(v, *symbol);
}

// ---- merges --------------------------------------------------------------------------------------------------------

static pm_merge *merge_slot(const pm_vocab *v, uint32_t left, uint32_t right) {
  uint64_t key = (uint64_t)left << 32 | right;
  for (uint64_t i = (key * 0x9e3779b97f4a7c15u) >> 32;; i++) {
    pm_merge *m = &v->merges[i & (v->n_merge_slot - 1)];
    if (m->left == PM_NO_SYMBOL || (m->left == left && m->right == right)) return m;
  }
}

const pm_merge *pm_vocab_find_merge(const pm_vocab *v, uint32_t left, uint32_t right) {
  const pm_merge *m = merge_slot(v, left, right);
  return m->left == PM_NO_SYMBOL ? NULL : m;
}

// ---- reading -------------------------------------------------------------------------------------------------------

// Elements of an array, 0 if the key is absent.
static pm_status array_count(const pm_model_file *f, const char *key, bool of_strings, uint64_t most, uint64_t *n) {
  const pm_meta *m = pm_model_file_find_meta(f, key);
  *n = 0;
  if (!m) return PM_OK;
  const char *expected = of_strings ? "strings" : "numbers";
  if (m->type != PM_META_ARRAY)
    PM_FAIL(PM_ERR_FORMAT, "%s: %s is of type %s, expected an array of %s", pm_model_file_path(f), key, pm_meta_type_name(m->type),
            expected);
  if (of_strings != (m->element == PM_META_STRING))
    PM_FAIL(PM_ERR_FORMAT, "%s: %s is an array of %s, expected %s", pm_model_file_path(f), key, pm_meta_type_name(m->element), expected);
  if (m->count > most)
    PM_FAIL(PM_ERR_FORMAT, "%s: %s has %llu elements, expected at most %llu", pm_model_file_path(f), key, (unsigned long long)m->count,
            (unsigned long long)most);
  *n = m->count;
  return PM_OK;
}

// Whether an array beside the tokens is there; if so it has one element per token.
static pm_status parallel_array(const pm_vocab *v, const pm_model_file *f, const char *key, bool *present) {
  uint64_t n;
  PM_TRY(array_count(f, key, false, UINT64_MAX, &n));
  *present = pm_model_file_find_meta(f, key) != NULL;
  if (*present && n != v->n_token)
    PM_FAIL(PM_ERR_FORMAT, "%s: %s has %llu elements, expected %u as in " KEY_TOKENS, pm_model_file_path(f), key, (unsigned long long)n,
            v->n_token);
  return PM_OK;
}

static pm_status load_types(pm_vocab *v, const pm_model_file *f) {
  uint64_t n_token;
  PM_TRY(array_count(f, KEY_TOKENS, true, MAX_TOKENS, &n_token));
  if (n_token == 0)
    PM_FAIL(PM_ERR_FORMAT, "%s: " KEY_TOKENS " is missing or empty, expected the texts of the tokens", pm_model_file_path(f));
  v->n_token = (uint32_t)n_token;
  PM_NEW(&v->type, n_token, "token types");
  memset(v->type, PM_TOKEN_NORMAL, n_token);
  bool present;
  PM_TRY(parallel_array(v, f, KEY_TYPES, &present));
  for (uint32_t i = 0; present && i < v->n_token; i++) {
    int64_t type = 0;
    PM_TRY(pm_meta_i64(f, KEY_TYPES, i, &type));
    if (type < PM_TOKEN_NORMAL || type > PM_TOKEN_BYTE)
      PM_FAIL(PM_ERR_FORMAT, "%s: " KEY_TYPES "[%u] is %lld, expected %d to %d", pm_model_file_path(f), i, (long long)type, PM_TOKEN_NORMAL,
              PM_TOKEN_BYTE);
    v->type[i] = (uint8_t)type;
  }
  return PM_OK;
}

static pm_status not_utf8(const pm_model_file *f, const char *key, uint64_t i) {
  PM_FAIL(PM_ERR_FORMAT, "%s: %s[%llu] is not UTF-8", pm_model_file_path(f), key, (unsigned long long)i);
}

// The byte that a character of the byte alphabet stands for, -1 for any other. Printable Latin-1 characters stand for themselves, the 68
// bytes that are left are U+0100 and up in order.
static int byte_of_point(uint32_t c) {
  if ((c >= 0x21 && c <= 0x7e) || (c >= 0xa1 && c <= 0xff && c != 0xad)) return (int)c;
  if (c < 0x100 || c >= 0x144) return -1;
  c -= 0x100;
  return (int)(c <= 0x20 ? c : c <= 0x42 ? c - 0x21 + 0x7f : 0xad);
}

// Writes what a text in the byte alphabet stands for (never longer); characters outside of the alphabet stand for themselves.
static bool undo_alphabet(const char *src, size_t bytes, char *dst, size_t *written) {
  size_t n = 0;
  for (size_t i = 0; i < bytes;) {
    uint32_t c;
    int length = pm_utf8_scan((const unsigned char *)src + i, bytes - i, &c);
    if (length <= 0) return false;
    int byte = byte_of_point(c);
    if (byte >= 0)
      dst[n++] = (char)byte;
    else
      n += pm_utf8_put(c, dst + n);
    i += (size_t)length;
  }
  *written = n;
  return true;
}

// Copies, with U+2581 made a space.
static bool undo_spaces(const char *src, size_t bytes, char *dst, size_t *written) {
  size_t n = 0;
  for (size_t i = 0; i < bytes;) {
    uint32_t c;
    int length = pm_utf8_scan((const unsigned char *)src + i, bytes - i, &c);
    if (length <= 0) return false;
    n += pm_utf8_put(c == 0x2581 ? ' ' : c, dst + n);
    i += (size_t)length;
  }
  *written = n;
  return true;
}

static bool copy_utf8(const char *src, size_t bytes, char *dst, size_t *written) {
  uint32_t c;
  for (size_t i = 0; i < bytes;) {
    int length = pm_utf8_scan((const unsigned char *)src + i, bytes - i, &c);
    if (length <= 0) return false;
    i += (size_t)length;
  }
  memcpy(dst, src, bytes);
  *written = bytes;
  return true;
}

static bool parse_byte_token(const char *src, size_t bytes, char *byte) {
  static const char digits[] = "0123456789ABCDEF";
  if (bytes != 6 || memcmp(src, "<0x", 3) != 0 || src[5] != '>' || !src[3] || !src[4]) return false;
  const char *high = strchr(digits, src[3]), *low = strchr(digits, src[4]);
  if (!high || !low) return false;
  *byte = (char)((high - digits) * 16 + (low - digits));
  return true;
}

typedef bool undo_fn(const char *src, size_t bytes, char *dst, size_t *written);

static pm_status load_token(pm_vocab *v, const pm_model_file *f, uint32_t id, undo_fn *undo, bool byte_tokens) {
  const char *src = "";
  size_t bytes = 0, written;
  PM_TRY(pm_meta_string(f, KEY_TOKENS, id, &src, &bytes));
  PM_TRY(reserve(v, bytes));
  char *dst = v->text + v->at[id];
  if (byte_tokens && v->type[id] == PM_TOKEN_BYTE) {
    if (!parse_byte_token(src, bytes, dst))
      PM_FAIL(PM_ERR_FORMAT, "%s: " KEY_TOKENS "[%u] is a byte by its type, expected a text like <0x0A>", pm_model_file_path(f), id);
    v->of_byte[(unsigned char)*dst] = id;
    append(v, 1);
    return PM_OK;
  }
  bool literal = pm_vocab_is_special(v, id) || v->type[id] == PM_TOKEN_UNUSED;
  if (!(literal ? copy_utf8 : undo)(src, bytes, dst, &written)) return not_utf8(f, KEY_TOKENS, id);
  append(v, written);
  return literal ? PM_OK : publish(v, id);
}

static pm_status load_tokens(pm_vocab *v, const pm_model_file *f, undo_fn *undo, bool byte_tokens) {
  memset(v->of_byte, 0xff, sizeof v->of_byte);
  uint32_t n_slot = 1024;
  while (n_slot < 2 * v->n_token) n_slot *= 2;
  PM_TRY(resize_slots(v, n_slot));
  for (uint32_t id = 0; id < v->n_token; id++) PM_TRY(load_token(v, f, id, undo, byte_tokens));
  return PM_OK;
}

static pm_status load_merge(pm_vocab *v, const pm_model_file *f, uint32_t rank, char *scratch) {
  const char *text = "";
  size_t bytes = 0, n_left, n_right;
  PM_TRY(pm_meta_string(f, KEY_MERGES, rank, &text, &bytes));
  const char *space = bytes > 1 ? memchr(text + 1, ' ', bytes - 1) : NULL;
  if (!space || space + 1 == text + bytes)
    PM_FAIL(PM_ERR_FORMAT, "%s: " KEY_MERGES "[%u] is not two texts with a space between them", pm_model_file_path(f), rank);
  size_t left_bytes = (size_t)(space - text);
  if (!undo_alphabet(text, left_bytes, scratch, &n_left) || !undo_alphabet(space + 1, bytes - left_bytes - 1, scratch + n_left, &n_right))
    return not_utf8(f, KEY_MERGES, rank);
  uint32_t left, right, result;
  PM_TRY(intern(v, scratch, n_left, &left));
  PM_TRY(intern(v, scratch + n_left, n_right, &right));
  PM_TRY(intern(v, scratch, n_left + n_right, &result));
  pm_merge *m = merge_slot(v, left, right);
  if (m->left == PM_NO_SYMBOL) *m = (pm_merge){left, right, rank, result};  // of equal pairs the first counts
  return PM_OK;
}

static pm_status load_merges(pm_vocab *v, const pm_model_file *f) {
  uint64_t n_merge;
  PM_TRY(array_count(f, KEY_MERGES, true, MAX_MERGES, &n_merge));
  size_t longest = 0;
  for (uint32_t i = 0; i < n_merge; i++) {
    const char *text;
    size_t bytes = 0;
    PM_TRY(pm_meta_string(f, KEY_MERGES, i, &text, &bytes));
    if (bytes > longest) longest = bytes;
  }
  v->n_merge_slot = 1024;
  while (v->n_merge_slot < 2 * n_merge) v->n_merge_slot *= 2;
  PM_NEW(&v->merges, v->n_merge_slot, "merges");
  memset(v->merges, 0xff, v->n_merge_slot * sizeof *v->merges);
  char *scratch;
  PM_NEW(&scratch, longest, "a merge");
  pm_status status = PM_OK;
  for (uint32_t i = 0; i < n_merge && status == PM_OK; i++) status = load_merge(v, f, i, scratch);
  pm_free(scratch);
  return status;
}

pm_status pm_vocab_load_bpe(pm_vocab *v, const pm_model_file *f, bool ranks_may_be_ids) {
  PM_TRY(load_types(v, f));
  PM_TRY(load_tokens(v, f, undo_alphabet, false));
  for (int b = 0; b < 256; b++) PM_TRY(intern(v, &(char){(char)b}, 1, &v->of_byte[b]));
  bool have_merges = pm_model_file_find_meta(f, KEY_MERGES) != NULL;
  if (!have_merges && !ranks_may_be_ids)
    PM_FAIL(PM_ERR_FORMAT, "%s: " KEY_MERGES " is missing, expected an array of strings", pm_model_file_path(f));
  v->order = have_merges ? PM_MERGE_BY_RANK : PM_MERGE_BY_ID;
  return have_merges ? load_merges(v, f) : PM_OK;
}

pm_status pm_vocab_load_spm(pm_vocab *v, const pm_model_file *f) {
  v->order = PM_MERGE_BY_SCORE;
  PM_TRY(load_types(v, f));
  PM_TRY(load_tokens(v, f, undo_spaces, true));
  bool present;
  PM_TRY(parallel_array(v, f, KEY_SCORES, &present));
  if (!present) PM_FAIL(PM_ERR_FORMAT, "%s: " KEY_SCORES " is missing, expected one number per token", pm_model_file_path(f));
  PM_NEW(&v->score, v->n_token, "token scores");
  for (uint32_t i = 0; i < v->n_token; i++) PM_TRY(pm_meta_f32(f, KEY_SCORES, i, &v->score[i]));
  return PM_OK;
}

void pm_vocab_finish(pm_vocab *v) {
  pm_free(v->text);
  pm_free(v->at);
  pm_free(v->type);
  pm_free(v->score);
  pm_free(v->slots);
  pm_free(v->merges);
}
