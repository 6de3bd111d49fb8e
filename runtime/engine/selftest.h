// The built-in self-test: every op on a device against the double-precision CPU reference, with small random inputs.
#ifndef PM_SELFTEST_H
#define PM_SELFTEST_H

#include <stdbool.h>

#include "status.h"

// Called for every case with its worst normalized mean square error; a false return stops the test (PM_ERR_CANCELLED).
typedef bool pm_selftest_fn(void *user, const char *kernel, bool passed, double worst_error, const char *detail);

// device: as for opening a model; NULL, "" or "cpu" tests the CPU's fast path. PM_ERR_DEVICE if a case failed.
pm_status pm_selftest(const char *device, pm_selftest_fn *report, void *user) PM_MUST_USE;

#endif
