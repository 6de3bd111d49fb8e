#include "kv.h"

#include "memory.h"

pm_status pm_kv_init(pm_kv *kv, uint32_t n_session, uint32_t n_ctx) {
  *kv = (pm_kv){.n_ctx = n_ctx, .n_session = n_session};
  if ((uint64_t)n_session * n_ctx > UINT32_MAX / 2)
    PM_FAIL(PM_ERR_ARGUMENT, "a cache of %u sessions of %u tokens is too large", n_session, n_ctx);
  PM_NEW(&kv->taken, n_session, "sessions");
  return PM_OK;
}

void pm_kv_finish(pm_kv *kv) {
  pm_free(kv->taken);
  *kv = (pm_kv){0};
}

pm_status pm_kv_acquire(pm_kv *kv, uint32_t *base) {
  for (uint32_t i = 0; i < kv->n_session; i++)
    if (!kv->taken[i]) return kv->taken[i] = true, *base = i * kv->n_ctx, PM_OK;
  PM_FAIL(PM_ERR_MEMORY, "all %u sessions of this model are in use", kv->n_session);
}

void pm_kv_release(pm_kv *kv, uint32_t base) { kv->taken[base / kv->n_ctx] = false; }
