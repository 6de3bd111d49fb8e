#include "trace.h"

#include <string.h>

#include "expert_board.h"
#include "file.h"
#include "memory.h"

static const char magic[8] = "PMTRACE1";
enum { MAX_TABLES = 4096, MAX_ROWS = 1 << 20 };

typedef struct header {
  char magic[8];
  uint64_t fingerprint;
  uint32_t n_table, n_expert, n_used, n_class;
  uint64_t record_bytes[PM_EXPERT_CLASSES];
  uint32_t n_slot[PM_EXPERT_CLASSES];
} header;

typedef struct head {
  uint32_t kind, a, b, c;
} head;

static size_t id_bytes(const pm_trace_shape *s) { return s->n_expert <= 256 ? 1 : 2; }

static uint64_t step_bytes(const pm_trace_shape *s, uint32_t n_row) { return (uint64_t)s->n_table * n_row * s->n_used * id_bytes(s); }

static uint64_t seed_bytes(const pm_trace_shape *s) { return (uint64_t)s->n_table * s->n_expert * sizeof(uint32_t); }

// ---- writing ----

struct pm_trace_writer {
  pm_trace_shape shape;
  pm_file_writer *file;
  uint8_t *ids;  // of one table
};

static pm_status write_header(pm_trace_writer *w) {
  const pm_trace_shape *s = &w->shape;
  header h = {.fingerprint = s->fingerprint, .n_table = s->n_table, .n_expert = s->n_expert, .n_used = s->n_used, .n_class = s->n_class};
  memcpy(h.magic, magic, sizeof magic);
  memcpy(h.record_bytes, s->record_bytes, sizeof h.record_bytes);
  memcpy(h.n_slot, s->n_slot, sizeof h.n_slot);
  PM_TRY(pm_file_writer_append(w->file, &h, sizeof h));
  PM_TRY(pm_file_writer_append(w->file, s->class_of, s->n_table * sizeof *s->class_of));
  return pm_file_writer_flush(w->file);
}

pm_status pm_trace_create(const char *path, const pm_trace_shape *shape, uint32_t max_rows, pm_trace_writer **out) {
  *out = NULL;
  pm_trace_writer *w;
  PM_NEW(&w, 1, "expert trace");
  w->shape = *shape;
  w->ids = pm_alloc((size_t)max_rows * shape->n_used * id_bytes(shape));
  pm_status status = w->ids ? pm_file_writer_open_log(path, &w->file) : pm_fail(PM_ERR_MEMORY, "out of memory: expert trace");
  if (status == PM_OK) status = write_header(w);
  w->shape.class_of = NULL;  // the caller's
  if (status) return pm_trace_finish(w), status;
  *out = w;
  return PM_OK;
}

void pm_trace_finish(pm_trace_writer *w) {
  if (!w) return;
  pm_file_writer_abandon(w->file);
  pm_free(w->ids);
  pm_free(w);
}

pm_status pm_trace_step(pm_trace_writer *w, uint32_t table, const int32_t *ids, uint32_t n_row, bool many) {
  const pm_trace_shape *s = &w->shape;
  head h = {PM_TRACE_STEP, n_row, many, 0};
  if (table == 0) PM_TRY(pm_file_writer_append(w->file, &h, sizeof h));
  size_t n = (size_t)n_row * s->n_used, width = id_bytes(s);
  for (size_t i = 0; i < n; i++) {
    w->ids[i * width] = (uint8_t)ids[i];
    if (width == 2) w->ids[i * 2 + 1] = (uint8_t)(ids[i] >> 8);
  }
  PM_TRY(pm_file_writer_append(w->file, w->ids, n * width));
  return table + 1 == s->n_table ? pm_file_writer_flush(w->file) : PM_OK;
}

pm_status pm_trace_seed(pm_trace_writer *w, const uint32_t *heat) {
  PM_TRY(pm_file_writer_append(w->file, &(head){.kind = PM_TRACE_SEED}, sizeof(head)));
  PM_TRY(pm_file_writer_append(w->file, heat, seed_bytes(&w->shape)));
  return pm_file_writer_flush(w->file);
}

