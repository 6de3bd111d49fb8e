// What a build without Vulkan says.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backend.h"

static void says_why(void **state) {
  (void)state;
  pm_backend *b = (pm_backend *)1;
  pm_gpu_desc desc = {.device = "0"};
  assert_int_equal(pm_gpu_create(&desc, &b), PM_ERR_UNSUPPORTED);
  assert_null(b);
  assert_non_null(strstr(pm_fail_message(), "PUMICE_VULKAN"));
}

static void lists_nothing(void **state) {
  (void)state;
  uint32_t n = 4;
  char why[256] = "";
  assert_int_equal(pm_gpu_list(NULL, &n, why), PM_OK);
  assert_int_equal(n, 0);
  assert_non_null(strstr(why, "PUMICE_VULKAN"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(says_why), cmocka_unit_test(lists_nothing)};
  return cmocka_run_group_tests_name("gpu_stub", tests, NULL, NULL);
}
