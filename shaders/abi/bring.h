// Push constants of the kernels that bring experts to where products find them (board.h): experts_resolve, experts_fill, experts_join.
#ifndef PM_ABI_BRING_H
#define PM_ABI_BRING_H

#include "board.h"

PM_STRUCT(pm_push_resolve) {
  PM_U32 ids_at, ids_row;
  PM_U32 n_expert, n_used;
  PM_U32 all;             // 1: every expert counts as chosen, whatever the ids
  PM_U32 few;             // 1: misses may take victims and as many ring records as the board allows; the rest is the host's
  PM_U32 wave;            // else misses pass the ring in waves of so many, each through the next of
  PM_U32 n_half;          // parts of the ring, from the board's PM_BOARD_HALF on
  PM_U32 first_pass;      // the pass in which the first wave is used; experts with slots are used in pass 0
  PM_U32 board_at;        // word of binding 5
  PM_U32 max_victim;      // of the board's layout
  PM_U32 table_at;        // entry of expert 0's gate matrix
  PM_U32 up_at, down_at;  // where these matrices begin in a slot, in 16 bytes
  PM_U32 fills_at;        // word of scratch: the list
};

// One matrix of the listed records from `first` on, at most n_fill.
PM_STRUCT(pm_push_fill) {
  PM_U32 fills_at;
  PM_U32 first, n_fill;
  PM_U32 home_at, home_row;  // bytes: where the matrix begins in a home, from one row to the next
  PM_U32 slot_at, slot_row;  // 16 bytes: the same in a slot
  PM_U32 n_block;            // in a row of the file
  PM_U32 n_row;
  PM_U32 part_words[3];  // 16 bytes: of each part of a row
};

// y[r] += answer[r], rows of n floats one after another in binding 5.
PM_STRUCT(pm_push_join) {
  PM_U32 answer_at;  // word of binding 5
  PM_U32 y_at, y_row;
  PM_U32 n;
};

#endif
