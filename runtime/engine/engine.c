#include "engine.h"

#include "memory.h"

// FNV-1a over what must be equal for a saved session to make sense here.
static uint64_t hash(uint64_t h, const void *p, size_t n) {
  for (const unsigned char *c = p; n--; c++) h = (h ^ *c) * 0x100000001b3u;
  return h;
}

static uint64_t fingerprint(const pm_engine *e) {
  const pm_config *c = &e->model.config;
  uint64_t h = 0xcbf29ce484222325u, bytes = pm_model_file_bytes(e->file);
  const uint32_t shape[] = {c->n_layer, c->n_vocab, c->d_model, c->n_latent, c->n_rope, c->n_expert, c->n_expert_used};
  h = hash(h, shape, sizeof shape);
  h = hash(h, &bytes, sizeof bytes);
  for (uint64_t i = 0; i < pm_model_file_n_tensor(e->file); i++) {
    const pm_file_tensor *t = pm_model_file_tensor(e->file, i);
    h = hash(h, &t->type, sizeof t->type);
    h = hash(h, &t->offset, sizeof t->offset);
  }
  return h;
}

static pm_status make_step(pm_engine *e) {
  uint32_t rows = e->plan.n_batch;
  PM_NEW(&e->rows, rows, "rows of a step");
  PM_NEW(&e->logit_row, rows, "rows of a step");
  PM_NEW(&e->rope, (size_t)rows * e->model.config.rope.n_pair * 2, "angles of a step");
  return PM_OK;
}

static pm_status open_into(pm_engine *e, const char *path, const pm_engine_desc *d) {
  pm_model_file_desc how = {.read = d->read_file, .progress = d->progress, .user = d->user};
  PM_TRY(pm_model_file_open(path, &how, &e->file));
  PM_TRY(pm_model_init(&e->model, e->file, d->exact));
  PM_TRY(pm_tokenizer_create(e->file, &e->tokenizer));
  PM_TRY(pm_chat_init(&e->chat, e->file, e->tokenizer));
  e->sizes = (pm_plan_sizes){.n_ctx = d->n_ctx, .n_session = d->n_session, .n_batch = d->n_batch, .cache_f32 = d->cache_f32};
  PM_TRY(pm_plan_build(&e->model, &e->sizes, &e->program));
  e->program.observer = d->observer;
  e->fingerprint = fingerprint(e);
  PM_TRY(pm_engine_load_backend(e, d));
  return make_step(e);
}

pm_status pm_engine_open(const char *path, const pm_engine_desc *desc, pm_engine **out) {
  *out = NULL;
  pm_engine *e;
  PM_NEW(&e, 1, "model");
  pm_status status = open_into(e, path, desc);
  if (status) return pm_engine_close(e), status;
  *out = e;
  return PM_OK;
}

void pm_engine_close(pm_engine *e) {
  if (!e) return;
  if (e->backend) e->backend->ops->destroy(e->backend);
  pm_experts_destroy(e->experts);
  pm_plan_finish(&e->plan);
  pm_use_trace_finish(e->trace);
  pm_program_finish(&e->program);
  pm_model_finish(&e->model);
  pm_kv_finish(&e->kv);
  pm_chat_finish(&e->chat);
  pm_token_order_destroy(e->token_order);
  pm_tokenizer_destroy(e->tokenizer);
  pm_model_file_close(e->file);
  pm_free(e->rows);
  pm_free(e->logit_row);
  pm_free(e->rope);
  pm_free(e);
}

void pm_engine_begin_step(pm_engine *e) { e->n_row = e->n_logit = 0; }

void pm_engine_append_rows(pm_engine *e, uint32_t base, uint32_t pos, const int32_t *tokens, uint32_t n, pm_want want) {
  const pm_rope_table *rope = &e->model.config.rope;
  for (uint32_t i = 0; i < n; i++, e->n_row++) {
    e->rows[e->n_row] = (pm_row){.token = (uint32_t)tokens[i], .pos = pos + i, .base = base};
    if (want == PM_WANT_ALL || (want == PM_WANT_LAST && i + 1 == n)) e->logit_row[e->n_logit++] = e->n_row;
    pm_rope_fill(rope, pos + i, e->rope + (size_t)e->n_row * 2 * rope->n_pair);
  }
}

pm_status pm_engine_run_step(pm_engine *e) {
  pm_step step = {.n_row = e->n_row, .n_logit = e->n_logit, .rows = e->rows, .logit_row = e->logit_row, .rope = e->rope};
  if (e->experts) return pm_experts_run(e->experts, e->backend, &step);
  PM_TRY(e->backend->ops->run(e->backend, &step));
  return e->trace ? pm_use_trace_step(e->trace, e->backend, e->n_row) : PM_OK;
}
