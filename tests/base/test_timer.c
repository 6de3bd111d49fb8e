// The timer: never early, soon after, replaced and taken back. The record of calls is a plain variable on purpose: ThreadSanitizer would
// show a call that runs beyond pm_timer_cancel.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>
// cmocka needs the four above
#include <cmocka.h>

#include "clock.h"
#include "timer.h"

typedef struct calls {
  uint32_t n;
  uint64_t value;
  double at;
} calls;

static void note(void *user, uint64_t value) {
  calls *c = user;
  c->n++;
  c->value = value;
  c->at = pm_clock_seconds();
}

static void nap(double seconds) { nanosleep(&(struct timespec){.tv_nsec = (long)(seconds * 1e9)}, NULL); }

static void calls_in_time(void **state) {
  (void)state;
  static const double delays[] = {-1, 0, 20e-6, 100e-6, 400e-6, 3e-3, 20e-3};
  calls c = {0};
  pm_timer *t;
  assert_int_equal(pm_timer_create(note, &c, &t), PM_OK);
  for (uint32_t i = 0; i < sizeof delays / sizeof *delays; i++) {
    double when = pm_clock_seconds() + delays[i];
    pm_timer_set(t, when, 100 + i);
    nap((delays[i] > 0 ? delays[i] : 0) + 0.05);
    pm_timer_cancel(t);
    assert_int_equal(c.n, i + 1);
    assert_int_equal(c.value, 100 + i);
    assert_true(c.at >= when);
  }
  pm_timer_destroy(t);
}

static void what_is_taken_back_does_not_happen(void **state) {
  (void)state;
  calls c = {0};
  pm_timer *t;
  assert_int_equal(pm_timer_create(note, &c, &t), PM_OK);
  pm_timer_set(t, pm_clock_seconds() + 0.01, 1);
  pm_timer_cancel(t);
  nap(0.03);
  pm_timer_cancel(t);
  assert_int_equal(c.n, 0);
  pm_timer_set(t, pm_clock_seconds() + 0.02, 2);
  pm_timer_set(t, pm_clock_seconds(), 3);
  nap(0.1);
  pm_timer_cancel(t);
  assert_int_equal(c.n, 1);
  assert_int_equal(c.value, 3);
  pm_timer_set(t, pm_clock_seconds() + 0.01, 4);
  pm_timer_destroy(t);
  nap(0.03);
  assert_int_equal(c.n, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(calls_in_time), cmocka_unit_test(what_is_taken_back_does_not_happen)};
  return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
