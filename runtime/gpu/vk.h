// The door to Vulkan: the loader is opened at run time (volk), so that a program starts on machines without it.
//
// volk keeps the instance's functions in globals. They belong to whoever holds the lock: take it around every call of an instance
// function. Device functions come from each device's own table and need no lock.
#ifndef PM_GPU_VK_H
#define PM_GPU_VK_H

#include <stdbool.h>
#include <volk.h>

#include "status.h"

typedef struct pm_vk {
  VkInstance instance;
  VkDebugUtilsMessengerEXT messenger;
  char complaint[1024];  // first message of the validation layer; "" = none
} pm_vk;

// Makes the instance's functions current; vk may be NULL before there is one.
void pm_vk_lock(const pm_vk *vk);
void pm_vk_unlock(void);

// False without a loader. Lock held, as for the rest.
bool pm_vk_available(void);

// PM_ERR_UNSUPPORTED without a loader, without any driver, or without the validation layer that was asked for. `vk` must stay where it is
// until pm_vk_finish: the layer's messages are written to it.
pm_status pm_vk_init(pm_vk *vk, bool validate) PM_MUST_USE;
void pm_vk_finish(pm_vk *vk);

// Whether a list of extensions has one of that name.
bool pm_vk_has_extension(const VkExtensionProperties *list, uint32_t n, const char *name);

// Status and message for a failed call; `what` names the function.
pm_status pm_vk_fail(VkResult result, const char *what) PM_MUST_USE;

#define PM_VK(call, what)                                                      \
  do {                                                                         \
    VkResult pm_vk_result_ = (call);                                           \
    if (pm_vk_result_ != VK_SUCCESS) return pm_vk_fail(pm_vk_result_, (what)); \
  } while (0)

#endif
