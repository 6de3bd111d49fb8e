// When a dispatch must wait for earlier ones. Between two barriers dispatches may overlap; a tensor touched since the last barrier is
// open, and reading what is open for writing, or writing what is open at all, needs the next barrier.
#ifndef PM_GPU_HAZARD_H
#define PM_GPU_HAZARD_H

#include <stdbool.h>
#include <stdint.h>

#include "tensor.h"

enum { PM_GPU_HAZARD_TENSORS = 64 };  // open at once; when they run out a barrier is asked for

typedef struct pm_gpu_access {
  const pm_tensor *tensor;
  bool write;
} pm_gpu_access;

typedef struct pm_gpu_hazards {
  pm_gpu_access open[PM_GPU_HAZARD_TENSORS];
  uint32_t n_open;
  pm_gpu_access next[PM_GPU_HAZARD_TENSORS];  // what the coming dispatch touches
  uint32_t n_next;
  bool lost;  // more were open than there is room for: the next dispatch needs a barrier
} pm_gpu_hazards;

// Declares an access of the coming dispatch.
void pm_gpu_hazards_add(pm_gpu_hazards *h, const pm_tensor *t, bool write);

// Adds what is open in another set: either of two pasts may be the real one.
void pm_gpu_hazards_join(pm_gpu_hazards *h, const pm_gpu_hazards *other);

// Ends the declarations of a dispatch; true if a barrier must precede it. All that was declared is open afterwards.
bool pm_gpu_hazards_flush(pm_gpu_hazards *h);

#endif
