#define _GNU_SOURCE  // nftw
#include "corrupt.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// ---- edits of the document -----------------------------------------------------------------------------------------

static void set_magic(gguf_doc *d, const corruption *c) { memcpy(d->magic, c->text, 4); }
static void set_version(gguf_doc *d, const corruption *c) { d->version = (uint32_t)c->n; }
static void set_tensor_count(gguf_doc *d, const corruption *c) { d->tensor_count = c->n; }
static void add_tensor_count(gguf_doc *d, const corruption *c) { d->tensor_count += c->n; }
static void set_key_count(gguf_doc *d, const corruption *c) { d->key_count = c->n; }

static void set_key_text(gguf_doc *d, const corruption *c) { d->keys[1].key = (doc_text){c->text, c->n, c->n}; }
static void set_key_claim(gguf_doc *d, const corruption *c) { d->keys[1].key.claim = c->n; }
static void set_value_type(gguf_doc *d, const corruption *c) { doc_find_key(d, c->text)->type = (uint32_t)c->n; }
static void duplicate_key(gguf_doc *d, const corruption *c) { d->keys[d->n_key] = *doc_find_key(d, c->text), d->key_count = ++d->n_key; }

static void remove_key(gguf_doc *d, const corruption *c) { doc_remove_key(d, c->text); }
static void set_u32(gguf_doc *d, const corruption *c) { doc_set_u32(d, c->text, (uint32_t)c->n); }
static void set_f32(gguf_doc *d, const corruption *c) {
  uint32_t bits = (uint32_t)c->n;
  doc_set(d, c->text, DOC_F32, &bits, 4);
}
static void set_string(gguf_doc *d, const corruption *c) { doc_set_string(d, c->text, "nonsense"); }
static void set_string_length(gguf_doc *d, const corruption *c) { doc_set(d, c->text, DOC_STRING, &c->n, 8); }
static void set_array_of_arrays(gguf_doc *d, const corruption *c) { doc_set_array(d, c->text, DOC_ARRAY, c->n, "", 0); }
static void set_array_type(gguf_doc *d, const corruption *c) { doc_set_array(d, c->text, (uint32_t)c->n, 1, "abcd", 4); }
static void set_array_count(gguf_doc *d, const corruption *c) { doc_set_array(d, c->text, DOC_U32, c->n, "abcd", 4); }
static void set_strings_count(gguf_doc *d, const corruption *c) { doc_set_array(d, c->text, DOC_STRING, c->n, "\1\0\0\0\0\0\0\0a", 9); }
static void set_nonsense_strings(gguf_doc *d, const corruption *c) {
  uint8_t strings[4 * 16];  // n times "nonsense"
  for (uint64_t i = 0; i < c->n; i++) memcpy(strings + 16 * i, "\10\0\0\0\0\0\0\0nonsense", 16);
  doc_set_array(d, c->text, DOC_STRING, c->n, strings, 16 * c->n);
}
static void set_numbers(gguf_doc *d, const corruption *c) {
  doc_set_array(d, c->text, DOC_I32, c->n, "\1\0\0\0\1\0\0\0\1\0\0\0", 4 * c->n);
}

