// IQ4_NL, IQ4_XS, MXFP4, NVFP4: four bits stand for one of sixteen numbers.
#include <math.h>

#include "format_rows.h"

static const int8_t iq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
static const int8_t fp4[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};  // twice the value of 4-bit floats

static int nearest(const int8_t *codes, float x, float scale) {
  int best = 0;
  float least = INFINITY;
  for (int q = 0; q < 16; q++) {
    float error = (x - scale * codes[q]) * (x - scale * codes[q]);
    if (error < least) least = error, best = q;
  }
  return best;
}

static float extreme(const float *x, int n) {
  float most = 0;
  for (int k = 0; k < n; k++)
    if (x[k] * x[k] > most * most) most = x[k];
  return most;
}

// 32 elements in 16 bytes: low nibbles, then high ones.
static void get_half_split(const int8_t *codes, const uint8_t *q, float scale, float *x) {
  for (int k = 0; k < 16; k++) x[k] = scale * codes[q[k] & 15], x[k + 16] = scale * codes[q[k] >> 4];
}

static void put_half_split(const int8_t *codes, uint8_t *q, float scale, const float *x) {
  for (int k = 0; k < 16; k++) q[k] = (uint8_t)(nearest(codes, x[k], scale) | nearest(codes, x[k + 16], scale) << 4);
}

// ---- IQ4_NL: d f16 @0, nibbles @2 ----

void pm_quant_decode_IQ4_NL(const void *src, float *dst, size_t n) {
  const uint8_t *b = src;
  for (size_t i = 0; i < n; i += 32, b += 18) get_half_split(iq4, b + 2, pm_quant_get_f16(b), dst + i);
}

void pm_quant_encode_IQ4_NL(const float *src, void *dst, size_t n) {
  uint8_t *b = dst;
  for (size_t i = 0; i < n; i += 32, b += 18) put_half_split(iq4, b + 2, pm_quant_put_f16(b, extreme(src + i, 32) / -127), src + i);
}

void pm_quant_random_IQ4_NL(pm_rng *rng, float deviation, void *dst, size_t n) {
  uint8_t *b = dst;
  for (size_t i = 0; i < n; i += 32, b += 18) {
    pm_quant_random_bytes(rng, b, 18);
    pm_quant_put_f16(b, pm_quant_random_scale(rng, deviation / 67.44f));
  }
}

// ---- IQ4_XS: d f16 @0, high pairs of eight 6-bit scales in u16 @2, their low nibbles @4, nibbles @8, 16 bytes a group of 32;
//      value = d * (scale - 32) * code ----

static int get_scale(const uint8_t *b, int g) { return (b[4 + g / 2] >> g % 2 * 4 & 15) | (b[2 + g / 4] >> g % 4 * 2 & 3) << 4; }

void pm_quant_decode_IQ4_XS(const void *src, float *dst, size_t n) {
  const uint8_t *b = src;
  for (size_t i = 0; i < n; i += 256, b += 136)
    for (int g = 0; g < 8; g++) get_half_split(iq4, b + 8 + 16 * g, pm_quant_get_f16(b) * (float)(get_scale(b, g) - 32), dst + i + 32 * g);
}

void pm_quant_encode_IQ4_XS(const float *src, void *dst, size_t n) {
  uint8_t *b = dst;
  for (size_t i = 0; i < n; i += 256, b += 136) {
    float d = pm_quant_put_f16(b, extreme(src + i, 256) / (127 * 32));
    memset(b + 2, 0, 6);
    for (int g = 0; g < 8; g++) {
      const float *x = src + i + 32 * g;
      int scale = pm_quant_round(extreme(x, 32) / -127, d, -32, 31) + 32;
      b[4 + g / 2] |= (uint8_t)((scale & 15) << g % 2 * 4);
      b[2 + g / 4] |= (uint8_t)(scale >> 4 << g % 4 * 2);
      put_half_split(iq4, b + 8 + 16 * g, d * (float)(scale - 32), x);
    }
  }
}

void pm_quant_random_IQ4_XS(pm_rng *rng, float deviation, void *dst, size_t n) {
  uint8_t *b = dst;
  for (size_t i = 0; i < n; i += 256, b += 136) {
    pm_quant_random_bytes(rng, b, 136);
    pm_quant_put_f16(b, pm_quant_random_scale(rng, deviation / 1246.3f));
  }
}

