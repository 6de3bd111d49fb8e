// Saved sessions, and copies of them. Layout of files, little-endian: header, tokens i32[length], per layer the cache rows [0, length),
// logits f32[n_vocab] if there are any.
#include <string.h>

#include "file.h"
#include "memory.h"
#include "session.h"

typedef struct header {
  char magic[8];
  uint64_t fingerprint;  // of the model
  uint32_t kv_type, length, has_logits, n_layer;
} header;

static const char magic[8] = "PMSESS1";
enum { CHUNK_BYTES = 1 << 20 };

// Calls fn for every cache tensor of the program; stops at the first failure.
static pm_status for_each_kv(pm_session *s, pm_status (*fn)(pm_session *s, const pm_tensor *t, void *arg), void *arg) {
  const pm_program *p = &s->engine->program;
  for (uint32_t i = 0; i < p->n_tensor; i++)
    if (p->tensors[i]->role == PM_ROLE_KV) PM_TRY(fn(s, p->tensors[i], arg));
  return PM_OK;
}

static pm_status count_kv(pm_session *s, const pm_tensor *t, void *arg) {
  (void)s;
  header *h = arg;
  h->kv_type = t->type;
  h->n_layer++;
  return PM_OK;
}

static header header_of(pm_session *s) {
  header h = {.fingerprint = s->engine->fingerprint, .length = s->length, .has_logits = s->has_logits};
  memcpy(h.magic, magic, sizeof magic);
  pm_status status = for_each_kv(s, count_kv, &h);
  (void)status;  // counting cannot fail
  return h;
}

typedef struct writer {
  pm_file_writer *file;
  void *buffer;  // CHUNK_BYTES
} writer;

static pm_status write_kv(pm_session *s, const pm_tensor *t, void *arg) {
  writer *w = arg;
  size_t row = pm_tensor_row_bytes(t), total = row * s->length, first = row * s->base;
  for (size_t done = 0; done < total;) {
    size_t k = total - done < CHUNK_BYTES ? total - done : CHUNK_BYTES;
    PM_TRY(s->engine->backend->ops->read(s->engine->backend, t, first + done, w->buffer, k));
    PM_TRY(pm_file_writer_append(w->file, w->buffer, k));
    done += k;
  }
  return PM_OK;
}

static pm_status write_all(pm_session *s, writer *w) {
  header h = header_of(s);
  PM_TRY(pm_file_writer_append(w->file, &h, sizeof h));
  PM_TRY(pm_file_writer_append(w->file, s->tokens, s->length * sizeof *s->tokens));
  PM_TRY(for_each_kv(s, write_kv, w));
  if (!s->has_logits) return PM_OK;
  return pm_file_writer_append(w->file, s->logits, s->engine->model.config.n_vocab * sizeof *s->logits);
}

pm_status pm_session_save(pm_session *s, const char *path) {
  writer w = {.buffer = pm_alloc(CHUNK_BYTES)};
  if (!w.buffer) PM_FAIL(PM_ERR_MEMORY, "out of memory: buffer for a saved session");
  pm_status status = pm_file_writer_open(path, &w.file);
  if (status == PM_OK) {
    status = write_all(s, &w);
    if (status == PM_OK) {
      status = pm_file_writer_commit(w.file);
    } else {
      pm_file_writer_abandon(w.file);
    }
  }
  pm_free(w.buffer);
  return status;
}

typedef struct reader {
  pm_file *file;
  void *buffer;
  uint64_t offset;
} reader;

static pm_status read_kv(pm_session *s, const pm_tensor *t, void *arg) {
  reader *r = arg;
  size_t row = pm_tensor_row_bytes(t), total = row * s->length, first = row * s->base;
  for (size_t done = 0; done < total;) {
    size_t k = total - done < CHUNK_BYTES ? total - done : CHUNK_BYTES;
    PM_TRY(pm_file_read(r->file, r->offset, r->buffer, k));
    PM_TRY(s->engine->backend->ops->write(s->engine->backend, t, first + done, r->buffer, k));
    done += k, r->offset += k;
  }
  return PM_OK;
}

