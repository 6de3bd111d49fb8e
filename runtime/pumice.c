// The public API: checks arguments, fills defaults, and forwards to the engine. Nothing is computed here.
#include "pumice.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "energy.h"
#include "engine.h"
#include "expert_replay.h"
#include "file.h"
#include "generate.h"
#include "memory.h"
#include "plan.h"
#include "public.h"
#include "selftest.h"
#include "synth.h"
#include "thread.h"
#include "tool_calls.h"

struct pumice_session {
  pm_session *session;
  pumice_model *model;
};

_Static_assert((int)PUMICE_ERR_CANCELLED == (int)PM_ERR_CANCELLED, "status values are shared");
_Static_assert((int)PUMICE_ERR_CANCELLED == PM_STATUS_COUNT - 1, "every status has a public name");

const char *pumice_version(void) { return PUMICE_VERSION; }
const char *pumice_error(void) { return pm_fail_message(); }

const char *pumice_status_name(pumice_status status) {
  static const char *const names[] = {"ok",           "wrong argument", "input/output error",
                                      "wrong format", "not supported",  "out of memory",
                                      "device error", "device lost",    "cancelled"};
  return (unsigned)status < sizeof names / sizeof *names ? names[status] : "unknown";
}

// ---- devices ----

static pumice_device_kind public_kind(pm_gpu_kind kind) {
  switch (kind) {
    case PM_GPU_DISCRETE: return PUMICE_DEVICE_DISCRETE;
    case PM_GPU_INTEGRATED: return PUMICE_DEVICE_INTEGRATED;
    case PM_GPU_SOFTWARE: return PUMICE_DEVICE_SOFTWARE;
    case PM_GPU_VIRTUAL:
    case PM_GPU_OTHER: break;
  }
  return PUMICE_DEVICE_VIRTUAL;
}

static pumice_device_info cpu_info(void) {
  pumice_device_info d = {
      .kind = PUMICE_DEVICE_CPU, .usable = true, .memory_total = pm_memory_total(), .memory_free = pm_memory_available()};
  snprintf(d.name, sizeof d.name, "CPU");
  snprintf(d.driver, sizeof d.driver, "%s, %u physical cores", pm_cpu_path_name(), pm_thread_physical_cores());
  return d;
}

static pumice_device_info gpu_info(const pm_gpu_info *g) {
  pumice_device_info d = {
      .kind = public_kind(g->kind), .usable = g->usable, .memory_total = g->memory_total, .memory_free = g->memory_free};
  snprintf(d.name, sizeof d.name, "%s", g->name);
  snprintf(d.driver, sizeof d.driver, "%s", g->driver);
  snprintf(d.uuid, sizeof d.uuid, "%s", g->uuid);
  snprintf(d.pci, sizeof d.pci, "%s", g->pci);
  snprintf(d.features, sizeof d.features, "%s", g->features);
  snprintf(d.known, sizeof d.known, "%s", g->known);
  const char *why = g->reason;
  if (g->usable && g->avoid) why = "its driver is known to go wrong: used only when named";
  if (g->usable && g->kind == PM_GPU_SOFTWARE && !*why) why = "a software driver: used only when named";
  snprintf(d.reason, sizeof d.reason, "%s", why);
  return d;
}

pumice_status pumice_devices(pumice_device_info *infos, uint32_t *n, char note[256]) {
  REQUIRE(n && (infos || !*n), "n is NULL, or infos is");
  enum { MAX_GPU = 16 };
  pm_gpu_info *gpus = pm_alloc_zero(MAX_GPU, sizeof *gpus);
  if (!gpus) return public_status(pm_fail(PM_ERR_MEMORY, "out of memory: list of devices"));
  char why[256] = "";
  uint32_t n_gpu = MAX_GPU;
  pm_status status = pm_gpu_list(gpus, &n_gpu, why);
  if (n_gpu > MAX_GPU) n_gpu = MAX_GPU;
  if (note) snprintf(note, 256, "%s", why);
  for (uint32_t i = 0; status == PM_OK && i < n_gpu + 1 && i < *n; i++) {
    pumice_device_info d = i ? gpu_info(&gpus[i - 1]) : cpu_info();
    copy_out(&infos[i], &d, sizeof d);
  }
  *n = n_gpu + 1;
  pm_free(gpus);
  return public_status(status);
}

