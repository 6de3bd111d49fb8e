#include "block.h"

void pm_block_mla(pm_program *p, int32_t layer, const pm_mla *m, pm_tensor *x) {
  uint32_t n_qk = m->n_nope + m->n_rope, n_row_kv = m->n_latent + m->n_rope;
  pm_tensor *a = pm_program_scratch(p, "attn_norm", x->ne[0]);
  pm_tensor *q = pm_program_scratch(p, "q", (uint64_t)m->n_head * n_qk);
  pm_tensor *kv_a = pm_program_scratch(p, "kv_a", n_row_kv);
  pm_tensor *q_latent = pm_program_scratch(p, "q_latent", (uint64_t)m->n_head * n_row_kv);
  pm_tensor *u = pm_program_scratch(p, "attn_latent", (uint64_t)m->n_head * m->n_latent);
  pm_tensor *o = pm_program_scratch(p, "attn_heads", (uint64_t)m->n_head * m->n_value);
  pm_view heads = pm_view_batch(q, m->n_head), absorbed = pm_view_batch(q_latent, m->n_head);

  pm_program_append(p, (pm_op){PM_OP_NORM, layer, .norm = {pm_view_rows(x), pm_view_rows(a), m->norm, m->eps, PM_ROWS_ALL}});
  pm_program_append(p, (pm_op){PM_OP_MATMUL, layer, .matmul = {.w = m->kv_a, .x = pm_view_rows(a), .y = pm_view_rows(kv_a)}});
  if (m->q) {
    pm_program_append(p, (pm_op){PM_OP_MATMUL, layer, .matmul = {.w = m->q, .x = pm_view_rows(a), .y = pm_view_rows(q)}});
  } else {
    pm_tensor *q_a = pm_program_scratch(p, "q_a", m->q_a->ne[1]), *q_n = pm_program_scratch(p, "q_a_norm", m->q_a->ne[1]);
    pm_program_append(p, (pm_op){PM_OP_MATMUL, layer, .matmul = {.w = m->q_a, .x = pm_view_rows(a), .y = pm_view_rows(q_a)}});
    pm_program_append(p, (pm_op){PM_OP_NORM, layer, .norm = {pm_view_rows(q_a), pm_view_rows(q_n), m->q_a_norm, m->eps, PM_ROWS_ALL}});
    pm_program_append(p, (pm_op){PM_OP_MATMUL, layer, .matmul = {.w = m->q_b, .x = pm_view_rows(q_n), .y = pm_view_rows(q)}});
  }
  pm_program_append(p, (pm_op){PM_OP_MLA_CACHE, layer, .mla_cache = {pm_view_rows(kv_a), m->kv_a_norm, m->kv, m->n_latent, m->eps}});

  // [n_row][n_head][n_latent | n_rope]: k_b carries the nope part into the latent space, the rope part is rotated beside it
  pm_program_append(
      p, (pm_op){PM_OP_MATMUL, layer,
                 .matmul = {.w = m->k_b, .x = pm_view_slice(heads, 0, m->n_nope), .y = pm_view_slice(absorbed, 0, m->n_latent)}});
  pm_program_append(
      p, (pm_op){PM_OP_ROPE, layer, .rope = {pm_view_slice(heads, m->n_nope, m->n_rope), pm_view_slice(absorbed, m->n_latent, m->n_rope)}});
  pm_program_append(
      p, (pm_op){PM_OP_MLA_ATTENTION, layer, .mla_attention = {absorbed, pm_view_batch(u, m->n_head), m->kv, m->n_latent, m->scale}});

  pm_program_append(
      p, (pm_op){PM_OP_MATMUL, layer, .matmul = {.w = m->v_b, .x = pm_view_batch(u, m->n_head), .y = pm_view_batch(o, m->n_head)}});
  pm_program_append(p,
                    (pm_op){PM_OP_MATMUL, layer, .matmul = {.w = m->out, .x = pm_view_rows(o), .y = pm_view_rows(x), .accumulate = true}});
}
