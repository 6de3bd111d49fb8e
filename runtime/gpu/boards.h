// The experts of a program that come and go: their boards as the device reads them, and what goes between host and device about them.
#ifndef PM_GPU_BOARDS_H
#define PM_GPU_BOARDS_H

#include "heap.h"
#include "place.h"

enum { PM_GPU_LANES = 4, PM_GPU_LANE_MOVES = 32 };  // moves under way beside the steps: submissions, and moves of each

typedef struct pm_gpu_table {
  const pm_op_experts_glu *glu;
  const pm_op_experts_down *down;
  uint32_t class;
  bool moves;           // there is a board (pm_gpu_class_moves)
  uint32_t n_half;      // parts of the ring
  uint32_t wave;        // records of a part: misses of a step of many rows pass it in waves
  uint32_t board_at;    // words of binding 5
  uint32_t n_slotless;  // experts that the board gives no slot
  uint64_t chosen_at;   // bytes of `choice`: [max_rows][n_used] ids
  pm_tensor entries;    // pm_gpu_board's stand-in
} pm_gpu_table;

typedef struct pm_gpu_boards {
  pm_expert_plan *plan;  // NULL: all experts are resident, and nothing here is used
  const pm_program *program;
  pm_gpu_table *tables;                     // [n_table] of the program
  uint32_t answer_at;                       // words of binding 5: what the host computed, [few rows][d_model]
  uint64_t lists_at;                        // bytes of binding 5's buffer: of moves (moves.h)
  uint64_t weights_at, x_at;                // bytes of `choice`: what an ask is about, of few rows
  uint64_t board_bytes, choice_bytes;       // of the two buffers
  pm_gpu_buffer words;                      // binding 5
  pm_gpu_buffer choice;                     // from the device
  pm_gpu_buffer homes[PM_GPU_HOME_ARENAS];  // binding 6
  float *answer;                            // where the host computes; binding 5 may be memory that is slow to read
  bool *seen;                               // [n_expert] of any table
  bool written;                             // once at least
  bool many;                                // rows of the step that the words are written for
  pm_tensor slots[PM_EXPERT_CLASSES][3];    // pm_gpu_board's stand-ins
} pm_gpu_boards;

// Finds every table's operations and lays the buffers out; nothing is allocated on the device.
pm_status pm_gpu_boards_init(pm_gpu_boards *b, const pm_program *p, pm_expert_plan *plan) PM_MUST_USE;
void pm_gpu_boards_finish(pm_gpu_device *d, pm_gpu_boards *b);

// Makes the buffers. PM_ERR_MEMORY says how much of the homes was had.
pm_status pm_gpu_boards_allocate(pm_gpu_device *d, pm_gpu_boards *b, const pm_gpu_plan *plan) PM_MUST_USE;

// Whether a recording for that many rows brings whole tables ahead of their turn.
bool pm_gpu_boards_ahead(const pm_gpu_boards *b, uint32_t rows);

// What differs between steps: their rows, and whether their recording brings tables ahead.
typedef struct pm_gpu_boards_step {
  uint32_t n_row;
  bool ahead;
} pm_gpu_boards_step;

// Writes what changed since the last step; everything the first time. The device must not be at work on a step.
void pm_gpu_boards_write(pm_gpu_boards *b, const pm_gpu_plan *plan, pm_gpu_boards_step step);
// One board, when the host was asked about its table.
void pm_gpu_board_write(pm_gpu_boards *b, const pm_gpu_plan *plan, uint32_t table);

// PM_ERR_ARGUMENT when the step may miss more experts than the boards have room for.
pm_status pm_gpu_boards_check(const pm_gpu_boards *b, pm_gpu_boards_step step) PM_MUST_USE;

// Has the host compute its share of a table's newest choice, and hands it to the device.
pm_status pm_gpu_boards_answer(pm_gpu_boards *b, uint32_t table, uint32_t n_row) PM_MUST_USE;

// Most experts of a table without a slot that the step may bring.
uint32_t pm_gpu_boards_misses(const pm_gpu_boards *b, uint32_t table, pm_gpu_boards_step step);
// Waves in which so many misses of a table pass; none without a ring.
uint32_t pm_gpu_boards_waves(const pm_gpu_boards *b, uint32_t table, uint32_t n_miss);
// Records of one wave, when the choice is known or was not waited for.
uint32_t pm_gpu_boards_wave(pm_gpu_boards *b, uint32_t table, uint32_t wave, pm_gpu_boards_step step);

// The first table from `table` on that has a board; the number of tables if there is none.
uint32_t pm_gpu_boards_next(const pm_gpu_boards *b, uint32_t table);

// Adds what the newest step brought into slots and ring, by its choices and the boards it began with.
void pm_gpu_boards_count(pm_gpu_boards *b, pm_gpu_boards_step step, pm_backend_counters *counters);

static inline const int32_t *pm_gpu_boards_chosen(const pm_gpu_boards *b, uint32_t table) {
  return (const int32_t *)(const void *)(b->choice.mapped + b->tables[table].chosen_at);
}

#endif
