#include "pick.h"

typedef enum device_class { ANY, CPU } device_class;
enum { MANY = UINT32_MAX, NO_ROW = UINT32_MAX };

static const struct row {
  pm_op_kind op;
  device_class device;
  uint32_t rows, units, outputs;
  pm_gpu_pick pick;
} rows[] = {
#define PM_PICK(OP, DEVICE, ROWS, UNITS, OUTPUTS, KERNEL, WORKGROUP, A, B, C) \
  {PM_OP_##OP, DEVICE, ROWS, UNITS, OUTPUTS, {KERNEL, WORKGROUP, A, B, C}},
#include "pick.def"
#undef PM_PICK
};

static const char *const texts[] = {
#define PM_PICK(OP, DEVICE, ROWS, UNITS, OUTPUTS, KERNEL, WORKGROUP, A, B, C) \
#OP " " #DEVICE " " KERNEL " " #WORKGROUP " " #A " " #B " " #C,
#include "pick.def"
#undef PM_PICK
};

static uint32_t forced = NO_ROW;

void pm_gpu_pick_force(uint32_t row) { forced = row; }
uint32_t pm_gpu_pick_count(void) { return sizeof rows / sizeof *rows; }
const char *pm_gpu_pick_text(uint32_t row) { return texts[row]; }

static bool allowed(const struct row *row, const pm_gpu_traits *traits, pm_op_kind op) {
  return row->op == op && (row->device == ANY || traits->software);
}

pm_gpu_pick pm_gpu_pick_find(const pm_gpu_recorder *r, pm_gpu_shape shape) {
  const pm_gpu_traits *traits = pm_gpu_traits_of(r);
  const struct row *best = NULL;
  if (forced < pm_gpu_pick_count() && allowed(&rows[forced], traits, shape.op)) best = &rows[forced];
  for (const struct row *row = rows; !best; row++)  // ends: the last row of every op matches
    if (allowed(row, traits, shape.op) && shape.n_row <= row->rows && shape.n_unit <= row->units && shape.n_out <= row->outputs) best = row;
  pm_gpu_pick pick = best->pick;
  if (pick.workgroup < traits->subgroup) pick.workgroup = traits->subgroup;
  if (pick.workgroup > traits->max_invocations) pick.workgroup = traits->max_invocations;
  return pick;
}