pm_status pm_trace_event(pm_trace_writer *w, pm_trace_kind kind, uint32_t a, uint32_t b, uint32_t c) {
  PM_TRY(pm_file_writer_append(w->file, &(head){kind, a, b, c}, sizeof(head)));
  return pm_file_writer_flush(w->file);
}

// ---- reading ----

struct pm_trace {
  pm_trace_shape shape;
  uint32_t *class_of;
  uint8_t *bytes;  // of all records that are whole
  uint64_t n;
  uint32_t max_rows;
};

static pm_status check_header(const char *path, const header *h) {
  if (memcmp(h->magic, magic, sizeof magic)) PM_FAIL(PM_ERR_FORMAT, "%s is not a trace of the use of experts", path);
  if (!h->n_table || h->n_table > MAX_TABLES)
    PM_FAIL(PM_ERR_FORMAT, "%s: %u expert tables, expected 1 to %d", path, h->n_table, MAX_TABLES);
  if (!h->n_expert || h->n_expert > PM_EXPERTS_MAX)
    PM_FAIL(PM_ERR_FORMAT, "%s: %u experts, expected 1 to %d", path, h->n_expert, PM_EXPERTS_MAX);
  if (!h->n_used || h->n_used > h->n_expert) PM_FAIL(PM_ERR_FORMAT, "%s: %u of %u experts used", path, h->n_used, h->n_expert);
  if (!h->n_class || h->n_class > PM_EXPERT_CLASSES)
    PM_FAIL(PM_ERR_FORMAT, "%s: %u classes of experts, expected 1 to %d", path, h->n_class, PM_EXPERT_CLASSES);
  return PM_OK;
}

static pm_status read_header(pm_trace *t, pm_file *f) {
  header h = {0};
  size_t there = pm_file_bytes(f) < sizeof h ? (size_t)pm_file_bytes(f) : sizeof h;
  PM_TRY(pm_file_read(f, 0, &h, there));
  PM_TRY(check_header(pm_file_path(f), &h));
  PM_NEW(&t->class_of, h.n_table, "expert trace");
  PM_TRY(pm_file_read(f, sizeof h, t->class_of, h.n_table * sizeof *t->class_of));
  for (uint32_t i = 0; i < h.n_table; i++)
    if (t->class_of[i] >= h.n_class)
      PM_FAIL(PM_ERR_FORMAT, "%s: table %u is of class %u of %u", pm_file_path(f), i, t->class_of[i], h.n_class);
  t->shape = (pm_trace_shape){h.fingerprint, h.n_table, h.n_expert, h.n_used, h.n_class, .class_of = t->class_of};
  memcpy(t->shape.record_bytes, h.record_bytes, sizeof h.record_bytes);
  memcpy(t->shape.n_slot, h.n_slot, sizeof h.n_slot);
  return PM_OK;
}

static pm_status check_ids(const pm_trace *t, const char *path, uint64_t at, const pm_trace_record *r) {
  size_t width = id_bytes(&t->shape);
  for (uint64_t i = 0, n = step_bytes(&t->shape, r->a); i < n; i += width) {
    uint32_t id = r->data[i] | (width == 2 ? (uint32_t)r->data[i + 1] << 8 : 0);
    if (id >= t->shape.n_expert)
      PM_FAIL(PM_ERR_FORMAT, "%s: the step at byte %llu of the records chose expert %u of %u", path, (unsigned long long)at, id,
              t->shape.n_expert);
  }
  return PM_OK;
}

// Arguments are checked against what they count, so that a replay can follow them blindly.
static bool event_makes_sense(const pm_trace_shape *s, const head *h) {
  if (h->kind == PM_TRACE_RESIZE) return h->a < s->n_class && h->b <= s->n_slot[h->a];
  if (h->kind == PM_TRACE_ADMIT) return h->a < s->n_table;
  return h->a < s->n_table && h->b < s->n_expert && h->c < s->n_slot[s->class_of[h->a]];
}

