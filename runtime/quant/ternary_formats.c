// TQ1_0, TQ2_0: 256 elements of -d, 0 or d; d f16 at the end.
#include "format_rows.h"

enum { BLOCK = 256 };

static const uint8_t powers[5] = {1, 3, 9, 27, 81};

// Models for these formats are trained to three values, which a fit of the scale finds.
static const pm_fit_levels levels = {.lo = -1, .hi = 1};

static void random_blocks(pm_rng *rng, float deviation, float rms, uint8_t *b, size_t n_block, size_t block_bytes) {
  for (; n_block--; b += block_bytes) {
    pm_quant_random_bytes(rng, b, block_bytes);
    pm_quant_put_f16(b + block_bytes - 2, pm_quant_random_scale(rng, deviation / rms));
  }
}

// ---- TQ1_0: five digits base 3 in a byte, as a fraction of 256: 32 bytes @0 hold elements 0-159, 16 @32 160-239, 4 @48 four digits each
// ----

typedef struct digit {
  int byte, n;
} digit;

static digit digit_of(int k) {
  if (k < 160) return (digit){k % 32, k / 32};
  if (k < 240) return (digit){32 + (k - 160) % 16, (k - 160) / 16};
  return (digit){48 + k % 4, (k - 240) / 4};
}

void pm_quant_decode_TQ1_0(const void *src, float *dst, size_t n) {
  const uint8_t *b = src;
  for (size_t i = 0; i < n; i += BLOCK, b += 54) {
    float d = pm_quant_get_f16(b + 52);
    for (int k = 0; k < BLOCK; k++) {
      digit at = digit_of(k);
      *dst++ = d * (float)(((uint8_t)(b[at.byte] * powers[at.n]) * 3 >> 8) - 1);
    }
  }
}

static void encode_TQ1_0(const float *x, const float *w, uint8_t *b) {
  float d = pm_quant_put_f16(b + 52, pm_fit_scale(&levels, x, w, BLOCK));
  int whole[52] = {0};
  for (int k = 0; k < BLOCK; k++) {
    digit at = digit_of(k);
    whole[at.byte] += ((int)pm_fit_level(&levels, x[k], d) + 1) * powers[4 - at.n];
  }
  for (int k = 0; k < 52; k++) b[k] = (uint8_t)((whole[k] * 256 + 242) / 243);  // rounded up, so that truncation finds the digits
}

PM_QUANT_ENCODE_BLOCKS(TQ1_0, BLOCK, 54)

void pm_quant_random_TQ1_0(pm_rng *rng, float deviation, void *dst, size_t n) {
  random_blocks(rng, deviation, 0.8149f, dst, n / BLOCK, 54);
}

// ---- TQ2_0: 64 bytes @0; in each half of 128, byte l holds elements l, l + 32, l + 64, l + 96 in two bits each ----

void pm_quant_decode_TQ2_0(const void *src, float *dst, size_t n) {
  const uint8_t *b = src;
  for (size_t i = 0; i < n; i += BLOCK, b += 66) {
    float d = pm_quant_get_f16(b + 64);
    for (int k = 0; k < BLOCK; k++) *dst++ = d * (float)((b[k / 128 * 32 + k % 32] >> k % 128 / 32 * 2 & 3) - 1);
  }
}

static void encode_TQ2_0(const float *x, const float *w, uint8_t *b) {
  float d = pm_quant_put_f16(b + 64, pm_fit_scale(&levels, x, w, BLOCK));
  memset(b, 0, 64);
  for (int k = 0; k < BLOCK; k++) b[k / 128 * 32 + k % 32] |= (uint8_t)(((int)pm_fit_level(&levels, x[k], d) + 1) << k % 128 / 32 * 2);
}

PM_QUANT_ENCODE_BLOCKS(TQ2_0, BLOCK, 66)

// A pair of bits may be 3, and then means 2: no quantizer writes it, but every reader takes it alike.
void pm_quant_random_TQ2_0(pm_rng *rng, float deviation, void *dst, size_t n) {
  random_blocks(rng, deviation, 1.2247f, dst, n / BLOCK, 66);
}
