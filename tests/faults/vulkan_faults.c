#include "vulkan_faults.h"

#include <pthread.h>
#include <stdatomic.h>

#include "clock.h"
#include "direct_read.h"
#include "memory.h"
#include "rng.h"

static struct VolkDeviceTable real;
static atomic_int armed_place;
static atomic_uint_fast64_t calls, fail_at;
static atomic_bool fired, lost;
static VkResult armed_result;
static atomic_int_fast64_t live_objects, live_memory;

void fault_disarm(void) {
  atomic_store(&armed_place, FAULT_NONE), atomic_store(&lost, false);
  pm_direct_fail_at(0);
}

void fault_arm(fault_place place, uint64_t k, VkResult result) {
  fault_disarm();
  armed_result = result;
  atomic_store(&calls, 0), atomic_store(&fail_at, k), atomic_store(&fired, false);
  atomic_store(&armed_place, (int)place);
  if (place == FAULT_READ) pm_direct_fail_at(k);
}

bool fault_fired(void) { return atomic_load(&fired); }

int64_t fault_live_objects(void) { return atomic_load(&live_objects); }
int64_t fault_live_memory(void) { return atomic_load(&live_memory); }

static VkResult next(fault_place place) {
  if (atomic_load(&lost) && place >= FAULT_SUBMIT) return VK_ERROR_DEVICE_LOST;
  if (atomic_load(&armed_place) != (int)place || atomic_fetch_add(&calls, 1) + 1 != atomic_load(&fail_at)) return VK_SUCCESS;
  atomic_store(&lost, armed_result == VK_ERROR_DEVICE_LOST);
  atomic_store(&fired, true);
  return armed_result;
}

// ---- functions of the device ---------------------------------------------------------------------------------------

#define CALL(place, name, params, ...)                     \
  static VKAPI_ATTR VkResult VKAPI_CALL my_##name params { \
    VkResult fault = next(place);                          \
    return fault ? fault : real.name(__VA_ARGS__);         \
  }

#define MAKE(place, make, params, destroy, type, ...)                                                  \
  static VKAPI_ATTR VkResult VKAPI_CALL my_##make params {                                             \
    VkResult result = next(place);                                                                     \
    if (!result) result = real.make(__VA_ARGS__);                                                      \
    if (!result) live_objects++;                                                                       \
    return result;                                                                                     \
  }                                                                                                    \
  static VKAPI_ATTR void VKAPI_CALL my_##destroy(VkDevice d, type x, const VkAllocationCallbacks *a) { \
    live_objects -= x != VK_NULL_HANDLE;                                                               \
    real.destroy(d, x, a);                                                                             \
  }

