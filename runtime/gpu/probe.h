// What a Vulkan device can do, and which one to take.
#ifndef PM_GPU_PROBE_H
#define PM_GPU_PROBE_H

#include "backend.h"
#include "record.h"
#include "vk.h"

typedef struct pm_gpu_probe {
  VkPhysicalDevice physical;
  pm_gpu_info info;
  pm_gpu_traits traits;
  uint32_t needs;  // PM_NEED_ bits that this device has
  uint32_t queue_family;
  uint32_t side_family, side_index;  // a second queue that computes: beside the first, or in another family; or the first again
  uint32_t timestamp_bits;           // of the queue; 0 = it has no clock
  double timestamp_seconds;          // of a tick
  VkDriverId driver;
  uint32_t driver_version;  // as its maker packs it
  uint32_t max_groups;      // per dimension of a dispatch
  uint64_t max_buffer;      // bytes of one allocation and of one storage buffer binding
  uint8_t device_uuid[VK_UUID_SIZE], cache_uuid[VK_UUID_SIZE];
  bool vulkan13;
  bool size_control;  // VK_EXT_subgroup_size_control: the subgroup size of compute can be fixed
  bool full_subgroups;
  bool budget;     // VK_EXT_memory_budget
  bool fault;      // VK_EXT_device_fault
  bool no_matrix;  // cooperative matrices must be left alone (known_drivers.def)
} pm_gpu_probe;

// Lock held (vk.h) for both.
pm_status pm_gpu_probe_device(VkPhysicalDevice physical, pm_gpu_probe *out) PM_MUST_USE;

// All devices; *out is freed with pm_free.
pm_status pm_gpu_probe_all(VkInstance instance, pm_gpu_probe **out, uint32_t *n) PM_MUST_USE;

// Bytes of a heap that this process may have, min(size, budget), and has. Of a device that reports no budget: its size, and 0.
typedef struct pm_gpu_room {
  uint64_t limit, used;
} pm_gpu_room;
pm_gpu_room pm_gpu_heap_room(const pm_gpu_probe *probe, uint32_t heap);  // lock held
uint64_t pm_gpu_heap_free(const pm_gpu_probe *probe, uint32_t heap);     // what it can still take; lock held

// Index of the device that `wanted` names (pm_gpu_desc.device). By itself, never one of software kind.
pm_status pm_gpu_choose(const pm_gpu_probe *probes, uint32_t n, const char *wanted, uint32_t *out) PM_MUST_USE;

#endif
