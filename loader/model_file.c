#include "model_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "directory.h"
#include "memory.h"

enum { READ_STEP = 16 << 20 };

// A file type: how its first bytes look, and what fills the directory from shard 0.
static const struct file_type {
  bool (*matches)(const pm_shard *shard);
  pm_status (*read)(pm_model_file *f);
} FILE_TYPES[] = {
    {pm_gguf_matches, pm_gguf_read},
    {pm_folder_matches, pm_folder_read},
};

// What people pass by mistake.
static const struct stranger {
  const char *magic;
  uint32_t at, bytes;
  const char *is;
} STRANGERS[] = {
    {"{\"", 8, 2, "a safetensors file; give the folder that it is in"},
    {"PK\x03\x04", 0, 4, "a zip archive or a PyTorch checkpoint; convert the model to GGUF"},
    {"lmgg", 0, 4, "a GGML file, older than GGUF"},
    {"tjgg", 0, 4, "a GGJT file, older than GGUF"},
    {"version https://git-lfs", 0, 23, "a Git LFS pointer; the model itself was not downloaded"},
    {"<!", 0, 2, "a web page; the download went wrong"},
    {"<html", 0, 5, "a web page; the download went wrong"},
    {"\x1f\x8b", 0, 2, "a gzip archive; unpack it first"},
    {"\x28\xb5\x2f\xfd", 0, 4, "a zstd archive; unpack it first"},
    {"\x7f"
     "ELF",
     0, 4, "a program"},
};

static pm_status refuse(const pm_shard *shard) {
  if (!shard->n_bytes) PM_FAIL(PM_ERR_FORMAT, "%s: the file is empty, a GGUF file was expected", shard->path);
  char hex[3 * 8 + 1] = "", text[8 + 1] = "";
  for (uint32_t i = 0; i < 8 && i < shard->n_bytes; i++) {
    uint8_t b = shard->bytes[i];
    snprintf(hex + 3 * i, 4, "%02x ", b);
    text[i] = b >= 0x20 && b < 0x7f ? (char)b : '.';
  }
  const char *is = NULL;
  for (size_t i = 0; i < sizeof STRANGERS / sizeof *STRANGERS && !is; i++) {
    const struct stranger *s = &STRANGERS[i];
    if (shard->n_bytes >= s->at + s->bytes && memcmp(shard->bytes + s->at, s->magic, s->bytes) == 0) is = s->is;
  }
  PM_FAIL(PM_ERR_FORMAT, "%s: not a GGUF file: it begins with %s\"%s\", expected \"GGUF\"%s%s", shard->path, hex, text,
          is ? "; it looks like " : "", is ? is : "");
}

static pm_status add_shard(pm_model_file *f, const char *path, pm_shard **out) {
  if (f->n_shard == f->shard_capacity) {
    uint32_t capacity = f->shard_capacity ? 2 * f->shard_capacity : 4;
    pm_shard *shards = pm_realloc(f->shards, capacity * sizeof *shards);
    if (!shards) PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: %u shards", path, capacity);
    f->shards = shards, f->shard_capacity = capacity;
  }
  pm_shard *s = &f->shards[f->n_shard];
  *s = (pm_shard){.path = pm_arena_strdup(&f->arena, path)};
  if (!s->path) PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: its name", path);
  f->n_shard++;
  *out = s;
  return PM_OK;
}

pm_status pm_model_file_add_shard(pm_model_file *f, const char *path) {
  pm_shard *s;
  PM_TRY(add_shard(f, path, &s));
  PM_TRY(pm_file_open(path, &s->file));
  s->n_bytes = pm_file_bytes(s->file);
  return pm_file_map(s->file, &s->bytes);
}

// ---- checks that every file type needs -----------------------------------------------------------------------------

static int compare_place(const void *a, const void *b) {
  const pm_file_tensor *x = *(pm_file_tensor *const *)a, *y = *(pm_file_tensor *const *)b;
  if (x->shard != y->shard) return x->shard < y->shard ? -1 : 1;
  return x->offset < y->offset ? -1 : x->offset > y->offset;
}

// A tensor's end fits in 64 bits: parsers keep offset and bytes below 2^63.
static pm_status check_ranges(const pm_model_file *f, bool header_only) {
  for (uint64_t i = 0; i < f->n_tensor && !header_only; i++) {
    const pm_file_tensor *t = &f->tensors[i];
    const pm_shard *s = &f->shards[t->shard];
    if (t->offset + t->bytes > s->n_bytes)
      PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s: its data ends at byte %llu, but the file has %llu bytes; is it still being downloaded?",
              s->path, t->name, (unsigned long long)(t->offset + t->bytes), (unsigned long long)s->n_bytes);
  }
  return PM_OK;
}

