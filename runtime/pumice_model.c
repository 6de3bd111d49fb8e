// The public API: open models and what they say of themselves.
#include <stdio.h>

#include "engine.h"
#include "memory.h"
#include "plan.h"
#include "public.h"
#include "session.h"

// Adapts the public progress callback, which also says what is being done.
static bool load_progress(void *user, float done) {
  const pumice_model *m = user;
  return m->progress(m->user, "load", done);
}

static pm_tuning public_tuning(const pumice_model_options *o) {
  if (o->deterministic || o->tuning == PUMICE_TUNING_OFF) return PM_TUNING_OFF;
  if (o->tuning == PUMICE_TUNING_ROOM) return PM_TUNING_ROOM;
  return o->validate ? PM_TUNING_USE : PM_TUNING_FIRST;
}

pumice_status pumice_model_open(const char *path, const pumice_model_options *options, pumice_model **out) {
  REQUIRE(path && out, "path or out is NULL");
  *out = NULL;
  pumice_model_options o = {0};
  copy_in(&o, sizeof o, options);
  pumice_model *m = pm_alloc_zero(1, sizeof *m);
  if (!m) return public_status(pm_fail(PM_ERR_MEMORY, "out of memory: model"));
  *m = (pumice_model){.allocations = pm_alloc_count(), .progress = o.progress, .user = o.user};
  pm_engine_desc d = {.device = o.device,
                      .n_ctx = o.n_ctx,
                      .n_session = o.n_session,
                      .n_thread = o.n_thread,
                      .n_batch = o.n_batch,
                      .exact = o.exact,
                      .cache_f32 = o.cache_f32,
                      .read_file = o.read_file,
                      .validate = o.validate,
                      .stream_only = o.deterministic,
                      .vram_limit = o.vram_limit,
                      .ram_limit = o.ram_limit,
                      .sim_vram = o.sim_vram,
                      .experts = o.experts,
                      .sim_link = {o.sim_link_gbps * 1e9, o.sim_link_latency_us * 1e-6, o.sim_cpu_gbps * 1e9},
                      .cache_dir = o.cache_dir,
                      .tuning = public_tuning(&o),
                      .trace_path = o.trace_path,
                      .progress = o.progress ? load_progress : NULL,
                      .user = m};
  pm_status status = pm_engine_open(path, &d, &m->engine);
  if (status) return pm_free(m), public_status(status);
  m->parts = pm_alloc_zero(m->engine->kv.n_session, sizeof *m->parts);
  if (!m->parts) return pumice_model_close(m), public_status(pm_fail(PM_ERR_MEMORY, "out of memory: parts of a step"));
  *out = m;
  return PUMICE_OK;
}

void pumice_model_close(pumice_model *model) {
  if (!model) return;
  pm_engine_close(model->engine);
  pm_free(model->parts);
  pm_free(model);
}

static void copy_meta(const pm_model_file *f, const char *key, char *dst, size_t n) {
  const char *s = "";
  size_t bytes = 0;
  if (pm_meta_string(f, key, 0, &s, &bytes)) bytes = 0;
  snprintf(dst, n, "%.*s", (int)(bytes < n ? bytes : n - 1), s);
}

// The format that most of the file's bytes are in.
static const char *main_format(const pm_model_file *f) {
  uint64_t best = 0;
  const char *name = "";
  for (size_t i = 0; pm_format_row(i); i++) {
    uint64_t sum = 0;
    for (uint64_t k = 0; k < pm_model_file_n_tensor(f); k++) {
      const pm_file_tensor *t = pm_model_file_tensor(f, k);
      if (t->type == (uint32_t)pm_format_row(i)->type) sum += t->bytes;
    }
    if (sum > best) best = sum, name = pm_format_row(i)->name;
  }
  return name;
}

void pumice_model_get_info(const pumice_model *model, pumice_model_info *info) {
  const pm_engine *e = model->engine;
  const pm_config *c = &e->model.config;
  pm_memory_use use = e->backend->ops->memory(e->backend);
  pumice_model_info i = {.file_bytes = pm_model_file_bytes(e->file),
                         .n_layer = c->n_layer,
                         .n_ctx_train = c->n_ctx_train,
                         .n_ctx = e->kv.n_ctx,
                         .n_vocab = c->n_vocab,
                         .d_model = c->d_model,
                         .n_expert = c->n_expert,
                         .n_expert_used = c->n_expert_used,
                         .n_thread = e->n_thread,
                         .n_batch = e->program.max_rows,
                         .token_bos = pm_tokenizer_bos(e->tokenizer),
                         .token_eos = pm_tokenizer_eos(e->tokenizer),
                         .bytes_weights = use.weights,
                         .bytes_weights_mapped = use.weights_mapped,
                         .bytes_kv = use.kv,
                         .bytes_scratch = use.scratch,
                         .bytes_staging = use.staging};
  copy_meta(e->file, "general.name", i.name, sizeof i.name);
  snprintf(i.architecture, sizeof i.architecture, "%s", e->model.arch->name);
  snprintf(i.file_type, sizeof i.file_type, "%s", main_format(e->file));
  snprintf(i.device, sizeof i.device, "%s", e->device);
  snprintf(i.driver, sizeof i.driver, "%s", e->driver);
  snprintf(i.note, sizeof i.note, "%s", *e->note ? e->note : e->plan.note);
  snprintf(i.chat_format, sizeof i.chat_format, "%s",
           e->chat.format     ? pm_chat_format_name(e->chat.format)
           : e->chat.template ? "jinja"
                              : "");
  for (uint64_t k = 0; k < pm_model_file_n_tensor(e->file); k++) {
    const uint64_t *ne = pm_model_file_tensor(e->file, k)->ne;
    i.n_parameter += ne[0] * ne[1] * ne[2] * ne[3];
  }
  copy_out(info, &i, sizeof i);
}

