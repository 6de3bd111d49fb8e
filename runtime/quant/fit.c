#include "fit.h"

#include <string.h>

// Starts that are tried side by side: inner loops over them become vector instructions.
enum { LANES = 16 };

// Rounds to an integer where |v| < 2^22.
static inline float round_near(float v) { return (v + 12582912.0f) - 12582912.0f; }

static inline float level_at(const pm_fit_levels *l, float v) {
  v = v > l->lo ? v : l->lo;
  v = v < l->hi ? v : l->hi;
  return l->codes ? l->codes[(int)(2 * (v + 128))] : round_near(v);
}

const float *pm_fit_weights(const float *w, int n, float *memory) {
  float sum = 0;
  for (int k = 0; w && k < n; k++) sum += w[k];
  if (sum > 0) return w;
  for (int k = 0; k < n; k++) memory[k] = 1;
  return memory;
}

static float extreme(const float *x, int n) {
  float most = 0;
  for (int k = 0; k < n; k++)
    if (fabsf(x[k]) > fabsf(most)) most = x[k];
  return most;
}

// ---- one scale -----------------------------------------------------------------------------------------------------

// Of 16 scales, each replaced by the best for the levels that it leads to, the one with the least error: (sum w x q)^2 / (sum w q^2) is
// what it takes off sum w x^2.
static float best_scale(const pm_fit_levels *l, const float *x, const float *w, int n, const float *scale) {
  float inverse[LANES], xq[LANES] = {0}, qq[LANES] = {0};
  for (int c = 0; c < LANES; c++) inverse[c] = 1 / scale[c];
  for (int k = 0; k < n; k++) {
    float xk = x[k], wk = w[k];
    for (int c = 0; c < LANES; c++) {
      float q = level_at(l, xk * inverse[c]), wq = wk * q;
      xq[c] += wq * xk, qq[c] += wq * q;
    }
  }
  float best = 0, most = 0;
  for (int c = 0; c < LANES; c++)
    if (qq[c] > 0 && xq[c] * xq[c] > most * qq[c]) most = xq[c] * xq[c] / qq[c], best = xq[c] / qq[c];
  return best;
}

float pm_fit_scale(const pm_fit_levels *l, const float *x, const float *w, int n) {
  float most = extreme(x, n), scale[LANES];
  if (fabsf(most) < 1e-30f) return 0;
  // The value of the largest magnitude meets either end of the levels, or is cut by up to a third.
  for (int c = 0; c < LANES; c++) scale[c] = most / (c % 2 ? l->lo : l->hi) * (1.1f - 0.06f * (float)(c / 2));
  float best = best_scale(l, x, w, n, scale);
  if (best == 0) return 0;
  for (int c = 0; c < LANES; c++) scale[c] = best * (1 + 0.01f * (float)(c - LANES / 2));
  float finer = best_scale(l, x, w, n, scale);
  return finer != 0 ? finer : best;
}

// ---- one scale and one minimum -------------------------------------------------------------------------------------

typedef struct moments {
  float w, x, xx;  // sums of w, w x, w x^2
} moments;

static moments moments_of(const float *x, const float *w, int n) {
  moments m = {0};
  for (int k = 0; k < n; k++) m.w += w[k], m.x += w[k] * x[k], m.xx += w[k] * x[k] * x[k];
  return m;
}

// The best line for integers with these sums, and its error.
static pm_fit_line solve(const moments *m, float wq, float wqq, float wqx, float low_most, float *error) {
  float det = m->w * wqq - wq * wq;
  pm_fit_line line = {0, m->w > 0 ? m->x / m->w : 0};
  if (det > 1e-6f * m->w * wqq) line.step = (m->w * wqx - m->x * wq) / det, line.low = (m->x - line.step * wq) / m->w;
  if (line.low > low_most) line.low = low_most, line.step = wqq > 0 ? (wqx - low_most * wq) / wqq : 0;
  if (line.step < 0) line.step = 0;
  float s = line.step, b = line.low;
  *error = m->xx - 2 * s * wqx - 2 * b * m->x + s * s * wqq + 2 * s * b * wq + b * b * m->w;
  return line;
}

