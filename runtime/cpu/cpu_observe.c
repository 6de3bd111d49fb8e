// Shows a program's observer what weights are multiplied with: works of one thread before those of the products.
#include "executor.h"

static void see_matmul(const pm_cpu_work *w, const pm_cpu_ctx *c, uint32_t index) {
  (void)index;
  const pm_op_matmul *a = &w->op->matmul;
  for (uint32_t row = 0; row < pm_cpu_n_row(a->rows, c->step); row++)
    for (uint32_t b = 0; b < a->x.n_batch; b++) w->observer->see(w->observer->user, a->w, b, pm_cpu_at(&a->x, row, b));
}

// Expert k of a row meets x; a negative one is nobody's.
static void see_expert(const pm_cpu_work *w, const pm_view *ids, uint32_t row, uint32_t k, const pm_tensor *weight, const float *x) {
  int32_t expert = ((const int32_t *)pm_cpu_at(ids, row, 0))[k];
  if (expert >= 0) w->observer->see(w->observer->user, weight, (uint64_t)expert, x);
}

static void see_glu(const pm_cpu_work *w, const pm_cpu_ctx *c, uint32_t index) {
  (void)index;
  const pm_op_experts_glu *a = &w->op->experts_glu;
  for (uint32_t row = 0; row < c->step->n_row; row++)
    for (uint32_t k = 0; k < a->ids.n; k++) see_expert(w, &a->ids, row, k, a->experts->gate, pm_cpu_at(&a->x, row, 0));
}

static void see_down(const pm_cpu_work *w, const pm_cpu_ctx *c, uint32_t index) {
  (void)index;
  const pm_op_experts_down *a = &w->op->experts_down;
  for (uint32_t row = 0; row < c->step->n_row; row++)
    for (uint32_t k = 0; k < a->ids.n; k++) see_expert(w, &a->ids, row, k, a->experts->down, pm_cpu_at(&a->x, row, k));
}

void pm_cpu_plan_observe(pm_cpu_executor *e, const pm_op *op, const pm_observer *observer) {
  pm_cpu_work w = {.spread = PM_CPU_ONCE, .op = op, .observer = observer};
  const pm_view *x, *ids = NULL;
  switch (op->kind) {
    case PM_OP_MATMUL: w.run = see_matmul, x = &op->matmul.x; break;
    case PM_OP_EXPERTS_GLU: w.run = see_glu, x = &op->experts_glu.x, ids = &op->experts_glu.ids; break;
    case PM_OP_EXPERTS_DOWN: w.run = see_down, x = &op->experts_down.x, ids = &op->experts_down.ids; break;
    default: return;
  }
  pm_cpu_reads(&w, x);
  if (ids) pm_cpu_reads(&w, ids);
  pm_cpu_append(e, &w);
}
