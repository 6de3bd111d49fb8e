// Inside of the loader: a Hugging Face folder on its way to the directory of directory.h.
#ifndef PM_FOLDER_H
#define PM_FOLDER_H

#include "directory.h"
#include "gguf_write.h"
#include "json.h"

// A tensor as a safetensors file has it.
typedef struct pm_raw_tensor {
  const char *name;
  const char *dtype;  // as written
  pm_type type;       // PM_TYPE_FP8: E4M3 values, whose scales are another tensor; PM_TYPE_NONE: not known here
  uint32_t n_dim;
  uint64_t ne[4];  // the last of the written shape first
  uint32_t shard;
  uint64_t offset, bytes;  // in the shard's file
} pm_raw_tensor;

typedef struct pm_folder {
  pm_model_file *f;
  const char *path;
  pm_arena scratch;  // until the folder is read
  pm_heap json;      // as long
  const pm_value *config;
  pm_raw_tensor *raw;
  pm_name *raw_names;
  uint64_t n_raw, capacity;
  uint32_t n_layer, n_mtp, n_expert;  // layers of the trunk, layers after it that predict more tokens, experts of a layer
  pm_gguf_writer *metas;
} pm_folder;

// Parses a file of the folder, an object; *out is NULL if it is not there. It lives as long as folder->json.
pm_status pm_folder_json(pm_folder *d, const char *name, const pm_value **out) PM_MUST_USE;

// The tensors of one shard, appended to d->raw. Their ranges are checked: inside the file (of its header alone if f->header_only), apart
// from each other, as long as type and shape say.
pm_status pm_safetensors_read(pm_folder *d, uint32_t shard) PM_MUST_USE;

const pm_raw_tensor *pm_folder_find_raw(const pm_folder *d, const char *name);

// config.json: n_layer, n_mtp and n_expert, before tensors are named; then hyper-parameters as metadata.
pm_status pm_folder_read_shape(pm_folder *d) PM_MUST_USE;
pm_status pm_folder_put_config(pm_folder *d) PM_MUST_USE;

// tokenizer.json, tokenizer_config.json and chat_template.jinja as metadata.
pm_status pm_folder_put_tokenizer(pm_folder *d) PM_MUST_USE;

// The directory's tensors and their sources from the raw ones: names of one kind become names of the other, experts become one tensor.
pm_status pm_folder_name_tensors(pm_folder *d) PM_MUST_USE;

#endif
