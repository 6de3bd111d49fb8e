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

// Every group's range [min(0, smallest), largest] maps to 0 .. 3.
void pm_quant_encode_Q2_K(const float *src, void *dst, size_t n) {
  uint8_t *b = dst;
  for (size_t i = 0; i < n; i += BLOCK, b += 84, src += BLOCK) {
    float step[16], low[16], most_step = 0, most_low = 0;
    for (int g = 0; g < 16; g++) {
      float lo = 0, hi = src[16 * g];
      for (int k = 16 * g; k < 16 * g + 16; k++) lo = src[k] < lo ? src[k] : lo, hi = src[k] > hi ? src[k] : hi;
      step[g] = hi > lo ? (hi - lo) / 3 : 0, low[g] = -lo;
      most_step = step[g] > most_step ? step[g] : most_step, most_low = low[g] > most_low ? low[g] : most_low;
    }
    memset(b, 0, 80);
    float d = pm_quant_put_f16(b + 80, most_step / 15), dmin = pm_quant_put_f16(b + 82, most_low / 15);
    for (int g = 0; g < 16; g++) b[g] = (uint8_t)(pm_quant_round(step[g], d, 0, 15) | pm_quant_round(low[g], dmin, 0, 15) << 4);
    for (int k = 0; k < BLOCK; k++)
      put_pair(b + 16, k, pm_quant_round(src[k] + dmin * (float)(b[k / 16] >> 4), d * (float)(b[k / 16] & 15), 0, 3));
  }
}

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

// A group's value of the largest magnitude becomes -4.
void pm_quant_encode_Q3_K(const float *src, void *dst, size_t n) {
  uint8_t *b = dst;
  for (size_t i = 0; i < n; i += BLOCK, b += 110, src += BLOCK) {
    float step[16], most = 0;
    for (int g = 0; g < 16; g++) {
      float extreme = 0;
      for (int k = 16 * g; k < 16 * g + 16; k++)
        if (src[k] * src[k] > extreme * extreme) extreme = src[k];
      step[g] = extreme / -4;
      most = step[g] * step[g] > most * most ? step[g] : most;
    }
    memset(b, 0, 108);
    float d = pm_quant_put_f16(b + 108, most / -32);
    for (int g = 0; g < 16; g++) put_scale(b + 96, g, pm_quant_round(step[g], d, -32, 31) + 32);
    for (int k = 0; k < BLOCK; k++) {
      int q = pm_quant_round(src[k], d * (float)(get_scale(b + 96, k / 16) - 32), -4, 3) + 4;
      put_pair(b + 32, k, q & 3);
      b[k % 32] |= (uint8_t)(q >> 2 << k / 32);
    }
  }
}

void pm_quant_random_Q3_K(pm_rng *rng, float deviation, void *dst, size_t n) {
  uint8_t *b = dst;
  for (size_t i = 0; i < n; i += BLOCK, b += 110) {
    pm_quant_random_bytes(rng, b, 108);
    pm_quant_put_f16(b + 108, pm_quant_random_scale(rng, deviation / 43.3f));
  }
}
