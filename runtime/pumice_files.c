// The public API: what files say before anything is loaded: their headers, how they would fit a machine, traces of experts.
#include <stdio.h>

#include "expert_replay.h"
#include "model_file.h"
#include "plan.h"
#include "public.h"

// ---- headers ----

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
