// The functions behind the rows of formats.def, and the little-endian fields that blocks are made of. Private to this folder.
#ifndef PM_FORMAT_ROWS_H
#define PM_FORMAT_ROWS_H

#include "fit.h"
#include "formats.h"

#define PM_FORMAT(name, id, elements, bytes)                                               \
  void pm_quant_decode_##name(const void *src, float *dst, size_t n);                      \
  void pm_quant_encode_##name(const float *src, const float *weight, void *dst, size_t n); \
  void pm_quant_random_##name(pm_rng *rng, float deviation, void *dst, size_t n);
#define PM_FORMAT_SIZED(name, id, elements, bytes)
#include "formats.def"
#undef PM_FORMAT
#undef PM_FORMAT_SIZED

static inline float pm_quant_get_f16(const uint8_t *b) { return pm_f16_to_f32((uint16_t)(b[0] | b[1] << 8)); }

// Stores `f` as a finite half and returns what was stored: quantizers must divide by the scale that a reader will see.
static inline float pm_quant_put_f16(uint8_t *b, float f) {
  float stored = pm_fit_half(f);
  uint16_t h = pm_f32_to_f16(stored);
  b[0] = (uint8_t)h, b[1] = (uint8_t)(h >> 8);
  return stored;
}

// The encoder of a format from that of one block, encode_<name>(x, w, b): w are importances, of which some are above 0.
#define PM_QUANT_ENCODE_BLOCKS(name, elements, bytes)                                        \
  void pm_quant_encode_##name(const float *src, const float *weight, void *dst, size_t n) {  \
    float ones[elements];                                                                    \
    uint8_t *b = dst;                                                                        \
    for (size_t i = 0; i < n; i += elements, b += bytes)                                     \
      encode_##name(src + i, pm_fit_weights(weight ? weight + i : NULL, elements, ones), b); \
  }

static inline void pm_quant_random_bytes(pm_rng *rng, uint8_t *dst, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 8) {
    uint64_t r = pm_rng_next(rng);
    memcpy(dst + i, &r, bytes - i < 8 ? bytes - i : 8);
  }
}

// A block scale of random sign whose root mean square is `rms`: blocks differ in scale, as real ones do.
static inline float pm_quant_random_scale(pm_rng *rng, float rms) {
  float u = (float)pm_rng_uniform(rng) * 2 - 1;  // magnitude 0.5 .. 1.5, mean square 13/12
  float magnitude = rms * 0.96077f * (1 + 0.5f * (u < 0 ? -u : u) * (pm_rng_next(rng) >> 63 ? 1.0f : -1.0f));
  return u < 0 ? -magnitude : magnitude;
}

#endif
