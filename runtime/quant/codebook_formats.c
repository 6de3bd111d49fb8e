// IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S: how a block is laid out is said in codebooks.h.
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

// Eight t: a point, or two of four coordinates; sign bits.
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
      put16(b + 34 + 2 * g, point[0] >> 8 << 3 * l);
      break;
    default:  // IQ1_M
      b[t] = (uint8_t)point[0];
      b[32 + t / 2] |= (uint8_t)(point[0] >> 8 << 4 * (t % 2));
      break;
  }
}

// ---- a plain quantizer: scales from the root mean square of a run, then the nearest points; shifts are always up ----

typedef struct codebook {
  const uint64_t *eights;
  const uint32_t *fours;
  uint32_t n_point;
  bool even;          // of the signs of an eight, an even number is set
  uint32_t runs;      // of 16 that share a factor
  uint32_t n_factor;  // 1, 3, 5 ..
  float rms;          // of normal data, in units of d * factor: what makes the error least
} codebook;

static codebook codebook_of(pm_type type) {
  switch (type) {
    case PM_TYPE_IQ2_XXS: return (codebook){pm_grid_IQ2_XXS, NULL, 256, true, 2, 16, 22};
    case PM_TYPE_IQ2_XS: return (codebook){pm_grid_IQ2_XS, NULL, 512, true, 1, 16, 22};
    case PM_TYPE_IQ2_S: return (codebook){pm_grid_IQ2_S, NULL, 1024, false, 1, 16, 22};
    case PM_TYPE_IQ3_XXS: return (codebook){NULL, pm_grid_IQ3_XXS, 256, true, 2, 16, 26};
    case PM_TYPE_IQ3_S: return (codebook){NULL, pm_grid_IQ3_S, 512, false, 2, 16, 6.5f};
    case PM_TYPE_IQ1_S: return (codebook){pm_grid_IQ1_S, NULL, 2048, false, 2, 8, 6.5f};
    default: return (codebook){pm_grid_IQ1_S, NULL, 2048, false, 1, 8, 6.5f};  // IQ1_M
  }
}

static float root_mean_square(const float *x, int n) {
  float sum = 0;
  for (int k = 0; k < n; k++) sum += x[k] * x[k];
  return __builtin_sqrtf(sum / (float)n);
}

static float distance(uint64_t q, int shift, const float *x, int n) {
  float sum = 0;
  for (int k = 0; k < n; k++, q >>= 8) sum += (x[k] - (float)((int8_t)q + shift)) * (x[k] - (float)((int8_t)q + shift));
  return sum;
}

// The point nearest to n values.
static uint32_t nearest(const codebook *c, int shift, const float *x, int n) {
  uint32_t best = 0;
  float least = distance(c->fours ? c->fours[0] : c->eights[0], shift, x, n);
  for (uint32_t i = 1; i < c->n_point; i++) {
    float d = distance(c->fours ? c->fours[i] : c->eights[i], shift, x, n);
    if (d < least) least = d, best = i;
  }
  return best;
}

// Takes the signs off eight values; an odd number of them is made even by the smallest value's.
static uint32_t take_signs(float *x, bool even) {
  uint32_t signs = 0;
  int smallest = 0;
  for (int k = 0; k < 8; k++) {
    if (x[k] < 0) signs |= 1u << k, x[k] = -x[k];
    if (x[k] < x[smallest]) smallest = k;
  }
  if (even && __builtin_parity(signs)) signs ^= 1u << smallest, x[smallest] = -x[smallest];
  return signs;
}

static void encode(pm_type type, const float *x, uint8_t *b) {
  codebook c = codebook_of(type);
  bool shifts = type == PM_TYPE_IQ1_S || type == PM_TYPE_IQ1_M;
  float scale[16], most = 0;
  for (uint32_t r = 0; r < 16; r += c.runs) {
    scale[r] = root_mean_square(x + 16 * r, (int)(16 * c.runs)) / c.rms;
    most = scale[r] > most ? scale[r] : most;
  }
  uint16_t half = pm_f32_to_f16(most / pm_iq_unit(type) / (float)(2 * c.n_factor - 1));
  float d = pm_f16_to_f32(half) * pm_iq_unit(type);
  put_half(type, b, half);
  for (uint32_t r = 0; r < 16; r += c.runs)
    put_factor(type, b, (int)r, (uint32_t)pm_quant_round(scale[r] - d, 2 * d, 0, (int)c.n_factor - 1));
  for (int t = 0; t < EIGHTS; t++) {
    float y[8], step = d * (float)pm_iq_factor(type, b, t / 2);
    for (int k = 0; k < 8; k++) y[k] = step > 0 ? x[8 * t + k] / step : 0;
    uint32_t signs = shifts ? 0 : take_signs(y, c.even);
    uint32_t point[2] = {nearest(&c, shifts, y, c.fours ? 4 : 8), c.fours ? nearest(&c, 0, y + 4, 4) : 0};
    put_eight(type, b, t, point, signs);
  }
}

// ---- rows of formats.def; `rms`: of random blocks at d = 1 ----

#define FORMAT(name, bytes, rms)                                                                 \
  void pm_quant_decode_##name(const void *src, float *dst, size_t n) {                           \
    const uint8_t *b = src;                                                                      \
    for (size_t i = 0; i < n; i += BLOCK, b += bytes) decode(PM_TYPE_##name, b, dst + i);        \
  }                                                                                              \
  void pm_quant_encode_##name(const float *src, void *dst, size_t n) {                           \
    uint8_t *b = memset(dst, 0, n / BLOCK * bytes);                                              \
    for (size_t i = 0; i < n; i += BLOCK, b += bytes) encode(PM_TYPE_##name, src + i, b);        \
  }                                                                                              \
  void pm_quant_random_##name(pm_rng *rng, float deviation, void *dst, size_t n) {               \
    uint8_t *b = dst;                                                                            \
    for (size_t i = 0; i < n; i += BLOCK, b += bytes) {                                          \
      pm_quant_random_bytes(rng, b, bytes);                                                      \
      put_half(PM_TYPE_##name, b, pm_f32_to_f16(pm_quant_random_scale(rng, deviation / (rms)))); \
    }                                                                                            \
  }

FORMAT(IQ1_S, 50, 7.20f)
FORMAT(IQ1_M, 56, 7.20f)
FORMAT(IQ2_XXS, 66, 53.36f)
FORMAT(IQ2_XS, 74, 55.90f)
FORMAT(IQ2_S, 82, 56.39f)
FORMAT(IQ3_XXS, 98, 142.41f)
FORMAT(IQ3_S, 110, 140.24f)