#define CREATE(name, type)                                                                                                   \
  MAKE(name##_PLACE, vkCreate##name, (VkDevice d, const Vk##name##CreateInfo *i, const VkAllocationCallbacks *a, type *out), \
       vkDestroy##name, type, d, i, a, out)

#define Buffer_PLACE FAULT_MEMORY
#define Semaphore_PLACE FAULT_OBJECT
#define CommandPool_PLACE FAULT_OBJECT
#define DescriptorSetLayout_PLACE FAULT_OBJECT
#define PipelineLayout_PLACE FAULT_OBJECT
#define PipelineCache_PLACE FAULT_OBJECT
#define DescriptorPool_PLACE FAULT_OBJECT
#define ShaderModule_PLACE FAULT_OBJECT

CREATE(Buffer, VkBuffer)
CREATE(Semaphore, VkSemaphore)
CREATE(CommandPool, VkCommandPool)
CREATE(DescriptorSetLayout, VkDescriptorSetLayout)
CREATE(PipelineLayout, VkPipelineLayout)
CREATE(PipelineCache, VkPipelineCache)
CREATE(DescriptorPool, VkDescriptorPool)
CREATE(ShaderModule, VkShaderModule)
MAKE(FAULT_MEMORY, vkAllocateMemory, (VkDevice d, const VkMemoryAllocateInfo *i, const VkAllocationCallbacks *a, VkDeviceMemory *out),
     vkFreeMemory, VkDeviceMemory, d, i, a, out)
MAKE(FAULT_OBJECT, vkCreateComputePipelines,
     (VkDevice d, VkPipelineCache c, uint32_t n, const VkComputePipelineCreateInfo *i, const VkAllocationCallbacks *a, VkPipeline *out),
     vkDestroyPipeline, VkPipeline, d, c, n, i, a, out)
CALL(FAULT_MEMORY, vkBindBufferMemory, (VkDevice d, VkBuffer b, VkDeviceMemory m, VkDeviceSize at), d, b, m, at)
CALL(FAULT_MEMORY, vkMapMemory, (VkDevice d, VkDeviceMemory m, VkDeviceSize at, VkDeviceSize n, VkMemoryMapFlags f, void **out), d, m, at,
     n, f, out)
CALL(FAULT_OBJECT, vkAllocateDescriptorSets, (VkDevice d, const VkDescriptorSetAllocateInfo *i, VkDescriptorSet *out), d, i, out)
CALL(FAULT_COMMANDS, vkAllocateCommandBuffers, (VkDevice d, const VkCommandBufferAllocateInfo *i, VkCommandBuffer *out), d, i, out)
CALL(FAULT_COMMANDS, vkBeginCommandBuffer, (VkCommandBuffer c, const VkCommandBufferBeginInfo *i), c, i)
CALL(FAULT_COMMANDS, vkEndCommandBuffer, (VkCommandBuffer c), c)
CALL(FAULT_WAIT, vkWaitSemaphores, (VkDevice d, const VkSemaphoreWaitInfo *i, uint64_t limit), d, i, limit)
CALL(FAULT_COUNTER, vkGetSemaphoreCounterValue, (VkDevice d, VkSemaphore s, uint64_t *value), d, s, value)

// ---- delays --------------------------------------------------------------------------------------------------------

enum { LATE = 64 };  // submissions under way at most

typedef struct late_submission {
  double when;
  VkQueue queue;
  VkCommandBuffer commands;
  VkSemaphore wait, signal;
  uint64_t wait_value, signal_value;
} late_submission;

static pthread_mutex_t queue_mutex = PTHREAD_MUTEX_INITIALIZER;  // of the queue, and of what follows
static pthread_cond_t queue_changed = PTHREAD_COND_INITIALIZER;
static late_submission late[LATE];
static uint32_t n_late, n_delayed;
static bool late_quit;
static VkSemaphore late_semaphore;
static double late_most;
static pm_rng late_rng, signal_rng;
static pthread_t late_thread;

static double random_delay(pm_rng *rng) { return late_most * (double)(pm_rng_next(rng) % 1024) / 1024; }

static void submit_late(const late_submission *l) {
  VkPipelineStageFlags stage = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
  VkTimelineSemaphoreSubmitInfo values = {.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
                                          .waitSemaphoreValueCount = 1,
                                          .pWaitSemaphoreValues = &l->wait_value,
                                          .signalSemaphoreValueCount = 1,
                                          .pSignalSemaphoreValues = &l->signal_value};
  VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                       .pNext = &values,
                       .waitSemaphoreCount = 1,
                       .pWaitSemaphores = &l->wait,
                       .pWaitDstStageMask = &stage,
                       .commandBufferCount = 1,
                       .pCommandBuffers = &l->commands,
                       .signalSemaphoreCount = 1,
                       .pSignalSemaphores = &l->signal};
  (void)real.vkQueueSubmit(l->queue, 1, &info, VK_NULL_HANDLE);
}

static void *late_main(void *arg) {
  (void)arg;
  pthread_mutex_lock(&queue_mutex);
  while (n_late || !late_quit) {
    if (!n_late) {
      pthread_cond_wait(&queue_changed, &queue_mutex);
      continue;
    }
    double when = late[0].when;
    pthread_mutex_unlock(&queue_mutex);
    pm_clock_wait(when);
    pthread_mutex_lock(&queue_mutex);
    submit_late(&late[0]);
    n_late--;
    for (uint32_t i = 0; i < n_late; i++) late[i] = late[i + 1];
  }
  pthread_mutex_unlock(&queue_mutex);
  return NULL;
}

void fault_delay(VkSemaphore semaphore, double most) {
  if (late_semaphore) {
    pthread_mutex_lock(&queue_mutex);
    late_quit = true;
    pthread_cond_signal(&queue_changed);
    pthread_mutex_unlock(&queue_mutex);
    pthread_join(late_thread, NULL);
  }
  pthread_mutex_lock(&queue_mutex);
  late_quit = false, late_semaphore = semaphore, late_most = most, n_delayed = 0;
  late_rng = pm_rng_seed(1), signal_rng = pm_rng_seed(2);
  pthread_mutex_unlock(&queue_mutex);
  if (semaphore && pthread_create(&late_thread, NULL, late_main, NULL)) late_semaphore = VK_NULL_HANDLE;
}

