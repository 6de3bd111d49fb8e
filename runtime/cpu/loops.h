// The vector loops of the ops other than matrix products, compiled once per instruction set.
#ifndef PM_CPU_LOOPS_H
#define PM_CPU_LOOPS_H

#include <stddef.h>
#include <stdint.h>

enum { PM_CPU_CELL_TILE = 32 };  // cache cells that attention looks at together

typedef struct pm_cpu_loops {
  // y = x / sqrt(mean(x^2) + eps) * weight
  void (*norm)(const float *x, const float *weight, float eps, uint32_t n, float *y);
  void (*from_f16)(const uint16_t *src, float *dst, uint32_t n);
  void (*to_f16)(const float *src, uint16_t *dst, uint32_t n);
  // s[h * PM_CPU_CELL_TILE + j] = q[h * q_stride ..] . k[j * width ..] over `width` values, for n_head heads and n_cell <= PM_CPU_CELL_TILE
  // cells
  void (*scores)(const float *q, size_t q_stride, uint32_t n_head, const float *k, uint32_t width, uint32_t n_cell, float *s);
  // The first n values of s become exp(scale * s - m) with m = max(*m, scale * max(s)); *sum and *m follow; returns exp(old m - new m).
  float (*softmax)(float *s, uint32_t n, float scale, float *m, float *sum);
  // acc[h * n_latent ..] = acc * factor[h] + sum_j p[h * PM_CPU_CELL_TILE + j] k[j * width ..] over n_latent values
  void (*mix)(const float *p, const float *factor, uint32_t n_head, const float *k, uint32_t width, uint32_t n_cell, uint32_t n_latent,
              float *acc);
} pm_cpu_loops;

extern const pm_cpu_loops pm_cpu_loops_plain;  // four floats at a time: SSE2, NEON
#if defined(__x86_64__)
extern const pm_cpu_loops pm_cpu_loops_avx2, pm_cpu_loops_avx512;
#endif

// The best for this machine.
const pm_cpu_loops *pm_cpu_loops_get(void);

#endif
