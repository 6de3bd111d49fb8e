// The CPU backend: weights stay in the file's mapping, cache and scratch are two zeroed pieces of memory made at load.
#include "backend.h"

#include <stdio.h>
#include <string.h>

#include "cpu.h"
#include "memory.h"

enum { ALIGN = 64 };

static pm_cpu *self(const pm_backend *b) { return (pm_cpu *)b; }

static void destroy(pm_backend *b) {
  pm_cpu *c = self(b);
  pm_cpu_reference_destroy(c->reference);
  pm_cpu_executor_destroy(c->executor);
  pm_team_destroy(c->team);
  pm_free(c->kv);
  pm_free(c->scratch);
  pm_free(c);
}

static bool is_kv(const pm_tensor *t) { return t->role == PM_ROLE_KV; }

static size_t aligned_bytes(const pm_tensor *t) { return (pm_tensor_bytes(t) + ALIGN - 1) / ALIGN * ALIGN; }

// Makes one piece for all cache tensors or for all scratch tensors. calloc gives pages that exist only once they are touched, so an
// unused context costs no memory.
static pm_status carve(pm_program *p, bool kv, void **piece, uint64_t *bytes) {
  size_t total = 0;
  for (uint32_t i = 0; i < p->n_tensor; i++)
    if (p->tensors[i]->role != PM_ROLE_WEIGHT && is_kv(p->tensors[i]) == kv) total += aligned_bytes(p->tensors[i]);
  *piece = pm_alloc_zero(total + ALIGN, 1);
  if (!*piece) PM_FAIL(PM_ERR_MEMORY, "out of memory: %s, %zu bytes", kv ? "the cache" : "scratch", total);
  char *at = (char *)(((uintptr_t)*piece + ALIGN - 1) / ALIGN * ALIGN);
  for (uint32_t i = 0; i < p->n_tensor; i++) {
    pm_tensor *t = p->tensors[i];
    if (t->role == PM_ROLE_WEIGHT || is_kv(t) != kv) continue;
    t->place.data = at;
    at += aligned_bytes(t);
  }
  *bytes = total;
  return PM_OK;
}

static pm_status load(pm_backend *b, pm_program *p, pm_expert_plan *experts, pm_progress_fn *progress, void *user) {
  (void)experts;
  pm_cpu *c = self(b);
  PM_TRY(pm_program_check(p));
  c->program = p;
  for (uint32_t i = 0; i < p->n_tensor; i++) {
    pm_tensor *t = p->tensors[i];
    if (t->role != PM_ROLE_WEIGHT) continue;
    t->place.data = (void *)(uintptr_t)t->host;
    c->use.weights_mapped += pm_tensor_bytes(t);
  }
  PM_TRY(carve(p, true, &c->kv, &c->use.kv));
  PM_TRY(carve(p, false, &c->scratch, &c->use.scratch));
  if (c->plain) {
    PM_TRY(pm_cpu_reference_create(p, &c->reference));
  } else {
    PM_TRY(pm_cpu_executor_create(p, c->team, c->exact, &c->executor));
    c->use.scratch += pm_cpu_executor_bytes(c->executor);
  }
  if (progress && !progress(user, 1)) PM_FAIL(PM_ERR_CANCELLED, "loading was stopped");
  return PM_OK;
}

static pm_status run(pm_backend *b, const pm_step *step) {
  pm_cpu *c = self(b);
  const pm_program *p = c->program;
  if (step->n_row < 1 || step->n_row > p->max_rows || step->n_logit > p->max_logits)
    PM_FAIL(PM_ERR_ARGUMENT, "a step of %u rows, %u logits; the program has room for %u and %u", step->n_row, step->n_logit, p->max_rows,
            p->max_logits);
  if (c->plain) {
    pm_cpu_reference_run(c->reference, step);
  } else {
    pm_cpu_executor_run(c->executor, step);
    c->counters.barriers = pm_cpu_executor_barriers(c->executor);
  }
  c->counters.steps++;
  return PM_OK;
}

static const float *logits(pm_backend *b) {
  const pm_tensor *t = self(b)->program->logits;
  return t ? t->place.data : NULL;
}

static pm_status check_range(const pm_tensor *t, uint64_t offset, size_t bytes) {
  if (t->role == PM_ROLE_WEIGHT) PM_FAIL(PM_ERR_ARGUMENT, "tensor %s is a weight and cannot be copied", t->name);
  if (offset > pm_tensor_bytes(t) || bytes > pm_tensor_bytes(t) - offset)
    PM_FAIL(PM_ERR_ARGUMENT, "tensor %s has %zu bytes; asked for %zu at %llu", t->name, pm_tensor_bytes(t), bytes,
            (unsigned long long)offset);
  return PM_OK;
}

static pm_status write(pm_backend *b, const pm_tensor *t, uint64_t offset, const void *src, size_t bytes) {
  (void)b;
  PM_TRY(check_range(t, offset, bytes));
  memcpy((char *)t->place.data + offset, src, bytes);
  return PM_OK;
}

static pm_status read(pm_backend *b, const pm_tensor *t, uint64_t offset, void *dst, size_t bytes) {
  (void)b;
  PM_TRY(check_range(t, offset, bytes));
  memcpy(dst, (const char *)t->place.data + offset, bytes);
  return PM_OK;
}

static pm_memory_use memory(const pm_backend *b) { return self(b)->use; }

static pm_backend_counters counters(const pm_backend *b) { return self(b)->counters; }

static void describe(const pm_backend *b, char device[256], char driver[256]) {
  (void)b;
  snprintf(device, 256, "CPU (%s)", pm_cpu_path_name());
  *driver = 0;
}

static const pm_backend_ops cpu_ops = {
    .destroy = destroy,
    .describe = describe,
    .load = load,
    .run = run,
    .logits = logits,
    .write = write,
    .read = read,
    .memory = memory,
    .counters = counters,
};

pm_status pm_cpu_create(const pm_cpu_desc *desc, pm_backend **out) {
  *out = NULL;
  pm_cpu *c;
  PM_NEW(&c, 1, "the CPU backend");
  c->base.ops = &cpu_ops;
  c->exact = desc->exact;
  c->plain = desc->reference;
  pm_status status = c->plain ? PM_OK : pm_team_create(desc->n_thread, &c->team);
  if (status) {
    destroy(&c->base);
    return status;
  }
  *out = &c->base;
  return PM_OK;
}
