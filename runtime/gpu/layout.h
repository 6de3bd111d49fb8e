// Device layout of weight rows: shaders/quant/<format>.glsl describes each, repack.c makes them.
#ifndef PM_GPU_LAYOUT_H
#define PM_GPU_LAYOUT_H

#include "tensor.h"

enum { PM_GPU_UNIT = 32 };  // weights that an invocation takes at a time; rows are padded to whole units

// Bytes of a row of n_in values, a multiple of 16, and its units.
uint64_t pm_gpu_row_bytes(pm_type type, uint64_t n_in);
static inline uint32_t pm_gpu_row_units(uint64_t n_in) { return (uint32_t)((n_in + PM_GPU_UNIT - 1) / PM_GPU_UNIT); }

// A row on the device is one part after another, a part `bytes` of every block of the file's row from `from` on. bytes 0: no more parts.
enum { PM_GPU_PARTS = 3 };
typedef struct pm_gpu_part {
  uint32_t from, bytes;
} pm_gpu_part;
void pm_gpu_parts(pm_type type, pm_gpu_part parts[PM_GPU_PARTS + 1]);
uint64_t pm_gpu_part_bytes(pm_type type, pm_gpu_part part, uint64_t n_in);  // in a row of n_in values, a multiple of 16

#endif
