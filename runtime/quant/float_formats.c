// F32, F16, BF16: one value, one element.
#include "format_rows.h"

void pm_quant_decode_F32(const void *src, float *dst, size_t n) { memcpy(dst, src, n * 4); }

void pm_quant_encode_F32(const float *src, const float *weight, void *dst, size_t n) {
  (void)weight;
  memcpy(dst, src, n * 4);
}

// Uniform in [-sqrt(3), sqrt(3)] * deviation.
static float random_value(pm_rng *rng, float deviation) { return (float)(pm_rng_uniform(rng) * 2 - 1) * 1.7320508f * deviation; }

void pm_quant_random_F32(pm_rng *rng, float deviation, void *dst, size_t n) {
  for (size_t i = 0; i < n; i++) {
    float f = random_value(rng, deviation);
    memcpy((uint8_t *)dst + 4 * i, &f, 4);
  }
}

#define HALF_WIDTH(name, to_f32, from_f32)                                                  \
  void pm_quant_decode_##name(const void *src, float *dst, size_t n) {                      \
    for (size_t i = 0; i < n; i++) {                                                        \
      uint16_t h;                                                                           \
      memcpy(&h, (const uint8_t *)src + 2 * i, 2);                                          \
      dst[i] = to_f32(h);                                                                   \
    }                                                                                       \
  }                                                                                         \
  void pm_quant_encode_##name(const float *src, const float *weight, void *dst, size_t n) { \
    (void)weight;                                                                           \
    for (size_t i = 0; i < n; i++) {                                                        \
      uint16_t h = from_f32(src[i]);                                                        \
      memcpy((uint8_t *)dst + 2 * i, &h, 2);                                                \
    }                                                                                       \
  }                                                                                         \
  void pm_quant_random_##name(pm_rng *rng, float deviation, void *dst, size_t n) {          \
    for (size_t i = 0; i < n; i++) {                                                        \
      uint16_t h = from_f32(random_value(rng, deviation));                                  \
      memcpy((uint8_t *)dst + 2 * i, &h, 2);                                                \
    }                                                                                       \
  }

HALF_WIDTH(F16, pm_f16_to_f32, pm_f32_to_f16)
HALF_WIDTH(BF16, pm_bf16_to_f32, pm_f32_to_bf16)
