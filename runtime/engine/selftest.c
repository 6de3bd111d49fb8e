#include "selftest.h"

#include <string.h>

#include "memory.h"
#include "selftest_cases.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const pm_case_step steps[] = {{1, 1, 1, 0}, {1, 0, 1, 130}, {35, 3, 2, 5}};

// One group per format: rows of one and a half blocks of 256 where the format allows, else of two.
#define WIDTH(elements) ((elements) == 256 ? 512 : 384)

#define PM_FORMAT(name, id, e, bytes)                                                                             \
  static const pm_case cases_##name[] = {                                                                         \
      {PM_OP_EMBED, .type = id, .n_in = WIDTH(e), .n_out = 9},                                                    \
      {PM_OP_MATMUL, .type = id, .n_in = WIDTH(e), .n_out = 67},                                                  \
      {PM_OP_MATMUL, .type = id, .n_in = WIDTH(e), .n_out = 24, .n_batch = 4, .flags = PM_CASE_STRIDED},          \
      {PM_OP_MATMUL, .type = id, .n_in = WIDTH(e), .n_out = 67, .flags = PM_CASE_ACCUMULATE | PM_CASE_PRECISE},   \
      {PM_OP_MATMUL, .type = id, .n_in = WIDTH(e), .n_out = 130, .flags = PM_CASE_LOGITS},                        \
      {PM_OP_MATMUL, .type = id, .type_up = id, .n_in = WIDTH(e), .n_out = 40, .flags = PM_CASE_GATED},           \
      {PM_OP_EXPERTS_GLU, .type = id, .type_up = id, .n_in = WIDTH(e), .n_out = 40, .n_batch = 4, .n_expert = 8}, \
      {PM_OP_EXPERTS_DOWN, .type = id, .n_in = WIDTH(e), .n_out = 40, .n_batch = 4, .n_expert = 8},               \
  };
#define PM_FORMAT_SIZED(name, id, e, bytes)
#include "formats.def"
#undef PM_FORMAT
#undef PM_FORMAT_SIZED

enum { GROUPED = PM_CASE_BIAS | PM_CASE_NORMALIZE };

static const pm_case other_cases[] = {
    {PM_OP_NORM, .n_in = 2048},
    {PM_OP_NORM, .n_in = 2048, .flags = PM_CASE_LOGITS},
    {PM_OP_ROPE, .n_batch = 16, .flags = PM_CASE_STRIDED},
    {PM_OP_ROPE, .n_batch = 16, .flags = PM_CASE_STRIDED | PM_CASE_IN_PLACE},
    {PM_OP_MLA_CACHE, .type = PM_TYPE_F16, .n_in = 512},
    {PM_OP_MLA_CACHE, .type = PM_TYPE_F32, .n_in = 512},
    {PM_OP_MLA_ATTENTION, .type = PM_TYPE_F16, .n_in = 512, .n_batch = 16},
    {PM_OP_MLA_ATTENTION, .type = PM_TYPE_F32, .n_in = 512, .n_batch = 16},
    {PM_OP_ROUTE, .n_in = 64, .n_batch = 6, .gating = PM_GATING_SOFTMAX},
    {PM_OP_ROUTE, .n_in = 256, .n_batch = 8, .gating = PM_GATING_SIGMOID, .n_group = 8, .n_group_used = 4, .flags = GROUPED},
    {PM_OP_ROUTE, .n_in = 64, .n_batch = 6, .gating = PM_GATING_SOFTMAX, .flags = PM_CASE_TIES},
};

static const pm_case_group groups[] = {
#define PM_FORMAT(name, id, e, bytes) {#name, cases_##name, COUNT(cases_##name), steps, COUNT(steps), 64},
#define PM_FORMAT_SIZED(name, id, e, bytes)
#include "formats.def"
#undef PM_FORMAT
#undef PM_FORMAT_SIZED
    {"rows", other_cases, COUNT(other_cases), steps, COUNT(steps), 64},
};

static pm_status make_cpu(void *user, pm_backend **out) { return pm_cpu_create(user, out); }
static pm_status make_gpu(void *user, pm_backend **out) { return pm_gpu_create(user, out); }

enum { FAILURES = 64, WRONG = 1024 };  // that are looked into, at most

typedef struct run {
  const pm_selftest_desc *desc;
  pm_gpu_desc gpu;
  bool quiet;  // only looks whether something fails
  unsigned n_failed, n_kept;
  const pm_case *failed[FAILURES];  // one of each operation and type
  uint32_t n_wrong;
  pm_gpu_wrong wrong[WRONG];
} run;

