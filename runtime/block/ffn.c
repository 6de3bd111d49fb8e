#include <stdio.h>

#include "block.h"

static pm_tensor *append_norm(pm_program *p, int32_t layer, const pm_tensor *norm, float eps, pm_tensor *x) {
  pm_tensor *f = pm_program_scratch(p, "ffn_norm", x->ne[0]);
  pm_program_append(p, (pm_op){PM_OP_NORM, layer, .norm = {pm_view_rows(x), pm_view_rows(f), norm, eps, PM_ROWS_ALL}});
  return f;
}

static pm_tensor *append_glu(pm_program *p, int32_t layer, const pm_ffn *ffn, const char *name, pm_tensor *f) {
  pm_tensor *h = pm_program_scratch(p, name, ffn->gate->ne[1]);
  pm_program_append(p,
                    (pm_op){PM_OP_MATMUL, layer, .matmul = {.w = ffn->gate, .w_up = ffn->up, .x = pm_view_rows(f), .y = pm_view_rows(h)}});
  return h;
}

static void append_down(pm_program *p, int32_t layer, const pm_ffn *ffn, pm_tensor *h, pm_tensor *x, bool precise) {
  pm_program_append(
      p, (pm_op){PM_OP_MATMUL, layer,
                 .matmul = {.w = ffn->down, .x = pm_view_rows(h), .y = pm_view_rows(x), .accumulate = true, .precise = precise}});
}

// The leading dense layers are where this family builds its massive activations (Sun et al. 2024, arXiv 2402.17762): 8-bit blocks there
// cost three times the error of all other products together (demo model, log-probability error 0.030 against 0.0095).
void pm_block_ffn(pm_program *p, int32_t layer, const pm_tensor *norm, float eps, const pm_ffn *f, pm_tensor *x) {
  append_down(p, layer, f, append_glu(p, layer, f, "ffn_hidden", append_norm(p, layer, norm, eps, x)), x, true);
}

// The shared expert's products stand between the routed ones, where a GPU can run them side by side: no barrier is needed there.
void pm_block_moe(pm_program *p, int32_t layer, const pm_tensor *norm, float eps, const pm_moe *m, pm_tensor *x) {
  char name[32];
  snprintf(name, sizeof name, "experts.%d", (int)layer);
  pm_tensor *f = append_norm(p, layer, norm, eps, x);
  pm_tensor *logits = pm_program_scratch(p, "router_logits", m->router->ne[1]);
  pm_tensor *ids = pm_program_output(p, name, PM_TYPE_I32, m->n_used, p->max_rows);
  pm_tensor *weights = pm_program_scratch(p, "expert_weights", m->n_used);
  pm_tensor *hidden = pm_program_scratch(p, "expert_hidden", m->n_used * m->gate->ne[1]);
  const pm_expert_table *experts = pm_program_experts(p, m->gate, m->up, m->down);
  pm_view chosen = pm_view_rows(ids), h = pm_view_batch(hidden, m->n_used);

  pm_program_append(p, (pm_op){PM_OP_MATMUL, layer, .matmul = {.w = m->router, .x = pm_view_rows(f), .y = pm_view_rows(logits)}});
  pm_tensor *shared = m->shared.gate ? append_glu(p, layer, &m->shared, "shared_hidden", f) : NULL;
  pm_program_append(p, (pm_op){PM_OP_ROUTE, layer,
                               .route = {pm_view_rows(logits), chosen, pm_view_rows(weights), m->bias, m->gating, m->n_group,
                                         m->n_group_used, m->normalize, m->scale}});
  pm_program_append(p, (pm_op){PM_OP_EXPERTS_GLU, layer, .experts_glu = {experts, pm_view_rows(f), chosen, h}});
  if (shared) append_down(p, layer, &m->shared, shared, x, false);
  pm_program_append(p, (pm_op){PM_OP_EXPERTS_DOWN, layer, .experts_down = {experts, h, chosen, pm_view_rows(weights), pm_view_rows(x)}});
}
