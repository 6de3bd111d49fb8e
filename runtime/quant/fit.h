// Weighted least squares for encoders: scales, minima and integers such that sum_k w[k] (x[k] - value[k])^2 is least, or nearly.
//
// Given the integers q, the best scale is a quotient of sums; given the scale, the best integers are the nearest ones. Neither finds the
// other's best from a bad start, so several starts are tried side by side and the best is refined (Lloyd, "Least squares quantization in
// PCM", 1982). Private to this folder.
#ifndef PM_FIT_H
#define PM_FIT_H

#include <math.h>
#include <stdbool.h>

#include "half.h"

enum { PM_FIT_MOST = 256, PM_FIT_CODES = 512 };

// What a scale is multiplied by: the integers in [lo, hi], or the entries of a codebook of integers within them, as a table: the entry
// nearest to v is codes[2 (v + 128)].
typedef struct pm_fit_levels {
  float lo, hi;
  const float *codes;  // NULL: all integers
} pm_fit_levels;

// The level nearest to x / scale; that nearest to 0 where the scale is 0.
static inline float pm_fit_level(const pm_fit_levels *l, float x, float scale) {
  float v = scale != 0 ? x / scale : 0;
  v = v > l->lo ? v : l->lo;
  v = v < l->hi ? v : l->hi;
  return l->codes ? l->codes[(int)(2 * (v + 128))] : rintf(v);
}

// As a half that is finite.
static inline float pm_fit_half(float f) {
  f = f > 65504 ? 65504 : f < -65504 ? -65504 : f;
  return pm_f16_to_f32(pm_f32_to_f16(f));
}

// The importances w of n values, all 1 where there are none or all are 0: `memory` has room for n.
const float *pm_fit_weights(const float *w, int n, float *memory);

// x = scale * level, n <= PM_FIT_MOST.
float pm_fit_scale(const pm_fit_levels *l, const float *x, const float *w, int n);

// x = step * q + low with q in [0, q_max] and low at most `low_most`.
typedef struct pm_fit_line {
  float step, low;
} pm_fit_line;
pm_fit_line pm_fit_range(const float *x, const float *w, int n, int q_max, float low_most);

// 256 values in groups of equal size: x = (d * scale[g]) * level, with integer scales in [least, most]. Returns d, which is a half.
float pm_fit_groups(const pm_fit_levels *l, const float *x, const float *w, int n_group, int least, int most, int *scale);

// x = (d * scale[g]) * q - dmin * min[g], with q in [0, q_max], scales and minima in [0, most]. d and dmin are halves.
typedef struct pm_fit_lines {
  float d, dmin;
  int scale[16], min[16];
} pm_fit_lines;
void pm_fit_group_ranges(const float *x, const float *w, int n_group, int q_max, int most, pm_fit_lines *out);

#endif
