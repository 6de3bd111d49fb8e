#include "store.h"

#include "clock.h"
#include "memory.h"

enum { BATCH = 64 };  // records that loading asks for at once: enough to keep a disk busy, few enough to stop soon

// Where a matrix of a table lies in the model's files.
typedef struct matrix {
  const pm_file_tensor *tensor;
  uint64_t offset;  // of expert 0, unless the tensor's slabs have places of their own
} matrix;

// A matrix that was read as it is stored, at the end of its room, and becomes blocks there.
typedef struct packing {
  const pm_tensor *w;  // NULL: nothing to be done
  const void *scales;
} packing;

struct pm_store {
  pm_program *program;
  const pm_model_file *file;
  const pm_expert_plan *plan;
  pm_homes *homes;
  pm_direct *reader;
  uint32_t n_expert, n_used;
  matrix (*matrices)[3];              // [n_table]
  void **records[PM_EXPERT_CLASSES];  // [n_home]
  pm_homes_fill *fills;               // [n_expert]
  pm_direct_read *reads;              // three for each record of a batch or a step
  packing *packings;                  // the same
  uint32_t n_read;
  pm_store_counters counters;
};

// ---- making ----

static pm_status find_matrix(const pm_store *s, const pm_tensor *t, matrix *out) {
  out->tensor = pm_model_file_find_tensor(s->file, t->name);
  if (!out->tensor) PM_FAIL(PM_ERR_ARGUMENT, "%s: tensor %s is not in the file", pm_model_file_path(s->file), t->name);
  if (out->tensor->places) return PM_OK;
  uint64_t inside = (uint64_t)((const char *)t->host - (const char *)out->tensor->data);  // a fused tensor is two weights
  out->offset = out->tensor->offset + inside;
  if (inside + (t->ne[2] - 1) * t->slab_bytes + pm_tensor_slab_bytes(t) > out->tensor->bytes)
    PM_FAIL(PM_ERR_ARGUMENT, "%s: tensor %s was not taken from the file as it is", pm_model_file_path(s->file), t->name);
  return PM_OK;
}

static pm_status find_matrices(pm_store *s) {
  const pm_program *p = s->program;
  PM_NEW(&s->matrices, p->n_table, "the store of experts");
  for (uint32_t t = 0; t < p->n_table; t++) {
    if (p->tables[t]->n_expert != s->n_expert) PM_FAIL(PM_ERR_UNSUPPORTED, "layers with different numbers of experts");
    for (int m = 0; m < 3; m++) PM_TRY(find_matrix(s, pm_expert_matrix(p->tables[t], m), &s->matrices[t][m]));
  }
  return PM_OK;
}

static pm_status find_shape(pm_store *s) {
  const pm_program *p = s->program;
  s->n_expert = p->n_table ? p->tables[0]->n_expert : 0;
  for (uint32_t i = 0; i < p->n_op; i++) {
    if (p->ops[i].kind != PM_OP_EXPERTS_GLU) continue;
    uint32_t n_used = p->ops[i].experts_glu.ids.n;
    if (s->n_used && n_used != s->n_used) PM_FAIL(PM_ERR_UNSUPPORTED, "layers that choose different numbers of experts");
    s->n_used = n_used;
  }
  return PM_OK;
}

static pm_status open_reader(pm_store *s, const pm_store_desc *d) {
  const char **paths;
  uint32_t n = pm_model_file_n_shard(s->file);
  PM_NEW(&paths, n, "names of files");
  for (uint32_t i = 0; i < n; i++) paths[i] = pm_model_file_shard_path(s->file, i);
  pm_direct_desc how = {.paths = paths, .n_path = n, .no_uring = d->no_uring, .no_direct = d->no_direct};
  pm_status status = pm_direct_open(&how, &s->reader);
  pm_free(paths);
  return status;
}

