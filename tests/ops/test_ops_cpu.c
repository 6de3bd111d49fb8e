// Every op of the CPU's fast path against the double-precision reference: exact and with 8-bit activations, and the same bits from any
// number of threads.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "isa.h"
#include "op_cases.h"

static pm_status make_cpu(void *user, pm_backend **out) { return pm_cpu_create(user, out); }

static const char *only;  // argument of the program: one group

static void exact_matches_reference(void **state) {
  (void)state;
  pm_cpu_desc desc = {.n_thread = 2, .exact = true};
  op_cases_check(&(pm_case_target){make_cpu, &desc, 1e-11, 1e-11}, NULL, only);
}

// 8-bit activations: an error of half a step of 1/127 of the largest of 32 values.
static void default_matches_reference(void **state) {
  (void)state;
  pm_cpu_desc desc = {.n_thread = 2};
  op_cases_check(&(pm_case_target){make_cpu, &desc, 1e-11, 2e-4}, NULL, only);
}

static void threads_do_not_matter(void **state) {
  (void)state;
  pm_cpu_desc three = {.n_thread = 3}, one = {.n_thread = 1};
  op_cases_check(&(pm_case_target){make_cpu, &three, 0, 0}, &(pm_case_target){make_cpu, &one, 0, 0}, only);
}

// The loops of the ops that are not products, on every instruction set of this machine (tests/ops/test_mm.c does the same for products).
static void every_path_matches_reference(void **state) {
  (void)state;
  static const char *const groups[] = {"rows", "attention 16", "attention 64"};
  pm_cpu_desc desc = {.n_thread = 2, .exact = true};
  for (uint32_t i = 0; pm_cpu_isa_row(i); i++) {
    assert_true(pm_cpu_isa_force(pm_cpu_isa_row(i)->name));
    printf("%s\n", pm_cpu_path_name());
    for (int k = 0; k < 3; k++)
      if (!only || !strcmp(only, groups[k])) op_cases_check(&(pm_case_target){make_cpu, &desc, 1e-11, 1e-11}, NULL, groups[k]);
  }
  assert_true(pm_cpu_isa_force(NULL));
}

int main(int argc, char **argv) {
  only = argc > 1 ? argv[1] : NULL;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(exact_matches_reference),
      cmocka_unit_test(default_matches_reference),
      cmocka_unit_test(threads_do_not_matter),
      cmocka_unit_test(every_path_matches_reference),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