pumice_status pumice_selftest(const char *device, const char *cache_dir, pumice_selftest_fn *report, void *user) {
  REQUIRE(report, "report is NULL");
  return public_status(pm_selftest(&(pm_selftest_desc){.device = device, .cache_dir = cache_dir, .report = report, .user = user}));
}

// ---- models ----

// Adapts the public progress callback, which also says what is being done.
static bool load_progress(void *user, float done) {
  const pumice_model *m = user;
  return m->progress(m->user, "load", done);
}

static bool prompt_progress(void *user, float done) {
  const pumice_model *m = user;
  return m->progress(m->user, "prompt", done);
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

// ---- files ----

pumice_status pumice_inspect(const char *path, pumice_inspect_key_fn *key, pumice_inspect_tensor_fn *tensor, void *user) {
  REQUIRE(path, "path is NULL");
  pm_model_file_desc how = {.header_only = true};
  pm_model_file *f;
  pm_status status = pm_model_file_open(path, &how, &f);
  if (status) return public_status(status);
  for (uint64_t i = 0; key && i < pm_model_file_n_meta(f); i++) {
    const pm_meta *m = pm_model_file_meta(f, i);
    char value[256];
    pm_meta_print(f, m, value, sizeof value);
    key(user, m->key, pm_meta_type_name(m->type), value);
  }
  for (uint64_t i = 0; tensor && i < pm_model_file_n_tensor(f); i++) {
    const pm_file_tensor *t = pm_model_file_tensor(f, i);
    tensor(user, t->name, pm_format_find(t->type)->name, t->ne, t->n_dim, t->bytes, t->shard);
  }
  pm_model_file_close(f);
  return PUMICE_OK;
}

// Adapts the public progress callback for synth.
static bool synth_progress(void *user, float done) {
  const pumice_synth_options *o = user;
  return o->progress(o->user, "write", done);
}

pumice_status pumice_synth(const char *path, const pumice_synth_options *options) {
  REQUIRE(path && options && options->shape, "path, options or the shape is NULL");
  pumice_synth_options o = {0};
  copy_in(&o, sizeof o, options);
  pm_synth_options s = {
      .shape = o.shape, .mix = o.mix, .n_layer = o.n_layer, .seed = o.seed, .progress = o.progress ? synth_progress : NULL, .user = &o};
  return public_status(pm_synth(path, &s));
}

const char *pumice_synth_shape(uint32_t i) { return pm_synth_shape(i); }
const char *pumice_synth_mix(uint32_t i) { return pm_synth_mix(i); }

// ---- plan ----

static void report_memory(const char *name, const pm_plan_memory *m, pumice_plan_row_fn *row, void *user) {
  const struct {
    const char *purpose;
    uint64_t bytes;
  } rows[] = {{"weights", m->weights},    {"cache", m->kv},  {"scratch", m->scratch}, {"staging", m->staging},
              {"expert slots", m->slots}, {"ring", m->ring}, {"experts", m->homes},   {"page cache", m->page_cache}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].bytes) row(user, name, rows[i].purpose, rows[i].bytes);
}

static void report_rows(const pm_plan *plan, pumice_plan_row_fn *row, void *user) {
  report_memory("device", &plan->device, row, user);
  report_memory("host", &plan->host, row, user);
  if (plan->on_disk.bytes) row(user, "disk", "experts", plan->on_disk.bytes);
}

