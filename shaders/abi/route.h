// Push constants of route and of the kernels that group rows by expert.
#ifndef PM_ABI_ROUTE_H
#define PM_ABI_ROUTE_H

#include "types.h"

PM_STRUCT(pm_push_route) {
  PM_U32 logits_at, logits_row;
  PM_U32 ids_at, ids_row;
  PM_U32 weights_at, weights_row;
  PM_U32 bias_arena, bias_at;  // in 4-byte units
  PM_U32 n_expert, n_used;
  PM_U32 n_group, n_group_used;
  PM_F32 scale;
};

#endif
