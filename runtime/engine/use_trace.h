// Records which experts every step chose (--trace), on any backend.
#ifndef PM_USE_TRACE_H
#define PM_USE_TRACE_H

#include "backend.h"
#include "trace.h"

typedef struct pm_use_trace pm_use_trace;

// `plan`: of a device where not all experts have slots, else NULL. The program must outlive the trace. PM_ERR_ARGUMENT for a model without
// experts.
pm_status pm_use_trace_create(const char *path, const pm_program *p, uint64_t fingerprint, const pm_expert_plan *plan,
                              pm_use_trace **out) PM_MUST_USE;
void pm_use_trace_finish(pm_use_trace *u);  // NULL is fine

// For whoever decides about slots, and records steps along with what it decides (pm_experts_desc.trace). NULL for NULL.
pm_trace_writer *pm_use_trace_writer(pm_use_trace *u);
// After a step of n_row rows. Allocates nothing.
pm_status pm_use_trace_step(pm_use_trace *u, pm_backend *b, uint32_t n_row) PM_MUST_USE;

#endif