static pumice_plan_info plan_info(const pm_plan_answer *a) {
  const pm_plan *p = &a->plan;
  const pm_machine *x = &a->machine;
  pumice_plan_info i = {.fits = p->fits,
                        .n_ctx = p->n_ctx,
                        .n_session = p->n_session,
                        .n_batch = p->n_batch,
                        .file_bytes = a->file_bytes,
                        .vram_budget = p->device_budget,
                        .ram_budget = p->host_budget,
                        .n_expert = p->in_slots.n_expert + p->in_homes.n_expert + p->on_disk.n_expert,
                        .n_in_slots = p->in_slots.n_expert,
                        .n_in_memory = p->in_homes.n_expert,
                        .n_on_disk = p->on_disk.n_expert,
                        .hit_rate = p->hit,
                        .vram_gbps = x->vram_rate / 1e9,
                        .link_gbps = x->link_rate / 1e9,
                        .ram_gbps = x->ram_rate / 1e9,
                        .cpu_gbps = x->cpu_rate / 1e9,
                        .disk_gbps = x->disk_rate / 1e9,
                        .gpu_tflops = x->gpu_flops / 1e12};
  snprintf(i.reason, sizeof i.reason, "%s", p->reason);
  snprintf(i.note, sizeof i.note, "%s", p->note);
  snprintf(i.device, sizeof i.device, "%s", a->device);
  if (!p->fits) return i;
  snprintf(i.mode, sizeof i.mode, "%s", pm_plan_mode_name(p->mode));
  i.decode_rate = 1 / p->decode.seconds, i.prompt_rate = p->n_batch / p->prompt.seconds;
  snprintf(i.decode_limit, sizeof i.decode_limit, "%s", pm_cost_limit_name(p->decode.limit));
  snprintf(i.prompt_limit, sizeof i.prompt_limit, "%s", pm_cost_limit_name(p->prompt.limit));
  return i;
}

pumice_status pumice_plan(const char *path, const pumice_plan_options *options, pumice_plan_info *info, pumice_plan_row_fn *row,
                          void *user) {
  REQUIRE(path && info, "path or info is NULL");
  pumice_plan_options o = {0};
  copy_in(&o, sizeof o, options);
  pm_plan_request r = {.path = path,
                       .mix = o.mix,
                       .device = o.device,
                       .sizes = {.n_ctx = o.n_ctx, .n_session = o.n_session, .n_batch = o.n_batch, .cache_f32 = o.cache_f32},
                       .stream_only = o.deterministic,
                       .vram = o.vram,
                       .ram = o.ram,
                       .sim_vram = o.sim_vram,
                       .expert_bits = o.expert_bits,
                       .rates = {.vram_rate = o.vram_gbps * 1e9,
                                 .link_rate = o.link_gbps * 1e9,
                                 .ram_rate = o.ram_gbps * 1e9,
                                 .cpu_rate = o.cpu_gbps * 1e9,
                                 .disk_rate = o.disk_gbps * 1e9,
                                 .gpu_flops = o.gpu_tflops * 1e12}};
  pm_plan_answer answer;
  pm_status status = pm_plan_file(&r, &answer);
  if (status == PM_OK) {
    pumice_plan_info i = plan_info(&answer);
    copy_out(info, &i, sizeof i);
    if (row && answer.plan.fits) report_rows(&answer.plan, row, user);
  }
  pm_plan_finish(&answer.plan);
  return public_status(status);
}

// ---- experts ----

pumice_status pumice_trace_get_info(const char *path, pumice_trace_info *info) {
  REQUIRE(path && info, "path or info is NULL");
  pm_trace *t;
  pm_status status = pm_trace_open(path, &t);
  if (status) return public_status(status);
  const pm_trace_shape *s = pm_trace_get_shape(t);
  pumice_trace_info i = {.n_table = s->n_table, .n_expert = s->n_expert, .n_used = s->n_used};
  for (uint32_t c = 0; c < s->n_class; c++) i.slots += s->n_slot[c];
  for (uint32_t k = 0; k < s->n_table; k++) i.bytes += s->n_expert * s->record_bytes[s->class_of[k]];
  pm_trace_close(t);
  copy_out(info, &i, sizeof i);
  return PUMICE_OK;
}

static pm_status replay_policy(const pm_trace *t, pm_replay_policy policy, uint64_t slots, pumice_replay_fn *row, void *user) {
  pm_replay_result r;
  uint32_t n_slot[PM_EXPERT_CLASSES];
  const pm_trace_shape *s = pm_trace_get_shape(t);
  pm_replay_divide(s, slots, n_slot);
  if (policy == PM_REPLAY_RECORDED) memcpy(n_slot, s->n_slot, sizeof n_slot);
  PM_TRY(pm_replay_run(t, policy, n_slot, &r));
  pumice_replay_row out = {.size = sizeof out,
                           .policy = pm_replay_name(policy),
                           .tokens = r.tokens[0],
                           .hits = r.hits[0],
                           .misses = r.misses[0],
                           .miss_bytes = r.miss_bytes[0],
                           .prompt_tokens = r.tokens[1],
                           .prompt_hits = r.hits[1],
                           .prompt_misses = r.misses[1],
                           .prompt_miss_bytes = r.miss_bytes[1]};
  for (uint32_t c = 0; c < s->n_class; c++) out.slots += n_slot[c];
  if (!row(user, &out)) PM_FAIL(PM_ERR_CANCELLED, "stopped by the caller");
  return PM_OK;
}