uint32_t fault_delayed(void) {
  pthread_mutex_lock(&queue_mutex);
  uint32_t n = n_delayed;
  pthread_mutex_unlock(&queue_mutex);
  return n;
}

static bool delay(VkQueue queue, uint32_t n, const VkSubmitInfo *infos) {
  if (!late_semaphore || n != 1 || infos->signalSemaphoreCount != 1 || *infos->pSignalSemaphores != late_semaphore || n_late == LATE)
    return false;
  const VkTimelineSemaphoreSubmitInfo *values = infos->pNext;
  late[n_late++] = (late_submission){.when = pm_clock_seconds() + random_delay(&late_rng),
                                     .queue = queue,
                                     .commands = *infos->pCommandBuffers,
                                     .wait = *infos->pWaitSemaphores,
                                     .signal = *infos->pSignalSemaphores,
                                     .wait_value = *values->pWaitSemaphoreValues,
                                     .signal_value = *values->pSignalSemaphoreValues};
  n_delayed++;
  pthread_cond_signal(&queue_changed);
  return true;
}

static VKAPI_ATTR VkResult VKAPI_CALL my_vkQueueSubmit(VkQueue queue, uint32_t n, const VkSubmitInfo *infos, VkFence fence) {
  VkResult result = next(FAULT_SUBMIT);
  if (result) return result;
  pthread_mutex_lock(&queue_mutex);
  if (!delay(queue, n, infos)) result = real.vkQueueSubmit(queue, n, infos, fence);
  pthread_mutex_unlock(&queue_mutex);
  return result;
}

// A lost device waits for nobody: the signal arrives even where the call says that the device is lost.
static VKAPI_ATTR VkResult VKAPI_CALL my_vkSignalSemaphore(VkDevice d, const VkSemaphoreSignalInfo *info) {
  VkResult fault = next(FAULT_SIGNAL);
  if (fault && fault != VK_ERROR_DEVICE_LOST) return fault;
  pthread_mutex_lock(&queue_mutex);
  double late_by = late_semaphore ? random_delay(&signal_rng) : 0;
  pthread_mutex_unlock(&queue_mutex);
  if (late_by > 0) pm_clock_wait(pm_clock_seconds() + late_by);
  uint64_t now;
  if (fault && (real.vkGetSemaphoreCounterValue(d, info->semaphore, &now) != VK_SUCCESS || now >= info->value)) return fault;
  VkResult result = real.vkSignalSemaphore(d, info);
  return fault ? fault : result;
}

// ---- the tables that volk fills ------------------------------------------------------------------------------------

void __real_volkLoadDeviceTable(struct VolkDeviceTable *table, VkDevice device);
void __wrap_volkLoadDeviceTable(struct VolkDeviceTable *table, VkDevice device);
void __wrap_volkLoadDeviceTable(struct VolkDeviceTable *table, VkDevice device) {
  __real_volkLoadDeviceTable(table, device);
  real = *table;
#define MINE(name) table->name = my_##name
#define MINE_PAIR(name) MINE(vkCreate##name), MINE(vkDestroy##name)
  MINE_PAIR(Buffer);
  MINE_PAIR(Semaphore);
  MINE_PAIR(CommandPool);
  MINE_PAIR(DescriptorSetLayout);
  MINE_PAIR(PipelineLayout);
  MINE_PAIR(PipelineCache);
  MINE_PAIR(DescriptorPool);
  MINE_PAIR(ShaderModule);
  MINE(vkAllocateMemory);
  MINE(vkFreeMemory);
  MINE(vkCreateComputePipelines);
  MINE(vkDestroyPipeline);
  MINE(vkBindBufferMemory);
  MINE(vkMapMemory);
  MINE(vkAllocateDescriptorSets);
  MINE(vkAllocateCommandBuffers);
  MINE(vkBeginCommandBuffer);
  MINE(vkEndCommandBuffer);
  MINE(vkWaitSemaphores);
  MINE(vkGetSemaphoreCounterValue);
  MINE(vkQueueSubmit);
  MINE(vkSignalSemaphore);
}

