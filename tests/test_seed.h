// Where a test's random inputs begin: anew in every run, so that runs add up, or as PUMICE_TEST_SEED says, to repeat one that failed.
#ifndef PM_TEST_SEED_H
#define PM_TEST_SEED_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

// The same at every call in a process. The first call prints it.
static inline uint64_t test_seed(void) {
  static uint64_t seed;
  static bool known;
  if (known) return seed;
  known = true;
  const char *given = getenv("PUMICE_TEST_SEED");
  struct timespec now;
  timespec_get(&now, TIME_UTC);
  seed = given ? strtoull(given, NULL, 10) : (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
  printf("# random inputs: PUMICE_TEST_SEED=%llu repeats them\n", (unsigned long long)seed);
  return seed;
}

#endif
