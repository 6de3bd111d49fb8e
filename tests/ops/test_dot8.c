// The rows of pick.def for sums of four products of bytes, forced on shapes with odd edges, against the double-precision reference: x in
// fixed point of 16 bits per run of 16 values may cost no more than that. Also of devices without such an instruction, whose drivers take
// it apart. On the device that PUMICE_TEST_DEVICE names (default "0"). Exit code 77 says that there is none, or that its driver lacks it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gpu_device.h"
#include "rounding_rows.h"
#include "spirv.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

enum { SKIP = 77 };
static const double rounded = 1e-8;  // steps of 2^-15 of a run's largest value: 3e-10 for what is spread evenly, more with outliers

static const pm_case_step steps[] = {{1, 1, 1, 3}, {5, 2, 1, 0}};

#define FORMAT(name) \
  { PM_OP_MATMUL, .type = PM_TYPE_##name, .n_in = 512, .n_out = 35 }
static const pm_case formats[] = {FORMAT(Q8_0),    FORMAT(Q2_K),   FORMAT(Q3_K),  FORMAT(Q4_K),    FORMAT(Q5_K), FORMAT(Q6_K),
                                  FORMAT(IQ2_XXS), FORMAT(IQ2_XS), FORMAT(IQ2_S), FORMAT(IQ3_XXS), FORMAT(IQ3_S)};
static const pm_case dense[] = {
    {PM_OP_MATMUL, .type = PM_TYPE_Q4_K, .n_in = 256, .n_out = 33, .n_batch = 3, .flags = PM_CASE_STRIDED | PM_CASE_ACCUMULATE},
    {PM_OP_MATMUL, .type = PM_TYPE_Q8_0, .type_up = PM_TYPE_Q8_0, .n_in = 352, .n_out = 70, .flags = PM_CASE_GATED},
    {PM_OP_MATMUL, .type = PM_TYPE_Q8_0, .n_in = 96, .n_out = 33, .flags = PM_CASE_LOGITS},
};
static const pm_case glu[] = {
    {PM_OP_EXPERTS_GLU, .type = PM_TYPE_Q6_K, .type_up = PM_TYPE_Q6_K, .n_in = 256, .n_out = 70, .n_batch = 3, .n_expert = 7},
    {PM_OP_EXPERTS_GLU, .type = PM_TYPE_Q8_0, .type_up = PM_TYPE_Q6_K, .n_in = 256, .n_out = 33, .n_batch = 2, .n_expert = 5},
};
static const pm_case down[] = {
    {PM_OP_EXPERTS_DOWN, .type = PM_TYPE_IQ2_XS, .n_in = 512, .n_out = 70, .n_batch = 3, .n_expert = 7, .flags = PM_CASE_STRIDED}};

static const char *device(void) {
  const char *name = getenv("PUMICE_TEST_DEVICE");
  return name && *name ? name : "0";
}

static void check(const char *op, const pm_case *cases, uint32_t n_case, uint32_t n_most) {
  const rounding_rows rows = {" DOT8 ", {.device = device()}, {.nmse = 1e-10, .nmse_quantized = rounded}, 2e-11, steps, COUNT(steps)};
  rounding_rows_check(&rows, op, cases, n_case, n_most);
}

// Formats are the same for all rows.
static void every_format(void **state) {
  (void)state;
  check("MATMUL", formats, COUNT(formats), 1);
}

static void every_row(void **state) {
  (void)state;
  check("MATMUL", dense, COUNT(dense), UINT32_MAX);
  check("EXPERTS_GLU", glu, COUNT(glu), UINT32_MAX);
  check("EXPERTS_DOWN", down, COUNT(down), UINT32_MAX);
}

// The mode for comparisons has the plain kernels, whatever is forced.
static void exact_has_none(void **state) {
  (void)state;
  pm_gpu_device d = {0};
  assert_int_equal(pm_gpu_device_init(&d, &(pm_gpu_desc){.device = device(), .exact = true}), PM_OK);
  assert_false(d.probe.needs & PM_NEED_DOT8);
  pm_gpu_device_finish(&d);
}

int main(void) {
  pm_gpu_device d = {0};
  if (pm_gpu_device_init(&d, &(pm_gpu_desc){.device = device()})) {
    printf("skip: %s\n", pm_fail_message());
    return SKIP;
  }
  bool able = d.probe.needs & PM_NEED_DOT8;
  if (!able) printf("skip: %s has no integer dot product\n", d.probe.info.name);
  pm_gpu_device_finish(&d);
  if (!able) return SKIP;
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_format), cmocka_unit_test(every_row), cmocka_unit_test(exact_has_none)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
