// A build without Vulkan (PUMICE_VULKAN=OFF).
#include <stdio.h>

#include "backend.h"

static const char reason[] = "this build has no Vulkan support (it was configured with PUMICE_VULKAN=OFF)";

pm_status pm_gpu_list(pm_gpu_info *infos, uint32_t *n, char why[256]) {
  (void)infos;
  *n = 0;
  snprintf(why, 256, "%s", reason);
  return PM_OK;
}

pm_status pm_gpu_create(const pm_gpu_desc *desc, pm_backend **out) {
  (void)desc;
  *out = NULL;
  PM_FAIL(PM_ERR_UNSUPPORTED, "%s", reason);
}

uint32_t pm_gpu_row_count(void) { return 0; }
pm_op_kind pm_gpu_row_op(uint32_t row) { return (pm_op_kind)row; }
const char *pm_gpu_row_text(uint32_t row) { return row ? reason : ""; }

pm_status pm_gpu_keep_wrong(const pm_gpu_desc *desc, const pm_gpu_wrong *wrong, uint32_t n) {
  (void)desc, (void)wrong, (void)n;
  PM_FAIL(PM_ERR_UNSUPPORTED, "%s", reason);
}

pm_status pm_gpu_forget_tuning(const pm_gpu_desc *desc) {
  (void)desc;
  PM_FAIL(PM_ERR_UNSUPPORTED, "%s", reason);
}
