// Bodies of the vector loops. A file that includes this says how wide a vector is (VEC floats), how many accumulators fit its registers
// (CELLS, COLUMNS) and how halves are loaded, and is compiled for its instruction set.
//
// Only vector extensions of the compiler are used besides the loading of halves, so that all instruction sets share one text.
#ifndef PM_CPU_LOOPS_BODY_H
#define PM_CPU_LOOPS_BODY_H

#include <math.h>
#include <string.h>

#include "half.h"
#include "loops.h"

typedef float vf __attribute__((vector_size(4 * VEC)));
typedef int32_t vi __attribute__((vector_size(4 * VEC)));
typedef float quad __attribute__((vector_size(16)));

enum { HEADS = 4 };  // heads that a tile of attention works on: as many as totals() takes

static inline vf load(const float *p) {
  vf v;
  memcpy(&v, p, sizeof v);
  return v;
}

static inline void store(float *p, vf v) { memcpy(p, &v, sizeof v); }

static inline vf splat(float x) { return x - (vf){0}; }

// Folds a vector to four lanes.
static inline quad fold(vf v) {
  quad q[VEC / 4];
  memcpy(q, &v, sizeof v);
  for (int i = 1; i < VEC / 4; i++) q[0] += q[i];
  return q[0];
}

static inline float total(vf v) {
  quad q = fold(v);
  return (q[0] + q[2]) + (q[1] + q[3]);
}

// The totals of four vectors at once, which takes a third of the shuffles of four times one.
static inline quad totals(vf v0, vf v1, vf v2, vf v3) {
  quad a = fold(v0), b = fold(v1), c = fold(v2), d = fold(v3);
  quad ab = __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
  quad cd = __builtin_shufflevector(c, d, 0, 4, 1, 5) + __builtin_shufflevector(c, d, 2, 6, 3, 7);
  return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

static void loop_norm(const float *x, const float *weight, float eps, uint32_t n, float *y) {
  vf sums[2] = {0};
  uint32_t i = 0;
  for (; i + 2 * VEC <= n; i += 2 * VEC) {
    vf a = load(x + i), b = load(x + i + VEC);
    sums[0] += a * a, sums[1] += b * b;
  }
  float sum = total(sums[0] + sums[1]);
  for (; i < n; i++) sum += x[i] * x[i];
  float scale = 1 / sqrtf(sum / (float)n + eps);
  for (i = 0; i + VEC <= n; i += VEC) store(y + i, load(x + i) * splat(scale) * load(weight + i));
  for (; i < n; i++) y[i] = x[i] * scale * weight[i];
}

static void loop_from_f16(const uint16_t *src, float *dst, uint32_t n) {
  uint32_t i = 0;
  for (; i + VEC <= n; i += VEC) store(dst + i, load_f16(src + i));
  for (; i < n; i++) dst[i] = pm_f16_to_f32(src[i]);
}

static void loop_to_f16(const float *src, uint16_t *dst, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) dst[i] = pm_f32_to_f16(src[i]);
}

// HEADS x CELLS dot products at once; rows past the end repeat the last one and are not stored.
static inline void score_tile(const float *const *q, const float *const *k, uint32_t width, quad out[CELLS]) {
  vf sum[HEADS][CELLS];
  uint32_t i = 0;
  for (int h = 0; h < HEADS; h++)
    for (int j = 0; j < CELLS; j++) sum[h][j] = splat(0);
  for (; i + VEC <= width; i += VEC) {
    vf b[CELLS];
    for (int j = 0; j < CELLS; j++) b[j] = load(k[j] + i);
    for (int h = 0; h < HEADS; h++) {
      vf a = load(q[h] + i);
      for (int j = 0; j < CELLS; j++) sum[h][j] += a * b[j];
    }
  }
  for (int j = 0; j < CELLS; j++) out[j] = totals(sum[0][j], sum[1][j], sum[2][j], sum[3][j]);
  for (; i < width; i++)
    for (int j = 0; j < CELLS; j++) out[j] += (quad){q[0][i], q[1][i], q[2][i], q[3][i]} * k[j][i];
}

