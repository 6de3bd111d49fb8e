// The built-in self-test: every op on a device against the double-precision CPU reference, with small random inputs.
#ifndef PM_SELFTEST_H
#define PM_SELFTEST_H

#include <stdbool.h>

#include "status.h"

// Called for every case with its worst normalized mean square error; a false return stops the test (PM_ERR_CANCELLED).
typedef bool pm_selftest_fn(void *user, const char *kernel, bool passed, double worst_error, const char *detail);

typedef struct pm_selftest_desc {
  const char *device;     // as for opening a model; NULL, "" or "cpu" tests the CPU's fast path
  const char *cache_dir;  // where a device's wrong kernels are kept; NULL = nowhere
  const char *group;      // only the cases of a weight format, or "rows"; NULL = all
  pm_selftest_fn *report;
  void *user;
} pm_selftest_desc;

// Kernels of a device that fail are found among those that could serve, kept, and passed over from then on; then the cases are tested with
// what is left. PM_ERR_DEVICE if a case failed and nothing else can serve.
pm_status pm_selftest(const pm_selftest_desc *desc) PM_MUST_USE;

#endif
