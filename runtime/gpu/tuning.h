// What was learned about the rows of pick.def on this very device: which was fastest for a shape (tune.c), which computes wrong numbers
// (the self-test). Kept in the cache folder for this device, driver and set of kernels.
#ifndef PM_GPU_TUNING_H
#define PM_GPU_TUNING_H

#include "gpu_device.h"
#include "pick.h"

typedef struct pm_gpu_winner {
  pm_gpu_shape shape;
  uint32_t row;  // of pick.def
} pm_gpu_winner;

typedef struct pm_gpu_tuning {
  pm_gpu_winner *winners;
  pm_gpu_wrong *wrong;
  uint32_t n_winner, n_wrong;
  bool ignore_winners;  // results must not depend on what was once measured
  char *path;           // NULL: nothing is kept
} pm_gpu_tuning;

// What an earlier run has kept, if anything. cache_dir may be NULL.
pm_status pm_gpu_tuning_init(pm_gpu_tuning *t, const pm_gpu_device *d, const char *cache_dir) PM_MUST_USE;
void pm_gpu_tuning_finish(pm_gpu_tuning *t);
pm_status pm_gpu_tuning_save(const pm_gpu_tuning *t, const pm_gpu_device *d) PM_MUST_USE;

const pm_gpu_winner *pm_gpu_tuning_find(const pm_gpu_tuning *t, const pm_gpu_shape *shape);  // NULL: the shape was never tuned
pm_status pm_gpu_tuning_set(pm_gpu_tuning *t, const pm_gpu_shape *shape, uint32_t row) PM_MUST_USE;

bool pm_gpu_tuning_is_wrong(const pm_gpu_tuning *t, uint32_t row, pm_type type);
pm_status pm_gpu_tuning_set_wrong(pm_gpu_tuning *t, uint32_t row, pm_type type) PM_MUST_USE;

#endif
