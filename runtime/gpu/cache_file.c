#include "cache_file.h"

#include <stdio.h>
#include <string.h>

#include "file.h"
#include "memory.h"

typedef struct cache_header {
  char magic[8];
  uint64_t bytes;      // of the content
  uint64_t hash, key;  // of the content; of the caller
  uint8_t device[VK_UUID_SIZE], driver[VK_UUID_SIZE];
} cache_header;

static const char cache_magic[8] = "PMCACHE2";
static const uint64_t cache_bytes_max = 1u << 30;

uint64_t pm_gpu_hash(uint64_t h, const void *bytes, uint64_t n) {
  const uint8_t *at = bytes;
  for (uint64_t i = 0; i < n; i++) h = (h ^ at[i]) * 0x100000001b3u;
  return h;
}

static cache_header make_header(const pm_gpu_device *d, uint64_t key, const void *blob, uint64_t bytes) {
  cache_header h = {.bytes = bytes, .hash = pm_gpu_hash(pm_gpu_hash_begin, blob, bytes), .key = key};
  memcpy(h.magic, cache_magic, sizeof h.magic);
  memcpy(h.device, d->probe.device_uuid, VK_UUID_SIZE);
  memcpy(h.driver, d->probe.cache_uuid, VK_UUID_SIZE);
  return h;
}

pm_status pm_gpu_cache_path(const pm_gpu_device *d, const char *dir, const char *purpose, char **out) {
  size_t room = strlen(dir) + strlen(purpose) + 96;
  char *path;
  *out = NULL;
  if (pm_file_make_dirs(dir)) return PM_OK;
  PM_NEW(&path, room, "path of a cache");
  int at = snprintf(path, room, "%s/%s-%s-", dir, purpose, d->probe.info.uuid);
  for (uint32_t i = 0; i < VK_UUID_SIZE; i++) at += snprintf(path + at, room - (size_t)at, "%02x", d->probe.cache_uuid[i]);
  snprintf(path + at, room - (size_t)at, ".bin");
  *out = path;
  return PM_OK;
}

pm_status pm_gpu_cache_read(const pm_gpu_device *d, const char *path, uint64_t key, void **blob, uint64_t *bytes) {
  pm_file *file;
  cache_header found, expected;
  *blob = NULL, *bytes = 0;
  PM_TRY(pm_file_open(path, &file));
  uint64_t size = pm_file_bytes(file);
  void *data = size > sizeof found && size < cache_bytes_max ? pm_alloc(size) : NULL;
  pm_status status = data ? pm_file_read(file, 0, data, size) : pm_fail(PM_ERR_FORMAT, "%s: not a cache of Pumice", path);
  pm_file_close(file);
  if (!status) {
    memcpy(&found, data, sizeof found);
    memmove(data, (char *)data + sizeof found, size - sizeof found);
    expected = make_header(d, key, data, size - sizeof found);
    if (memcmp(&found, &expected, sizeof found)) status = pm_fail(PM_ERR_FORMAT, "%s: damaged, or of another driver or version", path);
  }
  if (status) {
    pm_free(data);
    return status;
  }
  *blob = data, *bytes = size - sizeof found;
  return PM_OK;
}

pm_status pm_gpu_cache_write(const pm_gpu_device *d, const char *path, uint64_t key, const void *blob, uint64_t bytes) {
  pm_file_writer *w;
  cache_header header = make_header(d, key, blob, bytes);
  PM_TRY(pm_file_writer_open(path, &w));
  pm_status status = pm_file_writer_append(w, &header, sizeof header);
  if (!status) status = pm_file_writer_append(w, blob, bytes);
  if (!status) return pm_file_writer_commit(w);
  pm_file_writer_abandon(w);
  return status;
}
