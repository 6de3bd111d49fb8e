// IQ4_NL, IQ4_XS, MXFP4, NVFP4: four bits stand for one of sixteen numbers.
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

// The code nearest to v at index floor(2 (v + 128)): midpoints between codes are whole or half numbers.
#define NEAREST(i)       \
  ((i) < 25    ? -127.0f \
   : (i) < 69  ? -104.0f \
   : (i) < 108 ? -83.0f  \
   : (i) < 142 ? -65.0f  \
   : (i) < 172 ? -49.0f  \
   : (i) < 199 ? -35.0f  \
   : (i) < 224 ? -22.0f  \
   : (i) < 247 ? -10.0f  \
   : (i) < 270 ? 1.0f    \
   : (i) < 294 ? 13.0f   \
   : (i) < 319 ? 25.0f   \
   : (i) < 347 ? 38.0f   \
   : (i) < 378 ? 53.0f   \
   : (i) < 414 ? 69.0f   \
   : (i) < 458 ? 89.0f   \
               : 113.0f)
#define X8(i) \
  NEAREST(i), NEAREST((i) + 1), NEAREST((i) + 2), NEAREST((i) + 3), NEAREST((i) + 4), NEAREST((i) + 5), NEAREST((i) + 6), NEAREST((i) + 7)
#define X64(i) X8(i), X8((i) + 8), X8((i) + 16), X8((i) + 24), X8((i) + 32), X8((i) + 40), X8((i) + 48), X8((i) + 56)
static const float iq4_nearest[PM_FIT_CODES] = {X64(0), X64(64), X64(128), X64(192), X64(256), X64(320), X64(384), X64(448)};
static const pm_fit_levels iq4_levels = {.lo = -127, .hi = 113, .codes = iq4_nearest};

static float largest_magnitude(const float *x, int n) {
  float most = 0;
  for (int k = 0; k < n; k++) most = fmaxf(most, fabsf(x[k]));
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

static void encode_IQ4_NL(const float *x, const float *w, uint8_t *b) {
  put_half_split(iq4, b + 2, pm_quant_put_f16(b, pm_fit_scale(&iq4_levels, x, w, 32)), x);
}

PM_QUANT_ENCODE_BLOCKS(IQ4_NL, 32, 18)

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

static void encode_IQ4_XS(const float *x, const float *w, uint8_t *b) {
  int scale[8];
  float d = pm_quant_put_f16(b, pm_fit_groups(&iq4_levels, x, w, 8, -32, 31, scale));
  memset(b + 2, 0, 6);
  for (int g = 0; g < 8; g++) {
    b[4 + g / 2] |= (uint8_t)(((scale[g] + 32) & 15) << g % 2 * 4);
    b[2 + g / 4] |= (uint8_t)((scale[g] + 32) >> 4 << g % 4 * 2);
    put_half_split(iq4, b + 8 + 16 * g, d * (float)scale[g], x + 32 * g);
  }
}

PM_QUANT_ENCODE_BLOCKS(IQ4_XS, 256, 136)

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

// The one of a row of scales with the least error, at most `reach` from `near`.
static int best_scale(float (*scale)(int), int near, int reach, int last, const float *x, const float *w, int n) {
  int first = near > reach ? near - reach : 0, best = first;
  float least = INFINITY;
  for (int i = first; i <= near + reach && i <= last; i++) {
    float error = 0;
    for (int k = 0; k < n; k++) {
      float e = x[k] - scale(i) * fp4[nearest(fp4, x[k], scale(i))];
      error += w[k] * e * e;
    }
    if (error < least) least = error, best = i;
  }
  return best;
}

static void encode_MXFP4(const float *x, const float *w, uint8_t *b) {
  b[0] = (uint8_t)best_scale(power_of, scale_below(power_of, largest_magnitude(x, 32) / 12, 254), 1, 254, x, w, 32);
  put_half_split(fp4, b + 1, power_of(b[0]), x);
}

PM_QUANT_ENCODE_BLOCKS(MXFP4, 32, 17)

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

static void encode_NVFP4(const float *src, const float *w, uint8_t *b) {
  for (int g = 0; g < 4; g++) {
    const float *x = src + 16 * g;
    b[g] = (uint8_t)best_scale(half_e4m3, scale_below(half_e4m3, largest_magnitude(x, 16) / 12, 126), 4, 126, x, w + 16 * g, 16);
    for (int k = 0; k < 8; k++)
      b[4 + 8 * g + k] = (uint8_t)(nearest(fp4, x[k], half_e4m3(b[g])) | nearest(fp4, x[k + 8], half_e4m3(b[g])) << 4);
  }
}

PM_QUANT_ENCODE_BLOCKS(NVFP4, 64, 36)

void pm_quant_random_NVFP4(pm_rng *rng, float deviation, void *dst, size_t n) {
  uint8_t *b = dst;
  for (size_t i = 0; i < n; i += 64, b += 36) {
    pm_quant_random_bytes(rng, b, 36);
    for (int g = 0; g < 4; g++) b[g] = (uint8_t)(random_scale(half_e4m3, deviation / 5.8523f, 126, rng) | (b[g] & 128));
  }
}
