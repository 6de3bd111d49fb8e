// Matrix products on the CPU: one thread's share of y = W x, for every weight format, in the best instruction set of this machine.
#ifndef PM_CPU_KERNELS_H
#define PM_CPU_KERNELS_H

#include <stdbool.h>

#include "tensor.h"

// Activations of some rows, made ready for a weight format: plain floats (exact mode, float weights) or 8-bit blocks.
// The layout is private to the kernels; pm_cpu_act_bytes says how much one row of n values takes.
typedef enum pm_cpu_act { PM_CPU_ACT_F32, PM_CPU_ACT_Q8 } pm_cpu_act;
pm_cpu_act pm_cpu_act_for(pm_type weight_type, bool exact);
size_t pm_cpu_act_bytes(pm_cpu_act act, uint64_t n);  // multiple of 64
void pm_cpu_act_make(pm_cpu_act act, const float *src, void *dst, uint64_t n);

// y[r * stride_y + o] (+)= sum_i W[o][i] x[r][i] for o in [out_first, out_end), r in [0, n_row).
// Row r's activations are at x[r] (pointers, so that the rows of an expert need not be contiguous).
typedef struct pm_cpu_mm {
  pm_type type;
  pm_cpu_act act;
  const void *w;  // slab in the file's layout
  uint64_t n_in;
  uint64_t out_first, out_end;
  const void *const *x;  // [n_row]
  float *const *y;       // [n_row], each indexed by o
  uint32_t n_row;
  bool accumulate;
  const float *row_scale;  // [n_row], y (+)= row_scale[r] * W x; NULL = 1
} pm_cpu_mm;
void pm_cpu_mm_run(const pm_cpu_mm *job);

// y = silu(W x) * (W_up x); the up matrix may have another type (and another activation layout).
typedef struct pm_cpu_glu {
  pm_cpu_mm gate;  // y is where the result goes
  pm_type up_type;
  pm_cpu_act up_act;
  const void *up_w;
  const void *const *up_x;
} pm_cpu_glu;
void pm_cpu_glu_run(const pm_cpu_glu *job);

#endif
