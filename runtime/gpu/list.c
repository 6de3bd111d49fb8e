// The devices of this machine, for the user to see.
#include <stdio.h>

#include "memory.h"
#include "probe.h"

static pm_status list_locked(pm_vk *vk, pm_gpu_info *infos, uint32_t *n, uint32_t capacity) {
  pm_gpu_probe *probes;
  PM_TRY(pm_vk_init(vk, false));
  PM_TRY(pm_gpu_probe_all(vk->instance, &probes, n));
  for (uint32_t i = 0; i < *n && i < capacity; i++) infos[i] = probes[i].info;
  pm_free(probes);
  return PM_OK;
}

pm_status pm_gpu_list(pm_gpu_info *infos, uint32_t *n, char why[256]) {
  uint32_t capacity = *n;
  pm_vk vk = {0};
  *n = 0;
  why[0] = 0;
  pm_vk_lock(NULL);
  pm_status status = list_locked(&vk, infos, n, capacity);
  pm_vk_finish(&vk);
  pm_vk_unlock();
  if (status != PM_ERR_UNSUPPORTED) return status;
  snprintf(why, 256, "%s", pm_fail_message());  // no loader or no driver is an answer, not a failure
  return PM_OK;
}
