// Bytes between the host and device buffers: straight where the buffer is mapped, else through two staging halves, one being filled while
// the other is copied.
#ifndef PM_GPU_TRANSFER_H
#define PM_GPU_TRANSFER_H

#include "heap.h"

typedef struct pm_gpu_transfer {
  pm_gpu_buffer staging;
  uint64_t half_bytes;
  struct {
    VkCommandBuffer commands;
    uint64_t ticket;  // of the half's newest submission
  } halves[2];
  uint32_t half;   // being filled
  uint64_t used;   // bytes of it
  bool recording;  // its command buffer is open
} pm_gpu_transfer;

pm_status pm_gpu_transfer_init(pm_gpu_device *d, pm_gpu_transfer *t, uint64_t half_bytes) PM_MUST_USE;
void pm_gpu_transfer_finish(pm_gpu_device *d, pm_gpu_transfer *t);

// Uploads in pieces: room for at least `least` bytes to fill (*room of them), then the command that copies the first `bytes` of it.
// With a mapped destination use memory straight instead. Ends with pm_gpu_transfer_drain.
pm_status pm_gpu_transfer_room(pm_gpu_device *d, pm_gpu_transfer *t, uint64_t least, void **to, uint64_t *room) PM_MUST_USE;
pm_status pm_gpu_transfer_put(pm_gpu_device *d, pm_gpu_transfer *t, const pm_gpu_buffer *dst, uint64_t offset, uint64_t bytes) PM_MUST_USE;
pm_status pm_gpu_transfer_drain(pm_gpu_device *d, pm_gpu_transfer *t) PM_MUST_USE;  // waits until all has arrived

// Whole transfers; the device must be idle (every ticket waited for).
pm_status pm_gpu_transfer_write(pm_gpu_device *d, pm_gpu_transfer *t, const pm_gpu_buffer *dst, uint64_t offset, const void *src,
                                uint64_t bytes) PM_MUST_USE;
pm_status pm_gpu_transfer_read(pm_gpu_device *d, pm_gpu_transfer *t, const pm_gpu_buffer *src, uint64_t offset, void *dst,
                               uint64_t bytes) PM_MUST_USE;
pm_status pm_gpu_transfer_zero(pm_gpu_device *d, pm_gpu_transfer *t, const pm_gpu_buffer *dst) PM_MUST_USE;  // part of an upload: drain

#endif