static PFN_vkCreateInstance real_create_instance;
static PFN_vkCreateDevice real_create_device;
static PFN_vkEnumeratePhysicalDevices real_enumerate;
static PFN_vkGetPhysicalDeviceProperties2 real_properties;
static bool pretends;

void fault_pretend(bool card) { pretends = card; }

static VKAPI_ATTR VkResult VKAPI_CALL my_create_instance(const VkInstanceCreateInfo *i, const VkAllocationCallbacks *a, VkInstance *out) {
  VkResult fault = next(FAULT_INSTANCE);
  return fault ? fault : real_create_instance(i, a, out);
}

static VKAPI_ATTR VkResult VKAPI_CALL my_enumerate(VkInstance i, uint32_t *n, VkPhysicalDevice *out) {
  VkResult fault = next(FAULT_INSTANCE);
  return fault ? fault : real_enumerate(i, n, out);
}

static VKAPI_ATTR VkResult VKAPI_CALL my_create_device(VkPhysicalDevice p, const VkDeviceCreateInfo *i, const VkAllocationCallbacks *a,
                                                       VkDevice *out) {
  VkResult fault = next(FAULT_INSTANCE);
  return fault ? fault : real_create_device(p, i, a, out);
}

static VKAPI_ATTR void VKAPI_CALL my_properties(VkPhysicalDevice p, VkPhysicalDeviceProperties2 *out) {
  real_properties(p, out);
  if (pretends && out->properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU)
    out->properties.deviceType = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
}

VkResult __real_volkInitialize(void);
VkResult __wrap_volkInitialize(void);
VkResult __wrap_volkInitialize(void) {
  VkResult result = __real_volkInitialize();
  real_create_instance = vkCreateInstance;
  if (result == VK_SUCCESS) vkCreateInstance = my_create_instance;
  return result;
}

void __real_volkLoadInstanceOnly(VkInstance instance);
void __wrap_volkLoadInstanceOnly(VkInstance instance);
void __wrap_volkLoadInstanceOnly(VkInstance instance) {
  __real_volkLoadInstanceOnly(instance);
  real_create_device = vkCreateDevice, real_enumerate = vkEnumeratePhysicalDevices, real_properties = vkGetPhysicalDeviceProperties2;
  vkCreateDevice = my_create_device, vkEnumeratePhysicalDevices = my_enumerate, vkGetPhysicalDeviceProperties2 = my_properties;
}

// ---- the heap ------------------------------------------------------------------------------------------------------

#define COUNTED(call)                               \
  void *p = next(FAULT_ALLOCATION) ? NULL : (call); \
  if (p) atomic_fetch_add(&live_memory, 1);         \
  return p

void *__real_pm_alloc(size_t bytes);
void *__wrap_pm_alloc(size_t bytes);
void *__wrap_pm_alloc(size_t bytes) { COUNTED(__real_pm_alloc(bytes)); }

void *__real_pm_alloc_zero(size_t count, size_t size);
void *__wrap_pm_alloc_zero(size_t count, size_t size);
void *__wrap_pm_alloc_zero(size_t count, size_t size) { COUNTED(__real_pm_alloc_zero(count, size)); }

void *__real_pm_alloc_aligned(size_t bytes, size_t align);
void *__wrap_pm_alloc_aligned(size_t bytes, size_t align);
void *__wrap_pm_alloc_aligned(size_t bytes, size_t align) { COUNTED(__real_pm_alloc_aligned(bytes, align)); }

char *__real_pm_strdup(const char *s);
char *__wrap_pm_strdup(const char *s);
char *__wrap_pm_strdup(const char *s) { COUNTED(__real_pm_strdup(s)); }

void *__real_pm_realloc(void *old, size_t bytes);
void *__wrap_pm_realloc(void *old, size_t bytes);
void *__wrap_pm_realloc(void *old, size_t bytes) {
  void *p = next(FAULT_ALLOCATION) ? NULL : __real_pm_realloc(old, bytes);
  if (p && !old) atomic_fetch_add(&live_memory, 1);
  return p;
}

void __real_pm_free(void *p);
void __wrap_pm_free(void *p);
void __wrap_pm_free(void *p) {
  if (p) atomic_fetch_sub(&live_memory, 1);
  __real_pm_free(p);
}
