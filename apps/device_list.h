// The devices of this machine, as `pumice devices` and `pumice doctor` show them.
#ifndef PM_DEVICE_LIST_H
#define PM_DEVICE_LIST_H

#include "pumice.h"

typedef struct pm_device_list {
  pumice_device_info *devices;
  uint32_t n;
  char note[256];  // about Vulkan itself
} pm_device_list;

int pm_device_list_get(pm_device_list *list);  // 0 or an exit code
void pm_device_list_free(pm_device_list *list);
void pm_device_list_print(const pm_device_list *list, bool features);

const char *pm_device_option(uint32_t i);  // what --device takes for device i: "cpu", "gpu:0", ...; valid until the next call
const char *pm_device_kind_name(pumice_device_kind kind);

#endif
