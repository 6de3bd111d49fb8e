// The rows of pick.def for cooperative matrices, forced on shapes with odd edges, against the double-precision
// reference: as far off as rounding to 16 bits makes them, and no further. On device 0. Exit code 77 says that there is none, or that it
// has no such matrices.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "gpu_device.h"
#include "rounding_rows.h"
#include "testbed.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

enum { SKIP = 77 };
static const double rounded = 4e-7;  // two roundings to 11 bits: 1.2e-7 for what is spread evenly, more where a row has outliers

static const pm_case_step steps[] = {{3, 2, 1, 0}, {41, 1, 2, 90}};

// Units that pair runs in other ways, values from tables, and a format each of whose halves loses bits; lavapipe takes a second for each.
static const pm_case formats[] = {
    {PM_OP_MATMUL, .type = PM_TYPE_Q2_K, .n_in = 512, .n_out = 67},  {PM_OP_MATMUL, .type = PM_TYPE_IQ2_XXS, .n_in = 256, .n_out = 35},
    {PM_OP_MATMUL, .type = PM_TYPE_TQ1_0, .n_in = 256, .n_out = 35}, {PM_OP_MATMUL, .type = PM_TYPE_NVFP4, .n_in = 320, .n_out = 35},
    {PM_OP_MATMUL, .type = PM_TYPE_FP8, .n_in = 384, .n_out = 35},
};
static const pm_case dense[] = {
    {PM_OP_MATMUL, .type = PM_TYPE_Q4_K, .n_in = 512, .n_out = 150, .flags = PM_CASE_STRIDED | PM_CASE_ACCUMULATE | PM_CASE_PRECISE},
    {PM_OP_MATMUL, .type = PM_TYPE_Q8_0, .type_up = PM_TYPE_Q8_0, .n_in = 352, .n_out = 70, .flags = PM_CASE_GATED},
};
static const pm_case more[] = {
    {PM_OP_MATMUL, .type = PM_TYPE_F16, .n_in = 36, .n_out = 7, .n_batch = 3, .flags = PM_CASE_STRIDED},
    {PM_OP_MATMUL, .type = PM_TYPE_Q6_K, .type_up = PM_TYPE_F32, .n_in = 256, .n_out = 20, .flags = PM_CASE_GATED},
    {PM_OP_MATMUL, .type = PM_TYPE_Q6_K, .n_in = 256, .n_out = 33, .flags = PM_CASE_LOGITS},
};
static const pm_case glu[] = {
    {PM_OP_EXPERTS_GLU, .type = PM_TYPE_Q6_K, .type_up = PM_TYPE_Q6_K, .n_in = 256, .n_out = 70, .n_batch = 3, .n_expert = 7},
    {PM_OP_EXPERTS_GLU, .type = PM_TYPE_Q4_0, .type_up = PM_TYPE_BF16, .n_in = 96, .n_out = 33, .n_batch = 2, .n_expert = 5},
};
static const pm_case down[] = {
    {PM_OP_EXPERTS_DOWN, .type = PM_TYPE_Q5_0, .n_in = 96, .n_out = 70, .n_batch = 3, .n_expert = 7, .flags = PM_CASE_STRIDED},
    {PM_OP_EXPERTS_DOWN, .type = PM_TYPE_IQ2_XS, .n_in = 256, .n_out = 40, .n_batch = 1, .n_expert = 3},
};

static void check(const char *op, const pm_case *cases, uint32_t n_case, uint32_t n_most) {
  const rounding_rows rows = {" MATRIX ",
                              {.device = "0", .validate = testbed_validates()},
                              {.nmse = 1e-10, .nmse_quantized = 1e-10, .nmse_halves = rounded},
                              1e-10,
                              steps,
                              COUNT(steps)};
  rounding_rows_check(&rows, op, cases, n_case, n_most);
}

// Formats and edges are the same for every tile.
static void formats_and_edges(void **state) {
  (void)state;
  check("MATMUL", formats, COUNT(formats), 1);
  check("MATMUL", more, COUNT(more), 1);
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
  assert_int_equal(pm_gpu_device_init(&d, &(pm_gpu_desc){.device = "0", .exact = true}), PM_OK);
  assert_int_equal(d.probe.traits.matrix.m, 0);
  pm_gpu_device_finish(&d);
}

int main(void) {
  pm_gpu_device d = {0};
  if (pm_gpu_device_init(&d, &(pm_gpu_desc){.device = "0"})) {
    printf("skip: %s\n", pm_fail_message());
    return SKIP;
  }
  pm_gpu_matrix m = d.probe.traits.matrix;
  if (!m.m) printf("skip: %s has no cooperative matrices\n", d.probe.info.name);
  pm_gpu_device_finish(&d);
  if (!m.m) return SKIP;
  print_message("# matrices of %u x %u x %u\n", m.m, m.n, m.k);
  const struct CMUnitTest tests[] = {cmocka_unit_test(formats_and_edges), cmocka_unit_test(every_row), cmocka_unit_test(exact_has_none)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
