#include "gguf_doc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 32 };

static void *keep(gguf_doc *d, const void *src, size_t bytes) {
  if (d->n_owned == sizeof d->owned / sizeof *d->owned) abort();
  void *p = malloc(bytes ? bytes : 1);
  if (!p) abort();
  if (src) memcpy(p, src, bytes);
  return d->owned[d->n_owned++] = p;
}

// ---- reading -------------------------------------------------------------------------------------------------------

static uint32_t get_u32(const uint8_t **p) {
  uint32_t v;
  memcpy(&v, *p, 4);
  *p += 4;
  return v;
}

static uint64_t get_u64(const uint8_t **p) {
  uint64_t v;
  memcpy(&v, *p, 8);
  *p += 8;
  return v;
}

static doc_text get_text(const uint8_t **p) {
  uint64_t n = get_u64(p);
  doc_text t = {(const char *)*p, n, n};
  *p += n;
  return t;
}

static const uint8_t *skip_value(const uint8_t *p, uint32_t type) {
  static const uint8_t BYTES[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  if (type == DOC_STRING) {
    get_text(&p);
  } else if (type == DOC_ARRAY) {
    uint32_t element = get_u32(&p);
    for (uint64_t n = get_u64(&p); n; n--) p = skip_value(p, element);
  } else {
    p += BYTES[type];
  }
  return p;
}

// Tensors lie in table order: each has the bytes up to the next one's start, padding included.
static void find_data(gguf_doc *d, const uint8_t *data, const uint8_t *end) {
  for (size_t i = 0; i < d->n_tensor; i++) {
    d->tensors[i].data = data + d->tensors[i].offset;
    d->tensors[i].bytes = (size_t)((i + 1 < d->n_tensor ? data + d->tensors[i + 1].offset : end) - d->tensors[i].data);
  }
}

gguf_doc *doc_read(const char *path) {
  gguf_doc *d = calloc(1, sizeof *d);
  FILE *f = fopen(path, "rb");
  if (!d || !f) abort();
  fseek(f, 0, SEEK_END);
  size_t n = (size_t)ftell(f);
  rewind(f);
  uint8_t *bytes = keep(d, NULL, n);
  if (fread(bytes, 1, n, f) != n) abort();
  fclose(f);
  const uint8_t *p = bytes + 4;
  d->version = get_u32(&p);
  d->n_tensor = get_u64(&p), d->n_key = get_u64(&p);
  for (size_t i = 0; i < d->n_key; i++) {
    d->keys[i].key = get_text(&p);
    d->keys[i].type = get_u32(&p);
    d->keys[i].value = p;
    p = skip_value(p, d->keys[i].type);
    d->keys[i].bytes = (size_t)(p - d->keys[i].value);
  }
  for (size_t i = 0; i < d->n_tensor; i++) {
    doc_tensor *t = &d->tensors[i];
    t->name = get_text(&p);
    t->n_dim = t->n_dim_claim = get_u32(&p);
    for (uint32_t k = 0; k < t->n_dim; k++) t->ne[k] = get_u64(&p);
    t->type = get_u32(&p);
    t->offset = get_u64(&p);
  }
  find_data(d, bytes + (size_t)(p - bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT, bytes + n);
  doc_arrange(d);
  return d;
}

void doc_free(gguf_doc *d) {
  for (size_t i = 0; i < d->n_owned; i++) free(d->owned[i]);
  free(d);
}

// ---- editing -------------------------------------------------------------------------------------------------------

static int same(const doc_text *t, const char *s) { return t->bytes == strlen(s) && memcmp(t->text, s, t->bytes) == 0; }

doc_key *doc_find_key(gguf_doc *d, const char *key) {
  for (size_t i = 0; i < d->n_key; i++)
    if (same(&d->keys[i].key, key)) return &d->keys[i];
  abort();
}

doc_tensor *doc_find_tensor(gguf_doc *d, const char *name) {
  for (size_t i = 0; i < d->n_tensor; i++)
    if (same(&d->tensors[i].name, name)) return &d->tensors[i];
  abort();
}

void doc_remove_key(gguf_doc *d, const char *key) {
  doc_key *k = doc_find_key(d, key);
  memmove(k, k + 1, (size_t)(d->keys + d->n_key - k - 1) * sizeof *k);
  d->n_key--;
  doc_arrange(d);
}

void doc_remove_tensor(gguf_doc *d, const char *name) {
  doc_tensor *t = doc_find_tensor(d, name);
  memmove(t, t + 1, (size_t)(d->tensors + d->n_tensor - t - 1) * sizeof *t);
  d->n_tensor--;
  doc_arrange(d);
}

void doc_set(gguf_doc *d, const char *key, uint32_t type, const void *value, size_t bytes) {
  doc_key *k = d->keys;
  while (k < d->keys + d->n_key && !same(&k->key, key)) k++;
  if (k == d->keys + d->n_key) {
    if (++d->n_key > sizeof d->keys / sizeof *d->keys) abort();
    k->key = (doc_text){keep(d, key, strlen(key)), strlen(key), strlen(key)};
  }
  k->type = type, k->value = keep(d, value, bytes), k->bytes = bytes;
  doc_arrange(d);
}

void doc_set_u32(gguf_doc *d, const char *key, uint32_t v) { doc_set(d, key, DOC_U32, &v, 4); }

void doc_set_string(gguf_doc *d, const char *key, const char *v) {
  uint64_t n = strlen(v);
  uint8_t *value = keep(d, NULL, 8 + n);
  memcpy(value, &n, 8);
  memcpy(value + 8, v, n);
  doc_set(d, key, DOC_STRING, value, 8 + n);
}

void doc_set_array(gguf_doc *d, const char *key, uint32_t element, uint64_t count, const void *values, size_t bytes) {
  uint8_t *value = keep(d, NULL, 12 + bytes);
  memcpy(value, &element, 4);
  memcpy(value + 4, &count, 8);
  if (bytes) memcpy(value + 12, values, bytes);
  doc_set(d, key, DOC_ARRAY, value, 12 + bytes);
}

// ---- writing -------------------------------------------------------------------------------------------------------

void doc_arrange(gguf_doc *d) {
  memcpy(d->magic, "GGUF", 4);
  d->tensor_count = d->n_tensor, d->key_count = d->n_key;
  uint64_t offset = 0;
  for (size_t i = 0; i < d->n_tensor; i++) {
    d->tensors[i].offset = offset;
    offset += (d->tensors[i].bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  }
}

typedef struct writer {
  uint8_t *bytes;
  size_t n, capacity;
} writer;

static void put(writer *w, const void *src, size_t n) {
  if (w->n + n > w->capacity) {
    w->capacity = 2 * (w->n + n);
    w->bytes = realloc(w->bytes, w->capacity);
    if (!w->bytes) abort();
  }
  if (n) memcpy(w->bytes + w->n, src, n);
  w->n += n;
}

static void put_text(writer *w, const doc_text *t) {
  put(w, &t->claim, 8);
  put(w, t->text, t->bytes);
}

static void pad(writer *w) {
  static const uint8_t ZEROS[ALIGNMENT];
  put(w, ZEROS, (ALIGNMENT - w->n % ALIGNMENT) % ALIGNMENT);
}

static void mark(gguf_doc *d, const writer *w, doc_place place) {
  if (!d->place[place]) d->place[place] = w->n;
}

static void put_key(gguf_doc *d, writer *w, const doc_key *k) {
  mark(d, w, AT_KEY);
  put_text(w, &k->key);
  mark(d, w, AT_VALUE_TYPE);
  put(w, &k->type, 4);
  mark(d, w, k->type == DOC_STRING ? AT_STRING : k->type == DOC_ARRAY ? AT_ARRAY : AT_NUMBER);
  put(w, k->value, k->bytes);
}

static void put_tensor(gguf_doc *d, writer *w, const doc_tensor *t) {
  mark(d, w, AT_TENSOR);
  put_text(w, &t->name);
  mark(d, w, AT_TENSOR_DIMS);
  put(w, &t->n_dim_claim, 4);
  put(w, t->ne, t->n_dim * sizeof *t->ne);
  put(w, &t->type, 4);
  put(w, &t->offset, 8);
}

uint8_t *doc_bytes(gguf_doc *d, size_t *n) {
  writer w = {0};
  memset(d->place, 0, sizeof d->place);
  put(&w, d->magic, 4);
  mark(d, &w, AT_VERSION);
  put(&w, &d->version, 4);
  mark(d, &w, AT_TENSOR_COUNT);
  put(&w, &d->tensor_count, 8);
  mark(d, &w, AT_KEY_COUNT);
  put(&w, &d->key_count, 8);
  for (size_t i = 0; i < d->n_key; i++) put_key(d, &w, &d->keys[i]);
  for (size_t i = 0; i < d->n_tensor; i++) put_tensor(d, &w, &d->tensors[i]);
  if (d->n_tensor) pad(&w);
  mark(d, &w, AT_DATA);
  for (size_t i = 0; i < d->n_tensor; i++) {
    put(&w, d->tensors[i].data, d->tensors[i].bytes);
    if (i + 1 < d->n_tensor) pad(&w);
  }
  mark(d, &w, AT_END);
  *n = w.n;
  return w.bytes;
}

void doc_save(const char *path, const void *bytes, size_t n) {
  FILE *f = fopen(path, "wb");
  if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0) abort();
}
