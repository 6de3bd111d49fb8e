// Which session owns which cells of the cache. Every session has one contiguous range of n_ctx cells, so a row's cell is
// base + position and attention walks memory in order.
#ifndef PM_KV_H
#define PM_KV_H

#include "op.h"

typedef struct pm_kv {
  uint32_t n_ctx;      // cells of one session
  uint32_t n_session;  // ranges
  bool *taken;         // [n_session]
} pm_kv;

pm_status pm_kv_init(pm_kv *kv, uint32_t n_session, uint32_t n_ctx) PM_MUST_USE;
void pm_kv_finish(pm_kv *kv);

// Finds a free range; PM_ERR_MEMORY when all are taken. *base is its first cell.
pm_status pm_kv_acquire(pm_kv *kv, uint32_t *base) PM_MUST_USE;
void pm_kv_release(pm_kv *kv, uint32_t base);

#endif
