#define _GNU_SOURCE  // CPU affinity
#include "thread.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

#include "clock.h"
#include "memory.h"

// A thread that waits spins this long before it sleeps: longer than the serial code between two steps of a small model, shorter than
// what anyone would notice on a power meter. A sleeper costs its waker a system call and itself some 50 us.
#define SPIN_SECONDS 100e-6

enum { CACHE_LINE = 64, MAX_CPU = CPU_SETSIZE, MAX_THREAD = 1024 };

// What a waiter watches: it changes from one value to another and somebody may be asleep until then.
typedef struct signal_word {
  _Alignas(CACHE_LINE) atomic_uint value;
  atomic_uint n_asleep;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
} signal_word;

struct pm_team {
  signal_word fork;     // one more for every pm_team_run
  signal_word barrier;  // one more for every barrier passed by all
  _Alignas(CACHE_LINE) atomic_uint n_arrived;
  _Alignas(CACHE_LINE) atomic_uint next_index;
  _Alignas(CACHE_LINE) uint32_t n_thread;
  bool may_spin;
  pm_team_fn *fn;  // written before fork.value, read after it; NULL ends the workers
  void *arg;
  uint32_t n_started;
  struct worker {
    pm_team *team;
    uint32_t index;
    pthread_t thread;
  } workers[];  // of thread 1 and up
};

void pm_thread_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

static void signal_init(signal_word *s) {
  atomic_init(&s->value, 0);
  atomic_init(&s->n_asleep, 0);
  pthread_mutex_init(&s->mutex, NULL);
  pthread_cond_init(&s->changed, NULL);
}

static void signal_finish(signal_word *s) {
  pthread_cond_destroy(&s->changed);
  pthread_mutex_destroy(&s->mutex);
}

// Sequential consistency between `value` and `n_asleep` on both sides: either the waker sees the sleeper or the sleeper sees the new value.
static void signal_advance(signal_word *s) {
  atomic_fetch_add(&s->value, 1);
  if (!atomic_load(&s->n_asleep)) return;
  pthread_mutex_lock(&s->mutex);
  pthread_cond_broadcast(&s->changed);
  pthread_mutex_unlock(&s->mutex);
}

static void signal_sleep(signal_word *s, uint32_t old) {
  pthread_mutex_lock(&s->mutex);
  atomic_fetch_add(&s->n_asleep, 1);
  while (atomic_load(&s->value) == old) pthread_cond_wait(&s->changed, &s->mutex);
  atomic_fetch_sub(&s->n_asleep, 1);
  pthread_mutex_unlock(&s->mutex);
}

static void signal_wait(signal_word *s, uint32_t old, bool may_spin) {
  double start = 0;
  for (uint32_t round = 0; may_spin; round++) {
    for (int i = 0; i < 64; i++) {
      if (atomic_load_explicit(&s->value, memory_order_acquire) != old) return;
      pm_thread_pause();
    }
    double now = pm_clock_seconds();
    if (!round) start = now;
    if (now - start > SPIN_SECONDS) break;
  }
  signal_sleep(s, old);
}

void pm_team_barrier_solo(pm_team *team, pm_team_solo_fn *fn, void *arg) {
  if (team->n_thread == 1) {
    fn(arg);
    return;
  }
  uint32_t phase = atomic_load_explicit(&team->barrier.value, memory_order_relaxed);  // cannot move on before this thread arrives
  if (atomic_fetch_add_explicit(&team->n_arrived, 1, memory_order_acq_rel) + 1 < team->n_thread) {
    signal_wait(&team->barrier, phase, team->may_spin);
    return;
  }
  atomic_store_explicit(&team->n_arrived, 0, memory_order_relaxed);
  fn(arg);
  signal_advance(&team->barrier);
}

static void nothing(void *arg) { (void)arg; }

void pm_team_barrier(pm_team *team) { pm_team_barrier_solo(team, nothing, NULL); }

static void *worker_main(void *p) {
  struct worker *w = p;
  pm_team *team = w->team;
  for (uint32_t ticket = 0;; ticket++) {
    signal_wait(&team->fork, ticket, team->may_spin);
    if (!team->fn) return NULL;
    team->fn(team->arg, w->index, team->n_thread);
    pm_team_barrier(team);
  }
}

void pm_team_run(pm_team *team, pm_team_fn *fn, void *arg) {
  if (team->n_thread > 1) {
    team->fn = fn, team->arg = arg;
    signal_advance(&team->fork);
  }
  fn(arg, 0, team->n_thread);
  pm_team_barrier(team);
}

uint32_t pm_team_take(pm_team *team) { return atomic_fetch_add_explicit(&team->next_index, 1, memory_order_relaxed); }

void pm_team_take_reset(pm_team *team) { atomic_store_explicit(&team->next_index, 0, memory_order_relaxed); }

uint32_t pm_team_size(const pm_team *team) { return team->n_thread; }

