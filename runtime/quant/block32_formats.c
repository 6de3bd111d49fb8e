// Q4_0, Q4_1, Q5_0, Q5_1, Q8_0: 32 elements that share one f16 scale at byte 0, and in Q4_1 and Q5_1 a minimum after it.
//
// Four-bit parts of 32 elements are "half split": byte k (0..15) has element k in its low and element k + 16 in its high nibble.
#include "format_rows.h"

enum { BLOCK = 32 };

static float largest_magnitude(const float *x) {
  float most = 0;
  for (int k = 0; k < BLOCK; k++) most = fmaxf(most, fabsf(x[k]));
  return most;
}

// Random bytes are random integers in these formats; `rms` is the root mean square of such an integer.
static void random_blocks(pm_rng *rng, float deviation, float rms, uint8_t *b, size_t n_block, size_t block_bytes) {
  for (; n_block--; b += block_bytes) {
    pm_quant_random_bytes(rng, b, block_bytes);
    pm_quant_put_f16(b, pm_quant_random_scale(rng, deviation / rms));
  }
}

// With a minimum, which centres the values: m = -d * mean(q). `rms` is that of q - mean(q).
static void random_min_blocks(pm_rng *rng, float deviation, float rms, float mean_q, uint8_t *b, size_t n_block, size_t block_bytes) {
  for (; n_block--; b += block_bytes) {
    pm_quant_random_bytes(rng, b, block_bytes);
    float d = pm_quant_put_f16(b, pm_quant_random_scale(rng, deviation / rms));
    pm_quant_put_f16(b + 2, -d * mean_q);
  }
}

// The best scale and minimum for integers 0 .. q_max; writes the first 4 bytes of b.
static pm_fit_line put_line(const float *x, const float *w, int q_max, uint8_t *b) {
  pm_fit_line line = pm_fit_range(x, w, BLOCK, q_max, INFINITY);
  return (pm_fit_line){pm_quant_put_f16(b, line.step), pm_quant_put_f16(b + 2, line.low)};
}

// ---- Q4_0: d @0, nibbles @2; value = d * (q - 8) ----

void pm_quant_decode_Q4_0(const void *src, float *dst, size_t n) {
  const uint8_t *b = src;
  for (size_t i = 0; i < n; i += BLOCK, b += 18) {
    float d = pm_quant_get_f16(b);
    for (int k = 0; k < 16; k++) {
      dst[i + k] = d * (float)((b[2 + k] & 15) - 8);
      dst[i + k + 16] = d * (float)((b[2 + k] >> 4) - 8);
    }
  }
}

static void encode_Q4_0(const float *x, const float *w, uint8_t *b) {
  static const pm_fit_levels levels = {.lo = -8, .hi = 7};
  float d = pm_quant_put_f16(b, pm_fit_scale(&levels, x, w, BLOCK));
  for (int k = 0; k < 16; k++) {
    int lo = (int)pm_fit_level(&levels, x[k], d) + 8, hi = (int)pm_fit_level(&levels, x[k + 16], d) + 8;
    b[2 + k] = (uint8_t)(lo | hi << 4);
  }
}

PM_QUANT_ENCODE_BLOCKS(Q4_0, BLOCK, 18)

void pm_quant_random_Q4_0(pm_rng *rng, float deviation, void *dst, size_t n) { random_blocks(rng, deviation, 4.637f, dst, n / BLOCK, 18); }

// ---- Q4_1: d @0, m @2, nibbles @4; value = d * q + m ----

void pm_quant_decode_Q4_1(const void *src, float *dst, size_t n) {
  const uint8_t *b = src;
  for (size_t i = 0; i < n; i += BLOCK, b += 20) {
    float d = pm_quant_get_f16(b), m = pm_quant_get_f16(b + 2);
    for (int k = 0; k < 16; k++) {
      dst[i + k] = d * (float)(b[4 + k] & 15) + m;
      dst[i + k + 16] = d * (float)(b[4 + k] >> 4) + m;
    }
  }
}

static void encode_Q4_1(const float *x, const float *w, uint8_t *b) {
  static const pm_fit_levels levels = {.lo = 0, .hi = 15};
  pm_fit_line r = put_line(x, w, 15, b);
  for (int k = 0; k < 16; k++) {
    int lo = (int)pm_fit_level(&levels, x[k] - r.low, r.step), hi = (int)pm_fit_level(&levels, x[k + 16] - r.low, r.step);
    b[4 + k] = (uint8_t)(lo | hi << 4);
  }
}

PM_QUANT_ENCODE_BLOCKS(Q4_1, BLOCK, 20)

