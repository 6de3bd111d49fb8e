// Every op of the CPU's fast path against the double-precision reference: exact and with 8-bit activations, and the same bits from any
// number of threads.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

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

int main(int argc, char **argv) {
  only = argc > 1 ? argv[1] : NULL;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(exact_matches_reference),
      cmocka_unit_test(default_matches_reference),
      cmocka_unit_test(threads_do_not_matter),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
