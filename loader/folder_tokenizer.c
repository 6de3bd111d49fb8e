// tokenizer.json and its side files: a byte-level BPE vocabulary and its chat template as GGUF metadata.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "folder.h"

static const char FILE_NAME[] = "tokenizer.json", CONFIG_NAME[] = "tokenizer_config.json", TEMPLATE_NAME[] = "chat_template.jinja";
static const uint64_t MAX_TEMPLATE = 4u << 20;
enum { MAX_TOKEN = 1 << 20, NORMAL = 1, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5 };

typedef struct vocabulary {
  pm_folder *d;
  const char **tokens;
  int32_t *types;
  uint32_t n;
} vocabulary;

static pm_status wrong(const pm_folder *d, const char *what, const char *expected) {
  PM_FAIL(PM_ERR_FORMAT, "%s/%s: %s: expected %s", d->path, FILE_NAME, what, expected);
}

static pm_status out_of_memory(const pm_folder *d) { PM_FAIL(PM_ERR_MEMORY, "%s/%s: out of memory: the vocabulary", d->path, FILE_NAME); }

// ---- how text is cut before merging --------------------------------------------------------------------------------

// Pre-tokenizers by the beginnings of their regular expressions, in order, without line breaks of their own; "" ends a list.
enum { MAX_PATTERN = 8 };
static const struct splitter {
  const char *pre;
  bool ignore_merges;
  const char *patterns[MAX_PATTERN];
} SPLITTERS[] = {
    {"deepseek-v3",
     false,
     {"\\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
      "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|"
      "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
    {"deepseek-llm",
     false,
     {"[\\r\\n]", "\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-", "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
      "\\s+$", "[\u4e00-\u9fa5"}},
    {"deepseek-coder", false, {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[\u4e00-\u9fa5"}},
    {"kimi-k2", false, {"[\\p{Han}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}"}},
    {"llama-bpe", true, {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"}},
    {"glm4", false, {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"}},
};

// Line breaks may stand in an expression themselves or as \r and \n.
static pm_status spell_breaks(pm_folder *d, const char *text, const char **out) {
  char *to = pm_arena_alloc(&d->scratch, 2 * strlen(text) + 1);
  if (!to) return out_of_memory(d);
  for (*out = to; *text; text++) {
    if (*text == '\r' || *text == '\n') *to++ = '\\';
    *to++ = *text == '\r' ? 'r' : *text == '\n' ? 'n' : *text;
  }
  return PM_OK;
}

// The expressions of a pre-tokenizer or of a sequence of them.
static pm_status collect(pm_folder *d, const pm_value *pre, const char *patterns[MAX_PATTERN], uint32_t *n) {
  const pm_list *list = pm_json_list(pm_json_find(pre, "pretokenizers"));
  const char *text = pm_json_text(pm_json_find(pm_json_find(pre, "pattern"), "Regex"));
  if (text && *n < MAX_PATTERN) PM_TRY(spell_breaks(d, text, &patterns[(*n)++]));
  for (size_t i = 0; i < list->n; i++) {
    const char *one = pm_json_text(pm_json_find(pm_json_find(&list->items[i], "pattern"), "Regex"));
    if (one && *n < MAX_PATTERN) PM_TRY(spell_breaks(d, one, &patterns[(*n)++]));
  }
  return PM_OK;
}

static bool is_splitter(const struct splitter *s, bool ignore_merges, const char *const *patterns, uint32_t n) {
  uint32_t i = 0;
  for (; i < MAX_PATTERN && s->patterns[i]; i++)
    if (i >= n || strncmp(patterns[i], s->patterns[i], strlen(s->patterns[i])) != 0) return false;
  return i == n && s->ignore_merges == ignore_merges;
}

static pm_status put_splitter(pm_folder *d, const pm_value *root, const pm_value *model) {
  const char *patterns[MAX_PATTERN] = {"none"};
  const pm_value *ignore = pm_json_find(model, "ignore_merges");
  uint32_t n = 0;
  PM_TRY(collect(d, pm_json_find(root, "pre_tokenizer"), patterns, &n));
  for (size_t i = 0; i < sizeof SPLITTERS / sizeof *SPLITTERS; i++)
    if (is_splitter(&SPLITTERS[i], ignore && ignore->kind == PM_BOOL && ignore->truth, patterns, n))
      return pm_gguf_put_string(d->metas, "tokenizer.ggml.pre", SPLITTERS[i].pre), PM_OK;
  PM_FAIL(PM_ERR_UNSUPPORTED, "%s/%s: pre_tokenizer: its %u expressions are not known here; the first is %.60s", d->path, FILE_NAME, n,
          patterns[0]);
}

// ---- tokens --------------------------------------------------------------------------------------------------------

// Ids of both lists, so that there is room for the largest.
static pm_status count_tokens(vocabulary *v, const pm_dict *vocab, const pm_list *added) {
  uint64_t id, n = 0;
  pm_json_whole(pm_json_find(v->d->config, "vocab_size"), &n);
  for (size_t i = 0; i < vocab->n; i++) {
    if (!pm_json_whole(&vocab->entries[i].value, &id) || id >= MAX_TOKEN) return wrong(v->d, "model.vocab", "ids below 1048576");
    n = id + 1 > n ? id + 1 : n;
  }
  for (size_t i = 0; i < added->n; i++) {
    if (!pm_json_whole(pm_json_find(&added->items[i], "id"), &id) || id >= MAX_TOKEN)
      return wrong(v->d, "added_tokens", "ids below 1048576");
    n = id + 1 > n ? id + 1 : n;
  }
  if (n > MAX_TOKEN) return wrong(v->d, "vocab_size", "at most 1048576 tokens");
  v->n = (uint32_t)n;
  v->tokens = pm_arena_alloc(&v->d->scratch, n * sizeof *v->tokens);
  v->types = pm_arena_alloc(&v->d->scratch, n * sizeof *v->types);
  return v->tokens && v->types ? PM_OK : out_of_memory(v->d);
}

static pm_status set_token(vocabulary *v, const pm_value *id_value, const char *text, int32_t type) {
  uint64_t id = 0;
  pm_json_whole(id_value, &id);
  if (v->tokens[id] && strcmp(v->tokens[id], text) != 0)
    PM_FAIL(PM_ERR_FORMAT, "%s/%s: token %llu has two texts", v->d->path, FILE_NAME, (unsigned long long)id);
  v->tokens[id] = text, v->types[id] = type;
  return PM_OK;
}

static pm_status read_tokens(vocabulary *v, const pm_dict *vocab, const pm_list *added) {
  PM_TRY(count_tokens(v, vocab, added));
  for (size_t i = 0; i < vocab->n; i++) PM_TRY(set_token(v, &vocab->entries[i].value, vocab->entries[i].key.text.at, NORMAL));
  for (size_t i = 0; i < added->n; i++) {
    const pm_value *t = &added->items[i];
    const char *text = pm_json_text(pm_json_find(t, "content"));
    const pm_value *special = pm_json_find(t, "special");
    if (!text) return wrong(v->d, "added_tokens", "a text as content");
    PM_TRY(set_token(v, pm_json_find(t, "id"), text, special && special->kind == PM_BOOL && special->truth ? CONTROL : USER_DEFINED));
  }
  for (uint32_t i = 0; i < v->n; i++) {
    if (v->tokens[i]) continue;
    v->tokens[i] = pm_arena_printf(&v->d->scratch, "[PAD%u]", i), v->types[i] = UNUSED;
    if (!v->tokens[i]) return out_of_memory(v->d);
  }
  pm_gguf_put_strings(v->d->metas, "tokenizer.ggml.tokens", v->tokens, v->n);
  pm_gguf_put_i32s(v->d->metas, "tokenizer.ggml.token_type", v->types, v->n);
  return PM_OK;
}

// A merge is "left right", or the two as a list, in which spaces may stand: in GGUF they are written as the byte-level alphabet has them.
static pm_status join_pair(pm_folder *d, const pm_list *pair, const char **out) {
  bool two = pair->n == 2;
  const char *left = two ? pm_json_text(&pair->items[0]) : NULL, *right = two ? pm_json_text(&pair->items[1]) : NULL;
  if (!left || !right) return wrong(d, "model.merges", "pairs of texts");
  char *to = pm_arena_alloc(&d->scratch, 2 * (strlen(left) + strlen(right)) + 2);
  if (!to) return out_of_memory(d);
  *out = to;
  for (const char *part = left; part; part = part == left ? right : NULL) {
    if (part == right) *to++ = ' ';
    for (const char *c = part; *c; c++) {
      if (*c == ' ') *to++ = '\xc4';
      *to++ = *c == ' ' ? '\xa0' : *c;
    }
  }
  return PM_OK;
}

static pm_status put_merges(pm_folder *d, const pm_value *merges) {
  if (!merges) return PM_OK;
  if (merges->kind != PM_LIST) return wrong(d, "model.merges", "a list");
  const pm_list *list = merges->list;
  const char **texts = pm_arena_alloc(&d->scratch, list->n * sizeof *texts);
  if (!texts) return out_of_memory(d);
  for (size_t i = 0; i < list->n; i++) {
    const pm_value *m = &list->items[i];
    texts[i] = pm_json_text(m);
    if (m->kind == PM_LIST) PM_TRY(join_pair(d, m->list, &texts[i]));
    if (!texts[i]) return wrong(d, "model.merges", "texts or pairs of texts");
  }
  pm_gguf_put_strings(d->metas, "tokenizer.ggml.merges", texts, list->n);
  return PM_OK;
}

// ---- side files ----------------------------------------------------------------------------------------------------

// The id is in config.json, alone or first in a list, or it is that of the token whose text tokenizer_config.json gives.
static void put_special(const vocabulary *v, const pm_value *side, const char *name) {
  char key[64], gguf[64];
  snprintf(key, sizeof key, "%s_token_id", name);
  const pm_value *id = pm_json_find(v->d->config, key);
  if (pm_json_list(id)->n) id = pm_json_list(id)->items;
  snprintf(key, sizeof key, "%s_token", name);
  const pm_value *token = pm_json_find(side, key);
  const char *text = pm_json_text(token ? token->kind == PM_DICT ? pm_json_find(token, "content") : token : NULL);
  uint64_t found = v->n;
  if (!pm_json_whole(id, &found))
    for (uint32_t i = 0; text && i < v->n && found == v->n; i++)
      if (!strcmp(v->tokens[i], text)) found = i;
  if (found >= v->n) return;
  snprintf(gguf, sizeof gguf, "tokenizer.ggml.%s_token_id", !strcmp(name, "pad") ? "padding" : name);
  pm_gguf_put_u32(v->d->metas, gguf, (uint32_t)found);
}

static void put_flag(pm_folder *d, const pm_value *side, const char *name) {
  char key[64];
  const pm_value *v = pm_json_find(side, name);
  snprintf(key, sizeof key, "tokenizer.ggml.%s", name);
  if (v && v->kind == PM_BOOL) pm_gguf_put_bool(d->metas, key, v->truth);
}

static pm_status read_text(pm_folder *d, pm_file *file, char **out) {
  size_t n = (size_t)pm_file_bytes(file);
  if (pm_file_bytes(file) > MAX_TEMPLATE) PM_FAIL(PM_ERR_FORMAT, "%s: a template of %zu bytes is too long", pm_file_path(file), n);
  *out = pm_arena_alloc(&d->scratch, n + 1);
  return *out ? pm_file_read(file, 0, *out, n) : out_of_memory(d);
}

// A text, or a list of texts with names, of which one is "default"; in newer folders a file of its own.
static pm_status put_template(pm_folder *d, const pm_value *side) {
  const pm_value *v = pm_json_find(side, "chat_template");
  const char *text = pm_json_text(v), *path = pm_arena_printf(&d->scratch, "%s/%s", d->path, TEMPLATE_NAME);
  const pm_list *list = pm_json_list(v);
  for (size_t i = 0; i < list->n; i++) {
    const pm_value *t = &list->items[i];
    const char *name = pm_json_text(pm_json_find(t, "name"));
    if (name && !strcmp(name, "default")) text = pm_json_text(pm_json_find(t, "template"));
  }
  if (!path) return out_of_memory(d);
  if (!text && pm_file_exists(path)) {
    pm_file *file;
    char *read = NULL;
    PM_TRY(pm_file_open(path, &file));
    pm_status status = read_text(d, file, &read);
    pm_file_close(file);
    PM_TRY(status);
    text = read;
  }
  if (text) pm_gguf_put_string(d->metas, "tokenizer.chat_template", text);
  return PM_OK;
}

pm_status pm_folder_put_tokenizer(pm_folder *d) {
  const pm_value *root, *side, *model, *vocab, *added;
  PM_TRY(pm_folder_json(d, FILE_NAME, &root));
  PM_TRY(pm_folder_json(d, CONFIG_NAME, &side));
  if (!root) PM_FAIL(PM_ERR_UNSUPPORTED, "%s: %s is missing; other forms of vocabularies cannot be read", d->path, FILE_NAME);
  model = pm_json_find(root, "model");
  const char *type = pm_json_text(pm_json_find(model, "type"));
  if (!type || strcmp(type, "BPE") != 0) return wrong(d, "model.type", "BPE");
  vocab = pm_json_find(model, "vocab"), added = pm_json_find(root, "added_tokens");
  if (!vocab || vocab->kind != PM_DICT) return wrong(d, "model.vocab", "an object");
  if (added && added->kind != PM_LIST) return wrong(d, "added_tokens", "a list");
  vocabulary v = {.d = d};
  pm_gguf_put_string(d->metas, "tokenizer.ggml.model", "gpt2");
  PM_TRY(put_splitter(d, root, model));
  PM_TRY(read_tokens(&v, vocab->dict, pm_json_list(added)));
  PM_TRY(put_merges(d, pm_json_find(model, "merges")));
  put_special(&v, side, "bos");
  put_special(&v, side, "eos");
  put_special(&v, side, "pad");
  put_flag(d, side, "add_bos_token");
  put_flag(d, side, "add_eos_token");
  return put_template(d, side);
}
