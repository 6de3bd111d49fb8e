// Energy sensors: a tree of files that stands for sysfs and that the tests change, and a library that stands for NVIDIA's.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "energy.h"
#include "file.h"

static char root[64];

static void put(const char *name, const char *text) {
  char path[256], *slash;
  snprintf(path, sizeof path, "%s/%s", root, name);
  slash = strrchr(path, '/');
  *slash = 0;
  assert_int_equal(pm_file_make_dirs(path), PM_OK);
  *slash = '/';
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fprintf(f, "%s\n", text);
  fclose(f);
}

static void take(const char *name) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", root, name);
  remove(path);
}

static int make_root(void **state) {
  (void)state;
  snprintf(root, sizeof root, "/tmp/pm_energy_XXXXXX");
  return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", root);
  return system(command);
}

static pm_energy *open_with(double period, const char *nvml) {
  pm_energy *e;
  assert_int_equal(pm_energy_open(&(pm_energy_desc){.sysfs = root, .nvml = nvml, .period = period}, &e), PM_OK);
  return e;
}

#define RAPL "class/powercap/intel-rapl:0/"
#define HWMON "class/drm/card1/device/hwmon/hwmon3/"

static void test_no_sensor(void **state) {
  (void)state;
  pm_energy_domain d[PM_ENERGY_MAX_DOMAINS];
  pm_energy *e = open_with(0, "./no-such-library.so");
  assert_int_equal(pm_energy_read(e, d), 0);
  pm_energy_close(e);
  pm_energy_close(NULL);
}

static void test_counter(void **state) {
  (void)state;
  pm_energy_domain d[PM_ENERGY_MAX_DOMAINS];
  put(RAPL "name", "package-0");
  put(RAPL "max_energy_range_uj", "999999");
  put(RAPL "energy_uj", "900000");
  put("class/powercap/intel-rapl:1/name", "psys");
  pm_energy *e = open_with(-1, "");
  assert_int_equal(pm_energy_read(e, d), 1);
  assert_string_equal(d[0].name, "processor package-0");
  assert_true(d[0].covers == PM_ENERGY_PACKAGE && d[0].counter && d[0].counted);
  assert_true(d[0].joules == 0 && d[0].samples == 1);
  put(RAPL "energy_uj", "950000");
  pm_energy_read(e, d);
  assert_float_equal(d[0].joules, 0.05, 1e-6);
  put(RAPL "energy_uj", "150000");  // past its end
  pm_energy_read(e, d);
  assert_float_equal(d[0].joules, 0.25, 1e-6);
  take(RAPL "energy_uj");
  pm_energy_read(e, d);
  assert_true(d[0].samples == 3 && *d[0].reason);
  put(RAPL "energy_uj", "700000");  // back: what was missed stays unknown
  pm_energy_read(e, d);
  assert_float_equal(d[0].joules, 0.25, 1e-6);
  assert_string_equal(d[0].reason, "");
  put(RAPL "energy_uj", "nonsense");
  pm_energy_read(e, d);
  assert_true(*d[0].reason);
  pm_energy_close(e);
}

static void test_permission(void **state) {
  (void)state;
  pm_energy_domain d[PM_ENERGY_MAX_DOMAINS];
  put(RAPL "name", "package-0");
  put(RAPL "energy_uj", "1");
  char path[256];
  snprintf(path, sizeof path, "%s/%s", root, RAPL "energy_uj");
  if (geteuid() == 0) {  // who may read everything: a folder cannot be read as a file, either
    remove(path);
    assert_int_equal(pm_file_make_dirs(path), PM_OK);
  } else if (chmod(path, 0)) {
    fail();
  }
  pm_energy *e = open_with(-1, "");
  assert_int_equal(pm_energy_read(e, d), 1);
  assert_true(d[0].samples == 0 && d[0].joules == 0);
  assert_non_null(strstr(d[0].reason, geteuid() ? "permission" : "directory"));
  pm_energy_close(e);
}

// Power is integrated; the processor of an APU is not counted twice.
static void test_power(void **state) {
  (void)state;
  pm_energy_domain d[PM_ENERGY_MAX_DOMAINS];
  put(HWMON "name", "amdgpu");
  put(HWMON "power1_average", "20000000");
  put(HWMON "in1_input", "900");
  put(RAPL "name", "package-0");
  put(RAPL "energy_uj", "0");
  pm_energy *e = open_with(-1, "");
  assert_int_equal(pm_energy_read(e, d), 2);
  double began = pm_clock_seconds();
  assert_true(d[0].covers == PM_ENERGY_APU && !d[0].counter && d[0].counted && !d[1].counted);
  pm_clock_wait(began + 0.05);
  put(HWMON "power1_average", "40000000");
  pm_energy_read(e, d);
  double seconds = pm_clock_seconds() - began;
  assert_true(d[0].joules > 30 * 0.05 && d[0].joules <= 30 * seconds * 1.01);
  pm_energy_close(e);
}

static void test_thread(void **state) {
  (void)state;
  pm_energy_domain d[PM_ENERGY_MAX_DOMAINS];
  put("class/drm/card0/device/hwmon/hwmon0/name", "xe");
  put("class/drm/card0/device/hwmon/hwmon0/energy1_input", "5000000");
  pm_energy *e = open_with(0.001, "");
  do assert_int_equal(pm_energy_read(e, d), 1);
  while (d[0].samples < 200);
  assert_true(d[0].covers == PM_ENERGY_GPU && d[0].counter);
  put("class/drm/card0/device/hwmon/hwmon0/energy1_input", "7000000");
  pm_energy_read(e, d);
  assert_float_equal(d[0].joules, 2, 1e-6);
  pm_energy_close(e);
}

static void test_nvml(void **state) {
  (void)state;
  pm_energy_domain d[PM_ENERGY_MAX_DOMAINS];
  pm_energy *e = open_with(-1, PM_FAKE_NVML);  // each call counts 500 mJ more; the second card tells power alone: 100 W
  assert_int_equal(pm_energy_read(e, d), 2);
  assert_true(d[0].counter && !d[1].counter && d[0].covers == PM_ENERGY_GPU);
  double began = pm_clock_seconds();
  pm_clock_wait(began + 0.02);
  pm_energy_read(e, d);
  assert_float_equal(d[0].joules, 0.5, 1e-6);
  assert_true(d[1].joules > 1.99 && d[1].joules < 100 * (pm_clock_seconds() - began) * 1.5);
  pm_energy_close(e);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_no_sensor, make_root, remove_root),
      cmocka_unit_test_setup_teardown(test_counter, make_root, remove_root),
      cmocka_unit_test_setup_teardown(test_permission, make_root, remove_root),
      cmocka_unit_test_setup_teardown(test_power, make_root, remove_root),
      cmocka_unit_test_setup_teardown(test_thread, make_root, remove_root),
      cmocka_unit_test_setup_teardown(test_nvml, make_root, remove_root),
  };
  return cmocka_run_group_tests_name("energy", tests, NULL, NULL);
}