static void loop_scores(const float *q, size_t q_stride, uint32_t n_head, const float *k, uint32_t width, uint32_t n_cell, float *s) {
  for (uint32_t h0 = 0; h0 < n_head; h0 += HEADS)
    for (uint32_t j0 = 0; j0 < n_cell; j0 += CELLS) {
      const float *qs[HEADS], *ks[CELLS];
      quad out[CELLS];
      for (uint32_t h = 0; h < HEADS; h++) qs[h] = q + q_stride * (h0 + h < n_head ? h0 + h : n_head - 1);
      for (uint32_t j = 0; j < CELLS; j++) ks[j] = k + (size_t)width * (j0 + j < n_cell ? j0 + j : n_cell - 1);
      score_tile(qs, ks, width, out);
      for (uint32_t h = 0; h < HEADS && h0 + h < n_head; h++)
        for (uint32_t j = 0; j < CELLS && j0 + j < n_cell; j++) s[(h0 + h) * PM_CPU_CELL_TILE + j0 + j] = out[j][h];
    }
}

// exp(x) for x <= 0 to about 1e-7: x = n ln 2 + r, |r| <= ln 2 / 2, Taylor in r to the sixth power. Below -87 it stays at exp(-87).
static inline vf exp_negative(vf x) {
  vi below = x < splat(-87.0f);
  x = (vf)(((vi)splat(-87.0f) & below) | ((vi)x & ~below));
  vf n = x * splat(1.44269504f) + splat(12582912.0f) - splat(12582912.0f);  // rounds to an integer
  vf r = x - n * splat(0.693359375f) + n * splat(2.12194440e-4f);           // ln 2 in two parts, the first exact in n
  vf p = splat(1.0f / 720);
  p = p * r + splat(1.0f / 120), p = p * r + splat(1.0f / 24), p = p * r + splat(1.0f / 6);
  p = p * r + splat(0.5f), p = p * r + splat(1.0f), p = p * r + splat(1.0f);
  return (vf)((vi)p + (__builtin_convertvector(n, vi) << 23));
}

static float loop_softmax(float *s, uint32_t n, float scale, float *m, float *sum) {
  float most = *m;
  for (uint32_t j = 0; j < n; j++) most = s[j] * scale > most ? s[j] * scale : most;
  vf added = {0};
  for (uint32_t j = n; j < PM_CPU_CELL_TILE; j++) s[j] = -INFINITY;
  for (uint32_t j = 0; j < PM_CPU_CELL_TILE; j += VEC) {
    vf p = exp_negative(load(s + j) * splat(scale) - splat(most));
    store(s + j, p), added += p;
  }
  float factor = expf(*m - most);
  *sum = *sum * factor + total(added);
  *m = most;
  return factor;
}

// HEADS x COLUMNS vectors of acc stay in registers over all cells.
static inline void mix_tile(const float *p, const float *factor, uint32_t n_head, const float *k, uint32_t width, uint32_t n_cell,
                            float *acc, uint32_t n_latent) {
  vf sum[HEADS][COLUMNS];
  for (uint32_t h = 0; h < HEADS; h++)
    for (int i = 0; i < COLUMNS; i++) sum[h][i] = h < n_head ? load(acc + h * n_latent + i * VEC) * splat(factor[h]) : splat(0);
  for (uint32_t j = 0; j < n_cell; j++) {
    vf b[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) b[i] = load(k + (size_t)j * width + i * VEC);
    for (uint32_t h = 0; h < HEADS; h++) {
      vf a = splat(p[(h < n_head ? h : 0) * PM_CPU_CELL_TILE + j]);
      for (int i = 0; i < COLUMNS; i++) sum[h][i] += a * b[i];
    }
  }
  for (uint32_t h = 0; h < n_head; h++)
    for (int i = 0; i < COLUMNS; i++) store(acc + h * n_latent + i * VEC, sum[h][i]);
}

static void loop_mix(const float *p, const float *factor, uint32_t n_head, const float *k, uint32_t width, uint32_t n_cell,
                     uint32_t n_latent, float *acc) {
  for (uint32_t h0 = 0; h0 < n_head; h0 += HEADS) {
    uint32_t heads = n_head - h0 < HEADS ? n_head - h0 : HEADS, i = 0;
    const float *ps = p + h0 * PM_CPU_CELL_TILE;
    float *out = acc + (size_t)h0 * n_latent;
    for (; i + COLUMNS * VEC <= n_latent; i += COLUMNS * VEC) mix_tile(ps, factor + h0, heads, k + i, width, n_cell, out + i, n_latent);
    for (; i < n_latent; i++)
      for (uint32_t h = 0; h < heads; h++) {
        float sum = out[h * n_latent + i] * factor[h0 + h];
        for (uint32_t j = 0; j < n_cell; j++) sum += ps[h * PM_CPU_CELL_TILE + j] * k[(size_t)j * width + i];
        out[h * n_latent + i] = sum;
      }
  }
}

#define LOOP_TABLE \
  { loop_norm, loop_from_f16, loop_to_f16, loop_scores, loop_softmax, loop_mix }

#endif
