#include "text_buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void *pm_resize(void *p, size_t count, size_t size) {
  void *grown = count <= SIZE_MAX / size ? realloc(p, (count ? count : 1) * size) : NULL;
  if (grown) return grown;
  fprintf(stderr, "pumice: out of memory (%zu elements of %zu bytes)\n", count, size);
  exit(2);
}

static void reserve(pm_text *t, size_t n) {
  if (t->n + n < t->capacity) return;
  t->capacity = (t->n + n) * 2 + 64;
  t->data = pm_resize(t->data, t->capacity, 1);
}

void pm_text_clear(pm_text *t) {
  reserve(t, 1);
  t->n = 0;
  t->data[0] = 0;
}

void pm_text_append(pm_text *t, const char *bytes, size_t n) {
  reserve(t, n);
  memcpy(t->data + t->n, bytes, n);
  t->n += n;
  t->data[t->n] = 0;
}

void pm_text_free(pm_text *t) {
  free(t->data);
  *t = (pm_text){0};
}

bool pm_text_read_stream(pm_text *t, FILE *f) {
  char chunk[4096];
  size_t n;
  errno = 0;
  while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) pm_text_append(t, chunk, n);
  pm_text_append(t, "", 0);
  return !ferror(f);
}

bool pm_text_read_file(pm_text *t, const char *path) {
  FILE *f = fopen(path, "rb");
  if (!f) return false;
  bool ok = pm_text_read_stream(t, f);
  int e = errno;
  fclose(f);
  errno = e;
  return ok;
}

void pm_text_chomp(pm_text *t) {
  if (t->n && t->data[t->n - 1] == '\n') t->data[--t->n] = 0;
}

const char *pm_bytes_text(uint64_t bytes) {
  static char ring[8][24];
  static uint32_t next;
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double v = (double)bytes;
  uint32_t unit = 0;
  while (v >= 1024 && unit < 4) v /= 1024, unit++;
  char *text = ring[next++ % 8];
  snprintf(text, sizeof ring[0], unit ? "%.1f %s" : "%.0f %s", v, units[unit]);
  return text;
}
