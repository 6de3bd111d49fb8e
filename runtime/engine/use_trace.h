// Records which experts every step chose (--trace), on any backend.
#ifndef PM_USE_TRACE_H
#define PM_USE_TRACE_H

#include "backend.h"
#include "trace.h"

typedef struct pm_use_trace pm_use_trace;

// The program must outlive the trace. PM_ERR_ARGUMENT for a model without experts.
pm_status pm_use_trace_create(const char *path, const pm_program *p, uint64_t fingerprint, pm_use_trace **out) PM_MUST_USE;
void pm_use_trace_finish(pm_use_trace *u);  // NULL is fine
// After a step of n_row rows. Allocates nothing.
pm_status pm_use_trace_step(pm_use_trace *u, pm_backend *b, uint32_t n_row) PM_MUST_USE;

#endif
