#include "selftest.h"

#include <string.h>

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

typedef struct run {
  pm_selftest_fn *report;
  void *user;
  unsigned n_failed;
} run;

static bool on_case(void *user, const pm_case_result *r) {
  run *state = user;
  state->n_failed += !r->passed;
  return state->report(state->user, r->name, r->passed, r->nmse, r->detail);
}

pm_status pm_selftest(const char *device, pm_selftest_fn *report, void *user) {
  if (!device) device = "cpu";
  pm_cpu_desc cpu = {0};
  pm_gpu_desc gpu = {.device = !strcmp(device, "gpu") ? NULL : strncmp(device, "gpu:", 4) ? device : device + 4};
  bool on_cpu = !*device || !strcmp(device, "cpu");
  pm_case_target target = on_cpu ? (pm_case_target){make_cpu, &cpu, 1e-11, 2e-4} : (pm_case_target){make_gpu, &gpu, 1e-10, 1e-10};
  run state = {report, user, 0};
  for (size_t i = 0; i < COUNT(groups); i++) PM_TRY(pm_cases_run(&groups[i], &target, NULL, i, on_case, &state));
  if (state.n_failed) PM_FAIL(PM_ERR_DEVICE, "%u cases of the self-test failed on %s", state.n_failed, on_cpu ? "the CPU" : device);
  return PM_OK;
}
