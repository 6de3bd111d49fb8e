// The CPU backend: weights stay in the mapping of the file (FP8 is packed), cache and scratch are two zeroed pieces of memory made at load.
#include "backend.h"

#include <stdio.h>
#include <string.h>

#include "cpu.h"
#include "file.h"
#include "memory.h"

enum { ALIGN = 64, HOME_ALIGN = 256 };

static pm_cpu *self(const pm_backend *b) { return (pm_cpu *)b; }

// Weights that were packed are so no more, for a backend that comes after this one.
static void drop_packed(pm_cpu *c) {
  for (uint32_t i = 0; c->packed && i < c->program->n_tensor; i++) {
    if (c->packed[i]) c->program->tensors[i]->host = NULL;
    pm_free(c->packed[i]);
  }
  pm_free(c->packed);
}

static void destroy(pm_backend *b) {
  pm_cpu *c = self(b);
  drop_packed(c);
  pm_cpu_reference_destroy(c->reference);
  pm_cpu_executor_destroy(c->executor);
  pm_team_destroy(c->team);
  for (uint32_t i = 0; i < PM_EXPERT_CLASSES; i++) pm_free(c->homes[i]);
  pm_free(c->kv);
  pm_free(c->scratch);
  pm_free(c);
}

static bool is_kv(const pm_tensor *t) { return t->role == PM_ROLE_KV; }

static size_t aligned_bytes(const pm_tensor *t) { return (pm_tensor_bytes(t) + ALIGN - 1) / ALIGN * ALIGN; }

static uint64_t role_bytes(const pm_program *p, bool kv) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < p->n_tensor; i++)
    if (p->tensors[i]->role != PM_ROLE_WEIGHT && is_kv(p->tensors[i]) == kv) sum += aligned_bytes(p->tensors[i]);
  return sum;
}

// Makes one piece for all cache tensors or for all scratch tensors. calloc gives pages that exist only once they are touched, so an
// unused context costs no memory.
static pm_status carve(pm_program *p, bool kv, void **piece, uint64_t *bytes) {
  size_t total = role_bytes(p, kv);
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

static uint64_t weight_bytes(const pm_program *p) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < p->n_tensor; i++)
    if (p->tensors[i]->role == PM_ROLE_WEIGHT) sum += pm_tensor_bytes(p->tensors[i]);
  return sum;
}

static uint64_t expert_bytes(const pm_program *p) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < p->n_table; i++) sum += p->tables[i]->n_expert * pm_expert_bytes(p->tables[i]);
  return sum;
}

// ---- weights that do not lie in the file as they are computed with ----

typedef struct pack_job {
  const pm_tensor *w;
  char *dst;
} pack_job;

static void pack_share(void *arg, uint32_t thread, uint32_t n_thread) {
  const pack_job *job = arg;
  const pm_tensor *w = job->w;
  uint64_t n = w->ne[1] * w->ne[2], end = n * (thread + 1) / n_thread;
  for (uint64_t row = n * thread / n_thread; row < end; row++)
    pm_fp8_pack(&w->slabs[row / w->ne[1]], w->ne[0], row % w->ne[1], 1, job->dst + row * pm_tensor_row_bytes(w));
}

static pm_status pack(pm_cpu *c, uint32_t index) {
  pm_tensor *w = c->program->tensors[index];
  c->packed[index] = pm_alloc_aligned(pm_tensor_bytes(w), ALIGN);
  if (!c->packed[index]) PM_FAIL(PM_ERR_MEMORY, "out of memory: tensor %s, %zu bytes", w->name, pm_tensor_bytes(w));
  pack_job job = {w, c->packed[index]};
  if (c->team)
    pm_team_run(c->team, pack_share, &job);
  else
    pack_share(&job, 0, 1);
  w->host = c->packed[index], w->slab_bytes = pm_tensor_slab_bytes(w);
  c->use.weights += pm_tensor_bytes(w);
  return PM_OK;
}

// FP8 with its scales apart becomes blocks; experts only if they have no homes to be packed into.
static pm_status pack_weights(pm_cpu *c, pm_program *p, const pm_expert_plan *plan) {
  bool homes = plan && plan->host.need;
  PM_NEW(&c->packed, p->n_tensor, "a list of weights");
  for (uint32_t i = 0; i < p->n_tensor; i++) {
    const pm_tensor *t = p->tensors[i];
    if (t->role == PM_ROLE_WEIGHT && t->slabs && t->slabs->scales && !(homes && pm_program_is_expert(p, t))) PM_TRY(pack(c, i));
  }
  for (uint32_t t = 0; t < p->n_table && !homes; t++)
    for (int m = 0; m < 3; m++)
      for (uint32_t e = 0; e < p->tables[t]->n_expert; e++) p->tables[t]->slab[m][e] = pm_tensor_slab(pm_expert_matrix(p->tables[t], m), e);
  return PM_OK;
}