// Of 16 lines, each replaced by the best for the integers that it leads to, the one with the least error.
static pm_fit_line best_line(const float *x, const float *w, int n, int q_max, float low_most, const moments *m, const pm_fit_line *start,
                             float *least) {
  float inverse[LANES], low[LANES], wq[LANES] = {0}, wqq[LANES] = {0}, wqx[LANES] = {0}, top = (float)q_max;
  for (int c = 0; c < LANES; c++) inverse[c] = start[c].step > 1e-30f ? 1 / start[c].step : 0, low[c] = start[c].low;
  for (int k = 0; k < n; k++) {
    float xk = x[k], wk = w[k];
    for (int c = 0; c < LANES; c++) {
      float q = (xk - low[c]) * inverse[c];
      q = q > 0 ? q : 0;
      q = round_near(q < top ? q : top);
      wq[c] += wk * q, wqq[c] += wk * q * q, wqx[c] += wk * q * xk;
    }
  }
  pm_fit_line best = start[0];
  *least = INFINITY;
  for (int c = 0; c < LANES; c++) {
    float error;
    pm_fit_line line = solve(m, wq[c], wqq[c], wqx[c], low_most, &error);
    if (error < *least) *least = error, best = line;
  }
  return best;
}

pm_fit_line pm_fit_range(const float *x, const float *w, int n, int q_max, float low_most) {
  float lo = low_most < x[0] ? low_most : x[0], hi = x[0], least, error;
  for (int k = 1; k < n; k++) lo = x[k] < lo ? x[k] : lo, hi = x[k] > hi ? x[k] : hi;
  if (hi - lo < 1e-30f) return (pm_fit_line){0, lo};
  pm_fit_line start[LANES];
  moments m = moments_of(x, w, n);
  float step = (hi - lo) / (float)q_max;
  for (int c = 0; c < LANES; c++) {  // either end is cut by up to 0.8 steps
    static const float cut[4] = {-0.05f, 0.2f, 0.45f, 0.8f};
    float from = lo + cut[c % 4] * step, to = hi - cut[c / 4] * step;
    start[c] = (pm_fit_line){(to - from) / (float)q_max, from};
  }
  pm_fit_line best = best_line(x, w, n, q_max, low_most, &m, start, &least);
  for (float reach = 0.04f; reach > 0.01f; reach /= 2) {
    for (int c = 0; c < LANES; c++) {
      start[c].step = best.step * (1 + reach * ((float)(c % 4) - 1));
      start[c].low = best.low + best.step * 4 * reach * ((float)(c / 4) - 1);
      if (start[c].low > low_most) start[c].low = low_most;
    }
    pm_fit_line finer = best_line(x, w, n, q_max, low_most, &m, start, &error);
    if (error < least) least = error, best = finer;
  }
  return best;
}

// ---- groups with integer scales ------------------------------------------------------------------------------------

// The one of 16 scales, taken as they are, with the least error; by its index.
static int nearest_scale(const pm_fit_levels *l, const float *x, const float *w, int n, const float *scale) {
  float inverse[LANES], error[LANES] = {0};
  for (int c = 0; c < LANES; c++) inverse[c] = scale[c] != 0 ? 1 / scale[c] : 0;
  for (int k = 0; k < n; k++) {
    float xk = x[k], wk = w[k];
    for (int c = 0; c < LANES; c++) {
      float e = xk - scale[c] * level_at(l, xk * inverse[c]);
      error[c] += wk * e * e;
    }
  }
  int best = 0;
  for (int c = 1; c < LANES; c++)
    if (error[c] < error[best]) best = c;
  return best;
}

static int clamp(int v, int least, int most) { return v < least ? least : v > most ? most : v; }

// The best integer scale of each group, near what `wanted` says.
static void choose_scales(const pm_fit_levels *l, const float *x, const float *w, int n_group, int least, int most, float d,
                          const float *wanted, int *scale) {
  int n = PM_FIT_MOST / n_group;
  for (int g = 0; g < n_group; g++) {
    int first = clamp((int)lrintf(wanted[g] / d) - LANES / 2, least, most - LANES + 1 > least ? most - LANES + 1 : least);
    float candidates[LANES];
    for (int c = 0; c < LANES; c++) candidates[c] = d * (float)clamp(first + c, least, most);
    scale[g] = clamp(first + nearest_scale(l, x + g * n, w + g * n, n, candidates), least, most);
  }
}

// The best d for the levels that these scales lead to.
static float refit(const pm_fit_levels *l, const float *x, const float *w, int n_group, float d, const int *scale) {
  int n = PM_FIT_MOST / n_group;
  float xv = 0, vv = 0;
  for (int k = 0; k < PM_FIT_MOST; k++) {
    float s = (float)scale[k / n], v = s * pm_fit_level(l, x[k], d * s);
    xv += w[k] * x[k] * v, vv += w[k] * v * v;
  }
  return vv > 0 ? xv / vv : d;
}

