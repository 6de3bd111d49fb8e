// FP8: blocks of a scale and 128 values, and how checkpoints become them.
#include "fp8.h"

#include "format_rows.h"

enum { SCALE_BYTES = 4, BLOCK_BYTES = SCALE_BYTES + PM_FP8_BLOCK, LARGEST = 448, LARGEST_CODE = 126, LAST_CODE = 127 };

float pm_fp8_value(uint8_t code) {
  // As a half its exponent is less by 8; a half has room for the denormals, too.
  return pm_f16_to_f32((uint16_t)((code & 0x80) << 8 | (code & 0x7f) << 7)) * 256;
}

uint8_t pm_fp8_code(float value) {
  float magnitude = value < 0 ? -value : value;
  uint8_t sign = value < 0 ? 0x80 : 0, low = 0, high = LARGEST_CODE;
  if (!(magnitude < LARGEST)) return sign | LARGEST_CODE;
  while (high - low > 1) {  // codes of one sign are ordered like their values
    uint8_t middle = (uint8_t)((low + high) / 2);
    if (pm_fp8_value(middle) <= magnitude)
      low = middle;
    else
      high = middle;
  }
  float below = magnitude - pm_fp8_value(low), above = pm_fp8_value(high) - magnitude;
  return sign | (below < above || (below == above && low % 2 == 0) ? low : high);
}

static float load_scale(const void *scales, uint64_t i) {
  float f;
  memcpy(&f, (const uint8_t *)scales + 4 * i, 4);
  return f;
}

// ---- the format ----

void pm_quant_decode_FP8(const void *src, float *dst, size_t n) {
  for (const uint8_t *b = src; n; n -= PM_FP8_BLOCK, b += BLOCK_BYTES, dst += PM_FP8_BLOCK) {
    float scale = load_scale(b, 0);
    for (int i = 0; i < PM_FP8_BLOCK; i++) dst[i] = scale * pm_fp8_value(b[SCALE_BYTES + i]);
  }
}

// The largest value of a block is the largest code: rounding to codes is about as good for any weights.
void pm_quant_encode_FP8(const float *src, const float *weight, void *dst, size_t n) {
  (void)weight;
  for (uint8_t *b = dst; n; n -= PM_FP8_BLOCK, b += BLOCK_BYTES, src += PM_FP8_BLOCK) {
    float most = 0;
    for (int i = 0; i < PM_FP8_BLOCK; i++) {
      float x = src[i] < 0 ? -src[i] : src[i];
      most = x > most ? x : most;
    }
    float scale = most / LARGEST;
    memcpy(b, &scale, 4);
    for (int i = 0; i < PM_FP8_BLOCK; i++) b[SCALE_BYTES + i] = scale > 0 ? pm_fp8_code(src[i] / scale) : 0;
  }
}

// Codes alike over all magnitudes, but for NaN.
void pm_quant_random_FP8(pm_rng *rng, float deviation, void *dst, size_t n) {
  double square = 0;
  for (int code = 0; code <= LARGEST_CODE; code++) square += (double)pm_fp8_value((uint8_t)code) * (double)pm_fp8_value((uint8_t)code);
  float rms = (float)__builtin_sqrt(square / (LARGEST_CODE + 1));
  for (uint8_t *b = dst; n; n -= PM_FP8_BLOCK, b += BLOCK_BYTES) {
    float scale = pm_quant_random_scale(rng, deviation / rms);
    memcpy(b, &scale, 4);
    pm_quant_random_bytes(rng, b + SCALE_BYTES, PM_FP8_BLOCK);
    for (int i = 0; i < PM_FP8_BLOCK; i++)
      while ((b[SCALE_BYTES + i] & LAST_CODE) == LAST_CODE) pm_quant_random_bytes(rng, b + SCALE_BYTES + i, 1);
  }
}

// ---- from checkpoints ----

static const uint8_t *values_of(const pm_slab *s, uint64_t n_in, uint64_t row) { return (const uint8_t *)s->data + row * n_in; }

static uint64_t scale_row(const pm_slab *s, uint64_t n_in, uint64_t row) {
  return (s->first_row + row) / PM_FP8_BLOCK * ((n_in + PM_FP8_BLOCK - 1) / PM_FP8_BLOCK);
}

// Front to back: in place a block never overtakes values that are still to come.
void pm_fp8_pack(const pm_slab *s, uint64_t n_in, uint64_t row, uint64_t n_row, void *dst) {
  uint8_t *b = dst;
  for (uint64_t end = row + n_row; row < end; row++) {
    const uint8_t *q = values_of(s, n_in, row);
    uint64_t scale = scale_row(s, n_in, row);
    for (uint64_t i = 0; i < n_in / PM_FP8_BLOCK; i++, b += BLOCK_BYTES, q += PM_FP8_BLOCK) {
      float f = load_scale(s->scales, scale + i);
      uint8_t block[PM_FP8_BLOCK];
      memcpy(block, q, sizeof block);
      memcpy(b, &f, 4);
      memcpy(b + SCALE_BYTES, block, sizeof block);
    }
  }
}

void pm_fp8_unpack(const pm_slab *s, uint64_t n_in, uint64_t row, uint64_t n_row, float *dst) {
  for (uint64_t end = row + n_row; row < end; row++) {
    const uint8_t *q = values_of(s, n_in, row);
    uint64_t scale = scale_row(s, n_in, row);
    for (uint64_t i = 0; i < n_in; i++) *dst++ = load_scale(s->scales, scale + i / PM_FP8_BLOCK) * pm_fp8_value(q[i]);
  }
}