// ---- MXFP4: exponent e @0, nibbles @1; value = 2^(e - 128) * code ----

static float power_of(int e) { return pm_f32_from_bits(e < 2 ? 0x200000u << e : (uint32_t)(e - 1) << 23); }

// The one of a rising row of scales that x is nearest to from below, in [0, last - 1], so that x lies between it and the next.
static int scale_below(float (*scale)(int), float x, int last) {
  int i = 0;
  while (i < last - 1 && scale(i + 1) <= x) i++;
  return i;
}

// That one or the next, at random such that the mean square is x squared.
static int random_scale(float (*scale)(int), float x, int last, pm_rng *rng) {
  int i = scale_below(scale, x, last);
  double lo = (double)scale(i), hi = (double)scale(i + 1);
  return i + (pm_rng_uniform(rng) < ((double)x * (double)x - lo * lo) / (hi * hi - lo * lo));
}

void pm_quant_decode_MXFP4(const void *src, float *dst, size_t n) {
  const uint8_t *b = src;
  for (size_t i = 0; i < n; i += 32, b += 17) get_half_split(fp4, b + 1, power_of(b[0]), dst + i);
}

// The largest magnitude lies within the range of the codes or less than half a step above.
void pm_quant_encode_MXFP4(const float *src, void *dst, size_t n) {
  uint8_t *b = dst;
  for (size_t i = 0; i < n; i += 32, b += 17) {
    float most = extreme(src + i, 32);
    b[0] = (uint8_t)(scale_below(power_of, (most < 0 ? -most : most) / 14, 254) + (most != 0));
    put_half_split(fp4, b + 1, power_of(b[0]), src + i);
  }
}

void pm_quant_random_MXFP4(pm_rng *rng, float deviation, void *dst, size_t n) {
  uint8_t *b = dst;
  for (size_t i = 0; i < n; i += 32, b += 17) {
    pm_quant_random_bytes(rng, b, 17);
    b[0] = (uint8_t)random_scale(power_of, deviation / 5.8523f, 254, rng);
  }
}

// ---- NVFP4: four unsigned scales E4M3 @0 (bit 7 ignored), 8 bytes @4 for each group of 16: low nibbles, then high ones;
//      value = 0.5 * scale * code (times the tensor's own scale, which is not part of the block) ----

static float half_e4m3(int x) {
  int e = x >> 3 & 15, m = x & 7;
  if ((x & 127) == 127) return 0;
  return e ? (float)(8 + m) * pm_f32_from_bits((uint32_t)(e + 127 - 11) << 23) : (float)m * 0x1p-10f;
}

void pm_quant_decode_NVFP4(const void *src, float *dst, size_t n) {
  const uint8_t *b = src;
  for (size_t i = 0; i < n; i += 64, b += 36)
    for (int g = 0; g < 4; g++) {
      float scale = half_e4m3(b[g]);
      for (int k = 0; k < 8; k++) {
        dst[i + 16 * g + k] = scale * fp4[b[4 + 8 * g + k] & 15];
        dst[i + 16 * g + 8 + k] = scale * fp4[b[4 + 8 * g + k] >> 4];
      }
    }
}

void pm_quant_encode_NVFP4(const float *src, void *dst, size_t n) {
  uint8_t *b = dst;
  for (size_t i = 0; i < n; i += 64, b += 36)
    for (int g = 0; g < 4; g++) {
      const float *x = src + i + 16 * g;
      float most = extreme(x, 16) / 12, wanted = most < 0 ? -most : most;
      int below = scale_below(half_e4m3, wanted, 126);
      b[g] = (uint8_t)(below + (wanted - half_e4m3(below) > half_e4m3(below + 1) - wanted));
      for (int k = 0; k < 8; k++)
        b[4 + 8 * g + k] = (uint8_t)(nearest(fp4, x[k], half_e4m3(b[g])) | nearest(fp4, x[k + 8], half_e4m3(b[g])) << 4);
    }
}

void pm_quant_random_NVFP4(pm_rng *rng, float deviation, void *dst, size_t n) {
  uint8_t *b = dst;
  for (size_t i = 0; i < n; i += 64, b += 36) {
    pm_quant_random_bytes(rng, b, 36);
    for (int g = 0; g < 4; g++) b[g] = (uint8_t)(random_scale(half_e4m3, deviation / 5.8523f, 126, rng) | (b[g] & 128));
  }
}
