// What encoders make of weights: real rows within bounds, importances that count, and values that are hard to encode.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs some of the above
#include <cmocka.h>

#include "model_file.h"

enum { N = 256 * 96 };

static float *x, *y, *w, *w_other;
static uint8_t *blocks;

// Formats of files: no mix makes our own.
static const pm_format *quantized(size_t *i) {
  for (const pm_format *f; (f = pm_format_row(*i)); ++*i)
    if (f->encode && f->block_elements > 1 && f->type < PM_TYPE_OWN) return ++*i, f;
  return NULL;
}

// sqrt(sum w (y - x)^2 / sum w x^2)
static double error_of(const pm_format *f, const float *given, const float *judged) {
  memset(blocks, 0xa5, N * 4 + 1);
  f->encode(x, given, blocks, N);
  assert_int_equal(blocks[pm_format_bytes(f->type, N)], 0xa5);
  f->decode(blocks, y, N);
  double error = 0, power = 0;
  for (int i = 0; i < N; i++) {
    double weight = judged ? (double)judged[i] : 1;
    error += weight * pow((double)y[i] - (double)x[i], 2), power += weight * pow((double)x[i], 2);
  }
  return sqrt(error / power);
}

static int setup(void **state) {
  (void)state;
  x = malloc(N * sizeof *x), y = malloc(N * sizeof *y), w = malloc(N * sizeof *w), w_other = malloc(N * sizeof *w);
  blocks = malloc(N * 4 + 1);
  pm_rng rng = pm_rng_seed(7);
  for (int i = 0; i < N; i++) w[i] = expf(4 * (float)pm_rng_uniform(&rng)), w_other[i] = expf(4 * (float)pm_rng_uniform(&rng));
  return 0;
}

static int teardown(void **state) {
  (void)state;
  free(x), free(y), free(w), free(w_other), free(blocks);
  return 0;
}

static void read_rows(void) {
  pm_model_file *file;
  if (pm_model_file_open(PM_DEMO_MODEL, NULL, &file) != PM_OK) fail_msg("%s", pm_fail_message());
  const pm_file_tensor *t = pm_model_file_find_tensor(file, "output.weight");  // of 6 bits: the finest of the file
  assert_non_null(t);
  pm_format_get((pm_type)t->type)->decode(t->data, x, N);
  pm_model_file_close(file);
}

static void real_rows_are_near(void **state) {
  (void)state;
  static const struct {
    pm_type type;
    double most;
  } bounds[] = {
      {PM_TYPE_Q4_0, 0.08},      {PM_TYPE_Q4_1, 0.0689},  {PM_TYPE_Q5_0, 0.0404},    {PM_TYPE_Q5_1, 0.033},    {PM_TYPE_Q8_0, 0.0053},
      {PM_TYPE_Q4_K, 0.0696},    {PM_TYPE_Q5_K, 0.0341},  {PM_TYPE_Q6_K, 0.009},     {PM_TYPE_Q2_K, 0.262},    {PM_TYPE_Q3_K, 0.142},
      {PM_TYPE_IQ1_S, 0.4593},   {PM_TYPE_IQ1_M, 0.431},  {PM_TYPE_IQ2_XXS, 0.3400}, {PM_TYPE_IQ2_XS, 0.2943}, {PM_TYPE_IQ2_S, 0.2459},
      {PM_TYPE_IQ3_XXS, 0.1828}, {PM_TYPE_IQ3_S, 0.1333}, {PM_TYPE_IQ4_NL, 0.0744},  {PM_TYPE_IQ4_XS, 0.075},  {PM_TYPE_MXFP4, 0.114},
      {PM_TYPE_NVFP4, 0.0878},   {PM_TYPE_TQ1_0, 0.435},  {PM_TYPE_TQ2_0, 0.435},
  };
  size_t row = 0, n_bound = 0, n_format = 0;
  read_rows();
  for (const pm_format *f; (f = quantized(&row)); n_format++) {
    double error = error_of(f, NULL, NULL);
    print_message("%-7s relative error %.5f\n", f->name, error);
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
      if (bounds[i].type == f->type) n_bound++, assert_true(error <= bounds[i].most);
  }
  assert_int_equal(n_bound, n_format);
}

// Under the error that an importance matrix stands for, its blocks are better than those made without one, and those made with another.
static void importances_count(void **state) {
  (void)state;
  size_t row = 0;
  read_rows();
  for (const pm_format *f; (f = quantized(&row));) {
    double with = error_of(f, w, w), without = error_of(f, NULL, w), wrong = error_of(f, w_other, w);
    print_message("%-7s weighted error %.5f, without importances %.5f, with others %.5f\n", f->name, with, without, wrong);
    bool no_choice = f->type == PM_TYPE_Q8_0;
    assert_true(no_choice ? with == without : with < without && with < wrong);
  }
}

// Importances of nothing but 0 say nothing.
static void zero_importances(void **state) {
  (void)state;
  float *zero = calloc(N, sizeof *zero);
  size_t row = 0;
  read_rows();
  for (const pm_format *f; (f = quantized(&row));) assert_true(error_of(f, zero, NULL) == error_of(f, NULL, NULL));
  free(zero);
}

// Blocks of one value, of one spike, of tiny and of huge values: finite, and as near as the format's numbers are.
static void hard_values(void **state) {
  (void)state;
  static const float values[] = {1, -1, 1e-3f, -3e-7f, 1e-30f, 1e-42f, 3e4f, 1e9f, -1e30f};
  size_t row = 0;
  for (const pm_format *f; (f = quantized(&row));) {
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
      for (int spike = 0; spike < 2; spike++) {
        for (int i = 0; i < N; i++) x[i] = !spike || i % 256 == 37 ? values[v] : 0;
        f->encode(x, NULL, blocks, N);
        f->decode(blocks, y, N);
        for (int i = 0; i < N; i++)
          if (!isfinite(y[i])) fail_msg("%s: %g becomes %g", f->name, (double)x[i], (double)y[i]);
        bool ordinary = fabsf(values[v]) >= 1e-3f && fabsf(values[v]) <= 1;
        float off = fabsf(y[37] - x[37]);
        if (ordinary && !(off <= 0.6f * fabsf(x[37]))) fail_msg("%s: %g becomes %g", f->name, (double)x[37], (double)y[37]);
      }
    }
  }
}

// What came from a format goes back to it with little more than rounding: a file that was quantized before loses nothing twice.
static void again(void **state) {
  (void)state;
  size_t row = 0;
  pm_rng rng = pm_rng_seed(11);
  for (const pm_format *f; (f = quantized(&row));) {
    for (int i = 0; i < N; i++) x[i] = (float)(pm_rng_uniform(&rng) + pm_rng_uniform(&rng) + pm_rng_uniform(&rng) - 1.5);
    double first = error_of(f, NULL, NULL);
    memcpy(x, y, N * sizeof *x);
    double second = error_of(f, NULL, NULL);
    print_message("%-7s error %.5f, then %.5f\n", f->name, first, second);
    assert_true(second <= 0.5 * first);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(real_rows_are_near),
      cmocka_unit_test(importances_count),
      cmocka_unit_test(zero_importances),
      cmocka_unit_test(hard_values),
      cmocka_unit_test(again),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
