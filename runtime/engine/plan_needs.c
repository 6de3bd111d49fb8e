// What a program takes on a machine that is not here, and what its tokens cost: from its tensors alone.
#include "plan.h"

// What graphics cards align to, and what a backend takes beside the program's tensors: staging, and an eighth of the scratch.
enum { ALIGN = 256, STAGING = 16 << 20, SCRATCH_PER_TEMPORARY = 8 };

static uint64_t aligned(uint64_t bytes) { return (bytes + ALIGN - 1) / ALIGN * ALIGN; }

static double count_values(const pm_tensor *t) { return (double)t->ne[0] * (double)t->ne[1] * (double)t->ne[2]; }

static double table_values(const pm_expert_table *t) { return count_values(t->gate) + count_values(t->up) + count_values(t->down); }

static double record_bytes(const pm_expert_table *t, double expert_bits) {
  return expert_bits > 0 ? table_values(t) / t->n_expert * expert_bits / 8 : (double)pm_expert_bytes(t);
}

void pm_plan_guess_needs(const pm_program *p, const uint32_t *class_of, bool cpu, double expert_bits, pm_backend_needs *needs) {
  for (uint32_t i = 0; i < p->n_tensor; i++) {
    const pm_tensor *t = p->tensors[i];
    uint64_t bytes = aligned(pm_tensor_bytes(t));
    switch (t->role) {
      case PM_ROLE_WEIGHT: needs->weights += pm_program_is_expert(p, t) ? 0 : bytes; break;
      case PM_ROLE_KV: needs->kv += bytes; break;
      case PM_ROLE_SCRATCH:
      case PM_ROLE_OUTPUT: needs->scratch += bytes; break;
    }
  }
  if (!cpu) needs->scratch += needs->scratch / SCRATCH_PER_TEMPORARY, needs->staging = STAGING + pm_tensor_bytes(p->logits);
  for (uint32_t i = 0; i < p->n_table; i++) {
    uint64_t bytes = aligned((uint64_t)record_bytes(p->tables[i], expert_bits));
    if (class_of[i] < PM_EXPERT_CLASSES)
      needs->classes[class_of[i]] = (pm_expert_class){.slot_bytes = cpu ? 0 : bytes, .home_bytes = bytes};
  }
}

uint64_t pm_plan_packed(const pm_program *p, bool experts) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < p->n_tensor; i++) {
    const pm_tensor *t = p->tensors[i];
    if (t->role == PM_ROLE_WEIGHT && t->type == PM_TYPE_FP8 && pm_program_is_expert(p, t) == experts) sum += pm_tensor_bytes(t);
  }
  return sum;
}

// ---- the cost of a token -------------------------------------------------------------------------------------------

// Products over rows whose logits are wanted are no part of a prompt: one row in hundreds.
static void add_op(pm_cost_model *m, const pm_op *op) {
  switch (op->kind) {
    case PM_OP_MLA_ATTENTION: m->n_layer++; break;
    case PM_OP_ROUTE: m->n_used = op->route.ids.n; break;
    case PM_OP_MATMUL:
      m->dense_bytes += (double)pm_tensor_bytes(op->matmul.w) + (op->matmul.w_up ? (double)pm_tensor_bytes(op->matmul.w_up) : 0);
      if (op->matmul.rows == PM_ROWS_ALL) m->flops += 2 * count_values(op->matmul.w) * (op->matmul.w_up ? 2 : 1);
      break;
    default: break;
  }
}

pm_cost_model pm_plan_cost_model(const pm_program *p, double expert_bits) {
  pm_cost_model m = {.n_moe = p->n_table, .n_expert = p->n_table ? p->tables[0]->n_expert : 0};
  for (uint32_t i = 0; i < p->n_op; i++) add_op(&m, &p->ops[i]);
  for (uint32_t i = 0; i < p->n_table; i++) {
    const pm_expert_table *t = p->tables[i];
    m.expert_bytes += record_bytes(t, expert_bits) * t->n_expert;
    m.flops += 2 * table_values(t) / t->n_expert * m.n_used;
  }
  return m;
}
