// Checkpoints in FP8 (DeepSeek-V3, arXiv 2412.19437, section 3.3.2): a matrix of E4M3 values, and apart from it one scale for each square
// of 128 x 128. In memory a row is blocks of the format FP8: the scale, then its 128 values.
#ifndef PM_FP8_H
#define PM_FP8_H

#include <stddef.h>
#include <stdint.h>

enum { PM_FP8_BLOCK = 128 };

// One matrix as it lies in a file.
typedef struct pm_slab {
  const void *data;    // rows of the tensor's type or, with scales, of E4M3 values
  const void *scales;  // f32 [ceil(rows / 128)][ceil(n_in / 128)], at any address; NULL: data needs none
  uint64_t first_row;  // of the slab in the matrix that the scales are of
} pm_slab;

// A value by itself. Exponent of four bits (bias 7), mantissa of three; the codes 127 and 255, which are NaN and which no weight has, read
// as 480 and -480.
float pm_fp8_value(uint8_t code);
uint8_t pm_fp8_code(float value);  // nearest, ties to even; beyond 448 the largest

// Rows `row` .. row + n_row - 1 of a slab with scales, n_in values each: as blocks (n_in a multiple of 128), or as floats.
// In place: dst may begin 4 bytes per block of these rows before their values.
void pm_fp8_pack(const pm_slab *s, uint64_t n_in, uint64_t row, uint64_t n_row, void *dst);
void pm_fp8_unpack(const pm_slab *s, uint64_t n_in, uint64_t row, uint64_t n_row, float *dst);

#endif
