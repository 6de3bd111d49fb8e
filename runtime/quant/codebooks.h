// The IQ formats: blocks of 256 elements in groups of 8 that are points of a codebook, with signs or a shift. Internal to quant/ and cpu/.
//
//   value = unit * d * factor * integer: a half d and a constant `unit` for the block, an odd factor per run of 16, a signed byte per
//   element
//
// `type` is a constant wherever these are used, so that the switches vanish. Blocks are read as little-endian words.
#ifndef PM_CODEBOOKS_H
#define PM_CODEBOOKS_H

#include <string.h>

#include "formats.h"

#define PM_IQ_IS_SHIFTED(type) ((type) == PM_TYPE_IQ1_S || (type) == PM_TYPE_IQ1_M)

// Points as bytes, coordinate 0 lowest; those of IQ1_S times 8.
extern const uint64_t pm_grid_IQ1_S[2048], pm_grid_IQ2_XXS[256], pm_grid_IQ2_XS[512], pm_grid_IQ2_S[1024];
extern const uint32_t pm_grid_IQ3_XXS[256], pm_grid_IQ3_S[512];

// 0xff in byte j where bit j of the index is set; pm_signs_even: bit 7, which is not stored, makes the number of set bits even.
extern const uint64_t pm_signs[256], pm_signs_even[128];

static inline uint32_t pm_iq_u16(const uint8_t *b) {
  uint16_t x;
  memcpy(&x, b, 2);
  return x;
}

static inline uint32_t pm_iq_u32(const uint8_t *b) {
  uint32_t x;
  memcpy(&x, b, 4);
  return x;
}

// Bytes of 1 to 127, negative where the mask is 0xff.
static inline uint64_t pm_iq_negate(uint64_t x, uint64_t mask) { return (x ^ mask) + (mask & 0x0101010101010101); }

// Bytes that are multiples of 8, plus 1, or minus 1 where `down`.
static inline uint64_t pm_iq_shift(uint64_t x, bool down) {
  const uint64_t ones = 0x0101010101010101, tops = ones << 7;
  return down ? ((x | tops) - ones) ^ (~x & tops) : x | ones;
}

static inline uint64_t pm_iq_pair(const uint32_t *grid, uint32_t low, uint32_t high) { return grid[low] | (uint64_t)grid[high] << 32; }

// The point of elements 8t .. 8t + 7 of the block at b, and its signs: a mask for pm_iq_negate; in IQ1_S and IQ1_M what each byte gets
// added, all 1 or all -1.
static inline uint64_t pm_iq_point(pm_type type, const uint8_t *b, int t) {
  int g = t / 4, l = t % 4;
  switch (type) {
    case PM_TYPE_IQ2_XXS: return pm_grid_IQ2_XXS[b[2 + 8 * g + l]];
    case PM_TYPE_IQ2_XS: return pm_grid_IQ2_XS[pm_iq_u16(b + 2 + 2 * t) & 511];
    case PM_TYPE_IQ2_S: return pm_grid_IQ2_S[b[2 + t] | (b[66 + g] >> 2 * l & 3) << 8];
    case PM_TYPE_IQ3_XXS: return pm_iq_pair(pm_grid_IQ3_XXS, b[2 + 2 * t], b[3 + 2 * t]);
    case PM_TYPE_IQ3_S: {
      uint32_t ninth = b[66 + g] >> 2 * l;
      return pm_iq_pair(pm_grid_IQ3_S, b[2 + 2 * t] | (ninth & 1) << 8, b[3 + 2 * t] | (ninth & 2) << 7);
    }
    case PM_TYPE_IQ1_S: return pm_grid_IQ1_S[b[2 + t] | (pm_iq_u16(b + 34 + 2 * g) >> 3 * l & 7) << 8];
    default: return pm_grid_IQ1_S[b[t] | (b[32 + t / 2] >> 4 * (t % 2) & 7) << 8];  // IQ1_M
  }
}

static inline uint64_t pm_iq_sign(pm_type type, const uint8_t *b, int t) {
  const uint64_t one = 0x0101010101010101;
  int g = t / 4, l = t % 4;
  switch (type) {
    case PM_TYPE_IQ2_XXS: return pm_signs_even[pm_iq_u32(b + 6 + 8 * g) >> 7 * l & 127];
    case PM_TYPE_IQ2_XS: return pm_signs_even[pm_iq_u16(b + 2 + 2 * t) >> 9];
    case PM_TYPE_IQ2_S: return pm_signs[b[34 + t]];
    case PM_TYPE_IQ3_XXS: return pm_signs_even[pm_iq_u32(b + 66 + 4 * g) >> 7 * l & 127];
    case PM_TYPE_IQ3_S: return pm_signs[b[74 + t]];
    case PM_TYPE_IQ1_S: return pm_iq_u16(b + 34 + 2 * g) >> 15 ? ~(uint64_t)0 : one;
    default: return b[32 + t / 2] >> 4 * (t % 2) & 8 ? ~(uint64_t)0 : one;  // IQ1_M
  }
}

// The signed bytes of elements 8t .. 8t + 7 of the block at b.
static inline uint64_t pm_iq_eight(pm_type type, const uint8_t *b, int t) {
  uint64_t x = pm_iq_point(type, b, t), sign = pm_iq_sign(type, b, t);
  return PM_IQ_IS_SHIFTED(type) ? pm_iq_shift(x, sign >> 63) : pm_iq_negate(x, sign);
}

// The factor of elements 16r .. 16r + 15, at most 31.
static inline uint32_t pm_iq_factor(pm_type type, const uint8_t *b, int r) {
  switch (type) {
    case PM_TYPE_IQ2_XXS: return 2 * (b[9 + 8 * (r / 2)] >> 4) + 1u;
    case PM_TYPE_IQ2_XS: return 2 * (b[66 + r / 2] >> 4 * (r % 2) & 15) + 1u;
    case PM_TYPE_IQ2_S: return 2 * (b[74 + r / 2] >> 4 * (r % 2) & 15) + 1u;
    case PM_TYPE_IQ3_XXS: return 2 * (b[69 + 4 * (r / 2)] >> 4) + 1u;
    case PM_TYPE_IQ3_S: return 2 * (b[106 + r / 4] >> 4 * (r / 2 % 2) & 15) + 1u;
    case PM_TYPE_IQ1_S: return 2 * (b[35 + 2 * (r / 2)] >> 4 & 7) + 1u;
    default: return 2 * (pm_iq_u16(b + 48 + 2 * (r / 4)) >> 3 * (r % 4) & 7) + 1u;  // IQ1_M
  }
}

// The bits of d: in IQ1_M the high nibbles of four words.
static inline uint32_t pm_iq_half(pm_type type, const uint8_t *b) {
  if (type != PM_TYPE_IQ1_M) return pm_iq_u16(b);
  return b[49] >> 4 | (b[51] & 0xf0) | (b[53] & 0xf0u) << 4 | (b[55] & 0xf0u) << 8;
}

static inline float pm_iq_unit(pm_type type) { return type == PM_TYPE_IQ3_S ? 1 : type == PM_TYPE_IQ3_XXS ? 0.25f : 0.125f; }

#endif
