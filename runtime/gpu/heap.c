#include "heap.h"

enum {
  LOCAL = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
  MAPPED = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
  CACHED = VK_MEMORY_PROPERTY_HOST_CACHED_BIT,
  SPECIAL = VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT | VK_MEMORY_PROPERTY_PROTECTED_BIT | VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD,
};

// Preferences in falling order; `main_heap`: only in the largest device-local heap (the small window of a card without resizable BAR
// is not for weights).
static const struct {
  pm_gpu_use use;
  VkMemoryPropertyFlags flags;
  bool main_heap;
} preferences[] = {
    {PM_GPU_DEVICE, LOCAL | MAPPED, true}, {PM_GPU_DEVICE, LOCAL, true}, {PM_GPU_DEVICE, 0, false},
    {PM_GPU_STEP, LOCAL | MAPPED, false},  {PM_GPU_STEP, MAPPED, false}, {PM_GPU_HOST, MAPPED | CACHED, false},
    {PM_GPU_HOST, MAPPED, false},
};

static uint32_t main_heap(const VkPhysicalDeviceMemoryProperties *m) {
  uint32_t best = UINT32_MAX;
  for (uint32_t i = 0; i < m->memoryHeapCount; i++)
    if (m->memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT &&
        (best == UINT32_MAX || m->memoryHeaps[i].size > m->memoryHeaps[best].size))
      best = i;
  return best;
}

uint32_t pm_gpu_memory_type(const pm_gpu_device *d, pm_gpu_use use) {
  const VkPhysicalDeviceMemoryProperties *m = &d->memory;
  uint32_t big = main_heap(m);
  for (size_t p = 0; p < sizeof preferences / sizeof *preferences; p++) {
    if (preferences[p].use != use) continue;
    for (uint32_t t = 0; t < m->memoryTypeCount; t++) {
      VkMemoryPropertyFlags flags = m->memoryTypes[t].propertyFlags;
      bool fits = d->buffer_types >> t & 1 && !(flags & SPECIAL) && (flags & preferences[p].flags) == preferences[p].flags;
      if (fits && (!preferences[p].main_heap || m->memoryTypes[t].heapIndex == big)) return t;
    }
  }
  return 0;
}

bool pm_gpu_memory_is_mapped(const pm_gpu_device *d, pm_gpu_use use) {
  VkMemoryPropertyFlags flags = d->memory.memoryTypes[pm_gpu_memory_type(d, use)].propertyFlags;
  return (flags & MAPPED) == MAPPED && !(use == PM_GPU_DEVICE && d->staged);
}

static pm_status allocate(pm_gpu_device *d, pm_gpu_buffer *b, pm_gpu_use use) {
  uint32_t type = pm_gpu_memory_type(d, use);
  uint32_t families[2] = {d->probe.queue_family, d->probe.side_family};
  bool shared = families[0] != families[1];  // both queues bind the same set of buffers
  VkBufferCreateInfo info = {
      .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
      .size = b->bytes,
      .usage = PM_GPU_BUFFER_USAGE,
      .sharingMode = shared ? VK_SHARING_MODE_CONCURRENT : VK_SHARING_MODE_EXCLUSIVE,
      .queueFamilyIndexCount = shared ? 2 : 0,
      .pQueueFamilyIndices = families,
  };
  PM_GPU(d, d->fn.vkCreateBuffer(d->handle, &info, NULL, &b->handle), "vkCreateBuffer");
  VkMemoryRequirements needs;
  d->fn.vkGetBufferMemoryRequirements(d->handle, b->handle, &needs);
  VkMemoryAllocateInfo memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = needs.size, .memoryTypeIndex = type};
  PM_GPU(d, d->fn.vkAllocateMemory(d->handle, &memory, NULL, &b->memory), "vkAllocateMemory");
  PM_GPU(d, d->fn.vkBindBufferMemory(d->handle, b->handle, b->memory, 0), "vkBindBufferMemory");
  if (!pm_gpu_memory_is_mapped(d, use)) return PM_OK;
  void *mapped;
  PM_GPU(d, d->fn.vkMapMemory(d->handle, b->memory, 0, VK_WHOLE_SIZE, 0, &mapped), "vkMapMemory");
  b->mapped = mapped;
  return PM_OK;
}

pm_status pm_gpu_buffer_init(pm_gpu_device *d, pm_gpu_buffer *b, pm_gpu_use use, uint64_t bytes, const char *what) {
  *b = (pm_gpu_buffer){.bytes = bytes < 256 ? 256 : bytes};
  pm_status status = allocate(d, b, use);
  if (status) return pm_fail_prefix(status, "%s, %.1f MiB", what, (double)b->bytes / (1 << 20));
  return PM_OK;
}

void pm_gpu_buffer_finish(pm_gpu_device *d, pm_gpu_buffer *b) {
  if (b->handle) d->fn.vkDestroyBuffer(d->handle, b->handle, NULL);
  if (b->memory) d->fn.vkFreeMemory(d->handle, b->memory, NULL);  // unmaps
  *b = (pm_gpu_buffer){0};
}