// Homes are not touched here: pages exist once a record is read into them.
static pm_status make_homes(pm_cpu *c, const pm_expert_plan *plan) {
  for (uint32_t i = 0; i < plan->n_class; i++) {
    uint64_t bytes = plan->classes[i].n_home * plan->classes[i].home_bytes;
    if (!bytes) continue;
    c->homes[i] = pm_alloc_aligned(bytes, PM_HUGE_PAGE);
    if (!c->homes[i]) PM_FAIL(PM_ERR_MEMORY, "out of memory: homes of experts, %llu bytes", (unsigned long long)bytes);
    c->use.homes += bytes;
  }
  return PM_OK;
}

static pm_status take_plan(pm_cpu *c, const pm_program *p, const pm_expert_plan *plan) {
  c->use.weights_mapped = weight_bytes(p) - c->use.weights;
  if (!plan) return PM_OK;
  if (c->plain) PM_FAIL(PM_ERR_UNSUPPORTED, "the reference path takes all experts from the file's mapping");
  c->experts = plan;
  if (plan->host.need) c->use.weights_mapped -= expert_bytes(p);
  return make_homes(c, plan);
}

static pm_status load(pm_backend *b, pm_program *p, pm_expert_plan *experts, pm_progress_fn *progress, void *user) {
  pm_cpu *c = self(b);
  PM_TRY(pm_program_check(p));
  c->program = p;
  PM_TRY(pack_weights(c, p, experts));
  for (uint32_t i = 0; i < p->n_tensor; i++)
    if (p->tensors[i]->role == PM_ROLE_WEIGHT) p->tensors[i]->place.data = (void *)(uintptr_t)p->tensors[i]->host;
  PM_TRY(take_plan(c, p, experts));
  PM_TRY(carve(p, true, &c->kv, &c->use.kv));
  PM_TRY(carve(p, false, &c->scratch, &c->use.scratch));
  if (c->plain) {
    PM_TRY(pm_cpu_reference_create(p, &c->reference));
  } else {
    PM_TRY(pm_cpu_executor_create(p, c->team, c->exact, experts && experts->host.need ? &experts->host : NULL, &c->executor));
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
    PM_TRY(pm_cpu_executor_run(c->executor, step));
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

static void *home(pm_backend *b, uint32_t class, uint32_t index) {
  pm_cpu *c = self(b);
  return (char *)c->homes[class] + index * c->experts->classes[class].home_bytes;
}

static const int32_t *chosen(pm_backend *b, uint32_t table) { return pm_cpu_executor_chosen(self(b)->executor, table); }

static void class_needs(const pm_program *p, const uint32_t *class_of, pm_backend_needs *needs) {
  for (uint32_t i = 0; i < p->n_table; i++) {
    uint64_t bytes = (pm_expert_bytes(p->tables[i]) + HOME_ALIGN - 1) / HOME_ALIGN * HOME_ALIGN;
    needs->classes[class_of[i]].home_bytes = bytes;
  }
}

// All memory is the machine's: what it has free now has to hold the weights outside of experts too, which a step touches in the file's
// mapping. Slots have no bytes here: the CPU computes from homes.
static pm_status needs(pm_backend *b, pm_program *p, pm_backend_needs *out) {
  pm_cpu *c = self(b);
  PM_TRY(pm_program_check(p));
  *out = (pm_backend_needs){.weights = weight_bytes(p) - expert_bytes(p),
                            .kv = role_bytes(p, true),
                            .scratch = role_bytes(p, false),
                            .budget = pm_memory_available(),
                            .unified = true};
  uint32_t *class_of;
  PM_NEW(&class_of, p->n_table, "classes of experts");
  out->n_class = pm_program_expert_classes(p, class_of);
  if (out->n_class <= PM_EXPERT_CLASSES) class_needs(p, class_of, out);
  pm_free(class_of);
  if (out->n_class > PM_EXPERT_CLASSES)
    PM_FAIL(PM_ERR_UNSUPPORTED, "experts of %u different shapes and formats, at most %d are possible", out->n_class, PM_EXPERT_CLASSES);
  if (c->plain) return PM_OK;
  pm_cpu_executor *e;  // its working memory is known once its plan is made
  pm_status status = pm_cpu_executor_create(p, c->team, c->exact, NULL, &e);
  if (!status) out->scratch += pm_cpu_executor_bytes(e);
  pm_cpu_executor_destroy(e);
  return status;
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
    .needs = needs,
    .load = load,
    .run = run,
    .logits = logits,
    .write = write,
    .read = read,
    .home = home,
    .chosen = chosen,
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
