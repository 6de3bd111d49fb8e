// Q4_K, Q5_K, Q6_K: 256 elements with a scale per group of 32 or 16, itself an integer times the block's f16 scale.
#include "format_rows.h"

enum { BLOCK = 256 };

// ---- what Q4_K and Q5_K share: d f16 @0, dmin f16 @2, eight 6-bit scales and eight 6-bit minima in 12 bytes @4;
//      value of an element of group s = (d * scale[s]) * q - dmin * min[s] ----

typedef struct group_scales {
  float d, dmin;
  uint8_t scale[8], min[8];
} group_scales;

static group_scales get_scales(const uint8_t *b) {
  group_scales g = {.d = pm_quant_get_f16(b), .dmin = pm_quant_get_f16(b + 2)};
  const uint8_t *p = b + 4;
  for (int s = 0; s < 4; s++) {
    g.scale[s] = p[s] & 63, g.min[s] = p[s + 4] & 63;
    g.scale[s + 4] = (uint8_t)((p[s + 8] & 15) | p[s] >> 6 << 4);
    g.min[s + 4] = (uint8_t)(p[s + 8] >> 4 | p[s + 4] >> 6 << 4);
  }
  return g;
}

static void put_scales(uint8_t *b, const group_scales *g) {
  uint8_t *p = b + 4;
  for (int s = 0; s < 4; s++) {
    p[s] = (uint8_t)(g->scale[s] | g->scale[s + 4] >> 4 << 6);
    p[s + 4] = (uint8_t)(g->min[s] | g->min[s + 4] >> 4 << 6);
    p[s + 8] = (uint8_t)((g->scale[s + 4] & 15) | (g->min[s + 4] & 15) << 4);
  }
}

// The best scales and minima for integers 0 .. q_max; writes the first 16 bytes of b.
static group_scales choose_scales(const float *x, const float *w, int q_max, uint8_t *b) {
  pm_fit_lines f;
  pm_fit_group_ranges(x, w, 8, q_max, 63, &f);
  group_scales g = {.d = pm_quant_put_f16(b, f.d), .dmin = pm_quant_put_f16(b + 2, f.dmin)};
  for (int s = 0; s < 8; s++) g.scale[s] = (uint8_t)f.scale[s], g.min[s] = (uint8_t)f.min[s];
  put_scales(b, &g);
  return g;
}

static int quantize(const group_scales *g, const float *x, int k, int q_max) {
  int s = k / 32;
  return (int)pm_fit_level(&(pm_fit_levels){.lo = 0, .hi = (float)q_max}, x[k] + g->dmin * g->min[s], g->d * g->scale[s]);
}

// Random scales, minima and integers; dmin = d * mean(q) centres the values. `rms` is their root mean square at d = 1.
static void random_blocks(pm_rng *rng, float deviation, float rms, float mean_q, uint8_t *b, size_t n_block, size_t block_bytes) {
  for (; n_block--; b += block_bytes) {
    pm_quant_random_bytes(rng, b, block_bytes);
    float d = pm_quant_put_f16(b, pm_quant_random_scale(rng, deviation / rms));
    pm_quant_put_f16(b + 2, d * mean_q);
  }
}

// ---- Q4_K: nibbles @16: 32 bytes hold groups 2i (low) and 2i + 1 (high) ----

void pm_quant_decode_Q4_K(const void *src, float *dst, size_t n) {
  const uint8_t *b = src;
  for (size_t i = 0; i < n; i += BLOCK, b += 144) {
    group_scales g = get_scales(b);
    for (int s = 0; s < 8; s++) {
      const uint8_t *q = b + 16 + 32 * (s / 2);
      float scale = g.d * g.scale[s], min = g.dmin * g.min[s];
      for (int k = 0; k < 32; k++) *dst++ = scale * (float)(q[k] >> 4 * (s % 2) & 15) - min;
    }
  }
}

static void encode_Q4_K(const float *x, const float *w, uint8_t *b) {
  group_scales g = choose_scales(x, w, 15, b);
  memset(b + 16, 0, 128);
  for (int k = 0; k < BLOCK; k++) b[16 + 32 * (k / 64) + k % 32] |= (uint8_t)(quantize(&g, x, k, 15) << (k % 64 < 32 ? 0 : 4));
}

PM_QUANT_ENCODE_BLOCKS(Q4_K, BLOCK, 144)

