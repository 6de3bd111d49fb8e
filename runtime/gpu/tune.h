// Timing the rows of pick.def on the device, for the shapes of the loaded program.
#ifndef PM_GPU_TUNE_H
#define PM_GPU_TUNE_H

#include "gpu.h"

// The backend's `tune` (backend.h). Winners go to g->pipelines.tuning and its file; recordings that were made before are as they were.
pm_status pm_gpu_tune(pm_gpu *g, const pm_tune_desc *desc) PM_MUST_USE;

#endif