static void remove_tensor(gguf_doc *d, const corruption *c) { doc_remove_tensor(d, c->text); }
static void set_name_length(gguf_doc *d, const corruption *c) {
  static const char LONG[] = "0123456789012345678901234567890123456789012345678901234567890123456789";
  d->tensors[1].name = (doc_text){LONG, c->n, c->n};
}
static void set_name_text(gguf_doc *d, const corruption *c) { d->tensors[1].name = (doc_text){c->text, c->n, c->n}; }
static void duplicate_tensor(gguf_doc *d, const corruption *c) { d->tensors[c->n].name = d->tensors[c->n - 1].name; }
static void set_n_dim(gguf_doc *d, const corruption *c) { doc_find_tensor(d, c->text)->n_dim_claim = (uint32_t)c->n; }
static void set_ne0(gguf_doc *d, const corruption *c) { doc_find_tensor(d, c->text)->ne[0] = c->n; }
static void set_ne1(gguf_doc *d, const corruption *c) { doc_find_tensor(d, c->text)->ne[1] = c->n; }
static void set_ne01(gguf_doc *d, const corruption *c) { doc_find_tensor(d, c->text)->ne[0] = doc_find_tensor(d, c->text)->ne[1] = c->n; }
static void flatten(gguf_doc *d, const corruption *c) {
  doc_tensor *t = doc_find_tensor(d, c->text);
  t->ne[1] *= t->ne[2], t->n_dim = t->n_dim_claim = 2;
}
static void set_type(gguf_doc *d, const corruption *c) { doc_find_tensor(d, c->text)->type = (uint32_t)c->n; }
static void set_offset(gguf_doc *d, const corruption *c) { doc_find_tensor(d, c->text)->offset = c->n; }
static void add_offset(gguf_doc *d, const corruption *c) { doc_find_tensor(d, c->text)->offset += c->n; }

// ---- what is done to the file --------------------------------------------------------------------------------------

static void save_whole(gguf_doc *d, const corruption *c, char *path) {
  (void)c;
  size_t n;
  uint8_t *bytes = doc_bytes(d, &n);
  doc_save(path, bytes, n);
  free(bytes);
}

// Cut at a place (low byte of n), plus so many bytes (the rest, signed).
#define CUT(place, more) (uint64_t)((uint64_t)(place) | (uint64_t)(int64_t)(more) << 8)
static void save_cut(gguf_doc *d, const corruption *c, char *path) {
  size_t n;
  uint8_t *bytes = doc_bytes(d, &n);
  doc_save(path, bytes, (size_t)(d->place[c->n & 255] + (uint64_t)((int64_t)c->n >> 8)));
  free(bytes);
}

static void save_text(gguf_doc *d, const corruption *c, char *path) {
  (void)d;
  doc_save(path, c->text, c->n);
}

static void save_folder(gguf_doc *d, const corruption *c, char *path) {
  (void)d, (void)c;
  mkdir(path, 0777);
}

static void save_nothing(gguf_doc *d, const corruption *c, char *path) { (void)d, (void)c, (void)path; }

// ---- split sets ----------------------------------------------------------------------------------------------------

static void shard_path(const char *model, uint32_t no, uint32_t count, char out[CORRUPT_PATH]) {
  int stem = (int)(strlen(model) - strlen(".gguf"));
  snprintf(out, CORRUPT_PATH, "%.*s-%05u-of-%05u.gguf", stem, model, no + 1, count);
}

static void set_u16(gguf_doc *d, const char *key, uint32_t v) { doc_set(d, key, DOC_U16, &v, 2); }

// A document with the tensors of one shard; it borrows from `d`.
static gguf_doc *take_shard(const gguf_doc *d, uint32_t no, uint32_t count) {
  gguf_doc *s = malloc(sizeof *s);
  if (!s) abort();
  *s = *d;
  s->n_owned = 0;
  size_t first = d->n_tensor * no / count;
  s->n_tensor = d->n_tensor * (no + 1) / count - first;
  memmove(s->tensors, s->tensors + first, s->n_tensor * sizeof *s->tensors);
  if (no) s->n_key = 0;
  uint32_t total = (uint32_t)d->n_tensor;
  set_u16(s, "split.no", no);
  set_u16(s, "split.count", count);
  doc_set(s, "split.tensors.count", DOC_I32, &total, 4);
  return s;
}

static void save_shard(gguf_doc *s, const char *model, uint32_t no, uint32_t count) {
  char path[CORRUPT_PATH];
  shard_path(model, no, count, path);
  save_whole(s, NULL, path);
  doc_free(s);
}

void corrupt_write_set(gguf_doc *d, char path[CORRUPT_PATH], uint32_t n) {
  char first[CORRUPT_PATH];
  for (uint32_t i = 0; i < n; i++) save_shard(take_shard(d, i, n), path, i, n);
  shard_path(path, 0, n, first);
  memcpy(path, first, sizeof first);
}

