// Experts that are brought to slots beside the steps, on the device's second queue if it has one. A move goes through a lane: a list that
// the host writes, and commands recorded once that obey it.
#ifndef PM_GPU_MOVES_H
#define PM_GPU_MOVES_H

#include "recorder.h"

typedef struct pm_gpu_moves {
  VkSemaphore passed;  // every submission's ticket
  uint64_t ticket;     // of the newest submission
  double submitted;    // when
  uint64_t seen;       // of the newest move that the floor above knows to have passed
  uint64_t ordered;    // of the newest move that steps are ordered behind
  struct {
    uint64_t ticket;  // of the newest submission that uses the lane
    pm_gpu_recording commands[PM_EXPERT_CLASSES];
  } lanes[PM_GPU_LANES];
  uint32_t next;  // lane
} pm_gpu_moves;

// Asks for the scratch that moves need (dry run), and records the lanes (when memory is there).
void pm_gpu_moves_plan(pm_gpu_recorder *r);
pm_status pm_gpu_moves_init(pm_gpu_moves *m, pm_gpu_recorder *r) PM_MUST_USE;
// Waits until all moves have passed, and drops what was recorded; and records what is missing.
pm_status pm_gpu_moves_forget(pm_gpu_device *d, pm_gpu_moves *m) PM_MUST_USE;
pm_status pm_gpu_moves_record(pm_gpu_moves *m, pm_gpu_recorder *r) PM_MUST_USE;
void pm_gpu_moves_finish(pm_gpu_device *d, pm_gpu_moves *m);

// Waits only for a free lane; after a failure none of these moves is under way. Slots are overwritten when the steps that were submitted
// before have passed.
pm_status pm_gpu_moves_submit(pm_gpu_device *d, pm_gpu_moves *m, const pm_gpu_boards *b, const pm_gpu_plan *plan,
                              const pm_expert_move *moves, uint32_t n) PM_MUST_USE;
// True of a lost device too, for which there is nothing to wait.
bool pm_gpu_moves_passed(pm_gpu_device *d, pm_gpu_moves *m, uint64_t ticket);

#endif