// Of the weights that kernels are picked by.
static pm_type type_of(const pm_case *c) {
  bool weights = c->op == PM_OP_EMBED || c->op == PM_OP_MATMUL || c->op == PM_OP_EXPERTS_GLU || c->op == PM_OP_EXPERTS_DOWN;
  return weights ? c->type : PM_TYPE_F32;
}

static bool on_case(void *user, const pm_case_result *r) {
  run *state = user;
  state->n_failed += !r->passed;
  uint32_t i = 0;
  while (i < state->n_kept && (state->failed[i]->op != r->c->op || type_of(state->failed[i]) != type_of(r->c))) i++;
  if (!r->passed && !state->quiet && i == state->n_kept && i < FAILURES) state->failed[state->n_kept++] = r->c;
  return state->quiet || state->desc->report(state->desc->user, r->name, r->passed, r->nmse, r->detail);
}

static pm_status run_groups(run *state, const pm_case_target *target) {
  for (size_t i = 0; i < COUNT(groups); i++)
    if (!state->desc->group || !strcmp(state->desc->group, groups[i].name))
      PM_TRY(pm_cases_run(&groups[i], target, NULL, i, on_case, state));
  return PM_OK;
}

// Whether a case fails as the device is described now.
static pm_status try_case(run *state, const pm_case *c, bool *fails) {
  pm_case_group group = {"again", c, 1, steps, COUNT(steps), 64};
  unsigned before = state->n_failed;
  state->quiet = true;
  PM_TRY(pm_cases_run(&group, &(pm_case_target){make_gpu, &state->gpu, 1e-10, 1e-10, 4e-7}, NULL, 1, on_case, state));
  *fails = state->n_failed > before;
  return PM_OK;
}

// Every row that could serve the case, by itself.
static pm_status find_wrong(run *state, const pm_case *c) {
  for (uint32_t row = 0; row < pm_gpu_row_count() && state->n_wrong < WRONG; row++) {
    bool fails;
    if (pm_gpu_row_op(row) != c->op) continue;
    state->gpu.only_row = row + 1;
    PM_TRY(try_case(state, c, &fails));
    if (fails) state->wrong[state->n_wrong++] = (pm_gpu_wrong){row, (uint32_t)type_of(c)};
    if (fails && !state->desc->report(state->desc->user, pm_gpu_row_text(row), false, 0, "is set aside on this device"))
      PM_FAIL(PM_ERR_CANCELLED, "the self-test was stopped");
  }
  state->gpu.only_row = 0;
  return PM_OK;
}

// Sets aside what is wrong. *n_left: cases that nothing else can serve.
static pm_status set_aside(run *state, uint32_t *n_left) {
  for (uint32_t i = 0; i < state->n_kept; i++) PM_TRY(find_wrong(state, state->failed[i]));
  state->gpu.cache_dir = state->desc->cache_dir;
  PM_TRY(pm_gpu_keep_wrong(&state->gpu, state->wrong, state->n_wrong));
  *n_left = 0;
  for (uint32_t i = 0; i < state->n_kept; i++) {
    bool fails;
    PM_TRY(try_case(state, state->failed[i], &fails));
    *n_left += fails;
  }
  return PM_OK;
}

pm_status pm_selftest(const pm_selftest_desc *desc) {
  const char *device = desc->device ? desc->device : "cpu";
  pm_cpu_desc cpu = {0};
  bool on_cpu = !*device || !strcmp(device, "cpu");
  run *state;
  PM_NEW(&state, 1, "self-test");
  state->desc = desc;
  state->gpu.device = !strcmp(device, "gpu") ? NULL : strncmp(device, "gpu:", 4) ? device : device + 4;
  pm_case_target target = on_cpu ? (pm_case_target){make_cpu, &cpu, 1e-11, 2e-4}
                                 : (pm_case_target){make_gpu, &state->gpu, 1e-10, 1e-10, 4e-7};
  pm_status status = run_groups(state, &target);
  uint32_t n_left = state->n_failed;
  if (!status && !on_cpu && desc->cache_dir) status = set_aside(state, &n_left);
  pm_free(state);
  if (!status && n_left) PM_FAIL(PM_ERR_DEVICE, "%u cases of the self-test failed on %s", n_left, on_cpu ? "the CPU" : device);
  return status;
}
