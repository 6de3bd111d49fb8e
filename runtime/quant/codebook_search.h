// Finding what a block of an IQ format should hold. Private to this folder.
#ifndef PM_CODEBOOK_SEARCH_H
#define PM_CODEBOOK_SEARCH_H

#include "formats.h"

// Of 256 values: half bits of d, factors 2 scale + 1 of runs of 16 (equal where runs share theirs), the point of each eight (of its two
// fours, where points have four coordinates), its sign bits; without signs (IQ1) instead 1 where the shift is down.
typedef struct pm_codebook_fit {
  uint32_t half;
  uint32_t scale[16], point[32][2], signs[32];
} pm_codebook_fit;

// w: importances, of which some are above 0.
void pm_codebook_search(pm_type type, const float *x, const float *w, pm_codebook_fit *out);

#endif
