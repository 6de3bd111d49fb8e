// One expert table as a step finds it: which experts are in the device's memory, which may come, and where to. The host writes a board
// between steps; experts_resolve (which states the rule) reads it and writes the table's entries and the list of fills.
//
// A place is two words, (arena, offset in 16 bytes); PM_NOWHERE as arena: none. Slots are records in the weight arenas, homes records in
// host memory that the device can read, in the layout of the file.
#ifndef PM_ABI_BOARD_H
#define PM_ABI_BOARD_H

#include "types.h"

#define PM_NOWHERE 0xffffffffu

// Words of a board of n experts. A home's arena word has PM_HOME_WARM set where a miss may take a victim's slot.
#define PM_BOARD_N_VICTIM 0
#define PM_BOARD_N_RING 1
#define PM_BOARD_HALF 2  // of the ring: where the first wave of a step of many rows goes
#define PM_BOARD_PLACES 3
#define PM_BOARD_HOMES(n) (3 + 2 * (n))
#define PM_BOARD_VICTIMS(n) (3 + 4 * (n))
#define PM_BOARD_RING(n, max_victim) (3 + 4 * (n) + 2 * (max_victim))
#define PM_BOARD_WORDS(n, max_victim, max_ring) (3 + 4 * (n) + 2 * (max_victim) + 2 * (max_ring))
#define PM_HOME_WARM 0x80000000u

// An entry of a table in binding 4 is a place whose arena word also says in which pass over the table's experts it counts.
#define PM_ENTRY_ARENA 0xffu
#define PM_ENTRY_PASS_SHIFT 8

// The list of fills, in scratch: count, then per fill (home arena, home offset, slot arena, slot offset).
#define PM_FILL_WORDS(n) (1 + 4 * (n))

#endif