static pm_status make(pm_store *s, const pm_store_desc *d) {
  s->program = d->program, s->file = d->file, s->plan = d->plan;
  PM_TRY(find_shape(s));
  PM_TRY(find_matrices(s));
  PM_TRY(open_reader(s, d));
  uint32_t n_home[PM_EXPERT_CLASSES], n_record = s->n_expert > BATCH ? s->n_expert : BATCH;
  for (uint32_t c = 0; c < d->plan->n_class; c++) {
    n_home[c] = d->plan->classes[c].n_home;
    PM_NEW(&s->records[c], n_home[c], "the store of experts");
  }
  PM_NEW(&s->fills, s->n_expert, "the store of experts");
  PM_NEW(&s->reads, 3 * (size_t)n_record, "the store of experts");
  PM_NEW(&s->packings, 3 * (size_t)n_record, "the store of experts");
  return pm_homes_create(&(pm_homes_desc){.n_table = s->program->n_table,
                                          .n_expert = s->n_expert,
                                          .n_used = s->n_used,
                                          .n_class = d->plan->n_class,
                                          .class_of = d->plan->class_of,
                                          .n_home = n_home},
                         &s->homes);
}

pm_status pm_store_create(const pm_store_desc *desc, pm_store **out) {
  *out = NULL;
  pm_store *s;
  PM_NEW(&s, 1, "the store of experts");
  pm_status status = make(s, desc);
  if (status) {
    pm_store_destroy(s);
    return status;
  }
  *out = s;
  return PM_OK;
}

// The tables lead to the mapping again, for a backend that comes after this one.
static void leave_tables(const pm_store *s) {
  for (uint32_t t = 0; s->program && t < s->program->n_table; t++)
    for (int m = 0; m < 3; m++) {
      const pm_tensor *w = pm_expert_matrix(s->program->tables[t], m);
      for (uint32_t e = 0; e < w->ne[2]; e++) s->program->tables[t]->slab[m][e] = pm_tensor_slab(w, e);
    }
}

void pm_store_destroy(pm_store *s) {
  if (!s) return;
  leave_tables(s);
  pm_homes_destroy(s->homes);
  pm_direct_close(s->reader);
  for (uint32_t c = 0; c < PM_EXPERT_CLASSES; c++) pm_free(s->records[c]);
  pm_free(s->matrices);
  pm_free(s->fills);
  pm_free(s->reads);
  pm_free(s->packings);
  pm_free(s);
}

// ---- who is where, for those who look ----

static void show(pm_store *s, uint32_t table, uint32_t e) {
  const pm_expert_table *t = s->program->tables[table];
  uint32_t home = pm_homes_of(s->homes, table, e);
  const char *at = home == PM_EXPERT_NOWHERE ? NULL : s->records[s->plan->class_of[table]][home];
  for (int m = 0; m < 3; m++) {
    t->slab[m][e] = at;
    if (at) at += pm_tensor_slab_bytes(pm_expert_matrix(t, m));
  }
  if (!s->plan->boards) return;
  pm_expert_board *board = &s->plan->boards[table];
  board->dirty |= board->home[e] != home;
  board->home[e] = home;
}

// ---- reading ----

static void append_reads(pm_store *s, uint32_t table, uint32_t e) {
  const pm_expert_table *t = s->program->tables[table];
  char *at = s->records[s->plan->class_of[table]][pm_homes_of(s->homes, table, e)];
  for (int m = 0; m < 3; m++) {
    const pm_tensor *w = pm_expert_matrix(t, m);
    const matrix *from = &s->matrices[table][m];
    const pm_file_place *places = from->tensor->places;
    const void *scales = w->slabs ? w->slabs[e].scales : NULL;
    size_t bytes = pm_tensor_slab_bytes(w), stored = scales ? w->ne[0] * w->ne[1] : bytes;
    s->packings[s->n_read] = (packing){scales ? w : NULL, scales};
    s->reads[s->n_read++] = (pm_direct_read){.file = places ? places[e].shard : from->tensor->shard,
                                             .offset = places ? places[e].offset : from->offset + e * w->slab_bytes,
                                             .bytes = stored,
                                             .dst = at + bytes - stored};
    at += bytes;
  }
}

static pm_status read_all(pm_store *s) {
  uint32_t n = s->n_read;
  s->n_read = 0;
  PM_TRY(pm_direct_run(s->reader, s->reads, n));
  for (uint32_t i = 0; i < n; i++) {
    const pm_tensor *w = s->packings[i].w;
    char *stored = s->reads[i].dst;
    if (w)
      pm_fp8_pack(&(pm_slab){stored, s->packings[i].scales, 0}, w->ne[0], 0, w->ne[1],
                  stored + w->ne[0] * w->ne[1] - pm_tensor_slab_bytes(w));
  }
  return PM_OK;
}

