#include "hazard.h"

// Adds an access to a set; reads and writes of the same tensor become a write. The set is never full here: see flush.
static void insert(pm_gpu_access *set, uint32_t *n, pm_gpu_access access) {
  for (uint32_t i = 0; i < *n; i++)
    if (set[i].tensor == access.tensor) {
      set[i].write |= access.write;
      return;
    }
  set[(*n)++] = access;
}

void pm_gpu_hazards_add(pm_gpu_hazards *h, const pm_tensor *t, bool write) {
  if (h->n_next < PM_GPU_HAZARD_TENSORS) insert(h->next, &h->n_next, (pm_gpu_access){t, write});
}

static bool conflicts(const pm_gpu_hazards *h, pm_gpu_access access) {
  for (uint32_t i = 0; i < h->n_open; i++)
    if (h->open[i].tensor == access.tensor) return access.write || h->open[i].write;
  return false;
}

void pm_gpu_hazards_join(pm_gpu_hazards *h, const pm_gpu_hazards *other) {
  h->lost |= other->lost || h->n_open + other->n_open > PM_GPU_HAZARD_TENSORS;
  for (uint32_t i = 0; i < other->n_open && !h->lost; i++) insert(h->open, &h->n_open, other->open[i]);
}

bool pm_gpu_hazards_flush(pm_gpu_hazards *h) {
  bool barrier = h->lost || h->n_open + h->n_next > PM_GPU_HAZARD_TENSORS;
  for (uint32_t i = 0; i < h->n_next && !barrier; i++) barrier = conflicts(h, h->next[i]);
  if (barrier) h->n_open = 0, h->lost = false;
  for (uint32_t i = 0; i < h->n_next; i++) insert(h->open, &h->n_open, h->next[i]);
  h->n_next = 0;
  return barrier;
}
