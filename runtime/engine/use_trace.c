#include "use_trace.h"

#include "memory.h"

struct pm_use_trace {
  pm_trace_writer *writer;
  const pm_program *program;
  int32_t *ids;  // of one table, [max_rows][n_used]
};

static const pm_op *next_route(const pm_program *p, const pm_op *after) {
  for (const pm_op *op = after ? after + 1 : p->ops; op < p->ops + p->n_op; op++)
    if (op->kind == PM_OP_ROUTE) return op;
  return NULL;
}

static pm_status create_into(pm_use_trace *u, const char *path, uint64_t fingerprint, const pm_expert_plan *plan) {
  const pm_program *p = u->program;
  const pm_op *route = next_route(p, NULL);
  if (!route) PM_FAIL(PM_ERR_ARGUMENT, "%s: the model has no experts whose use could be recorded", path);
  uint32_t *class_of, n_used = (uint32_t)route->route.ids.n;
  pm_trace_shape shape = {.fingerprint = fingerprint, .n_table = p->n_table, .n_expert = p->tables[0]->n_expert, .n_used = n_used};
  PM_NEW(&u->ids, (size_t)p->max_rows * n_used, "choices of a step");
  PM_NEW(&class_of, p->n_table, "classes of experts");
  shape.n_class = pm_program_expert_classes(p, class_of);
  shape.class_of = class_of;
  for (uint32_t c = 0; plan && c < plan->n_class; c++) shape.n_slot[c] = plan->classes[c].n_slot;
  for (uint32_t t = 0; t < p->n_table; t++) shape.record_bytes[class_of[t]] = pm_expert_bytes(p->tables[t]);
  pm_status status = pm_trace_create(path, &shape, p->max_rows, &u->writer);
  pm_free(class_of);
  return status;
}

pm_status pm_use_trace_create(const char *path, const pm_program *p, uint64_t fingerprint, const pm_expert_plan *plan, pm_use_trace **out) {
  *out = NULL;
  pm_use_trace *u;
  PM_NEW(&u, 1, "expert trace");
  u->program = p;
  pm_status status = create_into(u, path, fingerprint, plan);
  if (status) return pm_use_trace_finish(u), status;
  *out = u;
  return PM_OK;
}

void pm_use_trace_finish(pm_use_trace *u) {
  if (!u) return;
  pm_trace_finish(u->writer);
  pm_free(u->ids);
  pm_free(u);
}

pm_trace_writer *pm_use_trace_writer(pm_use_trace *u) { return u ? u->writer : NULL; }

// Tables and choices are both in the order of the layers.
pm_status pm_use_trace_step(pm_use_trace *u, pm_backend *b, uint32_t n_row) {
  const pm_op *route = NULL;
  for (uint32_t t = 0; t < u->program->n_table; t++) {
    route = next_route(u->program, route);
    const pm_view *ids = &route->route.ids;
    PM_TRY(b->ops->read(b, ids->tensor, 0, u->ids, (size_t)n_row * ids->n * sizeof *u->ids));
    PM_TRY(pm_trace_step(u->writer, t, u->ids, n_row, n_row > PM_EXPERT_FEW_ROWS));
  }
  return PM_OK;
}
