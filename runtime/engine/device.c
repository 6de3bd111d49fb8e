// Which backend runs a model, and with how much of which memory: what the caller named, or the best that is there, by the plan (plan.h).
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "engine.h"
#include "file.h"
#include "memory.h"
#include "thread.h"

enum { TRIES = 4 };  // host memory that drivers refuse is asked for in smaller amounts

// A card that is simulated has memory of its own, whatever the device that does the work says.
static bool is_simulated(const pm_engine_desc *d) { return d->sim_vram || d->sim_link.rate > 0; }

static pm_status make_plan(pm_engine *e, const pm_engine_desc *d, bool cpu, uint64_t ram_limit) {
  pm_plan_desc desc = {
      .program = &e->program,
      .sizes = e->sizes,
      .backend = e->backend,
      .cpu = cpu,
      .sim_vram = d->sim_vram,
      .apart = is_simulated(d),
      .stream_only = e->stream_only,
      .machine = pm_machine_typical(),
      .vram_limit = d->vram_limit,
      .ram_limit = ram_limit,
  };
  desc.machine.ram = pm_memory_available();
  if (d->sim_link.rate > 0) desc.machine.link_rate = d->sim_link.rate, desc.machine.link_latency = d->sim_link.latency;
  if (d->sim_link.host_rate > 0) desc.machine.cpu_rate = d->sim_link.host_rate;
  pm_plan_finish(&e->plan);
  PM_TRY(pm_plan_make(&desc, &e->plan));
  e->machine = desc.machine, e->simulated = is_simulated(d);
  if (!e->plan.fits) PM_FAIL(PM_ERR_MEMORY, "%s", e->plan.reason);
  return PM_OK;
}

// How misses may be served, by name.
static const struct {
  const char *name;
  uint32_t ways;
  bool whole_layers;
} modes[] = {
    {"auto", (1 << PM_PACE_WAYS) - 1, false}, {"stream", 1 << PM_PACE_STREAM, false}, {"assist", 1 << PM_PACE_ASSIST, false},
    {"split", 1 << PM_PACE_SPLIT, false},     {"layers", 1 << PM_PACE_ASSIST, true},
};
enum { N_MODE = sizeof modes / sizeof *modes };

static pm_status find_mode(const pm_engine_desc *d, size_t *mode) {
  const char *name = d->experts ? d->experts : "auto";
  for (*mode = 0; *mode < N_MODE && strcmp(modes[*mode].name, name);) ++*mode;
  if (*mode == N_MODE) PM_FAIL(PM_ERR_ARGUMENT, "experts cannot be served by \"%s\": auto, stream, assist, split or layers", name);
  if (d->stream_only && d->experts && !(modes[*mode].ways & 1 << PM_PACE_STREAM))
    PM_FAIL(PM_ERR_ARGUMENT, "results are deterministic only where experts are streamed, not served by \"%s\"", name);
  return PM_OK;
}

static pm_status make_experts(pm_engine *e, const pm_engine_desc *d, bool cpu) {
  size_t mode;
  PM_TRY(find_mode(d, &mode));
  pm_experts_desc desc = {
      .program = &e->program,
      .file = e->file,
      .plan = &e->plan.experts,
      .machine = e->machine,
      .device = !cpu,
      .ways = e->stream_only ? 1 << PM_PACE_STREAM : modes[mode].ways,
      .whole_layers = modes[mode].whole_layers,
      .exact = d->exact,
      .n_thread = d->n_thread,
      .link = d->sim_link,
      .fingerprint = e->fingerprint,
      .heat_dir = d->cache_dir,
      .trace = pm_use_trace_writer(e->trace),
  };
  return pm_experts_create(&desc, &e->experts);
}

static void drop_backend(pm_engine *e) {
  if (e->backend) e->backend->ops->destroy(e->backend);
  pm_experts_destroy(e->experts);
  pm_use_trace_finish(e->trace);
  e->backend = NULL, e->experts = NULL, e->trace = NULL;
}

