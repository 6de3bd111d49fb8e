// Which device a program tests.
#ifndef PM_GPU_UNDER_TEST_H
#define PM_GPU_UNDER_TEST_H

#include <stdio.h>
#include <stdlib.h>

#include "backend.h"

enum { SKIP = 77 };

// The number in PUMICE_TEST_DEVICE, or 0. Returns what the program should exit with if it cannot be opened, and prints why; 0 if it can.
static inline int choose_gpu(const char **name) {
  const char *wanted = getenv("PUMICE_TEST_DEVICE");
  *name = wanted && *wanted ? wanted : "0";
  pm_backend *b;
  pm_status status = pm_gpu_create(&(pm_gpu_desc){.device = *name}, &b);
  if (status == PM_OK) return b->ops->destroy(b), 0;
  printf("%s: %s\n", status == PM_ERR_UNSUPPORTED ? "skip" : "failed", pm_fail_message());
  return status == PM_ERR_UNSUPPORTED ? SKIP : 1;
}

#endif