enum { SET = 3 };

static void save_set_missing(gguf_doc *d, const corruption *c, char *path) {
  char gone[CORRUPT_PATH];
  shard_path(path, (uint32_t)c->n, SET, gone);
  corrupt_write_set(d, path, SET);
  unlink(gone);
}

// File n is a link to file n - 1: following the set goes round in a circle.
static void save_set_cyclic(gguf_doc *d, const corruption *c, char *path) {
  char from[CORRUPT_PATH], to[CORRUPT_PATH];
  shard_path(path, (uint32_t)c->n, SET, from);
  shard_path(path, (uint32_t)c->n - 1, SET, to);
  corrupt_write_set(d, path, SET);
  unlink(from);
  if (symlink(strrchr(to, '/') + 1, from) != 0) abort();
}

static void save_set_from_second(gguf_doc *d, const corruption *c, char *path) {
  char second[CORRUPT_PATH];
  shard_path(path, (uint32_t)c->n, SET, second);
  corrupt_write_set(d, path, SET);
  memcpy(path, second, sizeof second);
}

static void save_set_misnamed(gguf_doc *d, const corruption *c, char *path) {
  (void)c;
  gguf_doc *s = take_shard(d, 0, SET);
  save_whole(s, NULL, path);
  doc_free(s);
}

// A key of the second file is not what it should be.
static void save_set_key(gguf_doc *d, const corruption *c, char *path) {
  char model[CORRUPT_PATH];
  memcpy(model, path, sizeof model);
  corrupt_write_set(d, path, SET);
  gguf_doc *s = take_shard(d, 1, SET);
  set_u16(s, c->text, (uint32_t)c->n);
  save_shard(s, model, 1, SET);
}

static void save_set_first_key(gguf_doc *d, const corruption *c, char *path) {
  char model[CORRUPT_PATH];
  memcpy(model, path, sizeof model);
  corrupt_write_set(d, path, SET);
  gguf_doc *s = take_shard(d, 0, SET);
  doc_set(s, c->text, DOC_I32, &c->n, 4);
  save_shard(s, model, 0, SET);
}

// The second file begins with a tensor that the first one has, too.
static void save_set_twice(gguf_doc *d, const corruption *c, char *path) {
  char model[CORRUPT_PATH];
  memcpy(model, path, sizeof model);
  corrupt_write_set(d, path, SET);
  gguf_doc *s = take_shard(d, 1, SET);
  s->tensors[c->n].name = d->tensors[0].name;
  save_shard(s, model, 1, SET);
}

static void save_set_spoiled(gguf_doc *d, const corruption *c, char *path) {
  char spoiled[CORRUPT_PATH];
  shard_path(path, (uint32_t)c->n, SET, spoiled);
  corrupt_write_set(d, path, SET);
  if (c->text)
    doc_save(spoiled, c->text, strlen(c->text));
  else if (truncate(spoiled, 5000) != 0)
    abort();
}

// ---- the list ------------------------------------------------------------------------------------------------------

