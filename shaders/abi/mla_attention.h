// Push constants of mla_attention and mla_combine.
#ifndef PM_ABI_MLA_ATTENTION_H
#define PM_ABI_MLA_ATTENTION_H

#include "weight.h"

PM_STRUCT(pm_push_mla_attention) {
  pm_push_view q, y;
  PM_U32 kv_arena, kv_at, kv_row;  // in 4-byte units
  PM_U32 n_head;
  PM_U32 n_latent, n_rope;
  PM_F32 scale;
  PM_U32 partial_at;  // [row][head][split][n_latent + 2]: weighted sums, then the maximum and the sum of the weights
};

#endif
