#include "imatrix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf_write.h"
#include "memory.h"
#include "session.h"

enum { DEFAULT_CTX = 512 };

// A product: sums for its weights, which meet the same values.
typedef struct entry {
  const pm_tensor *w, *w_up;  // w_up NULL: one weight
  bool experts;
  uint64_t n_slab;
  float *sums;    // [n_slab][columns]
  float *counts;  // [n_slab]
} entry;

typedef struct imatrix {
  const pm_imatrix_options *o;
  pm_observer observer;
  pm_engine *engine;
  pm_session *session;
  entry *entries;  // by address of their first weight
  uint32_t n_entry;
  int32_t *tokens;
  size_t n_token;
  uint32_t n_ctx, n_chunk, n_done;
} imatrix;

// ---- entries -------------------------------------------------------------------------------------------------------

static bool product_of(const pm_op *op, entry *e) {
  if (op->kind == PM_OP_MATMUL && op->matmul.rows == PM_ROWS_ALL) {
    *e = (entry){.w = op->matmul.w, .w_up = op->matmul.w_up};
  } else if (op->kind == PM_OP_EXPERTS_GLU) {
    *e = (entry){.w = op->experts_glu.experts->gate, .w_up = op->experts_glu.experts->up, .experts = true};
  } else if (op->kind == PM_OP_EXPERTS_DOWN) {
    *e = (entry){.w = op->experts_down.experts->down, .experts = true};
  } else {
    return false;
  }
  e->n_slab = e->w->ne[2];
  return true;
}

static int by_address(const void *a, const void *b) {
  uintptr_t x = (uintptr_t)((const entry *)a)->w, y = (uintptr_t)((const entry *)b)->w;
  return x < y ? -1 : x > y;
}

static pm_status make_entries(imatrix *m) {
  const pm_program *p = &m->engine->program;
  PM_NEW(&m->entries, p->n_op, "list of weights");
  for (uint32_t i = 0; i < p->n_op; i++) {
    entry *e = &m->entries[m->n_entry];
    if (!product_of(&p->ops[i], e)) continue;
    m->n_entry++;
    PM_NEW(&e->sums, e->n_slab * e->w->ne[0], "sums of squares");
    PM_NEW(&e->counts, e->n_slab, "sums of squares");
  }
  qsort(m->entries, m->n_entry, sizeof *m->entries, by_address);
  return PM_OK;
}

static void see(void *user, const pm_tensor *w, uint64_t slab, const float *x) {
  imatrix *m = user;
  const entry *e = bsearch(&(entry){.w = w}, m->entries, m->n_entry, sizeof *m->entries, by_address);
  if (!e) return;
  uint64_t n = w->ne[0];
  float *sums = e->sums + slab * n;
  for (uint64_t i = 0; i < n; i++) sums[i] += x[i] * x[i];
  e->counts[slab]++;
}

// ---- the text ------------------------------------------------------------------------------------------------------

static pm_status tokenize(imatrix *m, const char *text, size_t bytes) {
  const pm_tokenizer *t = m->engine->tokenizer;
  pm_tokenize_flags flags = {.add_special = true};
  pm_status status = pm_tokenize(t, text, bytes, flags, NULL, &m->n_token);  // fails, and says how many there are
  if (status == PM_OK || m->n_token == 0) PM_FAIL(PM_ERR_ARGUMENT, "the text is empty");
  PM_NEW(&m->tokens, m->n_token, "tokens of the text");
  PM_TRY(pm_tokenize(t, text, bytes, flags, m->tokens, &m->n_token));
  size_t n = m->n_token / m->n_ctx;
  if (n == 0)
    PM_FAIL(PM_ERR_ARGUMENT, "the text has %zu tokens, one piece needs %u: give a longer text or a smaller context", m->n_token, m->n_ctx);
  m->n_chunk = m->o->n_chunk && m->o->n_chunk < n ? m->o->n_chunk : n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
  return PM_OK;
}

// Each piece begins as a text does.
static pm_status run_chunk(imatrix *m, uint32_t chunk) {
  int32_t *tokens = m->tokens + (size_t)chunk * m->n_ctx, bos = pm_tokenizer_bos(m->engine->tokenizer);
  if (bos >= 0) tokens[0] = bos;
  PM_TRY(pm_session_rewind(m->session, 0));
  return pm_session_eval(m->session, tokens, m->n_ctx, NULL, NULL);
}

static pm_status run_text(imatrix *m) {
  for (m->n_done = 0; m->n_done < m->n_chunk;) {
    PM_TRY(run_chunk(m, m->n_done));
    m->n_done++;
    if (m->o->progress && !m->o->progress(m->o->user, (float)m->n_done / (float)m->n_chunk)) break;
  }
  return PM_OK;
}

// ---- the file ------------------------------------------------------------------------------------------------------

// A weight that was made from the file's at load (a legacy kv_b) meets other values than the file's would.
static bool as_in_file(const imatrix *m, const pm_tensor *w) {
  const pm_file_tensor *t = pm_model_file_find_tensor(m->engine->file, w->name);
  return t && t->ne[0] == w->ne[0] && t->ne[2] == w->ne[2] && (uint32_t)w->type == t->type;
}

