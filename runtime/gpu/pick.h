// Choice of kernels: rows of pick.def.
#ifndef PM_GPU_PICK_H
#define PM_GPU_PICK_H

#include "record.h"

typedef struct pm_gpu_shape {
  pm_op_kind op;
  uint32_t n_row;   // rows of the recording
  uint32_t n_unit;  // units of 32 weights per input row; 0 where an op has no weights
  uint32_t n_out;   // output values per row
  pm_type type;     // of the weights; PM_TYPE_F32 where an op has none
} pm_gpu_shape;

static inline bool pm_gpu_shape_is_same(const pm_gpu_shape *a, const pm_gpu_shape *b) {
  return a->op == b->op && a->n_row == b->n_row && a->n_unit == b->n_unit && a->n_out == b->n_out && a->type == b->type;
}

typedef struct pm_gpu_pick {
  const char *kernel;
  uint32_t workgroup;  // a multiple of the subgroup, within the device's limit
  uint32_t a, b, c;    // see pick.def
} pm_gpu_pick;

// The row that was fastest on this device if the shape was tuned (tuning.h), else the first that matches; none that computes wrong numbers
// here as long as the op has another.
pm_gpu_pick pm_gpu_pick_find(const pm_gpu_recorder *r, pm_gpu_shape shape);

// For tuning. The first row that matches and is not known to be wrong.
uint32_t pm_gpu_pick_first(const pm_gpu_recorder *r, const pm_gpu_shape *shape);
// Whether a row may serve a shape on this device, and is worth a try: not one that was made for far fewer rows, nor one that is wrong.
// What it would be.
bool pm_gpu_pick_may(const pm_gpu_recorder *r, const pm_gpu_shape *shape, uint32_t row, pm_gpu_pick *out);

// For tests: from now on row `row` of pick.def serves its op wherever its device class allows, whatever the shape; a number past
// the end restores the usual choice.
void pm_gpu_pick_force(uint32_t row);
uint32_t pm_gpu_pick_count(void);
// "MATMUL any matvec 64 16 4 1": for messages.
const char *pm_gpu_pick_text(uint32_t row);

#endif
