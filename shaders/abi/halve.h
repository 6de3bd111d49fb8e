// Push constants of halve and fix.
#ifndef PM_ABI_HALVE_H
#define PM_ABI_HALVE_H

#include "weight.h"

// Row y[r][b] from the n values of x[r][b]. Of halves, PM_HALVES_WORDS: n_unit times 16 words, then a factor. In fixed point,
// PM_FIXED_WORDS: n_unit times 16 words, then n_unit times 2 pairs (scale, sum).
PM_STRUCT(pm_push_halve) {
  pm_push_view x, y;
  PM_U32 n, n_unit;
  PM_U32 logits;  // 1: over the rows that want logits
};
#define PM_HALVES_WORDS(n_unit) (16 * (n_unit) + 4)
#define PM_FIXED_WORDS(n_unit) (20 * (n_unit))

#endif
