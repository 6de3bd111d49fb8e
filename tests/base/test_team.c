// The team: every thread runs, barriers hold everybody, work is handed out once. Plain variables are shared on purpose: a missing
// happens-before shows under ThreadSanitizer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
// cmocka needs the four above
#include <cmocka.h>

#include "clock.h"
#include "thread.h"

enum { MAX_THREAD = 8 };

typedef struct shared {
  pm_team *team;
  uint32_t n_round, n_item;
  uint32_t slot[MAX_THREAD];
  uint32_t taken[10000];
  uint32_t wrong[MAX_THREAD];
  uint32_t late;  // this thread arrives late at every barrier
} shared;

static void nap(long nanoseconds) { nanosleep(&(struct timespec){.tv_nsec = nanoseconds}, NULL); }

static pm_team *create(uint32_t n) {
  pm_team *team;
  assert_int_equal(pm_team_create(n, &team), PM_OK);
  assert_int_equal(pm_team_size(team), n);
  return team;
}

static void count_self(void *arg, uint32_t thread, uint32_t n_thread) {
  shared *s = arg;
  s->slot[thread]++;
  s->wrong[thread] += n_thread != pm_team_size(s->team);
}

static void every_thread_runs_once(void **state) {
  (void)state;
  for (uint32_t n = 1; n <= MAX_THREAD; n++) {
    shared s = {.team = create(n)};
    for (uint32_t run = 1; run <= 200; run++) {
      pm_team_run(s.team, count_self, &s);
      for (uint32_t i = 0; i < MAX_THREAD; i++) assert_int_equal(s.slot[i], i < n ? run : 0);
      for (uint32_t i = 0; i < n; i++) assert_int_equal(s.wrong[i], 0);
    }
    pm_team_destroy(s.team);
  }
}

// Each thread writes its round, meets the others, and must find everybody's round equal to its own.
static void meet(void *arg, uint32_t thread, uint32_t n_thread) {
  shared *s = arg;
  for (uint32_t round = 1; round <= s->n_round; round++) {
    if (thread == s->late) nap(2000000);
    s->slot[thread] = round;
    pm_team_barrier(s->team);
    for (uint32_t i = 0; i < n_thread; i++) s->wrong[thread] += s->slot[i] != round;
    pm_team_barrier(s->team);
  }
}

static void barriers_hold_everybody(uint32_t n, uint32_t n_round, uint32_t late) {
  shared s = {.team = create(n), .n_round = n_round, .late = late};
  pm_team_run(s.team, meet, &s);
  for (uint32_t i = 0; i < n; i++) {
    assert_int_equal(s.slot[i], n_round);
    assert_int_equal(s.wrong[i], 0);
  }
  pm_team_destroy(s.team);
}

// Inside the barrier everybody has arrived, and nobody goes on before the work there is done.
static void count_round(void *arg) {
  shared *s = arg;
  s->n_item++;
  for (uint32_t i = 0; i < pm_team_size(s->team); i++) s->wrong[i] += s->slot[i] != s->n_item;
}

static void meet_and_work(void *arg, uint32_t thread, uint32_t n_thread) {
  shared *s = arg;
  (void)n_thread;
  for (uint32_t round = 1; round <= s->n_round; round++) {
    s->slot[thread] = round;
    pm_team_barrier_solo(s->team, count_round, s);
    s->wrong[thread] += s->n_item != round;
  }
}

static void one_works_inside_a_barrier(void **state) {
  (void)state;
  for (uint32_t n = 1; n <= 4; n++) {
    shared s = {.team = create(n), .n_round = 3000};
    pm_team_run(s.team, meet_and_work, &s);
    assert_int_equal(s.n_item, s.n_round);
    for (uint32_t i = 0; i < n; i++) assert_int_equal(s.wrong[i], 0);
    pm_team_destroy(s.team);
  }
}

static void barrier_stress(void **state) {
  (void)state;
  barriers_hold_everybody(1, 1000, MAX_THREAD);
  barriers_hold_everybody(2, 20000, MAX_THREAD);
  barriers_hold_everybody(MAX_THREAD, 2000, MAX_THREAD);  // more threads than cores, on most machines that test this
}

static void waiters_sleep_and_wake(void **state) {
  (void)state;
  for (uint32_t late = 0; late < 3; late++) barriers_hold_everybody(3, 20, late);
}

static void take_all(void *arg, uint32_t thread, uint32_t n_thread) {
  (void)thread, (void)n_thread;
  shared *s = arg;
  for (uint32_t i; (i = pm_team_take(s->team)) < s->n_item;) s->taken[i]++;
}

static void work_is_handed_out_once(void **state) {
  (void)state;
  shared s = {.team = create(4), .n_item = sizeof s.taken / sizeof *s.taken};
  for (uint32_t run = 1; run <= 20; run++) {
    pm_team_take_reset(s.team);
    pm_team_run(s.team, take_all, &s);
    for (uint32_t i = 0; i < s.n_item; i++) assert_int_equal(s.taken[i], run);
  }
  pm_team_destroy(s.team);
}

static void idle_workers_wake(void **state) {
  (void)state;
  shared s = {.team = create(4)};
  for (uint32_t run = 1; run <= 20; run++) {
    nap(3000000);  // long enough for all of them to fall asleep
    pm_team_run(s.team, count_self, &s);
    for (uint32_t i = 0; i < 4; i++) assert_int_equal(s.slot[i], run);
  }
  pm_team_destroy(s.team);
}

static void waiting_costs_no_cpu(void **state) {
  (void)state;
  pm_team *team = create(4);
  nap(20000000);
  clock_t before = clock();
  nap(300000000);
  double spent = (double)(clock() - before) / CLOCKS_PER_SEC;
  pm_team_destroy(team);
  assert_true(spent < 0.05);
}

static void create_and_destroy(void **state) {
  (void)state;
  for (uint32_t i = 0; i < 200; i++) pm_team_destroy(create(1 + i % MAX_THREAD));
  pm_team_destroy(NULL);
}

static void default_size(void **state) {
  (void)state;
  pm_team *team;
  assert_int_equal(pm_team_create(0, &team), PM_OK);
  assert_int_equal(pm_team_size(team), pm_thread_physical_cores());
  assert_true(pm_team_size(team) >= 1);
  pm_team_destroy(team);
  assert_int_equal(pm_team_create(1000000, &team), PM_ERR_ARGUMENT);
  assert_null(team);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_thread_runs_once), cmocka_unit_test(barrier_stress),          cmocka_unit_test(one_works_inside_a_barrier),
      cmocka_unit_test(waiters_sleep_and_wake), cmocka_unit_test(work_is_handed_out_once), cmocka_unit_test(idle_workers_wake),
      cmocka_unit_test(waiting_costs_no_cpu),   cmocka_unit_test(create_and_destroy),      cmocka_unit_test(default_size),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
