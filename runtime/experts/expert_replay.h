// What policies make of a recorded use of experts (trace.h): hits and bytes, by number of slots.
#ifndef PM_EXPERT_REPLAY_H
#define PM_EXPERT_REPLAY_H

#include "trace.h"

typedef enum pm_replay_policy {
  PM_REPLAY_OURS,      // pm_slots itself, from empty slots, every miss within reach of a slot
  PM_REPLAY_RECORDED,  // pm_slots with the slots and all that the engine told it when the trace was made: reproduces the engine's counts
  PM_REPLAY_LRU,       // evicts what was not used for longest
  PM_REPLAY_LFU,       // evicts what was used least since the beginning
  PM_REPLAY_STATIC,    // the most used experts of the first half, judged by the second half
  PM_REPLAY_ORACLE,    // the most used experts of the whole trace
  PM_REPLAY_BELADY,    // evicts, or does not even take, what will be used last (Belady 1966): no policy has more hits
  PM_REPLAY_POLICIES
} pm_replay_policy;

const char *pm_replay_name(pm_replay_policy policy);

// Of steps of few rows [0], decode, and of many [1], prompts. In the latter, slots stay as they are under every policy.
typedef struct pm_replay_result {
  uint64_t tokens[2];
  uint64_t hits[2], misses[2];  // distinct experts of each step and table
  uint64_t miss_bytes[2];       // records that a device had to be given, or a host had to compute
  uint64_t fills;               // misses of decode that were given a slot
} pm_replay_result;

// n_slot [n_class] slots of every class; ignored by PM_REPLAY_RECORDED.
pm_status pm_replay_run(const pm_trace *t, pm_replay_policy policy, const uint32_t *n_slot, pm_replay_result *result) PM_MUST_USE;

// Slots of every class that are `total` together, divided in proportion to their experts.
void pm_replay_divide(const pm_trace_shape *shape, uint64_t total, uint32_t *n_slot);

#endif