float pm_fit_groups(const pm_fit_levels *l, const float *x, const float *w, int n_group, int least, int most, int *scale) {
  float wanted[16];
  int n = PM_FIT_MOST / n_group;
  memset(scale, 0, (size_t)n_group * sizeof *scale);
  for (int g = 0; g < n_group; g++) wanted[g] = pm_fit_scale(l, x + g * n, w + g * n, n);
  float d = pm_fit_half(extreme(wanted, n_group) / (float)least);
  for (int pass = 0; pass < 2 && d != 0; pass++) {
    choose_scales(l, x, w, n_group, least, most, d, wanted, scale);
    d = pm_fit_half(refit(l, x, w, n_group, d, scale));
  }
  return d;
}

// ---- groups with integer scales and minima -------------------------------------------------------------------------

// The one of 16 lines, taken as they are, with the least error; by its index.
static int nearest_line(const float *x, const float *w, int n, int q_max, const pm_fit_line *line) {
  float inverse[LANES], step[LANES], low[LANES], error[LANES] = {0}, top = (float)q_max;
  for (int c = 0; c < LANES; c++) step[c] = line[c].step, inverse[c] = step[c] > 0 ? 1 / step[c] : 0, low[c] = line[c].low;
  for (int k = 0; k < n; k++) {
    float xk = x[k], wk = w[k];
    for (int c = 0; c < LANES; c++) {
      float q = (xk - low[c]) * inverse[c];
      q = q > 0 ? q : 0;
      q = round_near(q < top ? q : top);
      float e = xk - (step[c] * q + low[c]);
      error[c] += wk * e * e;
    }
  }
  int best = 0;
  for (int c = 1; c < LANES; c++)
    if (error[c] < error[best]) best = c;
  return best;
}

static int steps_to(float wanted, float unit) { return unit > 0 ? (int)lrintf(wanted / unit) : 0; }

// The best integers of each group among four scales and four minima around what is wanted.
static void choose_lines(const float *x, const float *w, int n_group, int q_max, int most, const pm_fit_line *wanted, pm_fit_lines *out) {
  int n = PM_FIT_MOST / n_group;
  for (int g = 0; g < n_group; g++) {
    int scale = clamp(steps_to(wanted[g].step, out->d) - 1, 0, most), min = clamp(steps_to(-wanted[g].low, out->dmin) - 1, 0, most);
    pm_fit_line line[LANES];
    for (int c = 0; c < LANES; c++)
      line[c] = (pm_fit_line){out->d * (float)clamp(scale + c % 4, 0, most), -out->dmin * (float)clamp(min + c / 4, 0, most)};
    int best = nearest_line(x + g * n, w + g * n, n, q_max, line);
    out->scale[g] = clamp(scale + best % 4, 0, most), out->min[g] = clamp(min + best / 4, 0, most);
  }
}

// The best d and dmin for the integers that these lead to: two unknowns over all values.
static void refit_lines(const float *x, const float *w, int n_group, int q_max, pm_fit_lines *f) {
  const pm_fit_levels levels = {.lo = 0, .hi = (float)q_max};
  int n = PM_FIT_MOST / n_group;
  float aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;
  for (int k = 0; k < PM_FIT_MOST; k++) {
    float s = (float)f->scale[k / n], b = (float)f->min[k / n];
    float a = s * pm_fit_level(&levels, x[k] + f->dmin * b, f->d * s);
    aa += w[k] * a * a, ab += w[k] * a * b, bb += w[k] * b * b, ax += w[k] * a * x[k], bx += w[k] * b * x[k];
  }
  float det = aa * bb - ab * ab;  // of x = d a - dmin b
  if (det > 1e-5f * aa * bb) {
    f->d = pm_fit_half((ax * bb - bx * ab) / det), f->dmin = pm_fit_half((ax * ab - bx * aa) / det);
  } else if (aa > 0) {
    f->d = pm_fit_half((ax + f->dmin * ab) / aa);
  }
}

void pm_fit_group_ranges(const float *x, const float *w, int n_group, int q_max, int most, pm_fit_lines *out) {
  pm_fit_line wanted[16];
  float step = 0, low = 0;
  int n = PM_FIT_MOST / n_group;
  *out = (pm_fit_lines){0};
  for (int g = 0; g < n_group; g++) {
    wanted[g] = pm_fit_range(x + g * n, w + g * n, n, q_max, 0);
    step = wanted[g].step > step ? wanted[g].step : step, low = -wanted[g].low > low ? -wanted[g].low : low;
  }
  out->d = pm_fit_half(step / (float)most), out->dmin = pm_fit_half(low / (float)most);
  for (int pass = 0; pass < 2; pass++) {
    choose_lines(x, w, n_group, q_max, most, wanted, out);
    refit_lines(x, w, n_group, q_max, out);
    if (out->d < 0) out->d = 0;
    if (out->dmin < 0) out->dmin = 0;
  }
}
