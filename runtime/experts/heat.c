#include "heat.h"

#include <string.h>

#include "file.h"
#include "memory.h"

typedef struct header {
  char magic[8];
  uint64_t fingerprint;
  uint32_t n, sum;
} header;

static uint32_t checksum(const uint32_t *heat, uint32_t n) {
  uint32_t h = 0x811c9dc5u;
  for (uint32_t i = 0; i < n; i++)
    for (int shift = 0; shift < 32; shift += 8) h = (h ^ (heat[i] >> shift & 0xff)) * 0x01000193u;
  return h;
}

static header header_of(uint64_t fingerprint, uint32_t n, const uint32_t *heat) {
  return (header){.magic = "PMHEAT1", .fingerprint = fingerprint, .n = n, .sum = checksum(heat, n)};
}

static bool read_into(pm_file *f, uint64_t fingerprint, uint32_t n, uint32_t *read) {
  header h, wanted;
  if (pm_file_bytes(f) != sizeof h + n * sizeof *read) return false;
  if (pm_file_read(f, 0, &h, sizeof h) || pm_file_read(f, sizeof h, read, n * sizeof *read)) return false;
  wanted = header_of(fingerprint, n, read);
  return !memcmp(&h, &wanted, sizeof h);
}

bool pm_heat_read(const char *path, uint64_t fingerprint, uint32_t n, uint32_t *heat) {
  pm_file *f;
  if (!pm_file_exists(path) || pm_file_open(path, &f)) return false;
  uint32_t *read = pm_alloc(n * sizeof *read);
  bool good = read && read_into(f, fingerprint, n, read);
  if (good) memcpy(heat, read, n * sizeof *heat);
  pm_free(read);
  pm_file_close(f);
  return good;
}

pm_status pm_heat_write(const char *path, uint64_t fingerprint, uint32_t n, const uint32_t *heat) {
  header h = header_of(fingerprint, n, heat);
  pm_file_writer *w;
  PM_TRY(pm_file_writer_open(path, &w));
  pm_status status = pm_file_writer_append(w, &h, sizeof h);
  if (status == PM_OK) status = pm_file_writer_append(w, heat, n * sizeof *heat);
  if (status == PM_OK) return pm_file_writer_commit(w);
  pm_file_writer_abandon(w);
  return status;
}

static uint64_t total(const uint32_t *heat, uint32_t n) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < n; i++) sum += heat[i];
  return sum;
}

void pm_heat_merge(uint32_t *heat, const uint32_t *past, uint32_t n) {
  uint64_t now = total(heat, n), before = total(past, n);
  if (!before) return;
  double old_share = now ? 0.25 * (double)now / (double)before : 1, new_share = now ? 0.75 : 0;
  for (uint32_t i = 0; i < n; i++) heat[i] = (uint32_t)(new_share * heat[i] + old_share * past[i] + 0.5);
}