static pm_status replay_all(const pm_trace *t, const uint64_t *slots, size_t n, pumice_replay_fn *row, void *user) {
  const pm_trace_shape *s = pm_trace_get_shape(t);
  uint64_t recorded = 0;
  for (uint32_t c = 0; c < s->n_class; c++) recorded += s->n_slot[c];
  if (recorded) PM_TRY(replay_policy(t, PM_REPLAY_RECORDED, 0, row, user));
  for (size_t i = 0; i < n; i++)
    for (int p = 0; p < PM_REPLAY_POLICIES; p++)
      if (p != PM_REPLAY_RECORDED) PM_TRY(replay_policy(t, (pm_replay_policy)p, slots[i], row, user));
  return PM_OK;
}

pumice_status pumice_replay(const char *path, const uint64_t *slots, size_t n, pumice_replay_fn *row, void *user) {
  REQUIRE(path && (slots || !n) && row, "path, slots or row is NULL");
  pm_trace *t;
  pm_status status = pm_trace_open(path, &t);
  if (status == PM_OK) status = replay_all(t, slots, n, row, user);
  pm_trace_close(t);
  return public_status(status);
}

// ---- text ----

pumice_status pumice_tokenize(const pumice_model *model, const char *text, size_t bytes, uint32_t flags, int32_t *tokens, size_t *n) {
  REQUIRE(model && (text || !bytes) && n && (tokens || !*n), "an argument is NULL");
  pm_tokenize_flags f = {.add_special = flags & PUMICE_ADD_BOS, .parse_special = flags & PUMICE_PARSE_SPECIAL};
  return public_status(pm_tokenize(model->engine->tokenizer, text, bytes, f, tokens, n));
}

const char *pumice_token_bytes(const pumice_model *model, int32_t token, bool special, size_t *n) {
  return pm_token_bytes(model->engine->tokenizer, token, special, n);
}

bool pumice_token_is_end(const pumice_model *model, int32_t token) { return pm_token_is_end(model->engine->tokenizer, token); }

pumice_status pumice_chat_render(const pumice_model *model, const pumice_message *messages, size_t n_message, bool add_generation_prompt,
                                 bool thinking, char *buffer, size_t *n) {
  REQUIRE(model && (messages || !n_message) && n && (buffer || !*n), "an argument is NULL");
  const pm_engine *e = model->engine;
  pm_message *copy = pm_alloc_zero(n_message, sizeof *copy);
  if (!copy) return public_status(pm_fail(PM_ERR_MEMORY, "out of memory: messages"));
  for (size_t i = 0; i < n_message; i++) copy[i] = (pm_message){messages[i].role, messages[i].content};
  pm_status status = pm_chat_render_messages(&e->chat, copy, n_message, add_generation_prompt, thinking, buffer, n);
  pm_free(copy);
  return public_status(status);
}

pumice_status pumice_chat_render_json(const pumice_model *model, const char *request, char *buffer, size_t *n) {
  REQUIRE(model && request && n && (buffer || !*n), "an argument is NULL");
  return public_status(pm_chat_render_request(&model->engine->chat, request, strlen(request), buffer, n));
}

// ---- tool calls ----

struct pumice_tool_stream {
  pm_tool_stream stream;
  pumice_tool_text_fn *text;
  pumice_tool_call_fn *call;
  void *user;
};

static uint64_t call_seed(void) { return (uint64_t)(pm_clock_seconds() * 1e9); }

static bool pass_text(void *user, const char *text, size_t bytes) {
  pumice_tool_stream *s = user;
  return s->text(s->user, text, bytes);
}

