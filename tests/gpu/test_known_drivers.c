// Drivers as they would describe themselves, against the table of those that are known to go wrong. No device is needed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "known_drivers.h"
#include "spirv.h"

static uint32_t intel_windows(uint32_t major, uint32_t minor) { return major << 14 | minor; }

static pm_gpu_probe probe_of(VkDriverId driver, uint32_t vendor, pm_gpu_kind kind, uint32_t version) {
  pm_gpu_probe p = {.driver = driver, .driver_version = version, .needs = PM_NEED_F16 | PM_NEED_DOT8};
  p.info = (pm_gpu_info){.usable = true, .kind = kind, .vendor_id = vendor, .memory_total = 8ull << 30};
  snprintf(p.info.name, sizeof p.info.name, "card of %04x", vendor);
  pm_gpu_known_drivers_apply(&p);
  return p;
}

static void versions_have_bounds(void **state) {
  (void)state;
  const struct {
    uint32_t minor;
    pm_gpu_kind kind;
    bool avoid;
  } cases[] = {{5332, PM_GPU_INTEGRATED, false},
               {5333, PM_GPU_INTEGRATED, true},
               {6737, PM_GPU_INTEGRATED, true},
               {6790, PM_GPU_INTEGRATED, false},
               {5333, PM_GPU_DISCRETE, false}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pm_gpu_probe p = probe_of(VK_DRIVER_ID_INTEL_PROPRIETARY_WINDOWS, 0x8086, cases[i].kind, intel_windows(101, cases[i].minor));
    assert_int_equal(p.info.avoid, cases[i].avoid);
    assert_true(!strstr(p.info.known, "at random") == !cases[i].avoid);
    assert_true(p.no_matrix);
  }
}

static void what_goes_wrong_is_disabled(void **state) {
  (void)state;
  pm_gpu_probe p = probe_of(VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA, 0x8086, PM_GPU_DISCRETE, VK_MAKE_API_VERSION(0, 25, 0, 7));
  assert_int_equal(p.needs, PM_NEED_DOT8);
  assert_true(!p.info.avoid && strstr(p.info.known, "https://") != NULL);
  p = probe_of(VK_DRIVER_ID_MESA_RADV, 0x1002, PM_GPU_DISCRETE, VK_MAKE_API_VERSION(0, 25, 0, 7));
  assert_int_equal(p.needs, PM_NEED_F16 | PM_NEED_DOT8);
  assert_true(!p.info.avoid && !p.no_matrix && !p.info.known[0]);
}

static void avoided_devices_are_taken_when_named(void **state) {
  (void)state;
  uint32_t chosen;
  pm_gpu_probe probes[2] = {probe_of(VK_DRIVER_ID_MOLTENVK, 0x1002, PM_GPU_DISCRETE, VK_MAKE_API_VERSION(0, 1, 2, 0)),
                            probe_of(VK_DRIVER_ID_MOLTENVK, 0x8086, PM_GPU_INTEGRATED, VK_MAKE_API_VERSION(0, 1, 2, 0))};
  assert_true(probes[0].info.avoid && !probes[1].info.avoid);
  assert_int_equal(pm_gpu_choose(probes, 2, NULL, &chosen), PM_OK);
  assert_int_equal(chosen, 1);
  assert_int_equal(pm_gpu_choose(probes, 2, "card of 1002", &chosen), PM_OK);
  assert_int_equal(chosen, 0);
  assert_int_equal(pm_gpu_choose(probes, 1, NULL, &chosen), PM_ERR_UNSUPPORTED);
  assert_non_null(strstr(pm_fail_message(), "sums over subgroups"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(versions_have_bounds),
      cmocka_unit_test(what_goes_wrong_is_disabled),
      cmocka_unit_test(avoided_devices_are_taken_when_named),
  };
  return cmocka_run_group_tests_name("known_drivers", tests, NULL, NULL);
}