void pm_quant_random_Q4_K(pm_rng *rng, float deviation, void *dst, size_t n) {
  random_blocks(rng, deviation, 258.3f, 7.5f, dst, n / BLOCK, 144);
}

// ---- Q5_K: fifth bits @16 (bit s of byte k belongs to element k of group s), nibbles @48 as in Q4_K ----

void pm_quant_decode_Q5_K(const void *src, float *dst, size_t n) {
  const uint8_t *b = src;
  for (size_t i = 0; i < n; i += BLOCK, b += 176) {
    group_scales g = get_scales(b);
    for (int s = 0; s < 8; s++) {
      const uint8_t *q = b + 48 + 32 * (s / 2), *fifth = b + 16;
      float scale = g.d * g.scale[s], min = g.dmin * g.min[s];
      for (int k = 0; k < 32; k++) *dst++ = scale * (float)((q[k] >> 4 * (s % 2) & 15) | (fifth[k] >> s & 1) << 4) - min;
    }
  }
}

static void encode_Q5_K(const float *x, const float *w, uint8_t *b) {
  group_scales g = choose_scales(x, w, 31, b);
  memset(b + 16, 0, 160);
  for (int k = 0; k < BLOCK; k++) {
    int q = quantize(&g, x, k, 31);
    b[48 + 32 * (k / 64) + k % 32] |= (uint8_t)((q & 15) << (k % 64 < 32 ? 0 : 4));
    b[16 + k % 32] |= (uint8_t)(q >> 4 << k / 32);
  }
}

PM_QUANT_ENCODE_BLOCKS(Q5_K, BLOCK, 176)

void pm_quant_random_Q5_K(pm_rng *rng, float deviation, void *dst, size_t n) {
  random_blocks(rng, deviation, 526.9f, 15.5f, dst, n / BLOCK, 176);
}

// ---- Q6_K: low nibbles @0, high pairs of bits @128, sixteen signed scales @192, d f16 @208; value = d * scale * (q - 32).
//      In each half of 128 elements, quarter g (0..3) has its nibbles in byte 32 * (g & 1) + l of the half's 64 (low for g < 2), and
//      its high bits at bits 2g of byte l of the half's 32. ----

void pm_quant_decode_Q6_K(const void *src, float *dst, size_t n) {
  const uint8_t *b = src;
  for (size_t i = 0; i < n; i += BLOCK, b += 210) {
    float d = pm_quant_get_f16(b + 208);
    for (int group = 0; group < 16; group++) {
      int half = group / 8, g = group / 2 % 4, l = group % 2 * 16;
      const uint8_t *low = b + 64 * half + 32 * (g & 1) + l, *high = b + 128 + 32 * half + l;
      float scale = d * (float)(int8_t)b[192 + group];
      for (int k = 0; k < 16; k++) *dst++ = scale * (float)(((low[k] >> (g < 2 ? 0 : 4) & 15) | (high[k] >> 2 * g & 3) << 4) - 32);
    }
  }
}

static void encode_Q6_K(const float *x, const float *w, uint8_t *b) {
  static const pm_fit_levels levels = {.lo = -32, .hi = 31};
  int scale[16];
  float d = pm_quant_put_f16(b + 208, pm_fit_groups(&levels, x, w, 16, -128, 127, scale));
  memset(b, 0, 192);
  for (int g = 0; g < 16; g++) b[192 + g] = (uint8_t)scale[g];
  for (int k = 0; k < BLOCK; k++) {
    int half = k / 128, g = k / 32 % 4, l = k % 32;
    int q = (int)pm_fit_level(&levels, x[k], d * (float)scale[k / 16]) + 32;
    b[64 * half + 32 * (g & 1) + l] |= (uint8_t)((q & 15) << (g < 2 ? 0 : 4));
    b[128 + 32 * half + l] |= (uint8_t)(q >> 4 << 2 * g);
  }
}

PM_QUANT_ENCODE_BLOCKS(Q6_K, BLOCK, 210)

void pm_quant_random_Q6_K(pm_rng *rng, float deviation, void *dst, size_t n) {
  uint8_t *b = dst;
  for (size_t i = 0; i < n; i += BLOCK, b += 210) {
    pm_quant_random_bytes(rng, b, 208);
    pm_quant_put_f16(b + 208, pm_quant_random_scale(rng, deviation / 1365.7f));
  }
}
