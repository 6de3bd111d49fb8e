// A model file (or a set of split files, or a folder) as a neutral directory: typed metadata and tensors. File types are rows of one table
// in model_file.c: GGUF, and Hugging Face folders. Everything here treats the file as hostile.
#ifndef PM_MODEL_FILE_H
#define PM_MODEL_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "formats.h"
#include "fp8.h"
#include "status.h"

typedef struct pm_model_file pm_model_file;

typedef enum pm_meta_type {
  PM_META_U8,
  PM_META_I8,
  PM_META_U16,
  PM_META_I16,
  PM_META_U32,
  PM_META_I32,
  PM_META_F32,
  PM_META_BOOL,
  PM_META_STRING,
  PM_META_ARRAY,
  PM_META_U64,
  PM_META_I64,
  PM_META_F64
} pm_meta_type;  // GGUF value types

typedef struct pm_meta {
  const char *key;
  pm_meta_type type;
  pm_meta_type element;  // of an array
  uint64_t count;        // of an array; 1 otherwise
} pm_meta;

typedef struct pm_file_place {
  uint32_t shard;
  uint64_t offset;  // in the shard's file
} pm_file_place;

typedef struct pm_file_tensor {
  const char *name;
  uint32_t type;  // id in formats.def; checked to be there
  uint32_t n_dim;
  uint64_t ne[4];  // unused dimensions are 1
  uint32_t shard;
  uint64_t offset;  // in the shard's file
  uint64_t bytes;
  const void *data;  // mapped or read bytes; NULL if the file was opened header_only, or with slabs
  // A tensor of a folder whose matrices lie apart, or are FP8 with scales that lie apart: [ne[2]] each. Otherwise NULL.
  const pm_file_place *places;  // of each matrix; `shard` and `offset` are those of the first
  const pm_slab *slabs;         // its bytes; NULL if the file was opened header_only
} pm_file_tensor;

typedef struct pm_model_file_desc {
  bool header_only;      // no tensor data; also tolerates a file whose data is not all there yet
  const uint8_t *bytes;  // header_only: the beginning of a file in memory, instead of what lies at the path
  size_t n_bytes;
  bool read;                                 // read the data into memory instead of mapping it
  bool (*progress)(void *user, float done);  // while reading; may be NULL
  void *user;
} pm_model_file_desc;

pm_status pm_model_file_open(const char *path, const pm_model_file_desc *desc, pm_model_file **out) PM_MUST_USE;
void pm_model_file_close(pm_model_file *f);
const char *pm_model_file_path(const pm_model_file *f);
uint64_t pm_model_file_bytes(const pm_model_file *f);  // of all shards

// The files of a split model; a tensor's shard is an index of these.
uint32_t pm_model_file_n_shard(const pm_model_file *f);
const char *pm_model_file_shard_path(const pm_model_file *f, uint32_t shard);

// Rows `row` .. row + n_row - 1 of matrix `slab` as floats: dst [n_row][ne[0]]. Not of a file that was opened header_only.
void pm_file_tensor_floats(const pm_file_tensor *t, uint64_t slab, uint64_t row, uint64_t n_row, float *dst);

// Asks the system to read a tensor's bytes into the page cache, now and in one go; or to drop them from there and from this process:
// whoever looks at them again waits for the disk. No effect on a file that was read into memory.
void pm_model_file_will_need(const pm_model_file *f, const pm_file_tensor *t);
void pm_model_file_dont_need(const pm_model_file *f, const pm_file_tensor *t);

// Metadata in file order; find: NULL if absent.
uint64_t pm_model_file_n_meta(const pm_model_file *f);
const pm_meta *pm_model_file_meta(const pm_model_file *f, uint64_t i);
const pm_meta *pm_model_file_find_meta(const pm_model_file *f, const char *key);

// Typed values: any integer type in range is accepted for integers, f32/f64 (and integers) for floats, which must be finite (infinities are
// accepted in arrays). Absent key: `*out` keeps its value and PM_OK is returned (the default is what was there). Wrong type or range:
// PM_ERR_FORMAT naming file, key and what was expected. `index` is the element of an array; for a scalar any index gives the scalar
// (per-layer values may be either).
pm_status pm_meta_u32(const pm_model_file *f, const char *key, uint64_t index, uint32_t *out) PM_MUST_USE;
pm_status pm_meta_i64(const pm_model_file *f, const char *key, uint64_t index, int64_t *out) PM_MUST_USE;
pm_status pm_meta_f32(const pm_model_file *f, const char *key, uint64_t index, float *out) PM_MUST_USE;
pm_status pm_meta_bool(const pm_model_file *f, const char *key, uint64_t index, bool *out) PM_MUST_USE;
// Bytes of a string (not terminated, may hold any byte); they live as long as the file.
pm_status pm_meta_string(const pm_model_file *f, const char *key, uint64_t index, const char **out, size_t *bytes) PM_MUST_USE;
// As one line of text for people, shortened to fit.
void pm_meta_print(const pm_model_file *f, const pm_meta *m, char *buf, size_t n);
const char *pm_meta_type_name(pm_meta_type t);

uint64_t pm_model_file_n_tensor(const pm_model_file *f);
const pm_file_tensor *pm_model_file_tensor(const pm_model_file *f, uint64_t i);
const pm_file_tensor *pm_model_file_find_tensor(const pm_model_file *f, const char *name);

#endif
