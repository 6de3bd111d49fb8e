// Blocks append the ops of one part of a layer to a program. They know weights and widths, not model families.
#ifndef PM_BLOCK_H
#define PM_BLOCK_H

#include "op.h"

// Multi-head latent attention in absorbed form (DeepSeek-V2, arXiv 2405.04434, section 2.1.2): queries are carried into the latent
// space by k_b, so the cache holds n_latent + n_rope values per token and nothing else.
typedef struct pm_mla {
  uint32_t n_head, n_latent, n_rope, n_nope, n_value;
  float eps, scale;
  const pm_tensor *norm;       // {d_model}
  const pm_tensor *q;          // {d_model, n_head * (n_nope + n_rope)}, or NULL with q_a, q_a_norm, q_b
  const pm_tensor *q_a;        // {d_model, q_lora}
  const pm_tensor *q_a_norm;   // {q_lora}
  const pm_tensor *q_b;        // {q_lora, n_head * (n_nope + n_rope)}
  const pm_tensor *kv_a;       // {d_model, n_latent + n_rope}
  const pm_tensor *kv_a_norm;  // {n_latent}
  const pm_tensor *k_b;        // {n_nope, n_latent, n_head}
  const pm_tensor *v_b;        // {n_latent, n_value, n_head}
  const pm_tensor *out;        // {n_head * n_value, d_model}
  const pm_tensor *kv;         // the layer's cache
} pm_mla;

// x [n_row][d_model] += Attention(norm(x))
void pm_block_mla(pm_program *p, int32_t layer, const pm_mla *m, pm_tensor *x);

// A SwiGLU feed-forward network (Shazeer 2020): down(silu(gate f) * up f).
typedef struct pm_ffn {
  const pm_tensor *gate, *up;  // {d_model, d_ff}
  const pm_tensor *down;       // {d_ff, d_model}
} pm_ffn;

// x += FFN(norm(x))
void pm_block_ffn(pm_program *p, int32_t layer, const pm_tensor *norm, float eps, const pm_ffn *f, pm_tensor *x);

// Routed experts beside an always active shared one (DeepSeek-V3, arXiv 2412.19437, section 2.1.2).
typedef struct pm_moe {
  const pm_tensor *router;     // {d_model, n_expert}
  const pm_tensor *bias;       // {n_expert}, only for the selection; or NULL
  const pm_tensor *gate, *up;  // {d_model, d_ff, n_expert}
  const pm_tensor *down;       // {d_ff, d_model, n_expert}
  pm_ffn shared;               // gate NULL: none
  uint32_t n_used, n_group, n_group_used;
  pm_gating gating;
  bool normalize;
  float scale;
} pm_moe;

// x += MoE(norm(x)). The choice of experts stays readable after a step in the OUTPUT tensor "experts.<layer>", I32 [n_row][n_used].
void pm_block_moe(pm_program *p, int32_t layer, const pm_tensor *norm, float eps, const pm_moe *m, pm_tensor *x);

// logits = output norm(x), for the rows that want them. output {d_model, n_vocab}; `own`: nothing else uses it (a tied head is the
// embedding table).
void pm_block_head(pm_program *p, const pm_tensor *norm, float eps, const pm_tensor *output, bool own, pm_tensor *x);

#endif
