// Every row of runtime/gpu/pick.def, forced on shapes that it was not made for: the table may only decide how fast an op is.
// On the device that PUMICE_TEST_DEVICE names (default "0"). Exit code 77 says that there was no device to test.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pick.h"
#include "selftest_cases.h"
#include "test_seed.h"

static const pm_case_step steps[] = {{1, 1, 1, 3}, {3, 2, 1, 0}, {41, 1, 2, 90}};

static const pm_case embed[] = {{PM_OP_EMBED, .type = PM_TYPE_Q5_K, .n_in = 512, .n_out = 9}};
static const pm_case norm[] = {{PM_OP_NORM, .n_in = 300, .flags = PM_CASE_STRIDED}};
static const pm_case matmul[] = {
    {PM_OP_MATMUL, .type = PM_TYPE_Q4_K, .n_in = 512, .n_out = 150, .flags = PM_CASE_STRIDED | PM_CASE_ACCUMULATE},
    {PM_OP_MATMUL, .type = PM_TYPE_F32, .n_in = 36, .n_out = 7, .n_batch = 3},
    {PM_OP_MATMUL, .type = PM_TYPE_Q8_0, .type_up = PM_TYPE_Q8_0, .n_in = 352, .n_out = 70, .flags = PM_CASE_GATED},
};
static const pm_case rope[] = {{PM_OP_ROPE, .n_batch = 5}};
static const pm_case mla_cache[] = {{PM_OP_MLA_CACHE, .type = PM_TYPE_F32, .n_in = 100}};
static const pm_case mla_attention[] = {
    {PM_OP_MLA_ATTENTION, .type = PM_TYPE_F16, .n_in = 128, .n_batch = 19},
    {PM_OP_MLA_ATTENTION, .type = PM_TYPE_F32, .n_in = 36, .n_batch = 3, .flags = PM_CASE_STRIDED},
};
static const pm_case route[] = {
    {PM_OP_ROUTE, .n_in = 160, .n_batch = 6, .gating = PM_GATING_SOFTMAX, .n_group = 8, .n_group_used = 3, .flags = PM_CASE_TIES}};
static const pm_case experts_glu[] = {
    {PM_OP_EXPERTS_GLU, .type = PM_TYPE_Q6_K, .type_up = PM_TYPE_Q6_K, .n_in = 256, .n_out = 70, .n_batch = 3, .n_expert = 7},
    {PM_OP_EXPERTS_GLU, .type = PM_TYPE_Q4_0, .type_up = PM_TYPE_BF16, .n_in = 96, .n_out = 33, .n_batch = 2, .n_expert = 5},
};
static const pm_case experts_down[] = {
    {PM_OP_EXPERTS_DOWN, .type = PM_TYPE_Q5_0, .n_in = 96, .n_out = 70, .n_batch = 3, .n_expert = 7, .flags = PM_CASE_STRIDED}};

static const struct {
  const pm_case *cases;
  uint32_t n_case;
} by_op[PM_OP_COUNT] = {
#define PM_OP(NAME, member, text) [PM_OP_##NAME] = {member, sizeof member / sizeof *member},
#include "ops.def"
#undef PM_OP
};

static pm_status make_gpu(void *user, pm_backend **out) { return pm_gpu_create(user, out); }

static bool on_case(void *user, const pm_case_result *r) {
  if (!r->passed) fail_msg("%s: %s: %s", (const char *)user, r->name, r->detail);
  return true;
}

static pm_op_kind op_of(const char *text) {
  for (int k = 0; k < PM_OP_COUNT; k++) {
    size_t n = strlen(pm_op_name((pm_op_kind)k));
    if (!strncmp(text, pm_op_name((pm_op_kind)k), n) && text[n] == ' ') return (pm_op_kind)k;
  }
  fail_msg("no op in \"%s\"", text);
  return PM_OP_COUNT;
}

static void every_row_is_right(void **state) {
  (void)state;
  const char *device = getenv("PUMICE_TEST_DEVICE");
  pm_gpu_desc desc = {.device = device && *device ? device : "0", .exact = true};
  for (uint32_t row = 0; row < pm_gpu_pick_count(); row++) {
    const char *text = pm_gpu_pick_text(row);
    if (strstr(text, " MATRIX ") || strstr(text, " DOT8 ")) continue;  // these round: they have tests of their own
    pm_op_kind op = op_of(text);
    pm_case_group g = {text, by_op[op].cases, by_op[op].n_case, steps, sizeof steps / sizeof *steps, 16};
    pm_gpu_pick_force(row);
    pm_status status = pm_cases_run(&g, &(pm_case_target){make_gpu, &desc, 1e-10, 1e-10}, NULL, test_seed() + row, on_case,
                                    (void *)(uintptr_t)text);
    pm_gpu_pick_force(UINT32_MAX);
    if (status) fail_msg("%s: %s", text, pm_fail_message());
    printf("%s\n", text);
  }
}

int main(void) {
  char why[256] = "";
  uint32_t n = 0;
  if (pm_gpu_list(NULL, &n, why) || !n) {
    printf("skip: no Vulkan device%s%s\n", *why ? ": " : "", why);
    return 77;
  }
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_row_is_right)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
