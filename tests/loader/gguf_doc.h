// A GGUF file taken apart, to be put together again wrongly. It trusts what it reads: for files that are known to be good.
#ifndef PM_TEST_GGUF_DOC_H
#define PM_TEST_GGUF_DOC_H

#include <stddef.h>
#include <stdint.h>

enum { DOC_U8, DOC_I8, DOC_U16, DOC_I16, DOC_U32, DOC_I32, DOC_F32, DOC_BOOL, DOC_STRING, DOC_ARRAY, DOC_U64, DOC_I64, DOC_F64 };

typedef struct doc_text {
  const char *text;
  uint64_t bytes;  // that are written
  uint64_t claim;  // the length that is written before them
} doc_text;

typedef struct doc_key {
  doc_text key;
  uint32_t type;
  const uint8_t *value;  // as it stands in the file
  size_t bytes;
} doc_key;

typedef struct doc_tensor {
  doc_text name;
  uint32_t n_dim, n_dim_claim;
  uint64_t ne[4];
  uint32_t type;
  uint64_t offset;  // as written; the data goes where it should
  const uint8_t *data;
  size_t bytes;
} doc_tensor;

// Places in the written file, each the first of its kind.
typedef enum doc_place {
  AT_MAGIC,
  AT_VERSION,
  AT_TENSOR_COUNT,
  AT_KEY_COUNT,
  AT_KEY,
  AT_VALUE_TYPE,
  AT_STRING,
  AT_NUMBER,
  AT_ARRAY,
  AT_TENSOR,
  AT_TENSOR_DIMS,
  AT_DATA,
  AT_END,
  N_DOC_PLACE
} doc_place;

typedef struct gguf_doc {
  char magic[4];
  uint32_t version;
  uint64_t tensor_count, key_count;  // as written
  doc_key keys[128];
  size_t n_key;
  doc_tensor tensors[512];
  size_t n_tensor;
  uint64_t place[N_DOC_PLACE];  // of the last doc_write
  void *owned[64];
  size_t n_owned;
} gguf_doc;

gguf_doc *doc_read(const char *path);  // ends the program if it cannot
void doc_free(gguf_doc *d);

// The key must exist; NULL-free names only.
doc_key *doc_find_key(gguf_doc *d, const char *key);
doc_tensor *doc_find_tensor(gguf_doc *d, const char *name);
void doc_remove_key(gguf_doc *d, const char *key);
void doc_remove_tensor(gguf_doc *d, const char *name);

// Replaces the value, or appends the key. The bytes are copied.
void doc_set(gguf_doc *d, const char *key, uint32_t type, const void *value, size_t bytes);
void doc_set_u32(gguf_doc *d, const char *key, uint32_t v);
void doc_set_string(gguf_doc *d, const char *key, const char *v);
void doc_set_array(gguf_doc *d, const char *key, uint32_t element, uint64_t count, const void *values, size_t bytes);

// Lays the data out and fills the offsets and the counts; afterwards fields may be spoiled.
void doc_arrange(gguf_doc *d);
uint8_t *doc_bytes(gguf_doc *d, size_t *n);  // free() it
void doc_save(const char *path, const void *bytes, size_t n);

#endif
