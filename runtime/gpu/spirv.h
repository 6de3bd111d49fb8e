// The compiled kernels, generated from shaders/kernels.def.
#ifndef PM_GPU_SPIRV_H
#define PM_GPU_SPIRV_H

#include <stddef.h>
#include <stdint.h>

// Device features that a kernel may need beyond the floor.
enum { PM_NEED_F16 = 1, PM_NEED_DOT8 = 2, PM_NEED_MATRIX = 4 };

typedef struct pm_gpu_spirv {
  const char *name;  // "norm", "matvec.Q4_K"
  const uint32_t *words;
  size_t bytes;
  uint32_t needs;  // PM_NEED_ bits
} pm_gpu_spirv;

extern const pm_gpu_spirv pm_gpu_spirvs[];  // by rising name
extern const uint32_t pm_gpu_spirv_count;

#endif
