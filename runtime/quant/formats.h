// The table of weight formats: sizes, and how a row of blocks becomes floats and back.
#ifndef PM_FORMATS_H
#define PM_FORMATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rng.h"
#include "status.h"

typedef enum pm_type {  // values are GGUF type ids
#define PM_FORMAT(name, id, elements, bytes) PM_TYPE_##name = id,
#define PM_FORMAT_SIZED PM_FORMAT
#include "formats.def"
#undef PM_FORMAT
#undef PM_FORMAT_SIZED
  PM_TYPE_OWN = 128,  // from here on they are ours
  PM_TYPE_NONE = 0x7fffffff
} pm_type;

typedef struct pm_format {
  const char *name;
  pm_type type;
  uint32_t block_elements;
  uint32_t block_bytes;
  // NULL in rows that are known by size only. n is a multiple of block_elements.
  void (*decode)(const void *src, float *dst, size_t n);  // exact: every product and sum rounded once to f32
  // The blocks whose error, weighted by the importance of each element, is about the least. weight NULL: all alike.
  void (*encode)(const float *src, const float *weight, void *dst, size_t n);
  void (*random)(pm_rng *rng, float deviation, void *dst, size_t n);  // random valid blocks whose values have about that standard deviation
} pm_format;

// NULL for an unknown id. pm_format_get: the type must be in the table.
const pm_format *pm_format_find(uint32_t id);
const pm_format *pm_format_get(pm_type type);
const pm_format *pm_format_find_name(const char *name);  // not case-sensitive

// Row i of the table, NULL past the end: for tests and listings.
const pm_format *pm_format_row(size_t i);

// Bytes of n elements; n is a multiple of block_elements.
size_t pm_format_bytes(pm_type type, uint64_t n);

#endif
