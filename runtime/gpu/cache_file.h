// Files in the caller's cache folder, one per purpose, device and driver: a header of ours, because neither drivers nor we survive a
// damaged one, then the content. What is missing, damaged, or of another device, driver or key is as good as none.
#ifndef PM_GPU_CACHE_FILE_H
#define PM_GPU_CACHE_FILE_H

#include "gpu_device.h"

// "<dir>/<purpose>-<device>-<driver>.bin", to be freed with pm_free. The folder is made; NULL if that cannot be.
pm_status pm_gpu_cache_path(const pm_gpu_device *d, const char *dir, const char *purpose, char **out) PM_MUST_USE;

// `key`: what else the content depends on; 0 = nothing. *blob is freed with pm_free; any failure leaves it NULL.
pm_status pm_gpu_cache_read(const pm_gpu_device *d, const char *path, uint64_t key, void **blob, uint64_t *bytes) PM_MUST_USE;
pm_status pm_gpu_cache_write(const pm_gpu_device *d, const char *path, uint64_t key, const void *blob, uint64_t bytes) PM_MUST_USE;

// FNV-1a; `h` is the hash of what came before, pm_gpu_hash_begin at first.
static const uint64_t pm_gpu_hash_begin = 0xcbf29ce484222325u;
uint64_t pm_gpu_hash(uint64_t h, const void *bytes, uint64_t n);

#endif
