#include "probe.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "known_drivers.h"
#include "matrices.h"
#include "memory.h"
#include "spirv.h"

// Bindings of one shader stage: 16 weight arenas, scratch, 8 cache arenas, step, tables, boards; and as many homes as there is room for.
enum { N_STORAGE_BUFFER = PM_GPU_ARENAS + 1 + PM_GPU_KV_ARENAS + 1 + 1 + 1 };

static const VkSubgroupFeatureFlags subgroup_operations = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_VOTE_BIT |
                                                          VK_SUBGROUP_FEATURE_ARITHMETIC_BIT | VK_SUBGROUP_FEATURE_BALLOT_BIT |
                                                          VK_SUBGROUP_FEATURE_SHUFFLE_BIT;

// Everything that is asked of a device, as one chain of Vulkan structures.
typedef struct answers {
  VkExtensionProperties *extensions;
  uint32_t n_extension;
  VkPhysicalDeviceProperties2 properties;
  VkPhysicalDeviceVulkan11Properties v11;
  VkPhysicalDeviceVulkan12Properties v12;
  VkPhysicalDeviceSubgroupSizeControlProperties size;
  VkPhysicalDevicePCIBusInfoPropertiesEXT pci;
  VkPhysicalDeviceFeatures2 features;
  VkPhysicalDeviceVulkan12Features f12;
  VkPhysicalDeviceSubgroupSizeControlFeatures size_features;
  VkPhysicalDeviceShaderIntegerDotProductFeatures dot;
  VkPhysicalDeviceShaderIntegerDotProductProperties dots;
  VkPhysicalDeviceFaultFeaturesEXT fault;
  pm_gpu_matrix_features matrix;
} answers;

static bool has(const answers *a, const char *extension) { return pm_vk_has_extension(a->extensions, a->n_extension, extension); }

// Puts a structure at the head of a chain that starts in `head`.
static void chain(void *head, void *link) {
  VkBaseOutStructure *h = head, *l = link;
  l->pNext = h->pNext;
  h->pNext = l;
}

static pm_status list_extensions(VkPhysicalDevice physical, answers *a) {
  PM_VK(vkEnumerateDeviceExtensionProperties(physical, NULL, &a->n_extension, NULL), "vkEnumerateDeviceExtensionProperties");
  PM_NEW(&a->extensions, a->n_extension, "list of extensions");
  PM_VK(vkEnumerateDeviceExtensionProperties(physical, NULL, &a->n_extension, a->extensions), "vkEnumerateDeviceExtensionProperties");
  return PM_OK;
}

static void ask(VkPhysicalDevice physical, answers *a) {
  VkPhysicalDeviceProperties basic;
  vkGetPhysicalDeviceProperties(physical, &basic);
  bool v12 = basic.apiVersion >= VK_API_VERSION_1_2, v13 = basic.apiVersion >= VK_API_VERSION_1_3;
  a->properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
  a->v11.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES;
  a->v12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES;
  a->size.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES;
  a->pci.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PCI_BUS_INFO_PROPERTIES_EXT;
  a->features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
  a->f12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES;
  a->size_features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES;
  a->dots.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES;
  a->dot.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES;
  a->fault.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FAULT_FEATURES_EXT;
  a->matrix.sType = (VkStructureType)PM_GPU_MATRIX_FEATURES_TYPE;

  if (v12) chain(&a->properties, &a->v11), chain(&a->properties, &a->v12), chain(&a->features, &a->f12);
  if (v12 && (v13 || has(a, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME)))
    chain(&a->properties, &a->size), chain(&a->features, &a->size_features);
  if (v12 && (v13 || has(a, VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME)))
    chain(&a->properties, &a->dots), chain(&a->features, &a->dot);
  if (has(a, VK_EXT_PCI_BUS_INFO_EXTENSION_NAME)) chain(&a->properties, &a->pci);
  if (has(a, VK_EXT_DEVICE_FAULT_EXTENSION_NAME)) chain(&a->features, &a->fault);
  if (v12 && has(a, PM_GPU_MATRIX_EXTENSION)) chain(&a->features, &a->matrix);
  if (basic.apiVersion < VK_API_VERSION_1_1) {
    a->properties.properties = basic;
    return;
  }
  vkGetPhysicalDeviceProperties2(physical, &a->properties);
  vkGetPhysicalDeviceFeatures2(physical, &a->features);
}

