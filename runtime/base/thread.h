// A team of threads that runs one function at a time: fork, a spin barrier inside, join.
#ifndef PM_THREAD_H
#define PM_THREAD_H

#include <stdint.h>

#include "status.h"

typedef struct pm_team pm_team;
typedef void pm_team_fn(void *arg, uint32_t thread, uint32_t n_thread);

// n_thread counts the caller; 0 = one per physical core that this process may use.
pm_status pm_team_create(uint32_t n_thread, pm_team **out) PM_MUST_USE;
void pm_team_destroy(pm_team *team);
uint32_t pm_team_size(const pm_team *team);

// Runs fn on every thread of the team, the caller being thread 0; returns when all are done. Allocates nothing.
void pm_team_run(pm_team *team, pm_team_fn *fn, void *arg);

// Inside fn: waits until every thread of the team has arrived; spins first, sleeps when the wait is long.
void pm_team_barrier(pm_team *team);

// A barrier with work inside: whoever arrives last runs fn, and the others go on when it is done. Saves a barrier where one thread has
// something to do between two parallel parts.
typedef void pm_team_solo_fn(void *arg);
void pm_team_barrier_solo(pm_team *team, pm_team_solo_fn *fn, void *arg);

// A counter that hands out work inside fn: returns the next index, shared by all threads. Reset before pm_team_run or between two barriers.
uint32_t pm_team_take(pm_team *team);
void pm_team_take_reset(pm_team *team);

uint32_t pm_thread_physical_cores(void);

// For loops that wait for another thread or a device: lets the core's other thread run, and saves power.
void pm_thread_pause(void);

#endif
