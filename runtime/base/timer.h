// Calls a function at a moment, on a thread of its own, to some ten microseconds.
#ifndef PM_TIMER_H
#define PM_TIMER_H

#include <stdint.h>

#include "status.h"

typedef struct pm_timer pm_timer;
typedef void pm_timer_fn(void *user, uint64_t value);  // short; must not call the timer

pm_status pm_timer_create(pm_timer_fn *fn, void *user, pm_timer **out) PM_MUST_USE;
void pm_timer_destroy(pm_timer *t);  // what is set does not happen; NULL is fine

// fn(user, value) at `when` of pm_clock_seconds, or at once if that has passed. One call can be set at a time: a new one replaces it.
void pm_timer_set(pm_timer *t, double when, uint64_t value);

// Afterwards fn is not running, and will not run until set again.
void pm_timer_cancel(pm_timer *t);

#endif
