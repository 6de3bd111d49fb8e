#include "isa.h"

#include <stdatomic.h>
#include <string.h>

#include "backend.h"
#if defined(__aarch64__)
#include "processor.h"
#endif

static bool always(void) { return true; }

#if defined(__x86_64__)
static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static bool has_avx512(void) {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
}
#endif

static const struct {
  const pm_cpu_isa *isa;
  bool (*usable)(void);
} paths[] = {
    // from slow to fast
    {&pm_cpu_isa_plain, always},
#if defined(__x86_64__)
    {&pm_cpu_isa_avx2, has_avx2},
    {&pm_cpu_isa_avx512, has_avx512},
#elif defined(__aarch64__)
    {&pm_cpu_isa_neon, always},
    {&pm_cpu_isa_neon_dot, pm_processor_has_dot_product},
#endif
};

static _Atomic(const pm_cpu_isa *) chosen;

const pm_cpu_isa *pm_cpu_isa_row(uint32_t i) {
  for (size_t k = 0; k < sizeof paths / sizeof *paths; k++)
    if (paths[k].usable() && i-- == 0) return paths[k].isa;
  return NULL;
}

static const pm_cpu_isa *find(const char *name) {
  const pm_cpu_isa *found = NULL;
  for (uint32_t i = 0; pm_cpu_isa_row(i); i++)
    if (!name || !strcmp(name, pm_cpu_isa_row(i)->name)) found = pm_cpu_isa_row(i);
  return found;
}

const pm_cpu_isa *pm_cpu_isa_get(void) {
  const pm_cpu_isa *isa = atomic_load_explicit(&chosen, memory_order_relaxed);
  if (isa) return isa;
  isa = find(NULL);
  atomic_store_explicit(&chosen, isa, memory_order_relaxed);
  return isa;
}

bool pm_cpu_isa_force(const char *name) {
  const pm_cpu_isa *isa = find(name);
  if (isa) atomic_store_explicit(&chosen, isa, memory_order_relaxed);
  return isa;
}

const char *pm_cpu_path_name(void) { return pm_cpu_isa_get()->name; }
