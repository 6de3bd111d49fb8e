// As much of cmocka as the tests of the CPU backend use, in the C library alone: there is no cmocka for a cross compiler. Prints TAP; the
// first failure ends the program. With the environment's TEST_ONLY, cases that it names.
#ifndef PM_ARM64_CMOCKA_H
#define PM_ARM64_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define print_message printf

#define fail_msg(...)                             \
  do {                                            \
    printf("%s:%d: error: ", __FILE__, __LINE__); \
    printf(__VA_ARGS__), printf("\n"), exit(1);   \
  } while (0)

#define assert_true(c)                      \
  do {                                      \
    if (!(c)) fail_msg("not true: %s", #c); \
  } while (0)
#define assert_false(c) assert_true(!(c))
#define assert_null(p) assert_true((p) == NULL)
#define assert_non_null(p) assert_true((p) != NULL)
#define assert_ptr_equal(a, b) assert_true((a) == (b))
#define assert_int_equal(a, b) assert_true((long long)(a) == (long long)(b))
#define assert_string_equal(a, b) assert_true(!strcmp(a, b))
#define assert_memory_equal(a, b, n) assert_true(!memcmp(a, b, n))

struct CMUnitTest {
  const char *name;
  void (*run)(void **state);
};
#define cmocka_unit_test(f) \
  { #f, f }

#define cmocka_run_group_tests(tests, setup, teardown) cmocka_run(tests, sizeof(tests) / sizeof *(tests), setup, teardown)

typedef int cmocka_fixture(void **state);

static inline int cmocka_run(const struct CMUnitTest *tests, size_t n, cmocka_fixture *setup, cmocka_fixture *teardown) {
  void *state = NULL;
  const char *only = getenv("TEST_ONLY");
  size_t n_run = 0;
  if (setup && setup(&state)) fail_msg("the setup failed");
  for (size_t i = 0; i < n; i++) {
    if (only && !strstr(only, tests[i].name)) continue;
    tests[i].run(&state);
    printf("ok %zu - %s\n", ++n_run, tests[i].name);
    fflush(stdout);
  }
  printf("1..%zu\n", n_run);
  return teardown ? teardown(&state) : 0;
}

#endif