// The first CPU of the physical core that `cpu` belongs to; `cpu` itself where the system does not say.
static uint32_t core_of(uint32_t cpu) {
  char path[96];
  uint32_t first = cpu;
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/topology/thread_siblings_list", cpu);
  FILE *f = fopen(path, "r");
  if (!f) return cpu;
  if (fscanf(f, "%u", &first) != 1) first = cpu;
  fclose(f);
  return first;
}

// CPUs' worth of time that a container grants; MAX_CPU if there is no limit.
static uint32_t cpu_quota(void) {
  FILE *f = fopen("/sys/fs/cgroup/cpu.max", "r");
  if (!f) return MAX_CPU;
  unsigned long quota, period;
  bool limited = fscanf(f, "%lu %lu", &quota, &period) == 2 && period;  // "max 100000" without a limit
  fclose(f);
  return limited ? (uint32_t)((quota + period - 1) / period) : MAX_CPU;
}

typedef struct cpu_list {
  uint32_t n_cpu, n_core;
  cpu_set_t allowed;
  uint32_t core[MAX_CPU];  // first CPU of each core this process may use, in the order of the first allowed CPU
} cpu_list;

static void cpu_list_init(cpu_list *list) {
  list->n_cpu = list->n_core = 0;
  if (sched_getaffinity(0, sizeof list->allowed, &list->allowed) != 0) CPU_ZERO(&list->allowed);
  for (uint32_t cpu = 0; cpu < MAX_CPU; cpu++) {
    if (!CPU_ISSET(cpu, &list->allowed)) continue;
    uint32_t core = core_of(cpu), i = 0;
    while (i < list->n_core && list->core[i] != core) i++;
    if (i == list->n_core) list->core[list->n_core++] = core;
    list->n_cpu++;
  }
}

static uint32_t usable_cores(const cpu_list *list) {
  uint32_t quota = cpu_quota(), n = list->n_core < quota ? list->n_core : quota;
  return n ? n : 1;
}

uint32_t pm_thread_physical_cores(void) {
  cpu_list list;
  cpu_list_init(&list);
  return usable_cores(&list);
}

// Keeps worker i on core i. Only for a team as large as the machine: smaller teams of several programs would all crowd on the same cores.
// The caller's own thread is left alone. Failing to pin costs speed, nothing else.
static void pin_worker(const cpu_list *list, struct worker *w) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (uint32_t cpu = 0; cpu < MAX_CPU; cpu++)
    if (CPU_ISSET(cpu, &list->allowed) && core_of(cpu) == list->core[w->index]) CPU_SET(cpu, &set);
  (void)pthread_setaffinity_np(w->thread, sizeof set, &set);
}

static pm_status start_workers(pm_team *team, const cpu_list *list) {
  sigset_t all, old;  // signals are for the program's own threads
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int error = 0;
  for (uint32_t i = 1; i < team->n_thread && !error; i++) {
    struct worker *w = &team->workers[i - 1];
    w->team = team, w->index = i;
    error = pthread_create(&w->thread, NULL, worker_main, w);
    if (error) break;
    team->n_started++;
    if (team->n_thread == list->n_core) pin_worker(list, w);
  }
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (error) PM_FAIL(PM_ERR_MEMORY, "cannot start thread %u of %u (system error %d)", team->n_started + 1, team->n_thread, error);
  return PM_OK;
}

pm_status pm_team_create(uint32_t n_thread, pm_team **out) {
  *out = NULL;
  if (n_thread > MAX_THREAD) PM_FAIL(PM_ERR_ARGUMENT, "%u threads asked for, at most %d are possible", n_thread, MAX_THREAD);
  cpu_list list;
  cpu_list_init(&list);
  if (!n_thread) n_thread = usable_cores(&list);
  pm_team *team = pm_alloc_aligned(sizeof *team + n_thread * sizeof team->workers[0], CACHE_LINE);
  if (!team) PM_FAIL(PM_ERR_MEMORY, "out of memory: a team of %u threads", n_thread);
  signal_init(&team->fork);
  signal_init(&team->barrier);
  atomic_init(&team->n_arrived, 0);
  atomic_init(&team->next_index, 0);
  team->n_thread = n_thread, team->n_started = 0;
  team->may_spin = n_thread <= list.n_cpu && n_thread <= cpu_quota();
  team->fn = NULL, team->arg = NULL;
  pm_status status = start_workers(team, &list);
  if (status != PM_OK) {
    pm_team_destroy(team);
    return status;
  }
  *out = team;
  return PM_OK;
}

void pm_team_destroy(pm_team *team) {
  if (!team) return;
  team->fn = NULL;
  signal_advance(&team->fork);
  for (uint32_t i = 0; i < team->n_started; i++) pthread_join(team->workers[i].thread, NULL);
  signal_finish(&team->fork);
  signal_finish(&team->barrier);
  pm_free(team);
}
