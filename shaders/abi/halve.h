// Push constants of halve.
#ifndef PM_ABI_HALVE_H
#define PM_ABI_HALVE_H

#include "weight.h"

// Row y[r][b] from the n values of x[r][b]: n_unit times 16 words of halves, then a factor, in PM_HALVES_WORDS.
PM_STRUCT(pm_push_halve) {
  pm_push_view x, y;
  PM_U32 n, n_unit;
  PM_U32 logits;  // 1: over the rows that want logits
};
#define PM_HALVES_WORDS(n_unit) (16 * (n_unit) + 4)

#endif
