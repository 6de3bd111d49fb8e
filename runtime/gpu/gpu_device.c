#include "gpu_device.h"

#include <stdio.h>
#include <string.h>

#include "matrices.h"
#include "memory.h"
#include "spirv.h"

// A healthy submission is cut to a fraction of a second (step.c), and drivers reset a hung card within some ten seconds; software devices
// under a validation layer are merely slow.
static const double answer_seconds = 60, answer_seconds_software = 1800;

// ---- failures ----

// What the driver knows about a loss (VK_EXT_device_fault), appended to the message.
static void append_fault(pm_gpu_device *d) {
  if (!d->probe.fault || !d->fn.vkGetDeviceFaultInfoEXT) return;
  VkDeviceFaultVendorInfoEXT vendor[4];
  VkDeviceFaultAddressInfoEXT addresses[4];
  VkDeviceFaultCountsEXT counts = {.sType = VK_STRUCTURE_TYPE_DEVICE_FAULT_COUNTS_EXT, .addressInfoCount = 4, .vendorInfoCount = 4};
  VkDeviceFaultInfoEXT info = {.sType = VK_STRUCTURE_TYPE_DEVICE_FAULT_INFO_EXT, .pAddressInfos = addresses, .pVendorInfos = vendor};
  VkResult result = d->fn.vkGetDeviceFaultInfoEXT(d->handle, &counts, &info);
  if (result != VK_SUCCESS && result != VK_INCOMPLETE) return;
  size_t used = strlen(d->broken_message);
  snprintf(d->broken_message + used, sizeof d->broken_message - used, "; the driver says: %.200s%s%.150s", info.description,
           counts.vendorInfoCount ? ", " : "", counts.vendorInfoCount ? vendor[0].description : "");
}

pm_status pm_gpu_device_fail(pm_gpu_device *d, VkResult result, const char *what) {
  pm_status status = pm_vk_fail(result, what);
  if (result != VK_ERROR_DEVICE_LOST && result != VK_TIMEOUT) return status;
  if (!d->broken) {
    d->broken = status;
    snprintf(d->broken_message, sizeof d->broken_message, "%s", pm_fail_message());
    if (result == VK_ERROR_DEVICE_LOST) append_fault(d);
  }
  return pm_gpu_device_check(d);
}

pm_status pm_gpu_device_check(const pm_gpu_device *d) {
  if (d->broken) PM_FAIL(d->broken, "device \"%s\": %s", d->probe.info.name, d->broken_message);
  if (d->vk.complaint[0]) PM_FAIL(PM_ERR_DEVICE, "Vulkan validation: %s", d->vk.complaint);
  return PM_OK;
}

// ---- creation ----

static pm_status pick(pm_gpu_device *d, const pm_gpu_desc *desc) {
  pm_gpu_probe *probes;
  uint32_t n, index;
  PM_TRY(pm_gpu_probe_all(d->vk.instance, &probes, &n));
  pm_status status = pm_gpu_choose(probes, n, desc->device, &index);
  if (!status) d->probe = probes[index];
  pm_free(probes);
  if (desc->exact) d->probe.needs &= ~(uint32_t)(PM_NEED_MATRIX | PM_NEED_DOT8), d->probe.traits.matrix = (pm_gpu_matrix){0};
  return status;
}

