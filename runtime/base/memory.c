#include "memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static atomic_uint_fast64_t n_calls;
static atomic_uint_fast64_t fail_at;  // absolute call number that fails; 0 = none

static int fails_now(void) {
  uint64_t n = atomic_fetch_add_explicit(&n_calls, 1, memory_order_relaxed) + 1;
  return n == atomic_load_explicit(&fail_at, memory_order_relaxed);
}

void *pm_alloc(size_t bytes) { return fails_now() ? NULL : malloc(bytes ? bytes : 1); }

void *pm_alloc_zero(size_t count, size_t size) {
  if (fails_now() || (size && count > SIZE_MAX / size)) return NULL;
  return calloc(count ? count : 1, size ? size : 1);
}

void *pm_alloc_aligned(size_t bytes, size_t align) {
  if (fails_now()) return NULL;
  void *p = NULL;
  if (posix_memalign(&p, align, bytes ? bytes : align)) return NULL;
  if (align >= PM_HUGE_PAGE) (void)madvise(p, bytes, MADV_HUGEPAGE);
  return p;
}

void *pm_realloc(void *old, size_t bytes) { return fails_now() ? NULL : realloc(old, bytes ? bytes : 1); }

char *pm_strdup(const char *s) {
  size_t n = strlen(s) + 1;
  char *p = pm_alloc(n);
  return p ? memcpy(p, s, n) : NULL;
}

void pm_free(void *p) { free(p); }

uint64_t pm_alloc_count(void) { return atomic_load(&n_calls); }

void pm_alloc_fail_at(uint64_t k) { atomic_store(&fail_at, k ? atomic_load(&n_calls) + k : 0); }
