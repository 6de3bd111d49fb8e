#include "gates.h"

#include "clock.h"
#include "thread.h"

enum { GONE, JOINED };
enum { TRIES = 1000 };
static const double try_seconds = 1e-3;
static const double spin_seconds = 1e-3;  // longer than a token's layer takes

static VkResult signal_to(pm_gpu_gates *g, int gate, uint64_t value) {
  VkSemaphoreSignalInfo info = {
      .sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO, .semaphore = gate == GONE ? g->gone : g->joined, .value = value};
  VkResult result = g->opened[gate] < value ? g->device->fn.vkSignalSemaphore(g->device->handle, &info) : VK_SUCCESS;
  if (result == VK_SUCCESS && g->opened[gate] < value) g->opened[gate] = value;
  return result;
}

static pm_status open_to(pm_gpu_gates *g, int gate, uint64_t value) {
  PM_GPU(g->device, signal_to(g, gate, value), "vkSignalSemaphore");
  return PM_OK;
}

// Nobody hears of a failure here, and the step waits: short memory is given some time. A lost device lets go of the step by itself.
static void open_in_time(void *user, uint64_t value) {
  for (int i = 0; i < TRIES; i++) {
    VkResult result = signal_to(user, GONE, value);
    if (result == VK_SUCCESS || result == VK_ERROR_DEVICE_LOST) return;
    pm_clock_wait(pm_clock_seconds() + try_seconds);
  }
}

pm_status pm_gpu_gates_init(pm_gpu_device *d, pm_gpu_gates *g) {
  *g = (pm_gpu_gates){.device = d};
  PM_TRY(pm_gpu_timeline_init(d, &g->asked));
  PM_TRY(pm_gpu_timeline_init(d, &g->gone));
  PM_TRY(pm_gpu_timeline_init(d, &g->joined));
  return pm_timer_create(open_in_time, g, &g->timer);
}

void pm_gpu_gates_finish(pm_gpu_device *d, pm_gpu_gates *g) {
  pm_timer_destroy(g->timer);
  d->fn.vkDestroySemaphore(d->handle, g->asked, NULL);
  d->fn.vkDestroySemaphore(d->handle, g->gone, NULL);
  d->fn.vkDestroySemaphore(d->handle, g->joined, NULL);
  *g = (pm_gpu_gates){0};
}

pm_status pm_gpu_gates_wait(pm_gpu_gates *g, uint64_t value) {
  pm_gpu_device *d = g->device;
  double limit = pm_clock_seconds() + spin_seconds;
  do {
    uint64_t now;
    PM_GPU(d, d->fn.vkGetSemaphoreCounterValue(d->handle, g->asked, &now), "vkGetSemaphoreCounterValue");
    if (now >= value) return PM_OK;
    for (int i = 0; i < 16; i++) pm_thread_pause();
  } while (pm_clock_seconds() < limit);
  return pm_gpu_timeline_wait(d, g->asked, value);
}

pm_status pm_gpu_gates_go(pm_gpu_gates *g, uint64_t value, double when) {
  if (when <= pm_clock_seconds()) {
    pm_timer_cancel(g->timer);
    return open_to(g, GONE, value);
  }
  pm_timer_set(g->timer, when, value);
  return PM_OK;
}

pm_status pm_gpu_gates_join(pm_gpu_gates *g, uint64_t value) { return open_to(g, JOINED, value); }

pm_status pm_gpu_gates_open(pm_gpu_gates *g) {
  pm_timer_cancel(g->timer);
  pm_status gone = open_to(g, GONE, g->value), joined = open_to(g, JOINED, g->value);
  return gone ? gone : joined;
}
