// Where a step stops for the host: the device says that a layer's choice is made, the host opens the way again. All on timeline
// semaphores, so that a whole step is one submission.
#ifndef PM_GPU_GATES_H
#define PM_GPU_GATES_H

#include "gpu_device.h"
#include "timer.h"

typedef struct pm_gpu_gates {
  pm_gpu_device *device;
  VkSemaphore asked;         // by the device: a table's choice has been copied out
  VkSemaphore gone, joined;  // by the host: the device may look at the board; the host's share is computed
  uint64_t value;            // of the newest table that was asked about; one more for each
  uint64_t opened[2];        // values that the host has given `gone` and `joined`
  pm_timer *timer;           // opens `gone` when experts would have arrived
} pm_gpu_gates;

pm_status pm_gpu_gates_init(pm_gpu_device *d, pm_gpu_gates *g) PM_MUST_USE;
void pm_gpu_gates_finish(pm_gpu_device *d, pm_gpu_gates *g);

// Waits until the device has asked with this value. Spins first, because sleepers wake too late by the time that a token's layer takes;
// sleeps then, so that a prompt does not keep a core busy.
pm_status pm_gpu_gates_wait(pm_gpu_gates *g, uint64_t value) PM_MUST_USE;

// `when`: pm_clock_seconds, 0: at once.
pm_status pm_gpu_gates_go(pm_gpu_gates *g, uint64_t value, double when) PM_MUST_USE;
pm_status pm_gpu_gates_join(pm_gpu_gates *g, uint64_t value) PM_MUST_USE;

// Opens everything up to the newest value: nothing that was submitted waits for the host any more.
pm_status pm_gpu_gates_open(pm_gpu_gates *g) PM_MUST_USE;

#endif
