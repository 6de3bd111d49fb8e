// Which backend runs a model: what the caller named, or the best that is there.
#include <stdio.h>
#include <string.h>

#include "engine.h"
#include "file.h"
#include "thread.h"

static const double GB = 1e9;

// Bytes that the CPU backend will allocate for cache and scratch.
static uint64_t program_bytes(const pm_program *p) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < p->n_tensor; i++)
    if (p->tensors[i]->role != PM_ROLE_WEIGHT) sum += pm_tensor_bytes(p->tensors[i]);
  return sum;
}

static pm_status load_cpu(pm_engine *e, const pm_engine_desc *d) {
  uint64_t need = program_bytes(&e->program), free_bytes = pm_memory_available();
  if (free_bytes && need > free_bytes)
    PM_FAIL(PM_ERR_MEMORY, "a context of %u tokens for %u session(s) needs %.1f GB of memory, %.1f GB are free; ask for a smaller context",
            e->kv.n_ctx, e->kv.n_session, (double)need / GB, (double)free_bytes / GB);
  pm_cpu_desc desc = {.n_thread = d->n_thread, .exact = d->exact};
  PM_TRY(pm_cpu_create(&desc, &e->backend));
  e->backend->ops->describe(e->backend, e->device, e->driver);
  e->n_thread = d->n_thread ? d->n_thread : pm_thread_physical_cores();
  return e->backend->ops->load(e->backend, &e->program, NULL, d->progress, d->user);
}

static pm_status load_gpu(pm_engine *e, const pm_engine_desc *d, const char *name) {
  pm_gpu_desc desc = {.device = name, .cache_dir = d->cache_dir, .validate = d->validate};
  PM_TRY(pm_gpu_create(&desc, &e->backend));
  e->backend->ops->describe(e->backend, e->device, e->driver);
  return e->backend->ops->load(e->backend, &e->program, NULL, d->progress, d->user);
}

// The best graphics card if the model fits there, else the CPU, saying why.
static pm_status load_auto(pm_engine *e, const pm_engine_desc *d) {
  pm_status status = load_gpu(e, d, NULL);
  if (status == PM_OK || status == PM_ERR_CANCELLED) return status;
  if (e->backend) {  // there is a card, but it could not take the model
    snprintf(e->note, sizeof e->note, "running on the CPU: %.230s", pm_fail_message());
    e->backend->ops->destroy(e->backend);
    e->backend = NULL;
  }
  return load_cpu(e, d);
}

pm_status pm_engine_load_backend(pm_engine *e, const pm_engine_desc *d) {
  const char *name = d->device ? d->device : "auto";
  if (!*name || !strcmp(name, "auto")) return load_auto(e, d);
  if (!strcmp(name, "cpu")) return load_cpu(e, d);
  if (!strcmp(name, "gpu")) return load_gpu(e, d, NULL);
  return load_gpu(e, d, strncmp(name, "gpu:", 4) ? name : name + 4);
}
