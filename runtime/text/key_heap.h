// A binary min-heap of 64-bit keys. Users put what orders into the high bits and a position into the low ones.
#ifndef PM_KEY_HEAP_H
#define PM_KEY_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory.h"
#include "status.h"

typedef struct pm_key_heap {  // zeroed = empty
  uint64_t *keys;
  size_t n, capacity;
} pm_key_heap;

static inline pm_status pm_key_heap_push(pm_key_heap *h, uint64_t key) {
  if (h->n == h->capacity) {
    size_t wanted = h->capacity ? h->capacity * 2 : 64;
    uint64_t *bigger = pm_realloc(h->keys, wanted * sizeof *bigger);
    if (!bigger) PM_FAIL(PM_ERR_MEMORY, "out of memory: %zu bytes while tokenizing", wanted * sizeof *bigger);
    h->keys = bigger, h->capacity = wanted;
  }
  size_t i = h->n++;
  for (; i > 0 && h->keys[(i - 1) / 2] > key; i = (i - 1) / 2) h->keys[i] = h->keys[(i - 1) / 2];
  h->keys[i] = key;
  return PM_OK;
}

// The smallest key; false when the heap is empty.
static inline bool pm_key_heap_pop(pm_key_heap *h, uint64_t *key) {
  if (h->n == 0) return false;
  *key = h->keys[0];
  uint64_t last = h->keys[--h->n];
  size_t i = 0;
  for (size_t child; (child = 2 * i + 1) < h->n; i = child) {
    if (child + 1 < h->n && h->keys[child + 1] < h->keys[child]) child++;
    if (h->keys[child] >= last) break;
    h->keys[i] = h->keys[child];
  }
  h->keys[i] = last;
  return true;
}

static inline void pm_key_heap_finish(pm_key_heap *h) { pm_free(h->keys); }

#endif
