// A model file with metadata and no tensors, made key by key, for vocabularies that are small, odd or wrong.
#ifndef PM_TEST_META_DOC_H
#define PM_TEST_META_DOC_H

#include "model_file.h"

typedef struct meta_doc {  // zeroed = empty
  uint8_t *bytes;          // the keys and values as they will stand in the file
  size_t n, capacity;
  uint64_t n_key;
} meta_doc;

void meta_string(meta_doc *d, const char *key, const char *text);
void meta_u32(meta_doc *d, const char *key, uint32_t v);
void meta_bool(meta_doc *d, const char *key, bool v);
void meta_strings(meta_doc *d, const char *key, const char *const *texts, size_t n);
void meta_i32s(meta_doc *d, const char *key, const int32_t *values, size_t n);
void meta_f32s(meta_doc *d, const char *key, const float *values, size_t n);

// Writes the file, opens it and removes it; frees what `d` holds. Here and above, what cannot be done ends the program.
pm_model_file *meta_open(meta_doc *d);

#endif