static pm_status check_overlap(pm_model_file *f) {
  const pm_file_tensor **order = pm_alloc_zero(f->n_tensor, sizeof(pm_file_tensor *));
  if (!order) PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: %llu tensors", f->path, (unsigned long long)f->n_tensor);
  for (uint64_t i = 0; i < f->n_tensor; i++) order[i] = &f->tensors[i];
  if (f->n_tensor) qsort(order, f->n_tensor, sizeof *order, compare_place);
  pm_status status = PM_OK;
  for (uint64_t i = 1; i < f->n_tensor && status == PM_OK; i++) {
    const pm_file_tensor *a = order[i - 1], *b = order[i];
    if (a->shard == b->shard && a->offset + a->bytes > b->offset)
      status = pm_fail(PM_ERR_FORMAT, "%s: tensor %s: its data overlaps that of tensor %s", f->shards[a->shard].path, b->name, a->name);
  }
  pm_free(order);
  return status;
}

static pm_status index_tensors(pm_model_file *f) {
  f->tensor_names = pm_arena_alloc(&f->arena, f->n_tensor * sizeof *f->tensor_names);
  if (!f->tensor_names) PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: %llu tensors", f->path, (unsigned long long)f->n_tensor);
  for (uint64_t i = 0; i < f->n_tensor; i++) f->tensor_names[i] = (pm_name){.text = f->tensors[i].name, .index = (uint32_t)i};
  return pm_name_sort(f->tensor_names, f->n_tensor, f->path, "tensor");
}

// ---- opening -------------------------------------------------------------------------------------------------------

// Replaces the mapping by a copy; the file is then no longer needed.
static pm_status read_shard(pm_shard *s, const pm_model_file_desc *desc, uint64_t before, uint64_t total) {
  s->copy = pm_alloc_aligned(s->n_bytes, PM_HUGE_PAGE);
  if (!s->copy)
    PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: reading %llu bytes; map the file instead", s->path, (unsigned long long)s->n_bytes);
  for (uint64_t at = 0; at < s->n_bytes;) {
    size_t step = s->n_bytes - at < READ_STEP ? (size_t)(s->n_bytes - at) : READ_STEP;
    PM_TRY(pm_file_read(s->file, at, s->copy + at, step));
    at += step;
    if (desc->progress && !desc->progress(desc->user, (float)((double)(before + at) / (double)total)))
      PM_FAIL(PM_ERR_CANCELLED, "%s: reading was cancelled", s->path);
  }
  pm_file_close(s->file);
  s->file = NULL, s->bytes = s->copy;
  return PM_OK;
}

static pm_status attach_data(pm_model_file *f, const pm_model_file_desc *desc) {
  uint64_t total = pm_model_file_bytes(f), before = 0;
  for (uint32_t i = 0; i < f->n_shard && desc->read; before += f->shards[i].n_bytes, i++)
    if (f->shards[i].file) PM_TRY(read_shard(&f->shards[i], desc, before, total));
  if (f->sources) return pm_folder_attach(f);
  for (uint64_t i = 0; i < f->n_tensor; i++) f->tensors[i].data = f->shards[f->tensors[i].shard].bytes + f->tensors[i].offset;
  return PM_OK;
}

// Of a folder, its config.json.
static pm_status open_first(pm_model_file *f, const char *path) {
  if (!pm_file_is_folder(path)) return pm_model_file_add_shard(f, path);
  const char *config = pm_arena_printf(&f->arena, "%s/config.json", path);
  if (!config) PM_FAIL(PM_ERR_MEMORY, "%s: out of memory: its name", path);
  return pm_model_file_add_shard(f, pm_file_exists(config) ? config : path);
}

static pm_status open_all(pm_model_file *f, const char *path, const pm_model_file_desc *desc) {
  if (desc->bytes) {
    pm_shard *s;
    PM_TRY(add_shard(f, path, &s));
    s->bytes = desc->bytes, s->n_bytes = desc->n_bytes;
  } else {
    PM_TRY(open_first(f, path));
  }
  f->path = f->shards[0].path;
  f->header_only = desc->header_only;
  const struct file_type *type = NULL;
  for (size_t i = 0; i < sizeof FILE_TYPES / sizeof *FILE_TYPES && !type; i++)
    if (FILE_TYPES[i].matches(&f->shards[0])) type = &FILE_TYPES[i];
  if (!type) return refuse(&f->shards[0]);
  PM_TRY(type->read(f));
  PM_TRY(index_tensors(f));
  if (!f->sources) PM_TRY(check_ranges(f, desc->header_only));
  if (!f->sources) PM_TRY(check_overlap(f));
  return desc->header_only ? PM_OK : attach_data(f, desc);
}