static bool pass_call(void *user, uint32_t index, const char *id, pm_span name, pm_span arguments) {
  pumice_tool_stream *s = user;
  pm_buffer b = {0};  // both, terminated
  pm_buffer_put(&b, name.at, name.n);
  pm_buffer_put(&b, "", 1);
  pm_buffer_put(&b, arguments.at, arguments.n);
  bool wanted = b.status == PM_OK && s->call(s->user, index, id, b.at, b.at + name.n + 1);
  pm_buffer_finish(&b);
  return wanted;
}

pumice_status pumice_tool_stream_begin(const pumice_model *model, pumice_tool_text_fn *text, pumice_tool_call_fn *call, void *user,
                                       pumice_tool_stream **out) {
  REQUIRE(model && text && call && out, "an argument is NULL");
  pumice_tool_stream *s = *out = pm_alloc_zero(1, sizeof *s);
  if (!s) return public_status(pm_fail(PM_ERR_MEMORY, "out of memory: tool calls"));
  pm_tool_stream_begin(&s->stream, model->engine->chat.tool_formats, call_seed());
  s->text = text, s->call = call, s->user = user;
  return PUMICE_OK;
}

pumice_status pumice_tool_stream_push(pumice_tool_stream *stream, const char *text, size_t bytes, bool end) {
  REQUIRE(stream && (text || !bytes), "stream or text is NULL");
  const pm_tool_sink sink = {pass_text, pass_call, stream};
  return public_status(pm_tool_stream_push(&stream->stream, text, bytes, end, &sink));
}

void pumice_tool_stream_end(pumice_tool_stream *stream) {
  if (!stream) return;
  pm_tool_stream_finish(&stream->stream);
  pm_free(stream);
}

pumice_status pumice_tool_calls(const pumice_model *model, const char *text, size_t bytes, char *buffer, size_t *n) {
  REQUIRE(model && (text || !bytes) && n && (buffer || !*n), "an argument is NULL");
  pm_buffer out = {0};
  pm_status status = pm_tool_calls(model->engine->chat.tool_formats, call_seed(), (pm_span){text, bytes}, &out);
  if (status == PM_OK) status = pm_buffer_copy_out(&out, buffer, n);
  pm_buffer_finish(&out);
  return public_status(status);
}

// ---- sessions ----

pumice_status pumice_session_create(pumice_model *model, pumice_session **out) {
  REQUIRE(model && out, "model or out is NULL");
  *out = NULL;
  pumice_session *s = pm_alloc_zero(1, sizeof *s);
  if (!s) return public_status(pm_fail(PM_ERR_MEMORY, "out of memory: session"));
  pm_status status = pm_session_create(model->engine, &s->session);
  if (status) return pm_free(s), public_status(status);
  s->model = model;
  s->session->progress = model->progress ? prompt_progress : NULL;
  s->session->user = model;
  *out = s;
  return PUMICE_OK;
}

void pumice_session_destroy(pumice_session *session) {
  if (!session) return;
  pm_session_destroy(session->session);
  pm_free(session);
}

pumice_status pumice_session_sync(pumice_session *session, const int32_t *tokens, size_t n, size_t *n_reused) {
  REQUIRE(session && (tokens || !n), "session or tokens is NULL");
  return public_status(pm_session_sync(session->session, tokens, n, n_reused));
}

pumice_status pumice_session_eval(pumice_session *session, const int32_t *tokens, size_t n, pumice_logits_fn *all_logits, void *user) {
  REQUIRE(session && (tokens || !n), "session or tokens is NULL");
  return public_status(pm_session_eval(session->session, tokens, n, all_logits, user));
}

pumice_status pumice_eval_parts(pumice_part *parts, size_t n_part) {
  REQUIRE(parts || !n_part, "parts is NULL");
  if (!n_part) return PUMICE_OK;
  for (size_t i = 0; i < n_part; i++) REQUIRE(parts[i].session && (parts[i].tokens || !parts[i].n), "a session or its tokens is NULL");
  pumice_model *m = parts->session->model;
  REQUIRE(n_part <= m->engine->kv.n_session, "there are more parts than sessions");
  for (size_t i = 0; i < n_part; i++) m->parts[i] = (pm_part){parts[i].session->session, parts[i].tokens, parts[i].n};
  pm_status status = pm_session_eval_parts(m->parts, n_part);
  for (size_t i = 0; i < n_part; i++) parts[i].n_done = m->parts[i].n_done, parts[i].status = public_status(m->parts[i].status);
  return public_status(status);
}

