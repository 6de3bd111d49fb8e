// Runs the two expert ops of a layer as a program of their own, once for every kind of table: the executor then works straight from the
// asker's arrays.
#include "cpu_assist.h"

#include <string.h>

#include "cpu.h"
#include "memory.h"

enum { ALIGN = 64 };

// A program of EXPERTS_GLU and EXPERTS_DOWN, for all tables that look alike.
typedef struct unit {
  pm_program program;
  pm_expert_table *table;  // of the program; its slabs become those of the table that is asked for
  pm_tensor *x, *ids, *weights, *hidden, *y;
  pm_cpu_executor *executor;
  uint32_t n_used;
} unit;

struct pm_cpu_assist {
  const pm_program *program;
  uint32_t max_rows;
  bool exact;
  pm_team *team;
  uint32_t *unit_of;  // [n_table]
  unit *units;
  uint32_t n_unit;
  int32_t *ids;  // [max_rows][n_used] of the ask: those that are not the host's are -1
};

static uint32_t n_used_of(const pm_program *p, const pm_expert_table *t) {
  for (uint32_t i = 0; i < p->n_op; i++)
    if (p->ops[i].kind == PM_OP_EXPERTS_GLU && p->ops[i].experts_glu.experts == t) return p->ops[i].experts_glu.ids.n;
  return 1;  // a table that no op uses
}

static pm_status make_unit(pm_cpu_assist *a, unit *u, const pm_expert_table *t, uint32_t n_used) {
  uint32_t d = (uint32_t)t->gate->ne[0], d_ff = (uint32_t)t->gate->ne[1];
  pm_program *p = &u->program;
  pm_program_init(p, a->max_rows, 0, 0);
  u->n_used = n_used;
  u->table = pm_program_experts(p, t->gate, t->up, t->down);
  u->x = pm_program_scratch(p, "x", d);
  u->ids = pm_program_output(p, "ids", PM_TYPE_I32, n_used, a->max_rows);
  u->weights = pm_program_scratch(p, "weights", n_used);
  u->hidden = pm_program_scratch(p, "hidden", (uint64_t)n_used * d_ff);
  u->y = pm_program_scratch(p, "y", d);
  pm_view x = pm_view_rows(u->x), ids = pm_view_rows(u->ids), weights = pm_view_rows(u->weights), y = pm_view_rows(u->y);
  pm_view hidden = pm_view_batch(u->hidden, n_used);
  pm_program_append(p, (pm_op){.kind = PM_OP_EXPERTS_GLU, .experts_glu = {.experts = u->table, .x = x, .ids = ids, .y = hidden}});
  pm_program_append(
      p, (pm_op){.kind = PM_OP_EXPERTS_DOWN, .experts_down = {.experts = u->table, .x = hidden, .ids = ids, .weights = weights, .y = y}});
  PM_TRY(pm_program_check(p));
  u->hidden->place.data = pm_alloc_aligned(pm_tensor_bytes(u->hidden), ALIGN);
  if (!u->hidden->place.data) PM_FAIL(PM_ERR_MEMORY, "out of memory: experts on the CPU, %zu bytes", pm_tensor_bytes(u->hidden));
  memset(u->hidden->place.data, 0, pm_tensor_bytes(u->hidden));
  return pm_cpu_executor_create(p, a->team, a->exact, NULL, &u->executor);
}

// Tables of one class, of one size and with one number of choices share a unit.
static pm_status make_units(pm_cpu_assist *a) {
  const pm_program *p = a->program;
  uint32_t *class_of, most_used = 1;
  PM_NEW(&a->unit_of, p->n_table, "experts on the CPU");
  PM_NEW(&a->units, p->n_table, "experts on the CPU");
  PM_NEW(&class_of, p->n_table, "experts on the CPU");
  pm_program_expert_classes(p, class_of);
  pm_status status = PM_OK;
  for (uint32_t i = 0; i < p->n_table && !status; i++) {
    const pm_expert_table *t = p->tables[i];
    uint32_t j = 0, n_used = n_used_of(p, t);
    while (j < i && (class_of[j] != class_of[i] || p->tables[j]->n_expert != t->n_expert || a->units[a->unit_of[j]].n_used != n_used)) j++;
    a->unit_of[i] = j < i ? a->unit_of[j] : a->n_unit;
    if (j < i) continue;
    if (n_used > most_used) most_used = n_used;
    status = make_unit(a, &a->units[a->n_unit++], t, n_used);
  }
  pm_free(class_of);
  PM_TRY(status);
  PM_NEW(&a->ids, (size_t)a->max_rows * most_used, "experts on the CPU");
  return PM_OK;
}

pm_status pm_cpu_assist_create(const pm_cpu_assist_desc *desc, pm_cpu_assist **out) {
  *out = NULL;
  pm_cpu_assist *a;
  PM_NEW(&a, 1, "experts on the CPU");
  a->program = desc->program, a->max_rows = desc->max_rows, a->exact = desc->exact;
  pm_status status = pm_team_create(desc->n_thread, &a->team);
  if (!status) status = make_units(a);
  if (status) {
    pm_cpu_assist_destroy(a);
    return status;
  }
  *out = a;
  return PM_OK;
}

void pm_cpu_assist_destroy(pm_cpu_assist *a) {
  if (!a) return;
  for (uint32_t i = 0; i < a->n_unit; i++) {
    pm_cpu_executor_destroy(a->units[i].executor);
    if (a->units[i].hidden) pm_free(a->units[i].hidden->place.data);
    pm_program_finish(&a->units[i].program);
  }
  pm_team_destroy(a->team);
  pm_free(a->units);
  pm_free(a->unit_of);
  pm_free(a->ids);
  pm_free(a);
}

pm_status pm_cpu_assist_run(pm_cpu_assist *a, const pm_expert_ask *ask, const bool *mine) {
  if (ask->n_row > a->max_rows) PM_FAIL(PM_ERR_ARGUMENT, "%u rows for the CPU's experts, there is room for %u", ask->n_row, a->max_rows);
  const pm_expert_table *t = a->program->tables[ask->table];
  unit *u = &a->units[a->unit_of[ask->table]];
  for (uint32_t i = 0; i < ask->n_row * u->n_used; i++) a->ids[i] = mine[ask->ids[i]] ? ask->ids[i] : -1;
  for (int m = 0; m < 3; m++) u->table->slab[m] = t->slab[m];
  u->ids->place.data = a->ids;
  u->x->place.data = (void *)(uintptr_t)ask->x;
  u->weights->place.data = (void *)(uintptr_t)ask->weights;
  u->y->place.data = ask->y;
  memset(ask->y, 0, ask->n_row * pm_tensor_row_bytes(u->y));
  return pm_cpu_executor_run(u->executor, &(pm_step){.n_row = ask->n_row});
}
