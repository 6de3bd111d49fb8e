// The mailbox between the server's two threads: nobody sleeps while there is something for him, events come whole and in order, and
// the choices of a request are taken together or not at all.
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "mailbox.h"

enum { N_JOB = 3000, N_EVENT = 5, PATIENCE_MS = 60000 };

void pm_request_free(struct pm_request *request);  // of apps/serve/request.h; jobs without requests call it, too
void pm_request_free(struct pm_request *request) { assert_null(request); }

// ---- sleep ----

static void yield_sometimes(unsigned *seed) {
  if (rand_r(seed) % 8 == 0) sched_yield();
}

// Ends jobs in the order they came in, and sleeps whenever there is none.
static void *engine(void *user) {
  pm_mailbox *m = user;
  unsigned seed = 1;
  for (pm_job *job; (job = pm_mailbox_take(m, true));) {
    for (int i = 0; i < N_EVENT; i++) {
      yield_sometimes(&seed);
      pm_job_post(m, job, i + 1 < N_EVENT ? PM_EVENT_TEXT : PM_EVENT_DONE, NULL, (char[]){(char)i}, 1);
    }
    pm_job_release(job);
  }
  return NULL;
}

static void submit_one(pm_mailbox *m, unsigned *counts, unsigned number) {
  pm_job *job = pm_job_create(NULL);
  counts[number] = 0;
  job->owner = &counts[number];
  assert_true(pm_mailbox_submit(m, &job, 1));
  pm_job_release(job);
}

// Takes what is there as the server does; how many jobs have ended.
static unsigned collect(pm_mailbox *m) {
  unsigned n_ended = 0;
  pm_event *events;
  for (pm_job *job; (job = pm_mailbox_collect(m, &events)); pm_job_release(job))
    for (pm_event *event = events, *next; event; event = next) {
      unsigned *count = job->owner;
      next = event->next;
      assert_int_equal(event->text[0], (*count)++);
      n_ended += event->kind == PM_EVENT_DONE;
      pm_event_free(event);
    }
  return n_ended;
}

// At most three jobs are under way, often one: then each side sleeps until the other wakes it. Whoever is not woken is missed here.
static void nobody_oversleeps(void **state) {
  (void)state;
  static unsigned counts[N_JOB];
  pm_mailbox m;
  pthread_t thread;
  unsigned seed = 2, n_sent = 0, n_ended = 0;
  assert_true(pm_mailbox_init(&m));
  pm_mailbox_set_limit(&m, 3);
  assert_int_equal(pthread_create(&thread, NULL, engine, &m), 0);
  while (n_ended < N_JOB) {
    unsigned most = 1 + (unsigned)rand_r(&seed) % 3;
    while (n_sent < N_JOB && n_sent - n_ended < most) submit_one(&m, counts, n_sent++);
    assert_int_equal(poll(&(struct pollfd){.fd = m.wake_in, .events = POLLIN}, 1, PATIENCE_MS), 1);
    char bytes[64];
    while (read(m.wake_in, bytes, sizeof bytes) > 0) {}
    yield_sometimes(&seed);
    n_ended += collect(&m);
  }
  for (unsigned i = 0; i < N_JOB; i++) assert_int_equal(counts[i], N_EVENT);
  pm_mailbox_stop(&m);
  pthread_join(thread, NULL);
  assert_int_equal(m.n_open, 0);
  pm_mailbox_finish(&m);
}

// ---- choices ----

static json_t *never_called(struct pm_worker *worker, struct pm_job *job, void *argument) {
  (void)worker, (void)job, (void)argument;
  fail();
  return NULL;
}

static void all_or_none(void **state) {
  (void)state;
  pm_mailbox m;
  pm_job *jobs[3] = {pm_job_create(NULL)}, *other = pm_job_create(NULL), *call = pm_job_create(NULL);
  for (int i = 1; i < 3; i++) jobs[i] = pm_job_create(jobs[0]);
  call->call = never_called;
  assert_true(pm_mailbox_init(&m));
  pm_mailbox_set_limit(&m, 2);
  assert_false(pm_mailbox_submit(&m, jobs, 3));
  assert_null(pm_mailbox_take(&m, false));
  pm_mailbox_set_limit(&m, 3);
  assert_int_equal(pm_mailbox_limit(&m), 3);
  assert_true(pm_mailbox_submit(&m, jobs, 3));
  assert_false(pm_mailbox_submit(&m, &other, 1));
  assert_true(pm_mailbox_submit(&m, &call, 1));  // which needs no slot
  for (int i = 0; i < 3; i++) {
    pm_job *job = pm_mailbox_take(&m, false);
    assert_ptr_equal(job, jobs[i]);
    pm_job_release(jobs[i]);  // the client has left; a follower keeps its leader
    pm_job_fail(&m, job, 500, "ends");
    pm_job_release(job);
  }
  assert_true(pm_mailbox_submit(&m, &other, 1));
  pm_job_release(other);
  pm_job_release(call);
  pm_mailbox_finish(&m);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(nobody_oversleeps), cmocka_unit_test(all_or_none)};
  return cmocka_run_group_tests_name("mailbox", tests, NULL, NULL);
}