size_t pumice_session_length(const pumice_session *session) { return session->session->length; }

const int32_t *pumice_session_tokens(const pumice_session *session) { return session->session->tokens; }

pumice_status pumice_session_rewind(pumice_session *session, size_t length) {
  REQUIRE(session, "session is NULL");
  return public_status(pm_session_rewind(session->session, length));
}

const float *pumice_session_logits(const pumice_session *session) { return session->session->has_logits ? session->session->logits : NULL; }

pumice_status pumice_session_copy(pumice_session *to, const pumice_session *from, size_t length) {
  REQUIRE(to && from, "to or from is NULL");
  return public_status(pm_session_copy(to->session, from->session, length));
}

pumice_status pumice_session_save(pumice_session *session, const char *path) {
  REQUIRE(session && path, "session or path is NULL");
  return public_status(pm_session_save(session->session, path));
}

pumice_status pumice_session_load(pumice_session *session, const char *path) {
  REQUIRE(session && path, "session or path is NULL");
  return public_status(pm_session_load(session->session, path));
}

void pumice_session_cancel(pumice_session *session) { atomic_store(&session->session->cancel, true); }

// ---- generation ----

struct pumice_answer {
  pm_answer *answer;
  pumice_text_fn *text;
  pumice_probs_fn *probs;
  void *user;
};

static bool forward_text(void *user, bool thinking, const char *text, size_t bytes) {
  const pumice_answer *a = user;
  return !a->text || a->text(a->user, thinking ? PUMICE_THINKING : PUMICE_TEXT, text, bytes);
}

_Static_assert(sizeof(pumice_token_prob) == sizeof(pm_token_prob) && sizeof(pumice_bias) == sizeof(pm_bias), "shared structs");

static void forward_probs(void *user, const pm_token_prob *chosen, const pm_token_prob *top, uint32_t n_top) {
  const pumice_answer *a = user;
  a->probs(a->user, (const pumice_token_prob *)chosen, (const pumice_token_prob *)top, n_top);
}

static float or_default(float value, float otherwise) { return value == 0 ? otherwise : value; }

static pm_sampler_desc sampler_desc(const pumice_sampling *o) {
  return (pm_sampler_desc){.greedy = o->greedy,
                           .temperature = or_default(o->temperature, 0.8f),
                           .top_k = o->top_k ? o->top_k : 40,
                           .top_p = or_default(o->top_p, 0.95f),
                           .min_p = or_default(o->min_p, 0.05f),
                           .repeat_penalty = or_default(o->repeat_penalty, 1),
                           .presence_penalty = o->presence_penalty,
                           .frequency_penalty = o->frequency_penalty,
                           .penalty_last_n = o->penalty_last_n ? o->penalty_last_n : 64};
}

pumice_status pumice_answer_begin(pumice_session *session, const pumice_answer_options *options, pumice_answer **out) {
  REQUIRE(session && out, "session or out is NULL");
  *out = NULL;
  pumice_answer_options o = {0};
  copy_in(&o, sizeof o, options);
  pumice_sampling sampling = {0};
  copy_in(&sampling, sizeof sampling, o.sampling);
  REQUIRE(sampling.temperature >= 0 && sampling.top_p >= 0 && sampling.repeat_penalty >= 0,
          "temperature, top_p and repeat_penalty cannot be negative");
  REQUIRE((o.stop || !o.n_stop) && (o.bias || !o.n_bias), "stop or bias is NULL");
  pumice_answer *a = pm_alloc_zero(1, sizeof *a);
  if (!a) return public_status(pm_fail(PM_ERR_MEMORY, "out of memory: answer"));
  *a = (pumice_answer){.text = o.text, .probs = o.probs, .user = o.user};
  pm_answer_desc d = {.sampling = sampler_desc(&sampling),
                      .seed = sampling.seed ? sampling.seed : (uint64_t)(pm_clock_seconds() * 1e9),
                      .max_tokens = o.max_tokens,
                      .stop = o.stop,
                      .n_stop = o.n_stop,
                      .ignore_end = o.ignore_end,
                      .special = o.special,
                      .n_probs = o.n_probs,
                      .grammar = o.grammar,
                      .json_schema = o.json_schema,
                      .text = forward_text,
                      .probs = o.probs ? forward_probs : NULL,
                      .user = a};
  d.sampling.bias = (const pm_bias *)o.bias, d.sampling.n_bias = o.n_bias;
  pm_status status = pm_answer_begin(session->session, &d, &a->answer);
  if (status) return pm_free(a), public_status(status);
  *out = a;
  return PUMICE_OK;
}

