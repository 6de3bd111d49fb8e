#include "gguf_write.h"

#include <stdio.h>
#include <string.h>

#include "directory.h"
#include "memory.h"

enum { ALIGNMENT = 32, MAX_ALIGNMENT = 64 << 10, VERSION = 3 };

typedef struct buffer {
  uint8_t *bytes;
  size_t n, capacity;
} buffer;

struct pm_gguf_writer {
  pm_file_writer *file;
  buffer metas, tensors, header;  // header: only without a file
  uint64_t *sizes;                // bytes of each tensor
  size_t n_tensor, size_capacity;
  uint64_t n_meta, offset;  // of the next tensor in the data
  uint32_t alignment;
  bool header_written;
  size_t current;    // tensor whose data comes next
  uint64_t written;  // bytes of it that came
  pm_status status;  // the first failure
  char message[512];
};

static uint64_t padded(const pm_gguf_writer *w, uint64_t n) { return (n + w->alignment - 1) & ~(uint64_t)(w->alignment - 1); }

// Keeps the first failure for commit.
static void latch(pm_gguf_writer *w, pm_status status) {
  if (status == PM_OK || w->status != PM_OK) return;
  w->status = status;
  snprintf(w->message, sizeof w->message, "%s", pm_fail_message());
}

pm_status pm_gguf_writer_open(const char *path, pm_gguf_writer **out) {
  *out = NULL;
  pm_gguf_writer *w;
  PM_NEW(&w, 1, "a GGUF writer");
  w->alignment = ALIGNMENT;
  pm_status status = path ? pm_file_writer_open(path, &w->file) : PM_OK;
  if (status != PM_OK) {
    pm_gguf_writer_abandon(w);
    return status;
  }
  *out = w;
  return PM_OK;
}

// ---- header --------------------------------------------------------------------------------------------------------

static void append(pm_gguf_writer *w, buffer *b, const void *src, size_t bytes) {
  if (w->status != PM_OK) return;
  if (b->capacity - b->n < bytes) {
    size_t capacity = 2 * b->capacity + bytes + 1024;
    uint8_t *grown = pm_realloc(b->bytes, capacity);
    if (!grown) {
      latch(w, pm_fail(PM_ERR_MEMORY, "out of memory: a GGUF header of %zu bytes", capacity));
      return;
    }
    b->bytes = grown, b->capacity = capacity;
  }
  if (bytes) memcpy(b->bytes + b->n, src, bytes);
  b->n += bytes;
}

static void append_u32(pm_gguf_writer *w, buffer *b, uint32_t v) { append(w, b, &v, sizeof v); }

static void append_u64(pm_gguf_writer *w, buffer *b, uint64_t v) { append(w, b, &v, sizeof v); }

static void append_string(pm_gguf_writer *w, buffer *b, const char *s) {
  append_u64(w, b, strlen(s));
  append(w, b, s, strlen(s));
}

static bool header_open(pm_gguf_writer *w, const char *name) {
  if (w->header_written) latch(w, pm_fail(PM_ERR_ARGUMENT, "%s comes after the first data of the GGUF file", name));
  return w->status == PM_OK;
}

static void begin_meta(pm_gguf_writer *w, const char *key, pm_meta_type type) {
  if (!header_open(w, key)) return;
  append_string(w, &w->metas, key);
  append_u32(w, &w->metas, type);
  w->n_meta++;
}

static void begin_array(pm_gguf_writer *w, const char *key, pm_meta_type element, uint64_t n) {
  begin_meta(w, key, PM_META_ARRAY);
  append_u32(w, &w->metas, element);
  append_u64(w, &w->metas, n);
}

void pm_gguf_put_u32(pm_gguf_writer *w, const char *key, uint32_t v) {
  begin_meta(w, key, PM_META_U32);
  append_u32(w, &w->metas, v);
}

void pm_gguf_put_f32(pm_gguf_writer *w, const char *key, float v) {
  begin_meta(w, key, PM_META_F32);
  append(w, &w->metas, &v, sizeof v);
}

void pm_gguf_put_bool(pm_gguf_writer *w, const char *key, bool v) {
  begin_meta(w, key, PM_META_BOOL);
  append(w, &w->metas, &(uint8_t){v}, 1);
}

void pm_gguf_put_string(pm_gguf_writer *w, const char *key, const char *v) {
  begin_meta(w, key, PM_META_STRING);
  append_string(w, &w->metas, v);
}

void pm_gguf_put_strings(pm_gguf_writer *w, const char *key, const char *const *v, uint64_t n) {
  begin_array(w, key, PM_META_STRING, n);
  for (uint64_t i = 0; i < n; i++) append_string(w, &w->metas, v[i]);
}

void pm_gguf_put_i32s(pm_gguf_writer *w, const char *key, const int32_t *v, uint64_t n) {
  begin_array(w, key, PM_META_I32, n);
  append(w, &w->metas, v, n * sizeof *v);
}

// Bytes of a value as they are in its file, past its type and, in an array, the elements' type and count.
static size_t value_bytes(const pm_shard *s, const pm_meta_entry *e) {
  if (e->meta.count == 0) return 0;
  bool strings = e->meta.type == PM_META_STRING || e->strings;
  if (!strings) return e->meta.count * pm_meta_type_bytes(e->meta.type == PM_META_ARRAY ? e->meta.element : e->meta.type);
  uint64_t last = e->strings ? e->strings[e->meta.count - 1] : e->at, length;
  memcpy(&length, s->bytes + last, sizeof length);
  return (size_t)(last + sizeof length + length - e->at);
}