static pm_status check_record(const pm_trace *t, const char *path, uint64_t at, const head *h) {
  if (h->kind < PM_TRACE_STEP || h->kind >= PM_TRACE_KINDS)
    PM_FAIL(PM_ERR_FORMAT, "%s: a record of unknown kind %u at byte %llu of the records", path, h->kind, (unsigned long long)at);
  if (h->kind == PM_TRACE_STEP && (!h->a || h->a > MAX_ROWS || h->b > 1))
    PM_FAIL(PM_ERR_FORMAT, "%s: a step of %u rows at byte %llu of the records", path, h->a, (unsigned long long)at);
  if (h->kind > PM_TRACE_SEED && !event_makes_sense(&t->shape, h))
    PM_FAIL(PM_ERR_FORMAT, "%s: the event at byte %llu of the records is about something that is not there", path, (unsigned long long)at);
  return PM_OK;
}

static uint64_t data_bytes(const pm_trace_shape *s, const head *h) {
  return h->kind == PM_TRACE_STEP ? step_bytes(s, h->a) : h->kind == PM_TRACE_SEED ? seed_bytes(s) : 0;
}

static pm_status check_records(pm_trace *t, const char *path) {
  uint64_t at = 0;
  for (head h; t->n - at >= sizeof h;) {
    memcpy(&h, t->bytes + at, sizeof h);
    PM_TRY(check_record(t, path, at, &h));
    if (data_bytes(&t->shape, &h) > t->n - at - sizeof h) break;  // the writer was stopped here
    pm_trace_record r;
    if (!pm_trace_get(t, at, &r)) break;
    if (h.kind == PM_TRACE_STEP) {
      PM_TRY(check_ids(t, path, at, &r));
      if (h.a > t->max_rows) t->max_rows = h.a;
    }
    at = r.next;
  }
  t->n = at;
  return PM_OK;
}

static pm_status read_all(pm_trace *t, pm_file *f) {
  PM_TRY(read_header(t, f));
  uint64_t at = sizeof(header) + t->shape.n_table * sizeof *t->class_of;
  t->n = pm_file_bytes(f) - at;
  PM_NEW(&t->bytes, t->n, "expert trace");
  PM_TRY(pm_file_read(f, at, t->bytes, t->n));
  return check_records(t, pm_file_path(f));
}

pm_status pm_trace_open(const char *path, pm_trace **out) {
  *out = NULL;
  pm_file *f;
  PM_TRY(pm_file_open(path, &f));
  pm_trace *t = pm_alloc_zero(1, sizeof *t);
  pm_status status = t ? read_all(t, f) : pm_fail(PM_ERR_MEMORY, "out of memory: expert trace");
  pm_file_close(f);
  if (status) return pm_trace_close(t), status;
  *out = t;
  return PM_OK;
}

void pm_trace_close(pm_trace *t) {
  if (!t) return;
  pm_free(t->class_of);
  pm_free(t->bytes);
  pm_free(t);
}

const pm_trace_shape *pm_trace_get_shape(const pm_trace *t) { return &t->shape; }
uint32_t pm_trace_max_rows(const pm_trace *t) { return t->max_rows; }

bool pm_trace_get(const pm_trace *t, uint64_t at, pm_trace_record *record) {
  if (at >= t->n) return false;
  head h;
  memcpy(&h, t->bytes + at, sizeof h);
  at += sizeof h;
  *record = (pm_trace_record){(pm_trace_kind)h.kind, h.a, h.b, h.c, t->bytes + at, at + data_bytes(&t->shape, &h)};
  return true;
}

void pm_trace_ids(const pm_trace *t, const pm_trace_record *record, uint32_t table, int32_t *ids) {
  size_t n = (size_t)record->a * t->shape.n_used, width = id_bytes(&t->shape);
  const uint8_t *p = record->data + table * n * width;
  for (size_t i = 0; i < n; i++) ids[i] = p[i * width] | (width == 2 ? p[i * 2 + 1] << 8 : 0);
}
