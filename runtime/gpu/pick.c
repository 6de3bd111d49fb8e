#include "pick.h"

#include "ops.h"
#include "recorder.h"

typedef enum device_class { ANY, CPU, MATRIX, DOT8 } device_class;
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
pm_op_kind pm_gpu_row_op(uint32_t row) { return rows[row].op; }
uint32_t pm_gpu_row_count(void) { return pm_gpu_pick_count(); }
const char *pm_gpu_row_text(uint32_t row) { return texts[row]; }
uint32_t pm_gpu_pick_count(void) { return sizeof rows / sizeof *rows; }
const char *pm_gpu_pick_text(uint32_t row) { return texts[row]; }

// Routers, of F32, keep their precision: a small error may choose another expert.
static bool allowed(const struct row *row, const pm_gpu_recorder *r, const pm_gpu_shape *shape) {
  const pm_gpu_traits *traits = pm_gpu_traits_of(r);
  if (row->op != shape->op) return false;
  if (row->device == DOT8) return pm_gpu_has(r, pm_gpu_kernel_name(row->pick.kernel, shape->type).text);
  const bool has[] = {[ANY] = true, [CPU] = traits->software, [MATRIX] = traits->matrix.m && shape->type != PM_TYPE_F32};
  return has[row->device];
}

static bool is_wrong(const pm_gpu_recorder *r, uint32_t row, pm_type type) {
  return pm_gpu_tuning_is_wrong(&r->pipelines->tuning, row, type);
}

static bool matches(const struct row *row, const pm_gpu_shape *shape) {
  return shape->n_row <= row->rows && shape->n_unit <= row->units && shape->n_out <= row->outputs;
}

// The first row of the op that matches, or NO_ROW. `sound`: none that is wrong.
static uint32_t first_match(const pm_gpu_recorder *r, const pm_gpu_shape *shape, bool sound) {
  for (uint32_t i = 0; i < pm_gpu_pick_count(); i++)
    if (allowed(&rows[i], r, shape) && matches(&rows[i], shape) && !(sound && is_wrong(r, i, shape->type))) return i;
  return NO_ROW;
}

uint32_t pm_gpu_pick_first(const pm_gpu_recorder *r, const pm_gpu_shape *shape) {
  uint32_t row = first_match(r, shape, true);
  return row != NO_ROW ? row : first_match(r, shape, false);  // the last row of every op matches
}

static pm_gpu_pick fit(const pm_gpu_traits *traits, pm_gpu_pick pick) {
  if (pick.workgroup < traits->subgroup) pick.workgroup = traits->subgroup;
  if (pick.workgroup > traits->max_invocations) pick.workgroup = traits->max_invocations;
  return pick;
}

bool pm_gpu_pick_may(const pm_gpu_recorder *r, const pm_gpu_shape *shape, uint32_t row, pm_gpu_pick *out) {
  enum { FAR = 16 };
  if (!allowed(&rows[row], r, shape) || is_wrong(r, row, shape->type)) return false;
  if (rows[row].device == DOT8 && !pm_gpu_traits_of(r)->fast_dot8) return false;
  *out = fit(pm_gpu_traits_of(r), rows[row].pick);
  return rows[row].rows >= shape->n_row / FAR;
}

static uint32_t find(const pm_gpu_recorder *r, const pm_gpu_shape *shape) {
  const pm_gpu_tuning *t = &r->pipelines->tuning;
  const pm_gpu_winner *winner = t->ignore_winners ? NULL : pm_gpu_tuning_find(t, shape);
  const uint32_t wanted[] = {r->only ? *r->only : NO_ROW, forced, winner && !is_wrong(r, winner->row, shape->type) ? winner->row : NO_ROW};
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
    if (wanted[i] < pm_gpu_pick_count() && allowed(&rows[wanted[i]], r, shape)) return wanted[i];
  return pm_gpu_pick_first(r, shape);
}

pm_gpu_pick pm_gpu_pick_find(const pm_gpu_recorder *r, pm_gpu_shape shape) {
  if (r->asked && r->asked->n < PM_GPU_ASKED_SHAPES) r->asked->shapes[r->asked->n++] = shape;
  return fit(pm_gpu_traits_of(r), rows[find(r, &shape)].pick);
}