#define FILE_ROW(name, status, word, word2, edit, text, n) \
  { name, CORRUPT_FILE, PM_ERR_##status, {word, word2}, edit, save_whole, text, n }
#define SAVE_ROW(name, status, word, word2, save, text, n) \
  { name, CORRUPT_FILE, PM_ERR_##status, {word, word2}, NULL, save, text, n }
#define MODEL_ROW(name, status, word, word2, edit, text, n) \
  { name, CORRUPT_MODEL, PM_ERR_##status, {word, word2}, edit, save_whole, text, n }
#define CUT_ROW(name, word, place, more) \
  { "cut-" name, CORRUPT_FILE, PM_ERR_FORMAT, {word}, NULL, save_cut, NULL, CUT(place, more) }

static const corruption ROWS[] = {
    SAVE_ROW("no-file", IO, "No such file", NULL, save_nothing, NULL, 0),
    SAVE_ROW("folder", IO, NULL, NULL, save_folder, NULL, 0),
    SAVE_ROW("empty", FORMAT, "empty", NULL, save_text, "", 0),
    SAVE_ROW("one-byte", FORMAT, "not a GGUF file", NULL, save_text, "G", 1),
    SAVE_ROW("text", FORMAT, "not a GGUF file", "Once upo", save_text, "Once upon a time", 16),
    SAVE_ROW("zip", FORMAT, "zip archive", NULL, save_text, "PK\3\4\0\0\0\0", 8),
    SAVE_ROW("safetensors", FORMAT, "safetensors", NULL, save_text, "\2\0\0\0\0\0\0\0{\"a\":1}", 15),
    SAVE_ROW("lfs-pointer", FORMAT, "Git LFS", NULL, save_text, "version https://git-lfs.github.com/spec/v1\n", 43),
    SAVE_ROW("web-page", FORMAT, "web page", NULL, save_text, "<!DOCTYPE html><html>", 21),

    CUT_ROW("magic", "not a GGUF file", AT_MAGIC, 3),
    CUT_ROW("version", "version", AT_VERSION, 2),
    CUT_ROW("before-counts", "tensor count", AT_TENSOR_COUNT, 0),
    CUT_ROW("tensor-count", "tensor count", AT_TENSOR_COUNT, 5),
    CUT_ROW("key-count", "metadata count", AT_KEY_COUNT, 7),
    CUT_ROW("before-keys", "header: tensor count", AT_KEY, 0),
    CUT_ROW("key", "header", AT_KEY, 12),
    CUT_ROW("value-type", "header", AT_VALUE_TYPE, 1),
    CUT_ROW("string-length", "header", AT_STRING, 4),
    CUT_ROW("string", "header", AT_STRING, 10),
    CUT_ROW("number", "header", AT_NUMBER, 2),
    CUT_ROW("array-head", "tokenizer.ggml.tokens", AT_ARRAY, 6),
    CUT_ROW("array-strings", "tokenizer.ggml.tokens", AT_ARRAY, 100),
    CUT_ROW("before-tensors", "tensor 0", AT_TENSOR, 0),
    CUT_ROW("tensor-name", "tensor 0", AT_TENSOR, 11),
    CUT_ROW("tensor-dims", "token_embd.weight", AT_TENSOR_DIMS, 3),
    CUT_ROW("tensor-ne", "token_embd.weight", AT_TENSOR_DIMS, 9),
    CUT_ROW("tensor-type", "token_embd.weight", AT_TENSOR_DIMS, 22),
    CUT_ROW("tensor-offset", "token_embd.weight", AT_TENSOR_DIMS, 30),
    CUT_ROW("before-data", "bytes", AT_DATA, 0),
    CUT_ROW("data", "token_embd.weight", AT_DATA, 100),
    CUT_ROW("last-byte", "ffn_down_shexp", AT_END, -1),

    FILE_ROW("wrong-magic", FORMAT, "not a GGUF file", "GGUX", set_magic, "GGUX", 0),
    FILE_ROW("version-0", FORMAT, "version 0", NULL, set_version, NULL, 0),
    FILE_ROW("version-1", UNSUPPORTED, "version 1", NULL, set_version, NULL, 1),
    FILE_ROW("version-4", UNSUPPORTED, "version 4", NULL, set_version, NULL, 4),
    FILE_ROW("big-endian", UNSUPPORTED, "big-endian", NULL, set_version, NULL, 0x03000000),
    FILE_ROW("tensor-count-negative", FORMAT, "tensor count", NULL, set_tensor_count, NULL, UINT64_MAX),
    FILE_ROW("tensor-count-huge", FORMAT, "tensor count", NULL, set_tensor_count, NULL, 1u << 30),
    FILE_ROW("tensor-count-plus-1", FORMAT, "tensor 52", NULL, add_tensor_count, NULL, 1),
    FILE_ROW("key-count-negative", FORMAT, "metadata count", NULL, set_key_count, NULL, UINT64_MAX),
    FILE_ROW("key-count-huge", FORMAT, "metadata count", NULL, set_key_count, NULL, 1u << 30),

    FILE_ROW("key-empty", FORMAT, "metadata key 1", "0 bytes", set_key_text, "", 0),
    FILE_ROW("key-nul", FORMAT, "metadata key 1", "0x00", set_key_text, "general\0name", 12),
    FILE_ROW("key-escape", FORMAT, "metadata key 1", "0x1b", set_key_text, "\33[2J", 4),
    FILE_ROW("key-length-max", FORMAT, "metadata key 1", "18446744073709551615", set_key_claim, NULL, UINT64_MAX),
    FILE_ROW("key-length-huge", FORMAT, "metadata key 1", "1073741824", set_key_claim, NULL, 1u << 30),
    FILE_ROW("key-twice", FORMAT, "deepseek2.block_count", "twice", duplicate_key, "deepseek2.block_count", 0),
    FILE_ROW("value-type-13", FORMAT, "general.name", "13", set_value_type, "general.name", 13),
    FILE_ROW("value-type-max", FORMAT, "general.name", "4294967295", set_value_type, "general.name", UINT32_MAX),
    FILE_ROW("string-length-max", FORMAT, "general.note", "18446744073709551615", set_string_length, "general.note", UINT64_MAX),
    FILE_ROW("string-length-huge", FORMAT, "general.note", "1073741823", set_string_length, "general.note", (1u << 30) - 1),
    FILE_ROW("array-of-arrays", FORMAT, "general.tags", "array", set_array_of_arrays, "general.tags", 1000),
    FILE_ROW("array-type", FORMAT, "general.tags", "99", set_array_type, "general.tags", 99),
    FILE_ROW("array-count-max", FORMAT, "general.tags", "18446744073709551615", set_array_count, "general.tags", UINT64_MAX),
    FILE_ROW("array-count-wraps", FORMAT, "general.tags", "4611686018427387905", set_array_count, "general.tags", (1ull << 62) + 1),
    FILE_ROW("array-count-huge", FORMAT, "general.tags", "536870912", set_array_count, "general.tags", 1u << 29),
    FILE_ROW("strings-count-huge", FORMAT, "general.tags", "1152921504606846976", set_strings_count, "general.tags", 1ull << 60),
    FILE_ROW("alignment-0", FORMAT, "general.alignment", "power of two", set_u32, "general.alignment", 0),
    FILE_ROW("alignment-1", FORMAT, "general.alignment", "power of two", set_u32, "general.alignment", 1),
    FILE_ROW("alignment-48", FORMAT, "general.alignment", "power of two", set_u32, "general.alignment", 48),
    FILE_ROW("alignment-huge", FORMAT, "general.alignment", "power of two", set_u32, "general.alignment", 1u << 31),
    FILE_ROW("alignment-other", FORMAT, "output_norm.weight", "multiple of 4096", set_u32, "general.alignment", 4096),
    FILE_ROW("alignment-string", FORMAT, "general.alignment", "string", set_string, "general.alignment", 0),

    FILE_ROW("tensor-name-empty", FORMAT, "tensor 1", "0 bytes", set_name_length, NULL, 0),
    FILE_ROW("tensor-name-64", FORMAT, "tensor 1", "64 bytes", set_name_length, NULL, 64),
    FILE_ROW("tensor-name-nul", FORMAT, "tensor 1", "0x00", set_name_text, "out\0put", 7),
    FILE_ROW("tensor-twice", FORMAT, "occurs twice", "token_embd.weight", duplicate_tensor, NULL, 1),
    FILE_ROW("dims-0", FORMAT, "output.weight", "0 dimensions", set_n_dim, "output.weight", 0),
    FILE_ROW("dims-5", FORMAT, "output.weight", "5 dimensions", set_n_dim, "output.weight", 5),
    FILE_ROW("dims-max", FORMAT, "output.weight", "4294967295 dimensions", set_n_dim, "output.weight", UINT32_MAX),
    FILE_ROW("ne-0", FORMAT, "output.weight", "dimension 1 is 0", set_ne1, "output.weight", 0),
    FILE_ROW("ne-max", FORMAT, "output.weight", "63 bits", set_ne1, "output.weight", UINT64_MAX),
    FILE_ROW("ne-overflow", FORMAT, "output.weight", "63 bits", set_ne01, "output.weight", 1ull << 32),
    FILE_ROW("ne-huge", FORMAT, "output.weight", "data ends", set_ne1, "output.weight", 1ull << 40),
    FILE_ROW("bytes-overflow", FORMAT, "output_norm.weight", "address", set_ne0, "output_norm.weight", 1ull << 62),
    FILE_ROW("row-not-blocks", FORMAT, "output.weight", "multiple of 256", set_ne0, "output.weight", 255),
    FILE_ROW("type-removed", UNSUPPORTED, "output.weight", "type id 4", set_type, "output.weight", 4),
    FILE_ROW("type-fork", UNSUPPORTED, "output.weight", "type id 137", set_type, "output.weight", 137),
    FILE_ROW("type-max", UNSUPPORTED, "output.weight", "type id 4294967295", set_type, "output.weight", UINT32_MAX),
    FILE_ROW("offset-odd", FORMAT, "output.weight", "multiple of 32", add_offset, "output.weight", 1),
    FILE_ROW("offset-wraps", FORMAT, "output.weight", "offset", set_offset, "output.weight", UINT64_MAX - 31),
    FILE_ROW("offset-far", FORMAT, "output.weight", "data ends", set_offset, "output.weight", 1ull << 40),
    FILE_ROW("overlap-same", FORMAT, "output.weight", "overlaps", set_offset, "output.weight", 0),
    FILE_ROW("overlap-part", FORMAT, "output.weight", "overlaps", add_offset, "output.weight", 32),

    SAVE_ROW("set-missing-2", IO, "00002-of-00003", "split.count", save_set_missing, NULL, 1),
    SAVE_ROW("set-missing-3", IO, "00003-of-00003", "split.count", save_set_missing, NULL, 2),
    SAVE_ROW("set-cyclic-1", FORMAT, "split.no is 0", "00002-of-00003", save_set_cyclic, NULL, 1),
    SAVE_ROW("set-cyclic-2", FORMAT, "split.no is 1", "00003-of-00003", save_set_cyclic, NULL, 2),
    SAVE_ROW("set-from-second", ARGUMENT, "00001-of-00003", NULL, save_set_from_second, NULL, 1),
    SAVE_ROW("set-misnamed", FORMAT, "split.count", "-00001-of-00003.gguf", save_set_misnamed, NULL, 0),
    SAVE_ROW("set-count-differs", FORMAT, "split.count is 4", "00002-of-00003", save_set_key, "split.count", 4),
    SAVE_ROW("set-count-more", FORMAT, "split.count is 4", "of-00004", save_set_first_key, "split.count", 4),
    SAVE_ROW("set-tensors-fewer", FORMAT, "split.tensors.count", NULL, save_set_first_key, "split.tensors.count", 7),
    SAVE_ROW("set-count-huge", FORMAT, "split.count", NULL, save_set_first_key, "split.count", 70000),
    SAVE_ROW("set-count-negative", FORMAT, "split.count", NULL, save_set_first_key, "split.count", UINT32_MAX),
    SAVE_ROW("set-no-negative", FORMAT, "split.no", NULL, save_set_first_key, "split.no", UINT32_MAX),
    SAVE_ROW("set-tensor-twice", FORMAT, "token_embd.weight", "twice", save_set_twice, NULL, 0),
    SAVE_ROW("set-spoiled-text", FORMAT, "00002-of-00003", "not a GGUF file", save_set_spoiled, "a text", 1),
    SAVE_ROW("set-spoiled-cut", FORMAT, "00003-of-00003", "data ends", save_set_spoiled, NULL, 2),

    MODEL_ROW("arch-missing", FORMAT, "general.architecture", NULL, remove_key, "general.architecture", 0),
    MODEL_ROW("arch-unknown", UNSUPPORTED, "nonsense", NULL, set_string, "general.architecture", 0),
    MODEL_ROW("arch-number", FORMAT, "general.architecture", "string", set_u32, "general.architecture", 7),
    MODEL_ROW("no-block-count", FORMAT, "block_count", NULL, remove_key, "deepseek2.block_count", 0),
    MODEL_ROW("no-embedding-length", FORMAT, "embedding_length", NULL, remove_key, "deepseek2.embedding_length", 0),
    MODEL_ROW("no-context-length", FORMAT, "context_length", NULL, remove_key, "deepseek2.context_length", 0),
    MODEL_ROW("no-kv-lora-rank", FORMAT, "kv_lora_rank", NULL, remove_key, "deepseek2.attention.kv_lora_rank", 0),
    MODEL_ROW("no-epsilon", FORMAT, "layer_norm_rms_epsilon", NULL, remove_key, "deepseek2.attention.layer_norm_rms_epsilon", 0),
    MODEL_ROW("epsilon-nan", FORMAT, "layer_norm_rms_epsilon", NULL, set_f32, "deepseek2.attention.layer_norm_rms_epsilon", 0x7fc00000),
    MODEL_ROW("scale-infinite", FORMAT, "expert_weights_scale", NULL, set_f32, "deepseek2.expert_weights_scale", 0x7f800000),
    MODEL_ROW("block-count-0", FORMAT, "block_count", NULL, set_u32, "deepseek2.block_count", 0),
    MODEL_ROW("block-count-huge", FORMAT, "block_count", NULL, set_u32, "deepseek2.block_count", UINT32_MAX),
    MODEL_ROW("block-count-4", FORMAT, "blk.3.", NULL, set_u32, "deepseek2.block_count", 4),
    MODEL_ROW("block-count-string", FORMAT, "block_count", "integer", set_string, "deepseek2.block_count", 0),
    MODEL_ROW("embedding-length-0", FORMAT, "embedding_length", NULL, set_u32, "deepseek2.embedding_length", 0),
    MODEL_ROW("embedding-length-512", FORMAT, "token_embd.weight", "512", set_u32, "deepseek2.embedding_length", 512),
    MODEL_ROW("head-count-0", FORMAT, "head_count", NULL, set_u32, "deepseek2.attention.head_count", 0),
    MODEL_ROW("head-count-5", FORMAT, "blk.0.attn", NULL, set_u32, "deepseek2.attention.head_count", 5),
    MODEL_ROW("key-length-small", FORMAT, "key_length", NULL, set_u32, "deepseek2.attention.key_length_mla", 16),
    MODEL_ROW("rope-0", FORMAT, "rope.dimension_count", NULL, set_u32, "deepseek2.rope.dimension_count", 0),
    MODEL_ROW("rope-odd", FORMAT, "rope.dimension_count", NULL, set_u32, "deepseek2.rope.dimension_count", 15),
    MODEL_ROW("experts-used-9", FORMAT, "expert_used_count", NULL, set_u32, "deepseek2.expert_used_count", 9),
    MODEL_ROW("experts-used-0", FORMAT, "expert_used_count", NULL, set_u32, "deepseek2.expert_used_count", 0),
    MODEL_ROW("experts-huge", FORMAT, "expert_count", NULL, set_u32, "deepseek2.expert_count", 1u << 20),
    MODEL_ROW("groups-3", FORMAT, "group", NULL, set_u32, "deepseek2.expert_group_count", 3),
    MODEL_ROW("groups-used-5", FORMAT, "expert_group_used_count", NULL, set_u32, "deepseek2.expert_group_used_count", 5),
    MODEL_ROW("gating-99", FORMAT, "expert_gating_func", NULL, set_u32, "deepseek2.expert_gating_func", 99),

    MODEL_ROW("no-tokenizer-model", FORMAT, "tokenizer.ggml.model", NULL, remove_key, "tokenizer.ggml.model", 0),
    MODEL_ROW("tokenizer-unknown", UNSUPPORTED, "tokenizer.ggml.model", "nonsense", set_string, "tokenizer.ggml.model", 0),
    MODEL_ROW("pre-unknown", UNSUPPORTED, "tokenizer.ggml.pre", "nonsense", set_string, "tokenizer.ggml.pre", 0),
    MODEL_ROW("no-tokens", FORMAT, "tokenizer.ggml.tokens", NULL, remove_key, "tokenizer.ggml.tokens", 0),
    MODEL_ROW("tokens-empty", FORMAT, "tokenizer.ggml.tokens", NULL, set_nonsense_strings, "tokenizer.ggml.tokens", 0),
    MODEL_ROW("tokens-few", FORMAT, NULL, NULL, set_nonsense_strings, "tokenizer.ggml.tokens", 4),
    MODEL_ROW("tokens-numbers", FORMAT, "tokenizer.ggml.tokens", NULL, set_numbers, "tokenizer.ggml.tokens", 3),
    MODEL_ROW("token-types-few", FORMAT, "tokenizer.ggml.token_type", NULL, set_numbers, "tokenizer.ggml.token_type", 3),
    MODEL_ROW("bos-beyond", FORMAT, "tokenizer.ggml.bos_token_id", "320", set_u32, "tokenizer.ggml.bos_token_id", 320),
    MODEL_ROW("eos-beyond", FORMAT, "tokenizer.ggml.eos_token_id", NULL, set_u32, "tokenizer.ggml.eos_token_id", UINT32_MAX),
    MODEL_ROW("merges-without-space", FORMAT, "tokenizer.ggml.merges", NULL, set_nonsense_strings, "tokenizer.ggml.merges", 2),
    MODEL_ROW("merges-numbers", FORMAT, "tokenizer.ggml.merges", NULL, set_numbers, "tokenizer.ggml.merges", 3),

    MODEL_ROW("no-embedding", FORMAT, "token_embd.weight", NULL, remove_tensor, "token_embd.weight", 0),
    MODEL_ROW("no-norm", FORMAT, "output_norm.weight", NULL, remove_tensor, "output_norm.weight", 0),
    MODEL_ROW("no-experts", FORMAT, "blk.1.ffn_gate_exps.weight", NULL, remove_tensor, "blk.1.ffn_gate_exps.weight", 0),
    MODEL_ROW("embedding-319", FORMAT, "token_embd.weight", "319", set_ne1, "token_embd.weight", 319),
    MODEL_ROW("router-7", FORMAT, "blk.2.ffn_gate_inp.weight", "7", set_ne1, "blk.2.ffn_gate_inp.weight", 7),
    MODEL_ROW("down-255", FORMAT, "blk.1.ffn_down_exps.weight", "255", set_ne1, "blk.1.ffn_down_exps.weight", 255),
    MODEL_ROW("experts-flat", FORMAT, "blk.1.ffn_up_exps.weight", NULL, flatten, "blk.1.ffn_up_exps.weight", 0),
    MODEL_ROW("norm-f16", FORMAT, "output_norm.weight", "F32", set_type, "output_norm.weight", 1),
    MODEL_ROW("type-not-run", UNSUPPORTED, "blk.1.ffn_gate_exps.weight", "Q1_0", set_type, "blk.1.ffn_gate_exps.weight", 41),
};

const corruption *corrupt_row(size_t i) { return i < sizeof ROWS / sizeof *ROWS ? &ROWS[i] : NULL; }

void corrupt_make(const corruption *c, const char *source, const char *folder, char path[CORRUPT_PATH]) {
  snprintf(path, CORRUPT_PATH, "%s/%s", folder, c->name);
  mkdir(path, 0777);
  snprintf(path, CORRUPT_PATH, "%s/%s/model.gguf", folder, c->name);
  gguf_doc *d = doc_read(source);
  if (c->edit) c->edit(d, c);
  c->save(d, c, path);
  doc_free(d);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place) {
  (void)info, (void)kind, (void)place;
  return remove(path);
}

void corrupt_remove(const char *folder) { nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS); }