// Features are asked for only where the probe found them; the structures of unused ones stay out of the chain.
static pm_status create_device(pm_gpu_device *d) {
  const pm_gpu_probe *p = &d->probe;
  const char *extensions[4];
  uint32_t n = 0;
  VkPhysicalDeviceVulkan12Features f12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
                                          .timelineSemaphore = VK_TRUE,
                                          .shaderFloat16 = (p->needs & PM_NEED_F16) != 0,
                                          .vulkanMemoryModel = (p->needs & PM_NEED_MATRIX) != 0,
                                          .vulkanMemoryModelDeviceScope = (p->needs & PM_NEED_MATRIX) != 0};  // of all atomics then
  VkPhysicalDeviceSubgroupSizeControlFeatures size = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
                                                      .subgroupSizeControl = VK_TRUE,
                                                      .computeFullSubgroups = p->full_subgroups};
  VkPhysicalDeviceShaderIntegerDotProductFeatures dot = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES,
                                                         .shaderIntegerDotProduct = VK_TRUE};
  VkPhysicalDeviceFaultFeaturesEXT fault = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FAULT_FEATURES_EXT, .deviceFault = VK_TRUE};
  pm_gpu_matrix_features matrix = {.sType = (VkStructureType)PM_GPU_MATRIX_FEATURES_TYPE, .cooperativeMatrix = VK_TRUE};
  const struct {
    bool use, core;
    void *feature;
    const char *extension;
  } parts[] = {
      {p->size_control, p->vulkan13, &size, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME},
      {p->needs & PM_NEED_DOT8, p->vulkan13, &dot, VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME},
      {p->fault, false, &fault, VK_EXT_DEVICE_FAULT_EXTENSION_NAME},
      {p->needs & PM_NEED_MATRIX, false, &matrix, PM_GPU_MATRIX_EXTENSION},
  };
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    if (!parts[i].use) continue;
    if (!parts[i].core) extensions[n++] = parts[i].extension;
    VkBaseOutStructure *link = parts[i].feature;
    link->pNext = f12.pNext;
    f12.pNext = link;
  }
  const float priorities[2] = {1, 0};
  VkPhysicalDeviceFeatures features = {.shaderStorageBufferArrayDynamicIndexing = VK_TRUE};
  bool other = p->side_family != p->queue_family;
  VkDeviceQueueCreateInfo queues[2] = {{.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                        .queueFamilyIndex = p->queue_family,
                                        .queueCount = 1 + (other ? 0 : p->side_index),
                                        .pQueuePriorities = priorities},
                                       {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                        .queueFamilyIndex = p->side_family,
                                        .queueCount = 1,
                                        .pQueuePriorities = priorities}};
  VkDeviceCreateInfo info = {
      .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
      .pNext = &f12,
      .queueCreateInfoCount = other ? 2 : 1,
      .pQueueCreateInfos = queues,
      .enabledExtensionCount = n,
      .ppEnabledExtensionNames = extensions,
      .pEnabledFeatures = &features,
  };
  PM_VK(vkCreateDevice(p->physical, &info, NULL, &d->handle), "vkCreateDevice");
  volkLoadDeviceTable(&d->fn, d->handle);
  d->fn.vkGetDeviceQueue(d->handle, p->queue_family, 0, &d->queue);
  d->fn.vkGetDeviceQueue(d->handle, p->side_family, p->side_index, &d->side_queue);
  vkGetPhysicalDeviceMemoryProperties(p->physical, &d->memory);
  return PM_OK;
}

// Vulkan promises the same memory types for all buffers of equal usage and flags, so one small buffer tells.
static pm_status find_buffer_types(pm_gpu_device *d) {
  VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = 256, .usage = PM_GPU_BUFFER_USAGE};
  VkBuffer buffer;
  VkMemoryRequirements needs;
  PM_GPU(d, d->fn.vkCreateBuffer(d->handle, &info, NULL, &buffer), "vkCreateBuffer");
  d->fn.vkGetBufferMemoryRequirements(d->handle, buffer, &needs);
  d->fn.vkDestroyBuffer(d->handle, buffer, NULL);
  d->buffer_types = needs.memoryTypeBits;
  return PM_OK;
}

pm_status pm_gpu_timeline_init(pm_gpu_device *d, VkSemaphore *out) {
  VkSemaphoreTypeCreateInfo type = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO, .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
  VkSemaphoreCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, .pNext = &type};
  PM_GPU(d, d->fn.vkCreateSemaphore(d->handle, &info, NULL, out), "vkCreateSemaphore");
  return PM_OK;
}

static pm_status create_pool(pm_gpu_device *d, uint32_t family, VkCommandPool *out) {
  VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                  .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                  .queueFamilyIndex = family};
  PM_GPU(d, d->fn.vkCreateCommandPool(d->handle, &pool, NULL, out), "vkCreateCommandPool");
  return PM_OK;
}

