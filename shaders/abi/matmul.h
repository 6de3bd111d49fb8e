// Push constants of matmul, and of the kernels around it that group (row, k) pairs by expert.
#ifndef PM_ABI_MATMUL_H
#define PM_ABI_MATMUL_H

#include "weight.h"

PM_STRUCT(pm_push_matmul) {
  pm_push_weight w;  // over groups: w.at is the table entry of expert 0
  PM_U32 up_arena;   // the up matrix of a gated product: as w but for these two
  PM_U32 up_at;
  pm_push_view x, y;
  PM_U32 logits;     // 1: over the rows that want logits
  PM_U32 groups_at;  // over groups: where experts_group wrote (pm_push_group)
  PM_U32 list_at;
  PM_U32 n_used;
  PM_U32 pass;  // over groups: only experts of this pass (board.h)
};

// Pair = row * n_used + k. groups_at: the number of tiles, then (expert, first, count) of every tile of at most `tile` pairs;
// list_at: pairs ordered by expert, in which tile i owns entries first .. first + count - 1.
PM_STRUCT(pm_push_group) {
  PM_U32 ids_at, ids_row;
  PM_U32 n_expert, n_used;
  PM_U32 tile;
  PM_U32 groups_at, list_at;
};
#define PM_GROUP_WORDS(n_tile) (1 + 3 * (n_tile))

// y[r] += sum over k of weights[r][k] * x[r][k].
PM_STRUCT(pm_push_expert_sum) {
  pm_push_view x;
  PM_U32 y_at, y_row;
  PM_U32 weights_at, weights_row;
  PM_U32 n, n_used;
};

#endif
