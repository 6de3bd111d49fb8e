// Writing GGUF v3 files: metadata and tensor infos first, then the data, streamed.
#ifndef PM_GGUF_WRITE_H
#define PM_GGUF_WRITE_H

#include "model_file.h"

typedef struct pm_gguf_writer pm_gguf_writer;

pm_status pm_gguf_writer_open(const char *path, pm_gguf_writer **out) PM_MUST_USE;  // path NULL: only a header, for take_header
// Metadata; call before the first data. Errors are latched until pm_gguf_writer_commit.
void pm_gguf_set_alignment(pm_gguf_writer *w, uint32_t alignment);  // of the data, a power of two; 32 unless set; before the tensors
void pm_gguf_put_u32(pm_gguf_writer *w, const char *key, uint32_t v);
void pm_gguf_put_f32(pm_gguf_writer *w, const char *key, float v);
void pm_gguf_put_bool(pm_gguf_writer *w, const char *key, bool v);
void pm_gguf_put_string(pm_gguf_writer *w, const char *key, const char *v);
void pm_gguf_put_strings(pm_gguf_writer *w, const char *key, const char *const *v, uint64_t n);
void pm_gguf_put_i32s(pm_gguf_writer *w, const char *key, const int32_t *v, uint64_t n);
void pm_gguf_put_meta(pm_gguf_writer *w, const pm_model_file *f, const pm_meta *m);  // as it is in another file
void pm_gguf_put_tensor(pm_gguf_writer *w, const char *name, pm_type type, uint32_t n_dim, const uint64_t *ne);
// Data of the tensors in the order of their put_tensor calls; may come in pieces. Padding is added here.
void pm_gguf_put_data(pm_gguf_writer *w, const void *src, size_t bytes);
// The first failure so far, with its message: worth a look now and then while much data is still to come.
pm_status pm_gguf_writer_status(const pm_gguf_writer *w) PM_MUST_USE;
pm_status pm_gguf_writer_commit(pm_gguf_writer *w) PM_MUST_USE;  // frees w in any case
// Of a writer without a path: what would stand before the data, to be freed with pm_free. Frees w in any case.
pm_status pm_gguf_writer_take_header(pm_gguf_writer *w, uint8_t **bytes, size_t *n) PM_MUST_USE;
void pm_gguf_writer_abandon(pm_gguf_writer *w);

#endif