void pm_quant_random_Q4_1(pm_rng *rng, float deviation, void *dst, size_t n) {
  random_min_blocks(rng, deviation, 4.61f, 7.5f, dst, n / BLOCK, 20);
}

// ---- Q5_0: d @0, fifth bits u32 @2 (bit k belongs to element k), nibbles @6; value = d * (q - 16) ----

void pm_quant_decode_Q5_0(const void *src, float *dst, size_t n) {
  const uint8_t *b = src;
  for (size_t i = 0; i < n; i += BLOCK, b += 22) {
    float d = pm_quant_get_f16(b);
    uint32_t fifth = b[2] | (uint32_t)b[3] << 8 | (uint32_t)b[4] << 16 | (uint32_t)b[5] << 24;
    for (int k = 0; k < 16; k++) {
      int lo = (b[6 + k] & 15) | (int)(fifth >> k & 1) << 4, hi = b[6 + k] >> 4 | (int)(fifth >> (k + 16) & 1) << 4;
      dst[i + k] = d * (float)(lo - 16);
      dst[i + k + 16] = d * (float)(hi - 16);
    }
  }
}

static void encode_Q5_0(const float *x, const float *w, uint8_t *b) {
  static const pm_fit_levels levels = {.lo = -16, .hi = 15};
  float d = pm_quant_put_f16(b, pm_fit_scale(&levels, x, w, BLOCK));
  memset(b + 2, 0, 20);
  for (int k = 0; k < BLOCK; k++) {
    int q = (int)pm_fit_level(&levels, x[k], d) + 16;
    b[6 + k % 16] |= (uint8_t)((q & 15) << k / 16 * 4);
    b[2 + k / 8] |= (uint8_t)(q >> 4 << k % 8);
  }
}

PM_QUANT_ENCODE_BLOCKS(Q5_0, BLOCK, 22)

void pm_quant_random_Q5_0(pm_rng *rng, float deviation, void *dst, size_t n) { random_blocks(rng, deviation, 9.247f, dst, n / BLOCK, 22); }

// ---- Q5_1: d @0, m @2, fifth bits u32 @4, nibbles @8; value = d * q + m ----

void pm_quant_decode_Q5_1(const void *src, float *dst, size_t n) {
  const uint8_t *b = src;
  for (size_t i = 0; i < n; i += BLOCK, b += 24) {
    float d = pm_quant_get_f16(b), m = pm_quant_get_f16(b + 2);
    for (int k = 0; k < BLOCK; k++) {
      int q = (b[8 + k % 16] >> (k < 16 ? 0 : 4) & 15) | (b[4 + k / 8] >> k % 8 & 1) << 4;
      dst[i + k] = d * (float)q + m;
    }
  }
}

static void encode_Q5_1(const float *x, const float *w, uint8_t *b) {
  static const pm_fit_levels levels = {.lo = 0, .hi = 31};
  pm_fit_line r = put_line(x, w, 31, b);
  memset(b + 4, 0, 20);
  for (int k = 0; k < BLOCK; k++) {
    int q = (int)pm_fit_level(&levels, x[k] - r.low, r.step);
    b[8 + k % 16] |= (uint8_t)((q & 15) << k / 16 * 4);
    b[4 + k / 8] |= (uint8_t)(q >> 4 << k % 8);
  }
}

PM_QUANT_ENCODE_BLOCKS(Q5_1, BLOCK, 24)

void pm_quant_random_Q5_1(pm_rng *rng, float deviation, void *dst, size_t n) {
  random_min_blocks(rng, deviation, 9.233f, 15.5f, dst, n / BLOCK, 24);
}

// ---- Q8_0: d @0, 32 signed bytes @2; value = d * q ----

void pm_quant_decode_Q8_0(const void *src, float *dst, size_t n) {
  const uint8_t *b = src;
  for (size_t i = 0; i < n; i += BLOCK, b += 34) {
    float d = pm_quant_get_f16(b);
    for (int k = 0; k < BLOCK; k++) dst[i + k] = d * (float)(int8_t)b[2 + k];
  }
}

static void encode_Q8_0(const float *x, const float *w, uint8_t *b) {
  static const pm_fit_levels levels = {.lo = -127, .hi = 127};
  (void)w;  // nothing is cut, so no value gains from another's loss
  float d = pm_quant_put_f16(b, largest_magnitude(x) / 127);
  for (int k = 0; k < BLOCK; k++) b[2 + k] = (uint8_t)(int)pm_fit_level(&levels, x[k], d);
}

PM_QUANT_ENCODE_BLOCKS(Q8_0, BLOCK, 34)

void pm_quant_random_Q8_0(pm_rng *rng, float deviation, void *dst, size_t n) { random_blocks(rng, deviation, 73.9f, dst, n / BLOCK, 34); }
