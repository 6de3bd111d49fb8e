// Push constants of the kernels that treat rows one by one: embed, norm, rope, mla_cache, glu.
#ifndef PM_ABI_ROWS_H
#define PM_ABI_ROWS_H

#include "weight.h"

PM_STRUCT(pm_push_embed) {
  pm_push_weight table;
  PM_U32 y_at, y_row;
};

PM_STRUCT(pm_push_norm) {
  PM_U32 weight_arena, weight_at;  // in 4-byte units
  PM_U32 x_at, x_row, y_at, y_row;
  PM_U32 n;
  PM_F32 eps;
  PM_U32 logits;  // 1: row i is made from x row logit_row[i]
};

PM_STRUCT(pm_push_rope) {
  pm_push_view x, y;
  PM_U32 n_pair;  // per batch item
  PM_U32 n_batch;
};

PM_STRUCT(pm_push_mla_cache) {
  PM_U32 weight_arena, weight_at;  // in 4-byte units
  PM_U32 x_at, x_row;
  PM_U32 kv_arena, kv_at, kv_row;  // in 4-byte units
  PM_U32 n_latent, n_rope;
  PM_F32 eps;
};

// y[r][b] = silu(y[r][b]) * up[r][b], b < n_batch items of n values.
PM_STRUCT(pm_push_glu) {
  pm_push_view y, up;
  PM_U32 n, n_batch;
  PM_U32 logits;
};

#endif
