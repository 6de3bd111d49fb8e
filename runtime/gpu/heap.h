// Device memory: one buffer per allocation, each as large as planned and made once.
#ifndef PM_GPU_HEAP_H
#define PM_GPU_HEAP_H

#include "gpu_device.h"

typedef enum pm_gpu_use {
  PM_GPU_DEVICE,  // kernels work here; mapped too where the device's main memory is (integrated, resizable BAR, software)
  PM_GPU_STEP,    // written by the host for every step, read by every kernel
  PM_GPU_HOST,    // on its way between the host and the device
  PM_GPU_USE_COUNT
} pm_gpu_use;

typedef struct pm_gpu_buffer {
  VkBuffer handle;
  VkDeviceMemory memory;
  uint64_t bytes;
  uint8_t *mapped;  // NULL if the host cannot reach it
} pm_gpu_buffer;

// Memory type for a use; always found on a Vulkan device.
uint32_t pm_gpu_memory_type(const pm_gpu_device *d, pm_gpu_use use);
bool pm_gpu_memory_is_mapped(const pm_gpu_device *d, pm_gpu_use use);

pm_status pm_gpu_buffer_init(pm_gpu_device *d, pm_gpu_buffer *b, pm_gpu_use use, uint64_t bytes, const char *what) PM_MUST_USE;
void pm_gpu_buffer_finish(pm_gpu_device *d, pm_gpu_buffer *b);

#endif
