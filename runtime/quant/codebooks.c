#include "codebooks.h"

// ---- points: the stored digits as bytes, by the preprocessor ----

#define DIGIT(point, j) ((point) >> 2 * (j)&3)
#define EIGHT(of, p) of(p, 0) | of(p, 1) | of(p, 2) | of(p, 3) | of(p, 4) | of(p, 5) | of(p, 6) | of(p, 7)

#define IQ1(p, j) (uint64_t)(uint8_t)(8 * DIGIT(p, j) - 8) << 8 * (j)  // -8, 0, 8
#define P(a, b) EIGHT(IQ1, a), EIGHT(IQ1, b),
const uint64_t pm_grid_IQ1_S[2048] = {
#include "grid_iq1_s.inc"
};
#undef P

#define IQ2(p, j) (uint64_t)(8 + 17 * DIGIT(p, j) + DIGIT(p, j) / 2) << 8 * (j)  // 8, 25, 43
#define P(a, b) EIGHT(IQ2, a), EIGHT(IQ2, b),
const uint64_t pm_grid_IQ2_XXS[256] = {
#include "grid_iq2_xxs.inc"
};
const uint64_t pm_grid_IQ2_XS[512] = {
#include "grid_iq2_xs.inc"
};
const uint64_t pm_grid_IQ2_S[1024] = {
#include "grid_iq2_s.inc"
};
#undef P

#define DIGIT3(point, j) ((point) >> 3 * (j)&7)
#define FOUR(of, p) of(p, 0) | of(p, 1) | of(p, 2) | of(p, 3)

#define IQ3_XXS(p, j) (uint32_t)(4 + 8 * DIGIT3(p, j) + DIGIT3(p, j) / 7 * 2) << 8 * (j)  // 4, 12, 20, 28, 36, 44, 52, 62
#define P(a, b) FOUR(IQ3_XXS, a), FOUR(IQ3_XXS, b),
const uint32_t pm_grid_IQ3_XXS[256] = {
#include "grid_iq3_xxs.inc"
};
#undef P

#define IQ3_S(p, j) (uint32_t)(1 + 2 * DIGIT3(p, j)) << 8 * (j)  // 1, 3 .. 15
#define P(a, b) FOUR(IQ3_S, a), FOUR(IQ3_S, b),
const uint32_t pm_grid_IQ3_S[512] = {
#include "grid_iq3_s.inc"
};
#undef P

// ---- signs ----

#define BIT(i, j) (((uint64_t)(i) >> (j)&1) * 0xff << 8 * (j))
#define PARITY(i) ((i) ^ (i) >> 1 ^ (i) >> 2 ^ (i) >> 3 ^ (i) >> 4 ^ (i) >> 5 ^ (i) >> 6)
#define MASK(i) (EIGHT(BIT, i))
#define MASK_EVEN(i) MASK((i) | (PARITY(i) & 1) << 7)
#define X4(of, i) of(i), of((i) + 1), of((i) + 2), of((i) + 3)
#define X16(of, i) X4(of, i), X4(of, (i) + 4), X4(of, (i) + 8), X4(of, (i) + 12)
#define X64(of, i) X16(of, i), X16(of, (i) + 16), X16(of, (i) + 32), X16(of, (i) + 48)

const uint64_t pm_signs[256] = {X64(MASK, 0), X64(MASK, 64), X64(MASK, 128), X64(MASK, 192)};
const uint64_t pm_signs_even[128] = {X64(MASK_EVEN, 0), X64(MASK_EVEN, 64)};
