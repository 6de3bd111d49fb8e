// The host's share of a layer's experts while another device computes the rest: the code and the numbers of the CPU backend's own
// experts, in one parallel region per layer.
#ifndef PM_CPU_ASSIST_H
#define PM_CPU_ASSIST_H

#include "backend.h"

typedef struct pm_cpu_assist pm_cpu_assist;

typedef struct pm_cpu_assist_desc {
  const pm_program *program;  // whose layers ask; must outlive the assist
  uint32_t max_rows;          // of one ask
  uint32_t n_thread;          // 0 = physical cores
  bool exact;                 // float activations; otherwise 8-bit activation blocks against quantized weights
} pm_cpu_assist_desc;
pm_status pm_cpu_assist_create(const pm_cpu_assist_desc *desc, pm_cpu_assist **out) PM_MUST_USE;
void pm_cpu_assist_destroy(pm_cpu_assist *a);

// ask->y[r] = sum over k with mine[e], e = ids[r][k], of weights[r][k] * expert_e(x[r]); zero for a row with no such expert. The matrices
// are taken from where the table's slabs say, in the file's layout. Sums run over ascending experts, whatever the number of threads.
// mine [n_expert of the table]. Allocates nothing. PM_ERR_ARGUMENT for more than max_rows rows.
pm_status pm_cpu_assist_run(pm_cpu_assist *a, const pm_expert_ask *ask, const bool *mine) PM_MUST_USE;

#endif
