// The one door to the heap. Tests count calls here ("no allocation per token") and make the k-th one fail.
#ifndef PM_MEMORY_H
#define PM_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

enum { PM_HUGE_PAGE = 2 << 20 };

// Each returns NULL when memory is short, or when a test asked for it. `align` is a power of two >= 8.
// Every pointer from here goes back through pm_free.
void *pm_alloc(size_t bytes);
void *pm_alloc_zero(size_t count, size_t size);      // checks count * size for overflow
void *pm_alloc_aligned(size_t bytes, size_t align);  // PM_HUGE_PAGE also asks for huge pages
void *pm_realloc(void *old, size_t bytes);
char *pm_strdup(const char *s);
void pm_free(void *p);

// Calls of the functions above since the program began (pm_free not counted), over all threads.
uint64_t pm_alloc_count(void);

// Test hook: the k-th allocation from now on (1 = the next) and only that one fails; 0 turns it off.
void pm_alloc_fail_at(uint64_t k);

// Sets `*out` to an array of n zeroed T, or fails with PM_ERR_MEMORY naming `what`.
#define PM_NEW(out, n, what)                                                                                   \
  do {                                                                                                         \
    *(out) = pm_alloc_zero((n) > 0 ? (size_t)(n) : 1, sizeof **(out));                                         \
    if (!*(out)) PM_FAIL(PM_ERR_MEMORY, "out of memory: %s, %zu bytes", (what), (size_t)(n) * sizeof **(out)); \
  } while (0)

#endif
