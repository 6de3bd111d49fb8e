// The self-test on the device that PUMICE_TEST_DEVICE names (default "0"), with a kernel that computes nothing: it is found, set aside, and
// taken back when it works again.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gpu_under_test.h"
#include "record.h"
#include "selftest.h"

static char dir[] = "/tmp/pumice-doctor-XXXXXX";
static char device[64];
static uint32_t broken;  // workgroup of the kernel that computes nothing; 0 = all work

void __real_pm_gpu_record_dispatch(pm_gpu_recorder *r, const pm_gpu_dispatch *d);
void __wrap_pm_gpu_record_dispatch(pm_gpu_recorder *r, const pm_gpu_dispatch *d);
void __wrap_pm_gpu_record_dispatch(pm_gpu_recorder *r, const pm_gpu_dispatch *d) {
  pm_gpu_dispatch nothing = *d;
  if (broken == UINT32_MAX && !strcmp(d->kernel, "norm")) broken = d->constants[0];  // the first that is used
  if (!strcmp(d->kernel, "norm") && d->constants[0] == broken) nothing.groups[0] = 0;
  __real_pm_gpu_record_dispatch(r, &nothing);
}

typedef struct seen {
  uint32_t n_passed, n_failed, n_aside;
} seen;

static bool on_kernel(void *user, const char *kernel, bool passed, double worst_error, const char *detail) {
  seen *s = user;
  (void)kernel, (void)worst_error;
  bool aside = strstr(detail, "set aside") != NULL;
  s->n_passed += passed, s->n_aside += aside, s->n_failed += !passed && !aside;
  return true;
}

static pm_status examine(const char *cache_dir, seen *s) {
  *s = (seen){0};
  return pm_selftest(&(pm_selftest_desc){.device = device, .cache_dir = cache_dir, .group = "rows", .report = on_kernel, .user = s});
}

static void what_is_wrong_is_set_aside(void **state) {
  (void)state;
  seen s;
  pm_gpu_info infos[16];
  char why[256];
  uint32_t n = 16;
  assert_int_equal(pm_gpu_list(infos, &n, why), PM_OK);
  bool choice = infos[atoi(device + 4)].kind == PM_GPU_SOFTWARE;  // other devices have one kernel for norms
  broken = UINT32_MAX;
  assert_int_equal(examine(NULL, &s), PM_ERR_DEVICE);
  assert_true(s.n_failed > 0 && s.n_passed > 0 && s.n_aside == 0);
  assert_int_equal(examine(dir, &s), choice ? PM_OK : PM_ERR_DEVICE);
  assert_true(s.n_failed > 0 && s.n_aside >= 1);
  broken = 0;
  assert_int_equal(examine(dir, &s), PM_OK);
  assert_true(s.n_failed == 0 && s.n_aside == 0);
}

static int clean_up(void **state) {
  (void)state;
  char command[64];
  snprintf(command, sizeof command, "rm -r %s", dir);
  return system(command);
}

int main(void) {
  const char *name;
  int result = choose_gpu(&name);
  if (result) return result;
  snprintf(device, sizeof device, "gpu:%s", name);
  if (!mkdtemp(dir)) return 1;
  const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_wrong_is_set_aside)};
  return cmocka_run_group_tests_name("gpu_doctor", tests, NULL, clean_up);
}
