// What the files of the CPU backend share: the backend object, views as pointers, and the two ways to run a step.
#ifndef PM_CPU_H
#define PM_CPU_H

#include "backend.h"
#include "thread.h"

typedef struct pm_cpu_reference pm_cpu_reference;  // reference.c
typedef struct pm_cpu_executor pm_cpu_executor;    // executor.c

typedef struct pm_cpu {
  pm_backend base;
  bool exact;
  bool plain;  // run the reference
  pm_team *team;
  pm_program *program;
  void *kv, *scratch;  // one zeroed piece each, carved into tensors at load
  const pm_expert_plan *experts;
  void *homes[PM_EXPERT_CLASSES];
  void **packed;  // [program->n_tensor] weights that were packed at load, or NULL
  pm_cpu_reference *reference;
  pm_cpu_executor *executor;
  pm_memory_use use;
  pm_backend_counters counters;
} pm_cpu;

pm_status pm_cpu_reference_create(const pm_program *p, pm_cpu_reference **out) PM_MUST_USE;
void pm_cpu_reference_destroy(pm_cpu_reference *r);
void pm_cpu_reference_run(pm_cpu_reference *r, const pm_step *step);

// host NULL, or with a need: asked for the experts of every layer, on the thread that runs the step, once their choice is known.
pm_status pm_cpu_executor_create(const pm_program *p, pm_team *team, bool exact, const pm_expert_host *host,
                                 pm_cpu_executor **out) PM_MUST_USE;
void pm_cpu_executor_destroy(pm_cpu_executor *e);
pm_status pm_cpu_executor_run(pm_cpu_executor *e, const pm_step *step) PM_MUST_USE;
size_t pm_cpu_executor_bytes(const pm_cpu_executor *e);                           // its scratch memory
uint64_t pm_cpu_executor_barriers(const pm_cpu_executor *e);                      // since it was made
const int32_t *pm_cpu_executor_chosen(const pm_cpu_executor *e, uint32_t table);  // NULL without a host

// Item `item` of row `row` of a view.
static inline float *pm_cpu_at(const pm_view *v, uint32_t row, uint32_t item) {
  return (float *)v->tensor->place.data + v->offset + (size_t)row * v->stride_row + (size_t)item * v->stride_batch;
}

static inline uint32_t pm_cpu_n_row(pm_rows rows, const pm_step *step) { return rows == PM_ROWS_LOGITS ? step->n_logit : step->n_row; }

// Row `row` of slab `slab` of a weight.
static inline const void *pm_cpu_weight(const pm_tensor *w, uint64_t slab, uint64_t row) {
  return (const char *)w->host + slab * w->slab_bytes + row * pm_tensor_row_bytes(w);
}

// Cache row of a cell.
static inline void *pm_cpu_cell(const pm_tensor *kv, uint32_t cell) {
  return (char *)kv->place.data + (size_t)cell * pm_tensor_row_bytes(kv);
}

#endif
