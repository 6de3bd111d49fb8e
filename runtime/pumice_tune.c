// The public API: tuning a model's device. Checks arguments and forwards to the backend.
#include "engine.h"
#include "formats.h"
#include "memory.h"
#include "public.h"

typedef struct listener {
  pumice_tune_fn *fn;
  void *user;
} listener;

static bool on_row(void *user, float done, const pm_tune_row *r) {
  const listener *l = user;
  pumice_tune_row row = {.size = sizeof row,
                         .op = pm_op_name(r->op),
                         .format = r->n_in ? pm_format_get(r->type)->name : "",
                         .n_row = r->n_row,
                         .n_in = r->n_in,
                         .n_out = r->n_out,
                         .n_op = r->n_op,
                         .before = r->before,
                         .after = r->after,
                         .before_seconds = r->before_seconds,
                         .after_seconds = r->after_seconds};
  return l->fn(l->user, done, &row);
}

static void default_steps(pm_tune_desc *desc, uint32_t n_batch) {
  for (uint32_t n = 1; n <= 32 && n < n_batch; n *= 2) desc->sizes[desc->n_size++] = n;
  desc->sizes[desc->n_size++] = n_batch;
}

pumice_status pumice_tune(pumice_model *model, const pumice_tune_options *options, pumice_tune_fn *fn, void *user) {
  REQUIRE(model && fn, "model or fn is NULL");
  pumice_tune_options o = {0};
  copy_in(&o, sizeof o, options);
  REQUIRE(o.n_step <= sizeof o.steps / sizeof *o.steps, "more than 16 steps");
  pm_engine *e = model->engine;
  for (uint32_t i = 0; i < e->kv.n_session; i++) REQUIRE(!e->kv.taken[i], "a session of the model is open");
  pm_backend *b = e->backend;
  if (!b->ops->tune) return public_status(pm_fail(PM_ERR_UNSUPPORTED, "%s has no kernels to choose from", e->device));
  listener l = {fn, user};
  pm_tune_desc desc = {.seconds = o.seconds, .report = on_row, .user = &l};
  for (uint32_t i = 0; i < o.n_step; i++) {
    REQUIRE(o.steps[i] >= 1 && o.steps[i] <= e->program.max_rows, "a step of no tokens, or of more than n_batch");
    desc.sizes[desc.n_size++] = o.steps[i];
  }
  if (!desc.n_size) default_steps(&desc, e->program.max_rows);
  return public_status(b->ops->tune(b, &desc));
}

pumice_status pumice_tune_forget(const char *device, const char *cache_dir) {
  REQUIRE(cache_dir, "cache_dir is NULL");
  const char *gpu;
  if (pm_plan_find_place(device, &gpu) == PM_PLAN_ON_CPU) return public_status(pm_fail(PM_ERR_UNSUPPORTED, "the CPU is never tuned"));
  return public_status(pm_gpu_forget_tuning(&(pm_gpu_desc){.device = gpu, .cache_dir = cache_dir}));
}
