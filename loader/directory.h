// Inside of the loader: what a file-type parser fills and model_file.c checks and serves.
#ifndef PM_DIRECTORY_H
#define PM_DIRECTORY_H

#include "arena.h"
#include "file.h"
#include "model_file.h"

typedef struct pm_shard {
  pm_file *file;         // NULL once the file was read into `copy`
  const uint8_t *bytes;  // the mapping or the copy
  uint64_t n_bytes;
  uint8_t *copy;
  const char *path;
} pm_shard;

typedef struct pm_meta_entry {
  pm_meta meta;  // first: a const pm_meta * of the public API is one of these
  uint32_t shard;
  uint64_t at;              // byte of the (first) value in the shard, for a string of its length
  const uint64_t *strings;  // of an array of strings: the byte where each begins
} pm_meta_entry;

// Names in order, found by bisection: no hash for a hostile file to collide with, and duplicates end up side by side.
typedef struct pm_name {
  const char *text;
  uint32_t index;
} pm_name;

// Where the tensor of a folder comes from: its slabs as they are stored, FP8 with a place of its scales.
typedef struct pm_source {
  pm_type stored;
  uint32_t n;
  const pm_file_place *data, *scales;
} pm_source;

struct pm_model_file {
  const char *path;
  bool header_only;
  pm_arena arena;
  pm_shard *shards;
  uint32_t n_shard, shard_capacity;
  pm_meta_entry *metas;
  pm_name *meta_names;
  uint64_t n_meta;
  pm_file_tensor *tensors;
  pm_name *tensor_names;
  uint64_t n_tensor;
  pm_source *sources;  // [n_tensor] of a folder, whose parser checks ranges itself; otherwise NULL
};

// Opens and maps one more shard; `path` is copied.
pm_status pm_model_file_add_shard(pm_model_file *f, const char *path) PM_MUST_USE;

// Sorts names whose texts and indexes are filled in. PM_ERR_FORMAT for a text that occurs twice: "<path>: <what> <text> occurs twice".
pm_status pm_name_sort(pm_name *names, uint64_t n, const char *path, const char *what) PM_MUST_USE;
void pm_name_order(pm_name *names, uint64_t n);  // the same without a look at what occurs twice
const pm_name *pm_name_find(const pm_name *names, uint64_t n, const char *text);

// Bytes of one value in a file; of a string its length alone, of an array its element type and count.
enum { PM_META_TYPE_COUNT = PM_META_F64 + 1 };
uint32_t pm_meta_type_bytes(pm_meta_type t);

// As pm_meta_i64, for a value that was found already.
pm_status pm_meta_entry_i64(const pm_model_file *f, const pm_meta_entry *e, uint64_t index, int64_t *out) PM_MUST_USE;

// ---- GGUF ----------------------------------------------------------------------------------------------------------

bool pm_gguf_matches(const pm_shard *shard);
// Shard 0 is open: fills metas and tensors from it and from the shards it names.
pm_status pm_gguf_read(pm_model_file *f) PM_MUST_USE;

// The contents of one shard.
typedef struct pm_gguf_part {
  pm_meta_entry *metas;
  pm_name *meta_names;
  uint64_t n_meta;
  pm_file_tensor *tensors;
  uint64_t n_tensor;
} pm_gguf_part;
pm_status pm_gguf_parse(pm_model_file *f, uint32_t shard, pm_gguf_part *part) PM_MUST_USE;

// ---- Hugging Face folders ------------------------------------------------------------------------------------------

bool pm_folder_matches(const pm_shard *shard);  // shard 0 is config.json
pm_status pm_folder_read(pm_model_file *f) PM_MUST_USE;
pm_status pm_folder_attach(pm_model_file *f) PM_MUST_USE;  // the tensors' data, once the shards' bytes are where they stay

#endif
