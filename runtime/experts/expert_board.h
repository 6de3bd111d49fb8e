// The rule that decides what becomes of the experts that a step's rows choose in one table. The device's resolve kernel follows it while
// the step runs, the host after the step from the choices alone; so both know who is in which slot without ever telling each other.
//
// Distinct chosen experts are looked at in ascending order. One with a slot is a hit. Of the others, the misses:
//   1. in a step of few rows, those that are warm and have a home take victims, in order; a victim whose expert the step chose (it is a
//   hit)
//      is passed over;
//   2. those with a home that are left take ring records, in order: up to n_ring in a step of few rows, as many as they need in one of many
//      rows (record j is then record j modulo the ring's size of wave j divided by it);
//   3. the rest are the host's.
#ifndef PM_EXPERT_BOARD_H
#define PM_EXPERT_BOARD_H

#include "backend.h"

enum { PM_EXPERTS_MAX = 512 };  // experts of one table that the rule can handle

typedef enum pm_expert_fate { PM_EXPERT_HIT, PM_EXPERT_VICTIM, PM_EXPERT_RING, PM_EXPERT_HOST, PM_EXPERT_FATES } pm_expert_fate;

typedef struct pm_expert_place {
  uint32_t expert;
  pm_expert_fate fate;
  uint32_t index;  // HIT, VICTIM: a slot; RING: a ring record; HOST: 0
} pm_expert_place;

// What the rule makes of ids [n_id] (any order, with repeats; each in [0, n_expert)), into places [min(n_id, n_expert)] in ascending order
// of expert. Returns the number of places. many: the step has many rows.
uint32_t pm_expert_resolve(const pm_expert_board *board, uint32_t n_expert, const int32_t *ids, uint32_t n_id, bool many,
                           pm_expert_place *places);

// Checks what must hold of the boards of the tables of one class between steps: a slot has one expert at most, is below n_slot, and is
// nobody's victim twice; a victim is free or belongs to an expert of the same table; at most n_used victims.
// taken: scratch, [n_slot].
pm_status pm_expert_boards_check(const pm_expert_board *boards, const uint32_t *class_of, uint32_t n_table, uint32_t class,
                                 uint32_t n_expert, uint32_t n_used, uint32_t n_slot, uint32_t *taken) PM_MUST_USE;

#endif