void pumice_model_get_counters(const pumice_model *model, pumice_counters *counters) {
  pm_backend_counters b = model->engine->backend->ops->counters(model->engine->backend);
  pumice_counters c = {.steps = b.steps,
                       .submissions = b.submissions,
                       .dispatches = b.dispatches,
                       .barriers = b.barriers,
                       .allocations = pm_alloc_count() - model->allocations};
  copy_out(counters, &c, sizeof c);
}

void pumice_model_memory(const pumice_model *model, pumice_memory_fn *fn, void *user) {
  const pm_engine *e = model->engine;
  pm_memory_use use = e->backend->ops->memory(e->backend);
  pm_plan_kind kinds[PM_PLAN_KINDS];
  pm_plan_kinds(&e->plan, &use, kinds);
  for (int i = 0; i < PM_PLAN_KINDS; i++) fn(user, kinds[i].name, kinds[i].planned, kinds[i].actual);
}

void pumice_model_get_expert_stats(const pumice_model *model, pumice_expert_stats *stats) {
  const pm_engine *e = model->engine;
  pm_backend_counters b = e->backend->ops->counters(e->backend);
  pm_experts_report r = e->experts ? pm_experts_look(e->experts) : (pm_experts_report){0};
  bool device = e->experts && e->plan.mode != PM_PLAN_CPU;
  pumice_expert_stats s = {.simulated = e->simulated,
                           .tiered = e->plan.tiered,
                           .n_expert = (uint64_t)e->program.n_table * e->model.config.n_expert,
                           .hits = r.few.fate[PM_EXPERT_HIT],
                           .fills = r.few.fate[PM_EXPERT_VICTIM],
                           .passes = r.few.fate[PM_EXPERT_RING],
                           .host = r.few.fate[PM_EXPERT_HOST],
                           .prompt_hits = r.many.fate[PM_EXPERT_HIT],
                           .prompt_passes = r.many.fate[PM_EXPERT_RING],
                           .link_bytes = r.link_bytes,
                           .prompt_link_bytes = r.prompt_link_bytes,
                           .move_bytes = r.move_bytes,
                           .disk_hits = r.store.hits,
                           .disk_misses = r.store.misses,
                           .disk_bytes = r.store.bytes,
                           .asks = b.asks,
                           .ask_seconds = b.ask_seconds,
                           .answer_seconds = r.answer_seconds,
                           .end_seconds = b.wait_seconds,
                           .disk_seconds = r.store.seconds,
                           .fill_seconds = r.pace.fill,
                           .host_seconds = r.pace.host,
                           .layer_seconds = r.pace.ask};
  for (uint32_t c = 0; c < e->plan.experts.n_class; c++)
    s.n_slot += e->plan.experts.classes[c].n_slot, s.n_home += e->plan.experts.classes[c].n_home;
  if (device) s.n_slot = r.n_slot;
  snprintf(s.mode, sizeof s.mode, "%s", device ? pm_pace_way_name(r.pace.way) : pm_plan_mode_name(e->plan.mode));
  copy_out(stats, &s, sizeof s);
}

void pumice_model_expert_layers(const pumice_model *model, pumice_expert_layer_fn *fn, void *user) {
  const pm_engine *e = model->engine;
  if (!e->experts || e->plan.mode == PM_PLAN_CPU) return;
  for (uint32_t t = 0; t < e->program.n_table; t++) {
    pm_experts_table x = pm_experts_look_table(e->experts, t);
    const uint64_t *fate = x.few.fate;
    pm_pace_way way = !x.choice.assist ? PM_PACE_STREAM : x.choice.n_ring ? PM_PACE_SPLIT : PM_PACE_ASSIST;
    fn(user, e->model.config.n_layer - e->program.n_table + t, pm_pace_way_name(way), x.choice.n_ring, fate[PM_EXPERT_HIT],
       fate[PM_EXPERT_VICTIM] + fate[PM_EXPERT_RING] + fate[PM_EXPERT_HOST]);
  }
}
