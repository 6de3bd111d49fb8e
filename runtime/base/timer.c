#include "timer.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "clock.h"
#include "memory.h"
#include "thread.h"

// A sleep ends this much later than asked at worst, on an idle machine; the rest of the time is spun away.
static const double slack_seconds = 150e-6;

struct pm_timer {
  pthread_t thread;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  pm_timer_fn *fn;
  void *user;
  bool quit, pending;
  double when;
  uint64_t value;
  atomic_uint set;  // one more whenever one of the four above changes
};

static void sleep_until(pm_timer *t, double when) {
  struct timespec at = {.tv_sec = (time_t)when, .tv_nsec = (long)((when - (double)(time_t)when) * 1e9)};
  pthread_cond_timedwait(&t->changed, &t->mutex, &at);
}

// Without the lock, so that the call can be taken back meanwhile.
static void spin_until(pm_timer *t, double when) {
  unsigned set = atomic_load(&t->set);
  pthread_mutex_unlock(&t->mutex);
  while (pm_clock_seconds() < when && atomic_load(&t->set) == set) pm_thread_pause();
  pthread_mutex_lock(&t->mutex);
}

static void *timer_main(void *p) {
  pm_timer *t = p;
  pthread_mutex_lock(&t->mutex);
  while (!t->quit) {
    double left = t->pending ? t->when - pm_clock_seconds() : 0;
    if (!t->pending)
      pthread_cond_wait(&t->changed, &t->mutex);
    else if (left > slack_seconds)
      sleep_until(t, t->when - slack_seconds);
    else if (left > 0)
      spin_until(t, t->when);
    else {
      t->pending = false;
      t->fn(t->user, t->value);
    }
  }
  pthread_mutex_unlock(&t->mutex);
  return NULL;
}

static void change(pm_timer *t, bool quit, bool pending, double when, uint64_t value) {
  pthread_mutex_lock(&t->mutex);
  t->quit = quit, t->pending = pending, t->when = when, t->value = value;
  atomic_fetch_add(&t->set, 1);
  pthread_cond_signal(&t->changed);
  pthread_mutex_unlock(&t->mutex);
}

void pm_timer_set(pm_timer *t, double when, uint64_t value) { change(t, false, true, when, value); }

void pm_timer_cancel(pm_timer *t) { change(t, false, false, 0, 0); }

pm_status pm_timer_create(pm_timer_fn *fn, void *user, pm_timer **out) {
  pm_timer *t;
  *out = NULL;
  PM_NEW(&t, 1, "timer");
  t->fn = fn, t->user = user;
  pthread_condattr_t clock;
  pthread_condattr_init(&clock);
  pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
  pthread_mutex_init(&t->mutex, NULL);
  pthread_cond_init(&t->changed, &clock);
  pthread_condattr_destroy(&clock);
  sigset_t all, old;  // signals are for the program's own threads
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int error = pthread_create(&t->thread, NULL, timer_main, t);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (error) {
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->mutex);
    pm_free(t);
    PM_FAIL(PM_ERR_MEMORY, "cannot start the timer's thread (system error %d)", error);
  }
  *out = t;
  return PM_OK;
}

void pm_timer_destroy(pm_timer *t) {
  if (!t) return;
  change(t, true, false, 0, 0);
  pthread_join(t->thread, NULL);
  pthread_cond_destroy(&t->changed);
  pthread_mutex_destroy(&t->mutex);
  pm_free(t);
}
