#include "meta_doc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void must(bool done, const char *what) {
  if (done) return;
  fprintf(stderr, "meta_doc: %s\n", what);
  abort();
}

static void put(meta_doc *d, const void *src, size_t bytes) {
  if (d->n + bytes > d->capacity) {
    d->capacity = 2 * (d->n + bytes) + 1024;
    d->bytes = realloc(d->bytes, d->capacity);
    must(d->bytes, "out of memory");
  }
  if (bytes) memcpy(d->bytes + d->n, src, bytes);
  d->n += bytes;
}

static void put_u32(meta_doc *d, uint32_t v) { put(d, &v, sizeof v); }
static void put_u64(meta_doc *d, uint64_t v) { put(d, &v, sizeof v); }

static void put_text(meta_doc *d, const char *text) {
  put_u64(d, strlen(text));
  put(d, text, strlen(text));
}

static void put_key(meta_doc *d, const char *key, pm_meta_type type) {
  put_text(d, key);
  put_u32(d, type);
  d->n_key++;
}

static void put_array(meta_doc *d, const char *key, pm_meta_type element, size_t n) {
  put_key(d, key, PM_META_ARRAY);
  put_u32(d, element);
  put_u64(d, n);
}

void meta_string(meta_doc *d, const char *key, const char *text) {
  put_key(d, key, PM_META_STRING);
  put_text(d, text);
}

void meta_u32(meta_doc *d, const char *key, uint32_t v) {
  put_key(d, key, PM_META_U32);
  put_u32(d, v);
}

void meta_bool(meta_doc *d, const char *key, bool v) {
  put_key(d, key, PM_META_BOOL);
  put(d, &(uint8_t){v}, 1);
}

void meta_strings(meta_doc *d, const char *key, const char *const *texts, size_t n) {
  put_array(d, key, PM_META_STRING, n);
  for (size_t i = 0; i < n; i++) put_text(d, texts[i]);
}

void meta_i32s(meta_doc *d, const char *key, const int32_t *values, size_t n) {
  put_array(d, key, PM_META_I32, n);
  put(d, values, n * sizeof *values);
}

void meta_f32s(meta_doc *d, const char *key, const float *values, size_t n) {
  put_array(d, key, PM_META_F32, n);
  put(d, values, n * sizeof *values);
}

pm_model_file *meta_open(meta_doc *d) {
  char path[] = "/tmp/meta_doc_XXXXXX";
  int fd = mkstemp(path);
  FILE *f = fd < 0 ? NULL : fdopen(fd, "wb");
  must(f, "no temporary file");
  const uint32_t version = 3;
  const uint64_t counts[2] = {0, d->n_key};
  fwrite("GGUF", 1, 4, f);
  fwrite(&version, sizeof version, 1, f);
  fwrite(counts, sizeof counts, 1, f);
  fwrite(d->bytes, 1, d->n, f);
  must(fclose(f) == 0, "the temporary file cannot be written");
  free(d->bytes);
  *d = (meta_doc){0};
  pm_model_file *file;
  pm_status status = pm_model_file_open(path, &(pm_model_file_desc){.header_only = true}, &file);
  unlink(path);
  must(status == PM_OK, pm_fail_message());
  return file;
}