pumice_status pumice_answer_next(pumice_answer *answer, int32_t *token, bool *done) {
  REQUIRE(answer && token && done, "answer, token or done is NULL");
  return public_status(pm_answer_next(answer->answer, token, done));
}

void pumice_answer_result(const pumice_answer *answer, pumice_result *result) {
  pm_generated g = pm_answer_result(answer->answer);
  pumice_result out = {.stop = (pumice_stop)g.stop, .n_token = g.n_token, .seconds = g.seconds, .stop_string = g.stop_string};
  copy_out(result, &out, sizeof out);
}

void pumice_answer_end(pumice_answer *answer) {
  if (!answer) return;
  pm_answer_end(answer->answer);
  pm_free(answer);
}

pumice_status pumice_generate(pumice_session *session, const pumice_sampling *sampling, size_t max_tokens, pumice_text_fn *text, void *user,
                              pumice_result *result) {
  pumice_answer_options o = {.size = sizeof o, .sampling = sampling, .max_tokens = max_tokens, .text = text, .user = user};
  pumice_answer *a;
  pumice_status status = pumice_answer_begin(session, &o, &a);
  if (status) return status;
  status = public_status(pm_answer_run(a->answer));
  if (result) pumice_answer_result(a, result);
  pumice_answer_end(a);
  return status;
}

// ---- energy ----

struct pumice_energy {
  pm_energy *sensors;
};

pumice_status pumice_energy_open(const pumice_energy_options *options, pumice_energy **out) {
  REQUIRE(out, "out is NULL");
  pumice_energy_options o = PUMICE_INIT(pumice_energy_options);
  copy_in(&o, sizeof o, options);
  pumice_energy *e = *out = pm_alloc_zero(1, sizeof *e);
  if (!e) return public_status(pm_fail(PM_ERR_MEMORY, "out of memory: energy sensors"));
  pm_status status = pm_energy_open(&(pm_energy_desc){.sysfs = o.sysfs, .nvml = o.nvml}, &e->sensors);
  if (status != PM_OK) pm_free(e), *out = NULL;
  return public_status(status);
}

void pumice_energy_close(pumice_energy *energy) {
  if (!energy) return;
  pm_energy_close(energy->sensors);
  pm_free(energy);
}

static pumice_energy_domain public_domain(const pm_energy_domain *d) {
  static const char *const covers[] = {[PM_ENERGY_GPU] = "gpu", [PM_ENERGY_PACKAGE] = "package", [PM_ENERGY_APU] = "apu"};
  pumice_energy_domain p = {.counted = d->counted, .joules = d->joules, .samples = d->samples};
  snprintf(p.name, sizeof p.name, "%s", d->name);
  snprintf(p.covers, sizeof p.covers, "%s", covers[d->covers]);
  snprintf(p.method, sizeof p.method, "%s", d->counter ? "counter" : "power");
  snprintf(p.reason, sizeof p.reason, "%s", d->reason);
  return p;
}

pumice_status pumice_energy_read(pumice_energy *energy, pumice_energy_domain *domains, uint32_t *n, double *joules, char reason[128]) {
  REQUIRE(energy && n && (domains || !*n), "an argument is NULL");
  pm_energy_domain found[PM_ENERGY_MAX_DOMAINS];
  uint32_t n_found = pm_energy_read(energy->sensors, found), n_read = 0;
  double sum = 0;
  for (uint32_t i = 0; i < n_found; i++) {
    pumice_energy_domain p = public_domain(&found[i]);
    if (i < *n) copy_out(&domains[i], &p, sizeof p);
    bool readable = found[i].counted && !*found[i].reason;
    if (readable) n_read++, sum += found[i].joules;
  }
  if (joules) *joules = sum;
  if (reason) snprintf(reason, 128, "%s", n_read ? "" : n_found ? found[0].reason : "no sensor");
  return *n = n_found, PUMICE_OK;
}
