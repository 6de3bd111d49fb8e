// Push constants of matvec and experts_glu (one or two matrices times rows), experts_down, and matmul.
#ifndef PM_ABI_MATVEC_H
#define PM_ABI_MATVEC_H

#include "weight.h"

PM_STRUCT(pm_push_matvec) {
  pm_push_weight w;
  PM_U32 up_arena;  // the up matrix of a gated product: as w but for these two
  PM_U32 up_at;
  pm_push_view x, y;
  PM_U32 logits;  // 1: over the rows that want logits
};

PM_STRUCT(pm_push_experts) {
  pm_push_weight w;  // w.at: table entry of expert 0
  PM_U32 up_at;      // table entry of expert 0's up matrix
  pm_push_view x, y;
  PM_U32 ids_at, ids_row;
  PM_U32 weights_at, weights_row;
  PM_U32 n_used;
};

#endif