static void put_tensors(pm_gguf_writer *writer, const entry *e, const pm_tensor *w) {
  char name[128];
  uint64_t columns = w->ne[0], n_sum[2] = {e->experts ? columns : columns * e->n_slab, e->n_slab}, n_count[2] = {1, e->n_slab};
  snprintf(name, sizeof name, "%s.in_sum2", w->name);
  pm_gguf_put_tensor(writer, name, PM_TYPE_F32, e->experts ? 2 : 1, n_sum);
  snprintf(name, sizeof name, "%s.counts", w->name);
  pm_gguf_put_tensor(writer, name, PM_TYPE_F32, e->experts ? 2 : 1, n_count);
}

static void put_values(pm_gguf_writer *writer, const entry *e) {
  pm_gguf_put_data(writer, e->sums, e->n_slab * e->w->ne[0] * sizeof(float));
  pm_gguf_put_data(writer, e->counts, (e->experts ? e->n_slab : 1) * sizeof(float));
}

// Weights that share a name (parts of one in the file) meet the same values: the first stands for all.
static bool name_is_taken(const imatrix *m, uint32_t i, int k, const char *name) {
  for (uint32_t j = 0; j <= i; j++) {
    if (!(j == i && k == 0) && !strcmp(m->entries[j].w->name, name)) return true;
    if (j < i && m->entries[j].w_up && !strcmp(m->entries[j].w_up->name, name)) return true;
  }
  return false;
}

// Once with the header's rows, once with the data, in the same order. Returns how many weights there are.
static uint32_t put_entries(const imatrix *m, pm_gguf_writer *writer, bool values) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < m->n_entry; i++) {
    const entry *e = &m->entries[i];
    const pm_tensor *weights[2] = {e->w, e->w_up};
    for (int k = 0; k < 2; k++) {
      if (!weights[k] || !as_in_file(m, weights[k]) || name_is_taken(m, i, k, weights[k]->name)) continue;
      n++;
      if (values)
        put_values(writer, e);
      else
        put_tensors(writer, e, weights[k]);
    }
  }
  return n;
}

static pm_status write_file(const imatrix *m, const char *to, pm_imatrix_result *r) {
  pm_gguf_writer *w;
  PM_TRY(pm_gguf_writer_open(to, &w));
  const char *dataset = m->o->dataset ? m->o->dataset : "";
  pm_gguf_put_string(w, "general.type", "imatrix");
  pm_gguf_put_strings(w, "imatrix.datasets", &dataset, 1);
  pm_gguf_put_u32(w, "imatrix.chunk_count", m->n_done);
  pm_gguf_put_u32(w, "imatrix.chunk_size", m->n_ctx);
  r->n_entry = put_entries(m, w, false);
  put_entries(m, w, true);
  return pm_gguf_writer_commit(w);
}

static void count_experts(const imatrix *m, pm_imatrix_result *r) {
  for (uint32_t i = 0; i < m->n_entry; i++) {
    const entry *e = &m->entries[i];
    if (!e->experts || e->w_up) continue;  // each layer once
    r->n_expert += e->n_slab;
    for (uint64_t slab = 0; slab < e->n_slab; slab++) r->n_expert_seen += e->counts[slab] > 0;
  }
}

static pm_status run(imatrix *m, const char *model, const char *text, size_t bytes, const char *to, pm_imatrix_result *r) {
  m->n_ctx = m->o->n_ctx ? m->o->n_ctx : DEFAULT_CTX;
  pm_engine_desc desc = {.device = "cpu",
                         .n_ctx = m->n_ctx,
                         .n_thread = m->o->n_thread,
                         .n_batch = m->n_ctx < DEFAULT_CTX ? m->n_ctx : DEFAULT_CTX,
                         .exact = true,
                         .observer = &m->observer};
  PM_TRY(pm_engine_open(model, &desc, &m->engine));
  PM_TRY(tokenize(m, text, bytes));
  PM_TRY(make_entries(m));
  PM_TRY(pm_session_create(m->engine, &m->session));
  PM_TRY(run_text(m));
  *r = (pm_imatrix_result){.n_chunk = m->n_done, .n_chunk_text = m->n_chunk};
  count_experts(m, r);
  return write_file(m, to, r);
}

pm_status pm_imatrix_make(const char *model, const char *text, size_t bytes, const char *to, const pm_imatrix_options *options,
                          pm_imatrix_result *result) {
  imatrix m = {.o = options};
  m.observer = (pm_observer){.user = &m, .see = see};
  pm_status status = run(&m, model, text, bytes, to, result);
  for (uint32_t i = 0; i < m.n_entry; i++) {
    pm_free(m.entries[i].sums);
    pm_free(m.entries[i].counts);
  }
  pm_free(m.entries);
  pm_free(m.tokens);
  pm_session_destroy(m.session);
  pm_engine_close(m.engine);
  return status;
}