// A family that computes; one without graphics if there is such, so that the desktop's work does not queue behind ours. Then a second
// queue of the same family, or else of another one that computes.
static void find_queues(pm_gpu_probe *p) {
  VkQueueFamilyProperties families[16];
  uint32_t n = 0, any = UINT32_MAX, pure = UINT32_MAX;
  vkGetPhysicalDeviceQueueFamilyProperties(p->physical, &n, NULL);  // SwiftShader makes up as many as there is room for
  if (n > 16) n = 16;
  vkGetPhysicalDeviceQueueFamilyProperties(p->physical, &n, families);
  for (uint32_t i = n; i-- > 0;) {
    if (!(families[i].queueFlags & VK_QUEUE_COMPUTE_BIT)) continue;
    any = i;
    if (!(families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT)) pure = i;
  }
  p->queue_family = p->side_family = pure != UINT32_MAX ? pure : any;
  if (any == UINT32_MAX) return;
  p->timestamp_bits = families[p->queue_family].timestampValidBits;
  p->side_index = families[p->queue_family].queueCount > 1;
  for (uint32_t i = 0; i < n && !p->side_index && p->side_family == p->queue_family; i++)
    if (i != p->queue_family && families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) p->side_family = i;
}

pm_gpu_room pm_gpu_heap_room(const pm_gpu_probe *probe, uint32_t heap) {
  VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
  VkPhysicalDeviceMemoryProperties2 memory = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
  if (probe->budget) memory.pNext = &budget;
  vkGetPhysicalDeviceMemoryProperties2(probe->physical, &memory);
  uint64_t size = memory.memoryProperties.memoryHeaps[heap].size;
  if (!probe->budget) return (pm_gpu_room){size, 0};
  return (pm_gpu_room){budget.heapBudget[heap] < size ? budget.heapBudget[heap] : size, budget.heapUsage[heap]};
}

uint64_t pm_gpu_heap_free(const pm_gpu_probe *probe, uint32_t heap) {
  pm_gpu_room room = pm_gpu_heap_room(probe, heap);
  return room.limit > room.used ? room.limit - room.used : 0;
}

static void measure_memory(pm_gpu_probe *p) {
  VkPhysicalDeviceMemoryProperties memory;
  vkGetPhysicalDeviceMemoryProperties(p->physical, &memory);
  for (uint32_t i = 0; i < memory.memoryHeapCount; i++) {
    if (!(memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) || memory.memoryHeaps[i].size <= p->info.memory_total) continue;
    p->info.memory_total = memory.memoryHeaps[i].size;
    p->info.memory_free = pm_gpu_heap_free(p, i);
  }
}

