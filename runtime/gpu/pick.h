// Choice of kernels: rows of pick.def.
#ifndef PM_GPU_PICK_H
#define PM_GPU_PICK_H

#include "record.h"

typedef struct pm_gpu_shape {
  pm_op_kind op;
  uint32_t n_row;   // rows of the recording
  uint32_t n_unit;  // units of 32 weights per input row; 0 where an op has no weights
  uint32_t n_out;   // output values per row
} pm_gpu_shape;

typedef struct pm_gpu_pick {
  const char *kernel;
  uint32_t workgroup;  // a multiple of the subgroup, within the device's limit
  uint32_t a, b, c;    // see pick.def
} pm_gpu_pick;

pm_gpu_pick pm_gpu_pick_find(const pm_gpu_recorder *r, pm_gpu_shape shape);

// For tests: from now on row `row` of pick.def serves its op wherever its device class allows, whatever the shape; a number past
// the end restores the usual choice.
void pm_gpu_pick_force(uint32_t row);
uint32_t pm_gpu_pick_count(void);
// "MATMUL any matvec 64 16 4 1": for messages.
const char *pm_gpu_pick_text(uint32_t row);

#endif