// A failure leaves nobody at home: which records are whole is not known.
static pm_status load_records(pm_store *s, pm_progress_fn *progress, void *user) {
  uint32_t n_table = s->program->n_table, n = n_table * s->n_expert;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t table = i / s->n_expert, e = i % s->n_expert;
    if (pm_homes_of(s->homes, table, e) != PM_EXPERT_NOWHERE) append_reads(s, table, e);
    if (s->n_read < 3 * BATCH && i + 1 < n) continue;
    PM_TRY(read_all(s));
    if (progress && !progress(user, (float)(i + 1) / (float)n)) PM_FAIL(PM_ERR_CANCELLED, "reading the experts was stopped");
  }
  return PM_OK;
}

// The weights that stay in the mapping come in one by one, each in one go. Left to page faults they would bring whatever lies around them:
// experts, which are read past the page cache.
static void fetch_others(const pm_store *s) {
  const pm_program *p = s->program;
  for (uint32_t i = 0; i < p->n_tensor; i++) {
    const pm_tensor *w = p->tensors[i];
    const pm_file_tensor *t = w->role == PM_ROLE_WEIGHT ? pm_model_file_find_tensor(s->file, w->name) : NULL;
    if (t && !pm_program_is_expert(p, w)) pm_model_file_will_need(s->file, t);
  }
}

pm_status pm_store_load(pm_store *s, pm_backend *b, const uint32_t *heat, pm_progress_fn *progress, void *user) {
  for (uint32_t c = 0; c < s->plan->n_class; c++)
    for (uint32_t i = 0; i < s->plan->classes[c].n_home; i++) s->records[c][i] = b->ops->home(b, c, i);
  fetch_others(s);
  PM_TRY(pm_homes_seed(s->homes, heat));
  pm_status status = load_records(s, progress, user);
  for (uint32_t t = 0; t < s->program->n_table; t++)
    for (uint32_t e = 0; e < s->n_expert; e++) {
      if (status) pm_homes_drop(s->homes, t, e);
      show(s, t, e);
    }
  for (uint32_t t = 0; t < s->program->n_table; t++)
    for (int m = 0; m < 3; m++) pm_model_file_dont_need(s->file, s->matrices[t][m].tensor);
  return status;
}

pm_status pm_store_need(pm_store *s, uint32_t table, const int32_t *ids, uint32_t n_id) {
  const uint32_t *slot = s->plan->boards ? s->plan->boards[table].slot : NULL;
  uint32_t n_fill, n_hit;
  PM_TRY(pm_homes_need(s->homes, table, ids, n_id / s->n_used, slot, s->fills, &n_fill, &n_hit));
  s->counters.hits += n_hit;
  if (!n_fill) return PM_OK;
  double start = pm_clock_seconds();
  for (uint32_t i = 0; i < n_fill; i++) {
    const pm_homes_fill *f = &s->fills[i];
    if (f->old_table != PM_EXPERT_NOWHERE) show(s, f->old_table, f->old_expert);
    append_reads(s, table, f->expert);
  }
  pm_status status = read_all(s);
  for (uint32_t i = 0; i < n_fill; i++) {
    if (status) pm_homes_drop(s->homes, table, s->fills[i].expert);
    show(s, table, s->fills[i].expert);
  }
  PM_TRY(status);
  s->counters.reads++;
  s->counters.misses += n_fill;
  s->counters.bytes += n_fill * pm_expert_bytes(s->program->tables[table]);
  s->counters.seconds += pm_clock_seconds() - start;
  return PM_OK;
}

void pm_store_hold(pm_store *s, uint32_t table, uint32_t home) { pm_homes_hold(s->homes, s->plan->class_of[table], home); }

void pm_store_release(pm_store *s, uint32_t table, uint32_t home) { pm_homes_release(s->homes, s->plan->class_of[table], home); }

pm_store_counters pm_store_count(const pm_store *s) { return s->counters; }

const char *pm_store_way(const pm_store *s) { return pm_direct_way(s->reader); }
