// Every op of the Vulkan backend against the double-precision reference, on the device that PUMICE_TEST_DEVICE names (default "0"), with
// the validation layer on. Exit code 77 says that there was no device to test.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "op_cases.h"
#include "testbed.h"

static const char *only;  // argument of the program: one group

static pm_status make_gpu(void *user, pm_backend **out) { return pm_gpu_create(user, out); }

static void matches_reference(void **state) {
  (void)state;
  const char *device = getenv("PUMICE_TEST_DEVICE");
  pm_gpu_desc desc = {.device = device && *device ? device : "0", .exact = true, .validate = testbed_validates()};
  op_cases_check(&(pm_case_target){make_gpu, &desc, 1e-10, 1e-10}, NULL, only);
}

int main(int argc, char **argv) {
  only = argc > 1 ? argv[1] : NULL;
  char why[256] = "";
  uint32_t n = 0;
  if (pm_gpu_list(NULL, &n, why) || !n) {
    printf("skip: no Vulkan device%s%s\n", *why ? ": " : "", why);
    return 77;
  }
  const struct CMUnitTest tests[] = {cmocka_unit_test(matches_reference)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