pm_status pm_model_file_open(const char *path, const pm_model_file_desc *desc, pm_model_file **out) {
  *out = NULL;
  pm_model_file *f;
  PM_NEW(&f, 1, "a model file");
  pm_status status = open_all(f, path, desc ? desc : &(pm_model_file_desc){0});
  if (status != PM_OK) {
    pm_model_file_close(f);
    return status;
  }
  *out = f;
  return PM_OK;
}

void pm_model_file_close(pm_model_file *f) {
  if (!f) return;
  for (uint32_t i = 0; i < f->n_shard; i++) {
    pm_file_close(f->shards[i].file);
    pm_free(f->shards[i].copy);
  }
  pm_free(f->shards);
  pm_arena_finish(&f->arena);
  pm_free(f);
}

// ---- what is in it -------------------------------------------------------------------------------------------------

const char *pm_model_file_path(const pm_model_file *f) { return f->path; }

uint64_t pm_model_file_bytes(const pm_model_file *f) {
  uint64_t total = 0;
  for (uint32_t i = 0; i < f->n_shard; i++) total += f->shards[i].n_bytes;
  return total;
}

uint32_t pm_model_file_n_shard(const pm_model_file *f) { return f->n_shard; }

const char *pm_model_file_shard_path(const pm_model_file *f, uint32_t shard) { return f->shards[shard].path; }

// Calls `of` for each piece of a tensor in a mapped file.
static void for_pieces(const pm_model_file *f, const pm_file_tensor *t, void (*of)(pm_file *, uint64_t, uint64_t)) {
  if (f->sources && !t->places && f->sources[t - f->tensors].stored != t->type) return;  // converted when it was opened
  const pm_file_place whole = {t->shard, t->offset}, *places = t->places ? t->places : &whole;
  uint64_t n = t->places ? t->ne[2] : 1, bytes = t->type == PM_TYPE_FP8 ? t->ne[0] * t->ne[1] : t->bytes / n;
  for (uint64_t i = 0; i < n; i++)
    if (f->shards[places[i].shard].file) of(f->shards[places[i].shard].file, places[i].offset, bytes);
}

void pm_model_file_will_need(const pm_model_file *f, const pm_file_tensor *t) { for_pieces(f, t, pm_file_will_need); }

void pm_model_file_dont_need(const pm_model_file *f, const pm_file_tensor *t) { for_pieces(f, t, pm_file_dont_need); }

void pm_file_tensor_floats(const pm_file_tensor *t, uint64_t slab, uint64_t row, uint64_t n_row, float *dst) {
  size_t row_bytes = pm_format_bytes((pm_type)t->type, t->ne[0]);
  if (t->slabs && t->slabs[slab].scales) {
    pm_fp8_unpack(&t->slabs[slab], t->ne[0], row, n_row, dst);
    return;
  }
  const char *from = t->slabs ? t->slabs[slab].data : (const char *)t->data + slab * t->ne[1] * row_bytes;
  pm_format_get((pm_type)t->type)->decode(from + row * row_bytes, dst, n_row * t->ne[0]);
}

uint64_t pm_model_file_n_meta(const pm_model_file *f) { return f->n_meta; }

const pm_meta *pm_model_file_meta(const pm_model_file *f, uint64_t i) { return &f->metas[i].meta; }

const pm_meta *pm_model_file_find_meta(const pm_model_file *f, const char *key) {
  const pm_name *name = pm_name_find(f->meta_names, f->n_meta, key);
  return name ? &f->metas[name->index].meta : NULL;
}

uint64_t pm_model_file_n_tensor(const pm_model_file *f) { return f->n_tensor; }

const pm_file_tensor *pm_model_file_tensor(const pm_model_file *f, uint64_t i) { return &f->tensors[i]; }

const pm_file_tensor *pm_model_file_find_tensor(const pm_model_file *f, const char *name) {
  const pm_name *found = pm_name_find(f->tensor_names, f->n_tensor, name);
  return found ? &f->tensors[found->index] : NULL;
}
