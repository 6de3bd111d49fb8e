// Kernels made ready: one pipeline per (kernel, specialization constants), made when first recorded or, all that a load knows of, by many
// threads at once. What the driver compiled is kept in a file between runs.
#ifndef PM_GPU_PIPELINE_H
#define PM_GPU_PIPELINE_H

#include "gpu_device.h"
#include "spirv.h"
#include "thread.h"
#include "tuning.h"

enum { PM_GPU_CONSTANTS = 16, PM_GPU_PUSH_BYTES = 128 };

typedef struct pm_gpu_pipeline {
  const pm_gpu_spirv *kernel;
  uint32_t constants[PM_GPU_CONSTANTS];
  uint32_t n_constant;
  VkPipeline handle;  // NULL: wanted, not made yet
} pm_gpu_pipeline;

typedef struct pm_gpu_pipelines {
  VkDescriptorSetLayout set_layout;
  VkPipelineLayout layout;
  VkPipelineCache cache;
  pm_gpu_pipeline *items;
  uint32_t n, capacity;
  size_t saved_bytes;  // of the driver's cache when the file was last written or read
  char *path;          // of the cache file; NULL = none
  pm_gpu_tuning tuning;
} pm_gpu_pipelines;

// A cache file that is missing, damaged, or of another device or driver is ignored.
pm_status pm_gpu_pipelines_init(pm_gpu_device *d, pm_gpu_pipelines *p, const char *cache_dir) PM_MUST_USE;
void pm_gpu_pipelines_finish(pm_gpu_device *d, pm_gpu_pipelines *p);  // saves

// Writes the cache file if the driver's cache has grown. Failing to is no error: the next run compiles again.
void pm_gpu_pipelines_save(pm_gpu_device *d, pm_gpu_pipelines *p);

// The kernel of that name if it was built and the device has what it needs, or NULL.
const pm_gpu_spirv *pm_gpu_kernel_find(const pm_gpu_device *d, const char *name);

// Puts a pipeline on the list; pm_gpu_pipelines_make then makes what is on it. A kernel that the driver refuses is left to
// pm_gpu_pipelines_get, which says why.
pm_status pm_gpu_pipelines_want(pm_gpu_pipelines *p, const pm_gpu_spirv *kernel, const uint32_t *constants,
                                uint32_t n_constant) PM_MUST_USE;
void pm_gpu_pipelines_make(const pm_gpu_device *d, pm_gpu_pipelines *p, pm_team *team);

pm_status pm_gpu_pipelines_get(pm_gpu_device *d, pm_gpu_pipelines *p, const pm_gpu_spirv *kernel, const uint32_t *constants,
                               uint32_t n_constant, VkPipeline *out) PM_MUST_USE;

#endif
