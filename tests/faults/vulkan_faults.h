// Stands between the runtime and Vulkan (and the heap): makes the k-th call of a kind fail, delays the device's second queue, makes a
// software device look like a card, and counts what was made and not yet destroyed. One device at a time. Programs link with the options
// that CMakeLists.txt names.
#ifndef PM_TEST_VULKAN_FAULTS_H
#define PM_TEST_VULKAN_FAULTS_H

#include <stdbool.h>
#include <volk.h>

typedef enum fault_place {
  FAULT_NONE,
  FAULT_ALLOCATION,  // of memory.h; the result does not matter
  FAULT_READ,        // from disk, past the page cache; likewise
  FAULT_INSTANCE,    // instance, devices
  FAULT_MEMORY,      // buffers, allocations, mappings
  FAULT_OBJECT,      // pipelines, semaphores, pools, sets
  FAULT_COMMANDS,    // recording
  FAULT_SUBMIT,
  FAULT_WAIT,
  FAULT_COUNTER,  // of a semaphore, read by the host
  FAULT_SIGNAL,   // of a semaphore, by the host
} fault_place;

// The k-th call from now on (1 = the next) fails with `result`. After VK_ERROR_DEVICE_LOST the device is lost for every later call that
// can say so; what it was told to wait for comes to pass nevertheless.
void fault_arm(fault_place place, uint64_t k, VkResult result);
void fault_disarm(void);
bool fault_fired(void);  // since it was armed; unknown of reads

// Whether software devices say that they are cards.
void fault_pretend(bool card);

// Submissions that signal this semaphore come to the queue up to `most` seconds late, from a thread of their own, and what the host signals
// as late; VK_NULL_HANDLE ends it. The delays are random and the same in every run of a program.
void fault_delay(VkSemaphore semaphore, double most);
uint32_t fault_delayed(void);  // submissions so far

// Objects of the device, and allocations by memory.h, that nobody has destroyed yet.
int64_t fault_live_objects(void);
int64_t fault_live_memory(void);

#endif
