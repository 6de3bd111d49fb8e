// IEEE binary16 and bfloat16 to and from binary32, in plain C; denormals are kept, conversion to narrow rounds to nearest even.
#ifndef PM_HALF_H
#define PM_HALF_H

#include <stdint.h>
#include <string.h>

static inline float pm_f32_from_bits(uint32_t u) {
  float f;
  memcpy(&f, &u, 4);
  return f;
}

static inline uint32_t pm_f32_bits(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  return u;
}

static inline float pm_f16_to_f32(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, mantissa = h & 0x3ff;
  if (exponent == 31) return pm_f32_from_bits(sign | 0x7f800000u | mantissa << 13);
  if (exponent) return pm_f32_from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
  float tiny = (float)mantissa * 0x1p-24f;
  return sign ? -tiny : tiny;
}

static inline uint16_t pm_f32_to_f16(float f) {
  uint32_t u = pm_f32_bits(f), sign = (u >> 16) & 0x8000, mag = u & 0x7fffffff;
  if (mag >= 0x7f800000u) return (uint16_t)(sign | 0x7c00 | (mag > 0x7f800000u ? 0x200 : 0));
  if (mag >= 0x477ff000u) return (uint16_t)(sign | 0x7c00);  // rounds past 65504
  if (mag < 0x38800000u) {                                   // result is denormal or zero
    float scaled = pm_f32_from_bits(mag) * 0x1p24f;
    uint32_t q = (uint32_t)scaled;
    float rest = scaled - (float)q;
    q += rest > 0.5f || (rest == 0.5f && (q & 1));
    return (uint16_t)(sign | q);
  }
  mag += 0xfff + ((mag >> 13) & 1);
  return (uint16_t)(sign | (mag - 0x38000000u) >> 13);
}

static inline float pm_bf16_to_f32(uint16_t b) { return pm_f32_from_bits((uint32_t)b << 16); }

static inline uint16_t pm_f32_to_bf16(float f) {
  uint32_t u = pm_f32_bits(f);
  if ((u & 0x7fffffff) > 0x7f800000u) return (uint16_t)(u >> 16 | 0x40);
  return (uint16_t)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

#endif
