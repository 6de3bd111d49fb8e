// Who is in which slot, and who should be: the policy for experts that do not all fit. It sees only choices, never weights or time, so that
// the same choices always lead to the same decisions, in the engine and in an offline replay.
//
// Slots are pooled by class over all tables of that class. Every expert has a score, its use counted with decay; a step's misses may take
// the slots of the coldest experts of their own table (pm_slots_write nominates them), and slots wander from tables that have little use
// for them to those that would use them more. Between two steps:
//
//   pm_slots_write(s, boards, many)                 before the step
//   pm_slots_use(s, &boards[t], t, ids, n_row, many)  after it, for every table
//   pm_slots_next(s)                                  then once; moves, seeds and new sizes have their place here
//
// No function but create allocates.
#ifndef PM_SLOTS_H
#define PM_SLOTS_H

#include "expert_board.h"

typedef struct pm_slots pm_slots;

typedef struct pm_slots_desc {
  uint32_t n_table, n_expert, n_used;  // n_expert and n_used of every table
  uint32_t n_class;                    // 1 .. PM_EXPERT_CLASSES
  const uint32_t *class_of;            // [n_table]
  const uint32_t *n_slot;              // [n_class] that there can ever be; they begin empty
} pm_slots_desc;

pm_status pm_slots_create(const pm_slots_desc *desc, pm_slots **out) PM_MUST_USE;
void pm_slots_destroy(pm_slots *s);

// Writes slot, warm, victim and n_victim of the boards [n_table] for a step; marks those that changed as dirty. Homes, n_ring, assist and
// wait are the caller's. A step of many rows gets no victims: what it needs passes through, and the slots stay as they are.
void pm_slots_write(pm_slots *s, pm_expert_board *boards, bool many);

// Mirrors what the step did in table t by the rule (expert_board.h), and counts it. The board must be as it was during the step.
// ids [n_row][n_used], the oldest row first
void pm_slots_use(pm_slots *s, const pm_expert_board *board, uint32_t t, const int32_t *ids, uint32_t n_row, bool many);

// Ends a step: now and then a slot wanders from one table to another.
void pm_slots_next(pm_slots *s);

// Whether misses of table t may take victims (they may until told otherwise): not where the host computes misses and a fill on the way
// would cost more than it brings.
void pm_slots_admit(pm_slots *s, uint32_t t, bool admit);

// ---- moves beside the steps ----

typedef struct pm_slots_move {
  uint32_t table, expert, slot;
} pm_slots_move;

// Picks up to n moves that pay: experts without a slot, hottest first, into free slots or slots of clearly colder experts, whose owners
// lose them at once. Only experts with a home (boards) are picked. Returns how many. A move stays pending, its expert without a slot and
// its slot nobody's, until pm_slots_arrive or pm_slots_drop.
uint32_t pm_slots_promote(pm_slots *s, const pm_expert_board *boards, uint32_t n, pm_slots_move *moves);
void pm_slots_begin(pm_slots *s, const pm_slots_move *move);  // what promote does with each of its picks
void pm_slots_arrive(pm_slots *s, const pm_slots_move *move);
void pm_slots_drop(pm_slots *s, const pm_slots_move *move);

// ---- memory ----

// How many slots of a class may be used from now on, at most desc.n_slot of it. Fewer: the experts in the last ones lose them.
void pm_slots_resize(pm_slots *s, uint32_t class, uint32_t n_slot);
uint32_t pm_slots_size(const pm_slots *s, uint32_t class);

// ---- what is known about use ----

// Scores [n_table][n_expert], scaled so that one use now is PM_SLOTS_USE: for heat files and for display.
enum { PM_SLOTS_USE = 256 };
void pm_slots_heat(const pm_slots *s, uint32_t *heat);
// Takes over scores, as from a heat file, in place of those that there are.
void pm_slots_seed(pm_slots *s, const uint32_t *heat);

// The slot of an expert, or PM_EXPERT_NOWHERE.
uint32_t pm_slots_of(const pm_slots *s, uint32_t t, uint32_t expert);

typedef struct pm_slots_counters {  // distinct experts of each step
  uint64_t fate[PM_EXPERT_FATES];   // hits, fills of victims' slots, passed through the ring, the host's
} pm_slots_counters;

// Of one table: of steps of few rows, and of many.
const pm_slots_counters *pm_slots_counts(const pm_slots *s, uint32_t t, bool many);
pm_slots_counters pm_slots_total(const pm_slots *s, bool many);

#endif