static pm_status open_locked(pm_gpu_device *d, const pm_gpu_desc *desc) {
  PM_TRY(pm_vk_init(&d->vk, desc->validate));
  PM_TRY(pick(d, desc));
  PM_TRY(create_device(d));
  PM_TRY(find_buffer_types(d));
  PM_TRY(pm_gpu_timeline_init(d, &d->timeline));
  PM_TRY(create_pool(d, d->probe.queue_family, &d->pool));
  PM_TRY(create_pool(d, d->probe.side_family, &d->side_pool));
  return pm_gpu_device_check(d);
}

pm_status pm_gpu_device_init(pm_gpu_device *d, const pm_gpu_desc *desc) {
  pm_vk_lock(NULL);
  pm_status status = open_locked(d, desc);
  pm_vk_unlock();
  return status;
}

void pm_gpu_device_finish(pm_gpu_device *d) {
  pm_vk_lock(&d->vk);
  if (d->handle) {
    d->fn.vkDeviceWaitIdle(d->handle);
    d->fn.vkDestroyCommandPool(d->handle, d->pool, NULL);
    d->fn.vkDestroyCommandPool(d->handle, d->side_pool, NULL);
    d->fn.vkDestroySemaphore(d->handle, d->timeline, NULL);
    d->fn.vkDestroyDevice(d->handle, NULL);
  }
  pm_vk_finish(&d->vk);
  pm_vk_unlock();
  *d = (pm_gpu_device){0};
}

// ---- commands, submissions, tickets ----

pm_status pm_gpu_commands_begin(pm_gpu_device *d, VkCommandPool pool, VkCommandBuffer *commands) {
  if (!*commands) {
    VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                        .commandPool = pool,
                                        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                        .commandBufferCount = 1};
    PM_GPU(d, d->fn.vkAllocateCommandBuffers(d->handle, &info, commands), "vkAllocateCommandBuffers");
  }
  VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
  PM_GPU(d, d->fn.vkBeginCommandBuffer(*commands, &begin), "vkBeginCommandBuffer");
  return PM_OK;
}

pm_status pm_gpu_commands_end(pm_gpu_device *d, VkCommandBuffer commands) {
  PM_GPU(d, d->fn.vkEndCommandBuffer(commands), "vkEndCommandBuffer");
  return PM_OK;
}

void pm_gpu_commands_free(pm_gpu_device *d, VkCommandPool pool, VkCommandBuffer commands) {
  d->fn.vkFreeCommandBuffers(d->handle, pool, 1, &commands);
}

pm_status pm_gpu_submit(pm_gpu_device *d, const VkCommandBuffer *commands, uint32_t n) {
  uint64_t ticket = d->ticket + 1;
  VkTimelineSemaphoreSubmitInfo timeline = {
      .sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO, .signalSemaphoreValueCount = 1, .pSignalSemaphoreValues = &ticket};
  VkSubmitInfo info = {
      .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
      .pNext = &timeline,
      .commandBufferCount = n,
      .pCommandBuffers = commands,
      .signalSemaphoreCount = 1,
      .pSignalSemaphores = &d->timeline,
  };
  PM_GPU(d, d->fn.vkQueueSubmit(d->queue, 1, &info, VK_NULL_HANDLE), "vkQueueSubmit");
  d->ticket = ticket;
  return PM_OK;
}

double pm_gpu_answer_seconds(const pm_gpu_device *d) {
  return d->probe.info.kind == PM_GPU_SOFTWARE ? answer_seconds_software : answer_seconds;
}

pm_status pm_gpu_wait(pm_gpu_device *d, uint64_t ticket) { return pm_gpu_timeline_wait(d, d->timeline, ticket); }

pm_status pm_gpu_timeline_wait(pm_gpu_device *d, VkSemaphore timeline, uint64_t value) {
  VkSemaphoreWaitInfo info = {
      .sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO, .semaphoreCount = 1, .pSemaphores = &timeline, .pValues = &value};
  PM_GPU(d, d->fn.vkWaitSemaphores(d->handle, &info, (uint64_t)(pm_gpu_answer_seconds(d) * 1e9)), "vkWaitSemaphores");
  return PM_OK;
}