static void write_uuid(const uint8_t id[VK_UUID_SIZE], char out[37]) {
  char *at = out;
  for (uint32_t i = 0; i < VK_UUID_SIZE; i++) at += sprintf(at, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", id[i]);
}

static void describe(const answers *a, pm_gpu_info *info) {
  static const pm_gpu_kind kinds[] = {
      [VK_PHYSICAL_DEVICE_TYPE_OTHER] = PM_GPU_OTHER,           [VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU] = PM_GPU_INTEGRATED,
      [VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU] = PM_GPU_DISCRETE, [VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU] = PM_GPU_VIRTUAL,
      [VK_PHYSICAL_DEVICE_TYPE_CPU] = PM_GPU_SOFTWARE,
  };
  const VkPhysicalDeviceProperties *p = &a->properties.properties;
  info->kind = (size_t)p->deviceType < sizeof kinds / sizeof *kinds ? kinds[p->deviceType] : PM_GPU_OTHER;
  info->vendor_id = p->vendorID, info->device_id = p->deviceID;
  snprintf(info->name, sizeof info->name, "%s", p->deviceName);
  snprintf(info->driver, sizeof info->driver, "%.60s %.100s, Vulkan %u.%u.%u", a->v12.driverName, a->v12.driverInfo,
           VK_API_VERSION_MAJOR(p->apiVersion), VK_API_VERSION_MINOR(p->apiVersion), VK_API_VERSION_PATCH(p->apiVersion));
  write_uuid(a->v11.deviceUUID, info->uuid);
  if (has(a, VK_EXT_PCI_BUS_INFO_EXTENSION_NAME))
    snprintf(info->pci, sizeof info->pci, "%04x:%02x:%02x.%x", a->pci.pciDomain & 0xffff, a->pci.pciBus & 0xff, a->pci.pciDevice & 0xff,
             a->pci.pciFunction & 0xf);
}

// The first thing that keeps a device from being used; NULL = nothing.
static const char *missing(const answers *a, const pm_gpu_probe *p) {
  const VkPhysicalDeviceLimits *limits = &a->properties.properties.limits;
  const struct {
    bool ok;
    const char *text;
  } rules[] = {
      {a->properties.properties.apiVersion >= VK_API_VERSION_1_2, "its driver is older than Vulkan 1.2: update it"},
      {p->queue_family != UINT32_MAX, "it has no compute queue"},
      {a->f12.timelineSemaphore, "it lacks timeline semaphores"},
      {a->features.features.shaderStorageBufferArrayDynamicIndexing, "it cannot index an array of buffers"},
      {limits->maxPerStageDescriptorStorageBuffers > N_STORAGE_BUFFER, "it binds too few storage buffers at once"},
      {limits->maxPushConstantsSize >= 128, "it has less than 128 bytes of push constants"},
      {limits->maxComputeWorkGroupInvocations >= 128, "its workgroups are too small"},
      {(a->v11.subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0, "it has no subgroup operations in compute shaders"},
      {(a->v11.subgroupSupportedOperations & subgroup_operations) == subgroup_operations, "it lacks subgroup arithmetic or shuffles"},
  };
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
    if (!rules[i].ok) return rules[i].text;
  return NULL;
}

static void append(char *text, size_t capacity, const char *format, ...) {
  size_t used = strlen(text);
  va_list args;
  va_start(args, format);
  vsnprintf(text + used, capacity - used, format, args);
  va_end(args);
}

static void list_features(pm_gpu_probe *p) {
  char *text = p->info.features;
  size_t room = sizeof p->info.features;
  append(text, room, "subgroup=%u workgroup=%u shared=%u max_buffer=%lluMiB", p->traits.subgroup, p->traits.max_invocations,
         p->traits.max_shared, (unsigned long long)(p->max_buffer >> 20));
  const struct {
    bool found;
    const char *word;
  } words[] = {
      {p->needs & PM_NEED_F16, "f16"},       {p->needs & PM_NEED_DOT8, "dot8"}, {p->size_control, "subgroup_size_control"},
      {p->full_subgroups, "full_subgroups"}, {p->budget, "memory_budget"},      {p->fault, "device_fault"},
  };
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (words[i].found) append(text, room, " %s", words[i].word);
  const pm_gpu_matrix *m = &p->traits.matrix;
  if (m->m) append(text, room, " matrix=%ux%ux%u", m->m, m->n, m->k);
}

static uint32_t min32(uint32_t a, uint32_t b) { return a < b ? a : b; }

static uint32_t find_home_arenas(const VkPhysicalDeviceLimits *limits) {
  uint32_t n = min32(limits->maxPerStageDescriptorStorageBuffers, limits->maxDescriptorSetStorageBuffers);
  n = min32(n, limits->maxPerStageResources);
  return n > N_STORAGE_BUFFER ? min32(n - N_STORAGE_BUFFER, PM_GPU_HOME_ARENAS) : 0;
}

// The narrowest subgroups that there are: what a lane keeps, wider ones need as often again in registers. Intel's compiler has to spill
// then, and an AMD RDNA has half as many in flight (tests/gpu_stats).
static uint32_t find_subgroup(const answers *a, const pm_gpu_probe *p) {
  return p->size_control ? a->size.minSubgroupSize : a->v11.subgroupSize;
}

static void find_limits(const answers *a, pm_gpu_probe *p) {
  const VkPhysicalDeviceLimits *limits = &a->properties.properties.limits;
  p->size_control = a->size_features.subgroupSizeControl && a->size.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT;
  p->full_subgroups = p->size_control && a->size_features.computeFullSubgroups;
  p->traits = (pm_gpu_traits){
      .subgroup = find_subgroup(a, p),
      .max_invocations = min32(limits->maxComputeWorkGroupInvocations, limits->maxComputeWorkGroupSize[0]),
      .max_shared = limits->maxComputeSharedMemorySize,
      .vendor_id = a->properties.properties.vendorID,
      .home_arenas = find_home_arenas(limits),
      .software = p->info.kind == PM_GPU_SOFTWARE,
  };
  if (p->size_control)
    p->traits.max_invocations = min32(p->traits.max_invocations, p->traits.subgroup * a->size.maxComputeWorkgroupSubgroups);
  p->max_groups = min32(limits->maxComputeWorkGroupCount[0],
                        min32(limits->maxComputeWorkGroupCount[1], limits->maxComputeWorkGroupCount[2]));
  p->timestamp_seconds = 1e-9 * (double)limits->timestampPeriod;
  p->max_buffer = limits->maxStorageBufferRange < a->v11.maxMemoryAllocationSize ? limits->maxStorageBufferRange
                                                                                 : a->v11.maxMemoryAllocationSize;
  if (a->f12.shaderFloat16) p->needs |= PM_NEED_F16;
  if (a->dot.shaderIntegerDotProduct) p->needs |= PM_NEED_DOT8;
  p->traits.fast_dot8 = a->dots.integerDotProduct4x8BitPackedSignedAccelerated;
  p->info.subgroup_min = p->size_control ? a->size.minSubgroupSize : p->traits.subgroup;
  p->info.subgroup_max = p->size_control ? a->size.maxSubgroupSize : p->traits.subgroup;
}

// Only with subgroups of one size, with what shaders/op/coop.glsl takes for granted, and where the tiles of pick.def can be dealt out.
static void find_matrix(const answers *a, pm_gpu_probe *p) {
  enum { SUBGROUP = 32 };
  const VkPhysicalDeviceVulkan12Features *f = &a->f12;
  bool able = a->matrix.cooperativeMatrix && f->vulkanMemoryModel && f->vulkanMemoryModelDeviceScope && p->needs & PM_NEED_F16;
  bool whole = p->full_subgroups || (a->size.minSubgroupSize && a->size.minSubgroupSize == a->size.maxSubgroupSize);
  if (!able || !whole || p->no_matrix || p->traits.subgroup > SUBGROUP) return;
  pm_gpu_matrix m = pm_gpu_matrices_find(p->physical);
  if (!m.m || m.n > p->traits.subgroup) return;
  p->traits.matrix = m;
  p->needs |= PM_NEED_MATRIX;
}

static void fill(const answers *a, pm_gpu_probe *out) {
  out->vulkan13 = a->properties.properties.apiVersion >= VK_API_VERSION_1_3;
  out->budget = has(a, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  out->fault = a->fault.deviceFault;
  memcpy(out->device_uuid, a->v11.deviceUUID, VK_UUID_SIZE);
  memcpy(out->cache_uuid, a->properties.properties.pipelineCacheUUID, VK_UUID_SIZE);
  describe(a, &out->info);
  find_limits(a, out);
  if (a->properties.properties.apiVersion >= VK_API_VERSION_1_1) measure_memory(out);
  out->driver = a->v12.driverID, out->driver_version = a->properties.properties.driverVersion;
  pm_gpu_known_drivers_apply(out);
  find_matrix(a, out);
  list_features(out);
  const char *reason = missing(a, out);
  out->info.usable = !reason;
  if (reason) snprintf(out->info.reason, sizeof out->info.reason, "%s", reason);
}

pm_status pm_gpu_probe_device(VkPhysicalDevice physical, pm_gpu_probe *out) {
  answers a = {0};
  *out = (pm_gpu_probe){.physical = physical};
  find_queues(out);
  pm_status status = list_extensions(physical, &a);
  if (!status) {
    ask(physical, &a);
    fill(&a, out);
  }
  pm_free(a.extensions);
  return status;
}

pm_status pm_gpu_probe_all(VkInstance instance, pm_gpu_probe **out, uint32_t *n) {
  VkPhysicalDevice physical[64];
  *out = NULL;
  *n = sizeof physical / sizeof *physical;
  VkResult result = vkEnumeratePhysicalDevices(instance, n, physical);
  if (result != VK_SUCCESS && result != VK_INCOMPLETE) return pm_vk_fail(result, "vkEnumeratePhysicalDevices");
  PM_NEW(out, *n, "device list");
  pm_status status = PM_OK;
  for (uint32_t i = 0; i < *n && !status; i++) status = pm_gpu_probe_device(physical[i], &(*out)[i]);
  if (!status) return PM_OK;
  pm_free(*out);
  *out = NULL;
  return status;
}

// ---- the choice ----

static bool contains(const char *text, const char *part) {  // case ignored
  for (; *text; text++) {
    size_t i = 0;
    while (part[i] && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i])) i++;
    if (!part[i]) return true;
  }
  return false;
}

static bool is_named(const pm_gpu_info *info, const char *wanted) {
  return contains(info->name, wanted) || (strlen(wanted) == 36 && contains(info->uuid, wanted)) ||
         (strlen(wanted) >= 7 && info->pci[0] && contains(info->pci, wanted));
}

static bool is_better(const pm_gpu_info *a, const pm_gpu_info *b) {
  static const int rank[] = {[PM_GPU_DISCRETE] = 3, [PM_GPU_INTEGRATED] = 2, [PM_GPU_VIRTUAL] = 1, [PM_GPU_OTHER] = 1};
  return rank[a->kind] != rank[b->kind] ? rank[a->kind] > rank[b->kind] : a->memory_total > b->memory_total;
}

static pm_status choose_best(const pm_gpu_probe *probes, uint32_t n, uint32_t *out) {
  uint32_t best = UINT32_MAX;
  for (uint32_t i = 0; i < n; i++) {
    if (!probes[i].info.usable || probes[i].info.avoid || probes[i].info.kind == PM_GPU_SOFTWARE) continue;
    if (best == UINT32_MAX || is_better(&probes[i].info, &probes[best].info)) best = i;
  }
  *out = best;
  if (best != UINT32_MAX) return PM_OK;
  for (uint32_t i = 0; i < n; i++)
    if (probes[i].info.usable && probes[i].info.avoid)
      PM_FAIL(PM_ERR_UNSUPPORTED, "\"%s\" is used only when named, because its driver is known to go wrong: %s", probes[i].info.name,
              probes[i].info.known);
  for (uint32_t i = 0; i < n; i++)
    if (probes[i].info.usable)
      PM_FAIL(PM_ERR_UNSUPPORTED, "the only usable Vulkan device is \"%s\", which is software on the CPU: it is used only when named",
              probes[i].info.name);
  if (n) PM_FAIL(PM_ERR_UNSUPPORTED, "no usable Vulkan device; \"%s\" is not because %s", probes[0].info.name, probes[0].info.reason);
  PM_FAIL(PM_ERR_UNSUPPORTED, "no Vulkan device on this machine");
}

pm_status pm_gpu_choose(const pm_gpu_probe *probes, uint32_t n, const char *wanted, uint32_t *out) {
  if (!wanted || !wanted[0]) return choose_best(probes, n, out);
  uint32_t found = UINT32_MAX;
  bool is_index = strlen(wanted) <= 3 && strspn(wanted, "0123456789") == strlen(wanted);
  if (is_index) {
    found = (uint32_t)atoi(wanted);
    if (found >= n) PM_FAIL(PM_ERR_ARGUMENT, "there is no Vulkan device %s: this machine has %u", wanted, n);
  }
  for (uint32_t i = 0; i < n && !is_index; i++) {
    if (!is_named(&probes[i].info, wanted)) continue;
    if (found == UINT32_MAX || (probes[i].info.usable && !probes[found].info.usable)) found = i;
  }
  if (found == UINT32_MAX)
    PM_FAIL(PM_ERR_ARGUMENT, "no Vulkan device has the UUID, PCI address or name \"%s\"; the first of %u is \"%s\"", wanted, n,
            n ? probes[0].info.name : "none");
  if (!probes[found].info.usable)
    PM_FAIL(PM_ERR_UNSUPPORTED, "device \"%s\" cannot be used: %s", probes[found].info.name, probes[found].info.reason);
  *out = found;
  return PM_OK;
}