void pm_gguf_put_meta(pm_gguf_writer *w, const pm_model_file *f, const pm_meta *m) {
  const pm_meta_entry *e = (const pm_meta_entry *)m;
  const pm_shard *s = &f->shards[e->shard];
  if (m->type == PM_META_ARRAY)
    begin_array(w, m->key, m->element, m->count);
  else
    begin_meta(w, m->key, m->type);
  append(w, &w->metas, s->bytes + e->at, value_bytes(s, e));
}

void pm_gguf_set_alignment(pm_gguf_writer *w, uint32_t alignment) {
  if (alignment == 0 || alignment > MAX_ALIGNMENT || alignment & (alignment - 1))
    latch(w, pm_fail(PM_ERR_ARGUMENT, "an alignment of %u bytes; expected a power of two up to %d", alignment, MAX_ALIGNMENT));
  else if (!w->n_tensor)
    w->alignment = alignment;
}

static void append_size(pm_gguf_writer *w, uint64_t bytes) {
  if (w->n_tensor == w->size_capacity) {
    size_t capacity = 2 * w->size_capacity + 64;
    uint64_t *grown = pm_realloc(w->sizes, capacity * sizeof *grown);
    if (!grown) {
      latch(w, pm_fail(PM_ERR_MEMORY, "out of memory: a GGUF file of %zu tensors", capacity));
      return;
    }
    w->sizes = grown, w->size_capacity = capacity;
  }
  w->sizes[w->n_tensor++] = bytes;
}

void pm_gguf_put_tensor(pm_gguf_writer *w, const char *name, pm_type type, uint32_t n_dim, const uint64_t *ne) {
  if (!header_open(w, name)) return;
  const pm_format *format = pm_format_get(type);
  if (n_dim < 1 || n_dim > 4 || ne[0] % format->block_elements) {
    latch(w, pm_fail(PM_ERR_ARGUMENT, "tensor %s: %u dimensions with rows of %llu values cannot be %s", name, n_dim,
                     n_dim ? (unsigned long long)ne[0] : 0, format->name));
    return;
  }
  uint64_t n = 1;
  append_string(w, &w->tensors, name);
  append_u32(w, &w->tensors, n_dim);
  for (uint32_t i = 0; i < n_dim; i++) append_u64(w, &w->tensors, ne[i]), n *= ne[i];
  append_u32(w, &w->tensors, type);
  append_u64(w, &w->tensors, w->offset);
  append_size(w, pm_format_bytes(type, n));
  w->offset += padded(w, pm_format_bytes(type, n));
}

// ---- data ----------------------------------------------------------------------------------------------------------

static void write_bytes(pm_gguf_writer *w, const void *src, size_t bytes) {
  if (!w->file)
    append(w, &w->header, src, bytes);
  else if (w->status == PM_OK)
    latch(w, pm_file_writer_append(w->file, src, bytes));
}

static void write_padding(pm_gguf_writer *w, uint64_t n) {
  static const uint8_t ZEROS[MAX_ALIGNMENT];
  write_bytes(w, ZEROS, (size_t)(padded(w, n) - n));
}

static void write_header(pm_gguf_writer *w) {
  if (w->header_written) return;
  w->header_written = true;
  buffer head = {0};
  append(w, &head, "GGUF", 4);
  append_u32(w, &head, VERSION);
  append_u64(w, &head, w->n_tensor);
  append_u64(w, &head, w->n_meta);
  write_bytes(w, head.bytes, head.n);
  write_bytes(w, w->metas.bytes, w->metas.n);
  write_bytes(w, w->tensors.bytes, w->tensors.n);
  if (w->n_tensor) write_padding(w, head.n + w->metas.n + w->tensors.n);
  pm_free(head.bytes);
}

void pm_gguf_put_data(pm_gguf_writer *w, const void *src, size_t bytes) {
  write_header(w);
  const uint8_t *from = src;
  while (bytes && w->status == PM_OK) {
    if (w->current == w->n_tensor) {
      latch(w, pm_fail(PM_ERR_ARGUMENT, "%zu bytes more than the tensors of the GGUF file need", bytes));
      return;
    }
    uint64_t size = w->sizes[w->current], left = size - w->written;
    size_t step = bytes < left ? bytes : (size_t)left;
    write_bytes(w, from, step);
    from += step, bytes -= step, w->written += step;
    if (w->written < size) return;
    write_padding(w, size);
    w->current++, w->written = 0;
  }
}

pm_status pm_gguf_writer_status(const pm_gguf_writer *w) { return w->status == PM_OK ? PM_OK : pm_fail(w->status, "%s", w->message); }

pm_status pm_gguf_writer_commit(pm_gguf_writer *w) {
  write_header(w);
  if (w->current < w->n_tensor)
    latch(w, pm_fail(PM_ERR_ARGUMENT, "data of %zu of the GGUF file's %zu tensors is missing", w->n_tensor - w->current, w->n_tensor));
  pm_status status = pm_gguf_writer_status(w);
  if (status == PM_OK) {
    status = pm_file_writer_commit(w->file);
    w->file = NULL;
  }
  pm_gguf_writer_abandon(w);
  return status;
}

pm_status pm_gguf_writer_take_header(pm_gguf_writer *w, uint8_t **bytes, size_t *n) {
  write_header(w);
  pm_status status = pm_gguf_writer_status(w);
  if (status == PM_OK) {
    *bytes = w->header.bytes, *n = w->header.n;
    w->header.bytes = NULL;
  }
  pm_gguf_writer_abandon(w);
  return status;
}

void pm_gguf_writer_abandon(pm_gguf_writer *w) {
  if (!w) return;
  pm_file_writer_abandon(w->file);
  pm_free(w->metas.bytes);
  pm_free(w->tensors.bytes);
  pm_free(w->header.bytes);
  pm_free(w->sizes);
  pm_free(w);
}
