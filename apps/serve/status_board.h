// What the engine's thread says about itself, for the other thread to read at any time.
#ifndef PM_STATUS_BOARD_H
#define PM_STATUS_BOARD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "pumice.h"

enum { PM_MAX_SLOT = 32, PM_MAX_PURPOSE = 8 };

typedef enum pm_phase { PM_PHASE_EMPTY, PM_PHASE_LOADING, PM_PHASE_READY, PM_PHASE_FAILED, PM_PHASE_LOST } pm_phase;

typedef struct pm_slot_view {
  bool busy;
  uint64_t job;                                        // its number
  uint64_t n_held;                                     // tokens in the cache
  uint64_t n_prompt, n_cached, n_processed, n_answer;  // of the newest job
} pm_slot_view;

typedef struct pm_totals {  // since the program began
  uint64_t prompt_tokens, cached_tokens, answer_tokens;
  double prompt_seconds, answer_seconds;  // summed over requests
  double step_seconds;
  uint64_t steps, decode_steps, busy_slots;  // busy_slots: of each step that decoded, summed
  uint64_t longest;                          // tokens in a slot
  uint64_t finished, failed, cancelled;      // requests
} pm_totals;

typedef struct pm_memory_view {
  char purpose[16];  // "weights", "cache", ...: as pumice_model_memory names them
  uint64_t bytes;
} pm_memory_view;

typedef struct pm_board_state {
  pm_phase phase;
  float progress;   // of loading
  char model[256];  // id of the model that is loaded, or loading, or failed to
  char path[1024];
  char message[512];  // why it failed or was lost
  pumice_model_info info;
  pm_memory_view memory[PM_MAX_PURPOSE];
  uint32_t n_memory;
  uint32_t n_slot, n_waiting;
  pm_slot_view slots[PM_MAX_SLOT];
  pm_totals totals;
  pumice_expert_stats experts;
  double loaded_at;  // seconds since the epoch
} pm_board_state;

typedef struct pm_board {
  pthread_mutex_t lock;
  pm_board_state state;
} pm_board;

void pm_board_read(pm_board *b, pm_board_state *copy);
// To be changed between the two calls.
pm_board_state *pm_board_begin(pm_board *b);
void pm_board_end(pm_board *b);

const char *pm_phase_name(pm_phase phase);  // "empty", "loading", "ready", "failed", "lost"

#endif
