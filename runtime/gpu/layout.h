// Device layout of weight rows: shaders/quant/<format>.glsl describes each, repack.c makes them.
#ifndef PM_GPU_LAYOUT_H
#define PM_GPU_LAYOUT_H

#include "tensor.h"

enum { PM_GPU_UNIT = 32 };  // weights that an invocation takes at a time; rows are padded to whole units

// Bytes of a row of n_in values, a multiple of 16, and its units.
uint64_t pm_gpu_row_bytes(pm_type type, uint64_t n_in);
static inline uint32_t pm_gpu_row_units(uint64_t n_in) { return (uint32_t)((n_in + PM_GPU_UNIT - 1) / PM_GPU_UNIT); }

#endif
