// IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S: how a block is laid out is said in codebooks.h.
#include "codebook_search.h"
#include "codebooks.h"
#include "format_rows.h"

enum { BLOCK = 256, EIGHTS = 32 };

static void decode(pm_type type, const uint8_t *b, float *x) {
  float d = pm_iq_unit(type) * pm_f16_to_f32((uint16_t)pm_iq_half(type, b));
  for (int t = 0; t < EIGHTS; t++) {
    float scale = d * (float)pm_iq_factor(type, b, t / 2);
    uint64_t q = pm_iq_eight(type, b, t);
    for (int k = 0; k < 8; k++) *x++ = scale * (int8_t)(q >> 8 * k);
  }
}

// ---- writing fields; the block is zero before ----

static void put16(uint8_t *b, uint32_t x) { b[0] |= (uint8_t)x, b[1] |= (uint8_t)(x >> 8); }
static void put32(uint8_t *b, uint32_t x) { put16(b, x), put16(b + 2, x >> 16); }

static void put_half(pm_type type, uint8_t *b, uint32_t half) {
  if (type != PM_TYPE_IQ1_M) {
    b[0] = (uint8_t)half, b[1] = (uint8_t)(half >> 8);
    return;
  }
  for (int i = 0; i < 4; i++) b[49 + 2 * i] = (uint8_t)((b[49 + 2 * i] & 15) | (half >> 4 * i & 15) << 4);
}

// Factor 2s + 1 of run r; where runs share theirs, of both.
static void put_factor(pm_type type, uint8_t *b, int r, uint32_t s) {
  switch (type) {
    case PM_TYPE_IQ2_XXS: put32(b + 6 + 8 * (r / 2), s << 28); break;
    case PM_TYPE_IQ2_XS: b[66 + r / 2] |= (uint8_t)(s << 4 * (r % 2)); break;
    case PM_TYPE_IQ2_S: b[74 + r / 2] |= (uint8_t)(s << 4 * (r % 2)); break;
    case PM_TYPE_IQ3_XXS: put32(b + 66 + 4 * (r / 2), s << 28); break;
    case PM_TYPE_IQ3_S: b[106 + r / 4] |= (uint8_t)(s << 4 * (r / 2 % 2)); break;
    case PM_TYPE_IQ1_S: put16(b + 34 + 2 * (r / 2), s << 12); break;
    default: put16(b + 48 + 2 * (r / 4), s << 3 * (r % 4)); break;  // IQ1_M
  }
}

// Eight t: a point, or two of four coordinates; sign bits, or whether the shift is down.
static void put_eight(pm_type type, uint8_t *b, int t, const uint32_t *point, uint32_t signs) {
  int g = t / 4, l = t % 4;
  switch (type) {
    case PM_TYPE_IQ2_XXS:
      b[2 + 8 * g + l] = (uint8_t)point[0];
      put32(b + 6 + 8 * g, (signs & 127) << 7 * l);
      break;
    case PM_TYPE_IQ2_XS: put16(b + 2 + 2 * t, point[0] | (signs & 127) << 9); break;
    case PM_TYPE_IQ2_S:
      b[2 + t] = (uint8_t)point[0], b[34 + t] = (uint8_t)signs;
      b[66 + g] |= (uint8_t)(point[0] >> 8 << 2 * l);
      break;
    case PM_TYPE_IQ3_XXS:
      b[2 + 2 * t] = (uint8_t)point[0], b[3 + 2 * t] = (uint8_t)point[1];
      put32(b + 66 + 4 * g, (signs & 127) << 7 * l);
      break;
    case PM_TYPE_IQ3_S:
      b[2 + 2 * t] = (uint8_t)point[0], b[3 + 2 * t] = (uint8_t)point[1], b[74 + t] = (uint8_t)signs;
      b[66 + g] |= (uint8_t)((point[0] >> 8 | point[1] >> 8 << 1) << 2 * l);
      break;
    case PM_TYPE_IQ1_S:
      b[2 + t] = (uint8_t)point[0];
      put16(b + 34 + 2 * g, point[0] >> 8 << 3 * l | signs << 15);
      break;
    default:  // IQ1_M
      b[t] = (uint8_t)point[0];
      b[32 + t / 2] |= (uint8_t)((point[0] >> 8 | signs << 3) << 4 * (t % 2));
      break;
  }
}

static uint32_t runs_of_a_factor(pm_type type) { return type == PM_TYPE_IQ2_XS || type == PM_TYPE_IQ2_S || type == PM_TYPE_IQ1_M ? 1 : 2; }

static void encode(pm_type type, const float *x, const float *w, uint8_t *b, size_t bytes) {
  pm_codebook_fit f;
  pm_codebook_search(type, x, w, &f);
  memset(b, 0, bytes);
  put_half(type, b, f.half);
  uint32_t runs = runs_of_a_factor(type);
  for (uint32_t r = 0; r < 16; r += runs) put_factor(type, b, (int)r, f.scale[r]);
  for (int t = 0; t < EIGHTS; t++) put_eight(type, b, t, f.point[t], f.signs[t]);
}

// ---- rows of formats.def; `rms`: of random blocks at d = 1 ----

#define FORMAT(name, bytes, rms)                                                                                    \
  static void encode_##name(const float *x, const float *w, uint8_t *b) { encode(PM_TYPE_##name, x, w, b, bytes); } \
  PM_QUANT_ENCODE_BLOCKS(name, BLOCK, bytes)                                                                        \
  void pm_quant_decode_##name(const void *src, float *dst, size_t n) {                                              \
    const uint8_t *b = src;                                                                                         \
    for (size_t i = 0; i < n; i += BLOCK, b += bytes) decode(PM_TYPE_##name, b, dst + i);                           \
  }                                                                                                                 \
  void pm_quant_random_##name(pm_rng *rng, float deviation, void *dst, size_t n) {                                  \
    uint8_t *b = dst;                                                                                               \
    for (size_t i = 0; i < n; i += BLOCK, b += bytes) {                                                             \
      pm_quant_random_bytes(rng, b, bytes);                                                                         \
      put_half(PM_TYPE_##name, b, pm_f32_to_f16(pm_quant_random_scale(rng, deviation / (rms))));                    \
    }                                                                                                               \
  }

FORMAT(IQ1_S, 50, 7.20f)
FORMAT(IQ1_M, 56, 7.20f)
FORMAT(IQ2_XXS, 66, 53.36f)
FORMAT(IQ2_XS, 74, 55.90f)
FORMAT(IQ2_S, 82, 56.39f)
FORMAT(IQ3_XXS, 98, 142.41f)
FORMAT(IQ3_S, 110, 140.24f)
