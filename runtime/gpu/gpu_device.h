// One opened device: its queue, and the timeline on which every submission is a ticket.
#ifndef PM_GPU_DEVICE_H
#define PM_GPU_DEVICE_H

#include "probe.h"

// All buffers have the same usage, so that they share their memory types.
enum { PM_GPU_BUFFER_USAGE = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT };

typedef struct pm_gpu_device {
  pm_vk vk;
  pm_gpu_probe probe;
  VkDevice handle;
  struct VolkDeviceTable fn;  // this device's functions
  VkQueue queue;
  VkCommandPool pool;
  VkQueue side_queue;       // for work beside the steps; the same as `queue` where the device has no other
  VkCommandPool side_pool;  // for its family
  VkSemaphore timeline;
  uint64_t ticket;  // of the newest submission
  VkPhysicalDeviceMemoryProperties memory;
  uint32_t buffer_types;  // memory types that a buffer of ours may use, as bits
  bool staged;            // leave device memory unmapped (tests)
  pm_status broken;       // sticky: the device was lost or did not answer, and no call can succeed any more
  char broken_message[512];
} pm_gpu_device;

// Opens the device that desc names. `d` must stay where it is until pm_gpu_device_finish, which takes a half-made device too.
pm_status pm_gpu_device_init(pm_gpu_device *d, const pm_gpu_desc *desc) PM_MUST_USE;
void pm_gpu_device_finish(pm_gpu_device *d);

// PM_OK, or the failure that broke the device, or the first complaint of the validation layer (then *every* later call fails).
pm_status pm_gpu_device_check(const pm_gpu_device *d) PM_MUST_USE;

// Forms the failure of a device call and remembers it if it is final.
pm_status pm_gpu_device_fail(pm_gpu_device *d, VkResult result, const char *what) PM_MUST_USE;

#define PM_GPU(d, call, what)                                                                 \
  do {                                                                                        \
    VkResult pm_gpu_result_ = (call);                                                         \
    if (pm_gpu_result_ != VK_SUCCESS) return pm_gpu_device_fail((d), pm_gpu_result_, (what)); \
  } while (0)

// A primary command buffer of a pool, ready to record; it may be recorded again later. Allocates when *commands is NULL.
pm_status pm_gpu_commands_begin(pm_gpu_device *d, VkCommandPool pool, VkCommandBuffer *commands) PM_MUST_USE;
pm_status pm_gpu_commands_end(pm_gpu_device *d, VkCommandBuffer commands) PM_MUST_USE;
void pm_gpu_commands_free(pm_gpu_device *d, VkCommandPool pool, VkCommandBuffer commands);

// How long the device may be silent before it is given up.
double pm_gpu_answer_seconds(const pm_gpu_device *d);

// A timeline semaphore that stands at 0; vkDestroySemaphore ends it.
pm_status pm_gpu_timeline_init(pm_gpu_device *d, VkSemaphore *out) PM_MUST_USE;

// Sleeps until a timeline semaphore has the value; PM_ERR_DEVICE_LOST after pm_gpu_answer_seconds.
pm_status pm_gpu_timeline_wait(pm_gpu_device *d, VkSemaphore timeline, uint64_t value) PM_MUST_USE;

// Submits n command buffers as one piece of work; its ticket is d->ticket afterwards.
pm_status pm_gpu_submit(pm_gpu_device *d, const VkCommandBuffer *commands, uint32_t n) PM_MUST_USE;

// Waits until the ticket has passed.
pm_status pm_gpu_wait(pm_gpu_device *d, uint64_t ticket) PM_MUST_USE;

#endif
