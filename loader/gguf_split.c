// Sets of GGUF files: <prefix>-00001-of-00003.gguf and so on. The first shard has the model's metadata, each has tensors of its own.
#include <stdio.h>
#include <string.h>

#include "directory.h"

enum { MAX_SHARD = 65535, SUFFIX_BYTES = 64 };

typedef struct split_keys {
  int64_t no, count;  // this shard's index from 0; how many there are, 0 or 1 = a single file
  int64_t n_tensor;   // of the whole set; -1 if the file does not say
} split_keys;

static pm_status find_integer(const pm_model_file *f, const pm_gguf_part *part, const char *key, int64_t *out) {
  const pm_name *name = pm_name_find(part->meta_names, part->n_meta, key);
  return name ? pm_meta_entry_i64(f, &part->metas[name->index], 0, out) : PM_OK;
}

static pm_status read_keys(const pm_model_file *f, uint32_t shard, const pm_gguf_part *part, split_keys *keys) {
  *keys = (split_keys){.n_tensor = -1};
  PM_TRY(find_integer(f, part, "split.no", &keys->no));
  PM_TRY(find_integer(f, part, "split.count", &keys->count));
  PM_TRY(find_integer(f, part, "split.tensors.count", &keys->n_tensor));
  if (keys->no < 0 || keys->no >= MAX_SHARD)
    PM_FAIL(PM_ERR_FORMAT, "%s: split.no is %lld, expected 0 to %d", f->shards[shard].path, (long long)keys->no, MAX_SHARD - 1);
  if (keys->count < 0 || keys->count > MAX_SHARD)
    PM_FAIL(PM_ERR_FORMAT, "%s: split.count is %lld, expected 0 to %d", f->shards[shard].path, (long long)keys->count, MAX_SHARD);
  return PM_OK;
}

static void format_suffix(char buf[SUFFIX_BYTES], int64_t no, int64_t count) {
  snprintf(buf, SUFFIX_BYTES, "-%05lld-of-%05lld.gguf", (long long)no + 1, (long long)count);
}

// The path of every shard but for its suffix. The set can only be found by name.
static pm_status find_prefix(const pm_model_file *f, const split_keys *keys, int *prefix) {
  char suffix[SUFFIX_BYTES], first[SUFFIX_BYTES];
  format_suffix(suffix, keys->no, keys->count);
  format_suffix(first, 0, keys->count);
  size_t n = strlen(f->path), n_suffix = strlen(suffix);
  if (n < n_suffix || strcmp(f->path + n - n_suffix, suffix) != 0)
    PM_FAIL(PM_ERR_FORMAT, "%s: split.no is %lld and split.count is %lld, so the file's name was expected to end in %s", f->path,
            (long long)keys->no, (long long)keys->count, suffix);
  *prefix = (int)(n - n_suffix);
  if (keys->no != 0)
    PM_FAIL(PM_ERR_ARGUMENT, "%s: split.no is %lld, expected 0: open the first file of the set, %.*s%s", f->path, (long long)keys->no,
            *prefix, f->path, first);
  return PM_OK;
}

static pm_status read_later_shard(pm_model_file *f, uint32_t shard, int prefix, int64_t count, pm_gguf_part *part) {
  char suffix[SUFFIX_BYTES];
  format_suffix(suffix, shard, count);
  char *path = pm_arena_printf(&f->arena, "%.*s%s", prefix, f->path, suffix);
  if (!path) PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: split.count is %lld", f->path, (long long)count);
  pm_status status = pm_model_file_add_shard(f, path);
  if (status != PM_OK) return pm_fail_prefix(status, "%s: split.count is %lld, file %u is missing", f->path, (long long)count, shard + 1);
  PM_TRY(pm_gguf_parse(f, shard, part));
  split_keys keys;
  PM_TRY(read_keys(f, shard, part, &keys));
  if (keys.no != shard)
    PM_FAIL(PM_ERR_FORMAT, "%s: split.no is %lld, expected %u: the files of the set are misnamed or the same", path, (long long)keys.no,
            shard);
  if (keys.count != count)
    PM_FAIL(PM_ERR_FORMAT, "%s: split.count is %lld, expected %lld as in the first file", path, (long long)keys.count, (long long)count);
  return PM_OK;
}

// Puts the tensors of all parts in one table.
static pm_status join_tensors(pm_model_file *f, const pm_gguf_part *parts, uint32_t n_part) {
  for (uint32_t i = 0; i < n_part; i++) f->n_tensor += parts[i].n_tensor;
  f->tensors = pm_arena_alloc(&f->arena, f->n_tensor * sizeof *f->tensors);
  if (!f->tensors) PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: %llu tensors", f->path, (unsigned long long)f->n_tensor);
  for (uint64_t i = 0, at = 0; i < n_part; at += parts[i].n_tensor, i++)
    if (parts[i].n_tensor) memcpy(f->tensors + at, parts[i].tensors, parts[i].n_tensor * sizeof *f->tensors);
  return PM_OK;
}

pm_status pm_gguf_read(pm_model_file *f) {
  pm_gguf_part first = {0}, *parts = &first;
  split_keys keys;
  PM_TRY(pm_gguf_parse(f, 0, &first));
  PM_TRY(read_keys(f, 0, &first, &keys));
  uint32_t n_part = keys.count > 1 ? (uint32_t)keys.count : 1;
  if (n_part > 1) {
    int prefix = 0;
    PM_TRY(find_prefix(f, &keys, &prefix));
    parts = pm_arena_alloc(&f->arena, n_part * sizeof *parts);
    if (!parts) PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: split.count is %u", f->path, n_part);
    parts[0] = first;
    for (uint32_t i = 1; i < n_part; i++) PM_TRY(read_later_shard(f, i, prefix, n_part, &parts[i]));
  }
  f->metas = first.metas, f->meta_names = first.meta_names, f->n_meta = first.n_meta;
  PM_TRY(join_tensors(f, parts, n_part));
  if (keys.n_tensor >= 0 && (uint64_t)keys.n_tensor != f->n_tensor)
    PM_FAIL(PM_ERR_FORMAT, "%s: split.tensors.count is %lld, but the %u files have %llu tensors", f->path, (long long)keys.n_tensor, n_part,
            (unsigned long long)f->n_tensor);
  return PM_OK;
}
