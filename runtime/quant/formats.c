#include "formats.h"

#include "format_rows.h"

static const pm_format formats[] = {
#define PM_FORMAT(n, id, elements, bytes) {#n, PM_TYPE_##n, elements, bytes, pm_quant_decode_##n, pm_quant_encode_##n, pm_quant_random_##n},
#define PM_FORMAT_SIZED(n, id, elements, bytes) {#n, PM_TYPE_##n, elements, bytes, NULL, NULL, NULL},
#include "formats.def"
#undef PM_FORMAT
#undef PM_FORMAT_SIZED
};

enum { n_format = sizeof formats / sizeof *formats };

// A switch over the ids, so that the per-row lookups of the backends are a jump and not a search.
static int row_of(uint32_t id) {
  enum {
#define PM_FORMAT(name, id, elements, bytes) row_##name,
#define PM_FORMAT_SIZED PM_FORMAT
#include "formats.def"
#undef PM_FORMAT
#undef PM_FORMAT_SIZED
  };
  switch (id) {
#define PM_FORMAT(name, id, elements, bytes) \
  case id:                                   \
    return row_##name;
#define PM_FORMAT_SIZED PM_FORMAT
#include "formats.def"
#undef PM_FORMAT
#undef PM_FORMAT_SIZED
  }
  return -1;
}

const pm_format *pm_format_find(uint32_t id) {
  int row = row_of(id);
  return row < 0 ? NULL : &formats[row];
}

const pm_format *pm_format_get(pm_type type) { return &formats[row_of(type)]; }

const pm_format *pm_format_row(size_t i) { return i < n_format ? &formats[i] : NULL; }

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

static bool same_name(const char *a, const char *b) {
  while (*a && lower(*a) == lower(*b)) a++, b++;
  return lower(*a) == lower(*b);
}

const pm_format *pm_format_find_name(const char *name) {
  for (size_t i = 0; i < n_format; i++)
    if (same_name(formats[i].name, name)) return &formats[i];
  return NULL;
}

size_t pm_format_bytes(pm_type type, uint64_t n) {
  const pm_format *f = pm_format_get(type);
  return (size_t)(n / f->block_elements * f->block_bytes);
}