static pm_status check_header(pm_session *s, const char *path, const header *h) {
  header mine = header_of(s);
  if (memcmp(h->magic, magic, sizeof magic)) PM_FAIL(PM_ERR_FORMAT, "%s is not a saved session", path);
  if (h->fingerprint != mine.fingerprint || h->n_layer != mine.n_layer) PM_FAIL(PM_ERR_FORMAT, "%s was saved with another model", path);
  if (h->kv_type != mine.kv_type)
    PM_FAIL(PM_ERR_FORMAT, "%s was saved with a cache of another type; open the model with the same cache and exact options", path);
  if (h->length > s->engine->kv.n_ctx)
    PM_FAIL(PM_ERR_ARGUMENT, "%s holds %u tokens, the context is %u; open the model with a larger context", path, h->length,
            s->engine->kv.n_ctx);
  return PM_OK;
}

static pm_status read_all(pm_session *s, const char *path, reader *r) {
  header h;
  PM_TRY(pm_file_read(r->file, 0, &h, sizeof h));
  PM_TRY(check_header(s, path, &h));
  r->offset = sizeof h;
  s->length = 0, s->has_logits = false;  // until all is there
  PM_TRY(pm_file_read(r->file, r->offset, s->tokens, h.length * sizeof *s->tokens));
  for (uint32_t i = 0; i < h.length; i++)
    if ((uint32_t)s->tokens[i] >= s->engine->model.config.n_vocab) PM_FAIL(PM_ERR_FORMAT, "%s: token %u is not in the vocabulary", path, i);
  r->offset += h.length * sizeof *s->tokens;
  s->length = h.length;
  pm_status status = for_each_kv(s, read_kv, r);
  if (status == PM_OK && h.has_logits)
    status = pm_file_read(r->file, r->offset, s->logits, s->engine->model.config.n_vocab * sizeof *s->logits);
  if (status) return s->length = 0, status;
  s->has_logits = h.has_logits;
  return PM_OK;
}

pm_status pm_session_load(pm_session *s, const char *path) {
  reader r = {.buffer = pm_alloc(CHUNK_BYTES)};
  if (!r.buffer) PM_FAIL(PM_ERR_MEMORY, "out of memory: buffer for a saved session");
  pm_status status = pm_file_open(path, &r.file);
  if (status == PM_OK) {
    status = read_all(s, path, &r);
    pm_file_close(r.file);
  }
  pm_free(r.buffer);
  return status;
}

// ---- from session to session ----

typedef struct copier {
  const pm_session *from;
  uint32_t first, end;  // rows
  void *buffer;         // CHUNK_BYTES
} copier;

static pm_status copy_kv(pm_session *to, const pm_tensor *t, void *arg) {
  const copier *c = arg;
  pm_backend *b = to->engine->backend;
  size_t row = pm_tensor_row_bytes(t), end = row * c->end;
  for (size_t at = row * c->first; at < end;) {
    size_t k = end - at < CHUNK_BYTES ? end - at : CHUNK_BYTES;
    PM_TRY(b->ops->read(b, t, row * c->from->base + at, c->buffer, k));
    PM_TRY(b->ops->write(b, t, row * to->base + at, c->buffer, k));
    at += k;
  }
  return PM_OK;
}

// What both hold already stays, and is what is left after a failure.
pm_status pm_session_copy(pm_session *to, const pm_session *from, size_t length) {
  if (to == from || to->engine != from->engine) PM_FAIL(PM_ERR_ARGUMENT, "a session is copied to another one of the same model");
  if (length > from->length) PM_FAIL(PM_ERR_ARGUMENT, "cannot copy %zu tokens: the session holds %u", length, from->length);
  copier c = {.from = from, .end = (uint32_t)length};
  while (c.first < c.end && c.first < to->length && to->tokens[c.first] == from->tokens[c.first]) c.first++;
  c.buffer = pm_alloc(CHUNK_BYTES);
  if (!c.buffer) PM_FAIL(PM_ERR_MEMORY, "out of memory: buffer for copying a session");
  to->length = c.first, to->has_logits = false;
  pm_status status = for_each_kv(to, copy_kv, &c);
  pm_free(c.buffer);
  PM_TRY(status);
  memcpy(to->tokens + c.first, from->tokens + c.first, (c.end - c.first) * sizeof *to->tokens);
  to->length = c.end, to->has_logits = from->has_logits && from->length == length;
  if (to->has_logits) memcpy(to->logits, from->logits, to->engine->model.config.n_vocab * sizeof *to->logits);
  return PM_OK;
}
