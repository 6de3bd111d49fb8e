// Q2_K, Q3_K: 256 elements with a small integer scale per 16. In each half of 128 elements, byte l of 32 holds the low two bits of
// elements l, l + 32, l + 64 and l + 96.
#include "format_rows.h"

enum { BLOCK = 256 };

static int get_pair(const uint8_t *q, int k) { return q[k / 128 * 32 + k % 32] >> k % 128 / 32 * 2 & 3; }
static void put_pair(uint8_t *q, int k, int value) { q[k / 128 * 32 + k % 32] |= (uint8_t)(value << k % 128 / 32 * 2); }

// ---- Q2_K: sixteen bytes @0, scale in the low, minimum in the high nibble; pairs @16, d f16 @80, dmin f16 @82;
//      value = (d * scale) * q - dmin * minimum ----

void pm_quant_decode_Q2_K(const void *src, float *dst, size_t n) {
  const uint8_t *b = src;
  for (size_t i = 0; i < n; i += BLOCK, b += 84) {
    float d = pm_quant_get_f16(b + 80), dmin = pm_quant_get_f16(b + 82);
    for (int k = 0; k < BLOCK; k++) *dst++ = d * (float)(b[k / 16] & 15) * (float)get_pair(b + 16, k) - dmin * (float)(b[k / 16] >> 4);
  }
}

static void encode_Q2_K(const float *x, const float *w, uint8_t *b) {
  static const pm_fit_levels levels = {.lo = 0, .hi = 3};
  pm_fit_lines f;
  pm_fit_group_ranges(x, w, 16, 3, 15, &f);
  memset(b, 0, 80);
  for (int g = 0; g < 16; g++) b[g] = (uint8_t)(f.scale[g] | f.min[g] << 4);
  float d = pm_quant_put_f16(b + 80, f.d), dmin = pm_quant_put_f16(b + 82, f.dmin);
  for (int k = 0; k < BLOCK; k++)
    put_pair(b + 16, k, (int)pm_fit_level(&levels, x[k] + dmin * (float)f.min[k / 16], d * (float)f.scale[k / 16]));
}

PM_QUANT_ENCODE_BLOCKS(Q2_K, BLOCK, 84)

// dmin = d * mean(q) centres the values: their root mean square is 13.87 at d = 1.
void pm_quant_random_Q2_K(pm_rng *rng, float deviation, void *dst, size_t n) {
  uint8_t *b = dst;
  for (size_t i = 0; i < n; i += BLOCK, b += 84) {
    pm_quant_random_bytes(rng, b, 80);
    float d = pm_quant_put_f16(b + 80, pm_quant_random_scale(rng, deviation / 13.874f));
    pm_quant_put_f16(b + 82, d * 1.5f);
  }
}

// ---- Q3_K: third bits @0 (bit k / 32 of byte k % 32), pairs @32, sixteen 6-bit scales @96, d f16 @108;
//      value = (d * (scale - 32)) * (q - 4). Scale s: low nibble s / 8 of byte s % 8, high pair s / 4 of byte 8 + s % 4. ----

static int get_scale(const uint8_t *p, int s) { return (p[s % 8] >> s / 8 * 4 & 15) | (p[8 + s % 4] >> s / 4 * 2 & 3) << 4; }

static void put_scale(uint8_t *p, int s, int value) {
  p[s % 8] |= (uint8_t)((value & 15) << s / 8 * 4);
  p[8 + s % 4] |= (uint8_t)(value >> 4 << s / 4 * 2);
}

void pm_quant_decode_Q3_K(const void *src, float *dst, size_t n) {
  const uint8_t *b = src;
  for (size_t i = 0; i < n; i += BLOCK, b += 110) {
    float d = pm_quant_get_f16(b + 108);
    for (int k = 0; k < BLOCK; k++) {
      int q = get_pair(b + 32, k) | (b[k % 32] >> k / 32 & 1) << 2;
      *dst++ = d * (float)(get_scale(b + 96, k / 16) - 32) * (float)(q - 4);
    }
  }
}

static void encode_Q3_K(const float *x, const float *w, uint8_t *b) {
  static const pm_fit_levels levels = {.lo = -4, .hi = 3};
  int scale[16];
  float d = pm_quant_put_f16(b + 108, pm_fit_groups(&levels, x, w, 16, -32, 31, scale));
  memset(b, 0, 108);
  for (int g = 0; g < 16; g++) put_scale(b + 96, g, scale[g] + 32);
  for (int k = 0; k < BLOCK; k++) {
    int q = (int)pm_fit_level(&levels, x[k], d * (float)scale[k / 16]) + 4;
    put_pair(b + 32, k, q & 3);
    b[k % 32] |= (uint8_t)(q >> 2 << k / 32);
  }
}

PM_QUANT_ENCODE_BLOCKS(Q3_K, BLOCK, 110)

void pm_quant_random_Q3_K(pm_rng *rng, float deviation, void *dst, size_t n) {
  uint8_t *b = dst;
  for (size_t i = 0; i < n; i += BLOCK, b += 110) {
    pm_quant_random_bytes(rng, b, 108);
    pm_quant_put_f16(b + 108, pm_quant_random_scale(rng, deviation / 43.3f));
  }
}