// The backend is there; the plan is made and obeyed.
static pm_status load_planned(pm_engine *e, const pm_engine_desc *d, bool cpu, uint64_t ram_limit) {
  PM_TRY(make_plan(e, d, cpu, ram_limit));
  const pm_expert_plan *slots = cpu || !e->plan.tiered ? NULL : &e->plan.experts;
  if (d->trace_path) PM_TRY(pm_use_trace_create(d->trace_path, &e->program, e->fingerprint, slots, &e->trace));
  if (e->plan.tiered) PM_TRY(make_experts(e, d, cpu));
  e->backend->ops->describe(e->backend, e->device, e->driver);
  PM_TRY(e->backend->ops->load(e->backend, &e->program, e->plan.tiered ? &e->plan.experts : NULL, d->progress, d->user));
  if (e->experts) PM_TRY(pm_experts_load(e->experts, e->backend, d->progress, d->user));
  return pm_kv_init(&e->kv, e->plan.n_session, e->plan.n_ctx);
}

static pm_status load_cpu(pm_engine *e, const pm_engine_desc *d) {
  pm_cpu_desc desc = {.n_thread = d->n_thread, .exact = d->exact};
  PM_TRY(pm_cpu_create(&desc, &e->backend));
  e->n_thread = d->n_thread ? d->n_thread : pm_thread_physical_cores();
  return load_planned(e, d, true, d->ram_limit);
}

typedef struct gain {
  double before, after;  // seconds of a token
} gain;

static bool add_gain(void *user, float done, const pm_tune_row *row) {
  gain *g = user;
  (void)done;
  g->before += row->n_op * row->before_seconds;
  g->after += row->n_op * row->after_seconds;
  return true;
}

// The first model on a card: what a token takes most of its time for is tuned, quickly.
static pm_status tune_first(pm_engine *e) {
  gain g = {0};
  pm_tune_desc desc = {.n_size = 1, .sizes = {1}, .seconds = 1, .first_use = true, .report = add_gain, .user = &g};
  double start = pm_clock_seconds();
  PM_TRY(e->backend->ops->tune(e->backend, &desc));
  if (g.before > 0 && !*e->note)
    snprintf(e->note, sizeof e->note,
             "its kernels were tuned for this card in %.1f s: a token takes %.0f %% less; 'pumice tune' does it at leisure",
             pm_clock_seconds() - start, 100 * (1 - g.after / g.before));
  return PM_OK;
}

static pm_status try_gpu(pm_engine *e, const pm_engine_desc *d, const char *name, uint64_t ram_limit) {
  pm_gpu_desc desc = {.device = name, .cache_dir = d->cache_dir, .tuning = d->tuning, .exact = d->exact, .validate = d->validate};
  PM_TRY(pm_gpu_create(&desc, &e->backend));
  PM_TRY(load_planned(e, d, false, ram_limit));
  return d->tuning == PM_TUNING_FIRST ? tune_first(e) : PM_OK;
}

// Drivers pin less host memory than a machine has, and only trying tells how much: less each time, until it is not homes that are too
// large.
static pm_status load_gpu(pm_engine *e, const pm_engine_desc *d, const char *name) {
  pm_status status = try_gpu(e, d, name, d->ram_limit);
  for (int i = 1; i < TRIES && status == PM_ERR_MEMORY && e->plan.fits && e->plan.host.homes; i++) {
    uint64_t less = pm_plan_total(&e->plan.host) / 4 * 3;
    drop_backend(e);
    status = try_gpu(e, d, name, less);
    snprintf(e->note, sizeof e->note, "the driver gives less host memory than there is: %.1f GB of it are used", (double)less / 1e9);
  }
  return status;
}

// The best graphics card if the model can run there, else the CPU, saying why.
static pm_status load_auto(pm_engine *e, const pm_engine_desc *d) {
  pm_status status = load_gpu(e, d, NULL);
  if (status == PM_OK || status == PM_ERR_CANCELLED) return status;
  if (e->backend || status != PM_ERR_UNSUPPORTED) {  // there is a card, but it could not take the model
    snprintf(e->note, sizeof e->note, "running on the CPU: %.230s", pm_fail_message());
    drop_backend(e);
  }
  return load_cpu(e, d);
}

pm_status pm_engine_load_backend(pm_engine *e, const pm_engine_desc *d) {
  const char *gpu;
  size_t mode;
  PM_TRY(find_mode(d, &mode));
  e->stream_only = d->stream_only || modes[mode].ways == 1 << PM_PACE_STREAM;
  switch (pm_plan_find_place(d->device, &gpu)) {
    case PM_PLAN_ON_CPU: return load_cpu(e, d);
    case PM_PLAN_ON_GPU: return load_gpu(e, d, gpu);
    case PM_PLAN_ANYWHERE: break;
  }
  return load_auto(e, d);
}
