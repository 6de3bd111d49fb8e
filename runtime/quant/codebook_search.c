// A point of a codebook is looked for among those nearest to the cell of the alphabet that the values fall into; scales are tried, and each
// is replaced by the best for the points that it leads to, as in fit.h. Whatever is not stored (a sign that makes their number even) is
// given to the value that loses least.
#include "codebook_search.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "codebooks.h"
#include "half.h"
#include "thread.h"

enum { RUNS = 16, EIGHTS = 32, NEAR = 16, CELLS_8 = 6561, CELLS_4 = 4096, MOST_POINTS = 2048 };

// Points that are looked at while scales are tried, and when the scale is known.
enum { FEW = 4, MANY = NEAR };

typedef float four __attribute__((vector_size(16), aligned(4)));

// ---- points near a cell --------------------------------------------------------------------------------------------

typedef struct codebook {
  const uint64_t *eights;
  const uint32_t *fours;
  uint32_t n_point;
  bool even;                                        // of the signs of an eight, an even number is set
  enum { NO_SHIFT, SHIFT_RUN, SHIFT_EIGHT } shift;  // one sign of a shift for 32 values, or for eight, instead of signs
  uint32_t runs;                                    // of 16 that share a factor
  int n_scale;                                      // factors 1, 3, 5 ..
  float rms;                                        // of normal data, in units of d * factor: what makes the error least
  bool by_size;                                     // large values count for more than their importances say
} codebook;

static codebook codebook_of(pm_type type) {
  switch (type) {
    case PM_TYPE_IQ2_XXS: return (codebook){pm_grid_IQ2_XXS, NULL, 256, true, NO_SHIFT, 2, 16, 22};
    case PM_TYPE_IQ2_XS: return (codebook){pm_grid_IQ2_XS, NULL, 512, true, NO_SHIFT, 1, 16, 22};
    case PM_TYPE_IQ2_S: return (codebook){pm_grid_IQ2_S, NULL, 1024, false, NO_SHIFT, 1, 16, 22};
    case PM_TYPE_IQ3_XXS: return (codebook){NULL, pm_grid_IQ3_XXS, 256, true, NO_SHIFT, 2, 16, 26};
    case PM_TYPE_IQ3_S: return (codebook){NULL, pm_grid_IQ3_S, 512, false, NO_SHIFT, 2, 16, 6.5f};
    case PM_TYPE_IQ1_S: return (codebook){pm_grid_IQ1_S, NULL, 2048, false, SHIFT_RUN, 2, 8, 6.5f};
    default: return (codebook){pm_grid_IQ1_S, NULL, 2048, false, SHIFT_EIGHT, 1, 8, 6.5f, true};  // IQ1_M
  }
}

// Coordinates by digit.
typedef struct alphabet {
  int n, coordinates;
  float value[8];
} alphabet;

static const alphabet IQ1_ALPHABET = {3, 8, {-8, 0, 8}}, IQ2_ALPHABET = {3, 8, {8, 25, 43}},
                      IQ3_XXS_ALPHABET = {8, 4, {4, 12, 20, 28, 36, 44, 52, 62}}, IQ3_S_ALPHABET = {8, 4, {1, 3, 5, 7, 9, 11, 13, 15}};

static const alphabet *alphabet_of(pm_type type) {
  if (type == PM_TYPE_IQ3_XXS) return &IQ3_XXS_ALPHABET;
  if (type == PM_TYPE_IQ3_S) return &IQ3_S_ALPHABET;
  return type == PM_TYPE_IQ1_S || type == PM_TYPE_IQ1_M ? &IQ1_ALPHABET : &IQ2_ALPHABET;
}

// Filled when first needed.
typedef struct point_index {
  atomic_int state;  // 0 empty, 1 being filled, 2 ready
  float point[MOST_POINTS][8];
  uint16_t near[CELLS_8][NEAR];
} point_index;

static float distance(const float *a, const float *b, int n) {
  float sum = 0;
  for (int j = 0; j < n; j++) sum += (a[j] - b[j]) * (a[j] - b[j]);
  return sum;
}

// The NEAR points nearest to a cell, the nearest first.
static void list_near(point_index *ix, const codebook *c, const alphabet *a, uint32_t cell) {
  float centre[8], found[NEAR];
  uint32_t n = 0;
  for (uint32_t j = 0, rest = cell; j < (uint32_t)a->coordinates; j++, rest /= (uint32_t)a->n) centre[j] = a->value[rest % (uint32_t)a->n];
  for (uint32_t i = 0; i < c->n_point; i++) {
    float d = distance(ix->point[i], centre, a->coordinates);
    if (n == NEAR && d >= found[NEAR - 1]) continue;
    uint32_t at = n < NEAR ? n++ : NEAR - 1;
    for (; at && found[at - 1] > d; at--) found[at] = found[at - 1], ix->near[cell][at] = ix->near[cell][at - 1];
    found[at] = d, ix->near[cell][at] = (uint16_t)i;
  }
}

static void fill(point_index *ix, const codebook *c, const alphabet *a) {
  for (uint32_t i = 0; i < c->n_point; i++)
    for (int j = 0; j < a->coordinates; j++) ix->point[i][j] = (float)(int8_t)((c->fours ? c->fours[i] : c->eights[i]) >> 8 * j);
  uint32_t n_cell = a->coordinates == 4 ? CELLS_4 : CELLS_8;
  for (uint32_t cell = 0; cell < n_cell; cell++) list_near(ix, c, a, cell);
}

static const point_index *index_of(pm_type type, const codebook *c) {
  static point_index indices[6];
  static const pm_type shared[6] = {PM_TYPE_IQ1_S, PM_TYPE_IQ2_XXS, PM_TYPE_IQ2_XS, PM_TYPE_IQ2_S, PM_TYPE_IQ3_XXS, PM_TYPE_IQ3_S};
  pm_type grid = type == PM_TYPE_IQ1_M ? PM_TYPE_IQ1_S : type;
  int i = 0, empty = 0;
  while (shared[i] != grid) i++;
  point_index *ix = &indices[i];
  if (atomic_load_explicit(&ix->state, memory_order_acquire) == 2) return ix;
  if (atomic_compare_exchange_strong(&ix->state, &empty, 1)) {
    fill(ix, c, alphabet_of(type));
    atomic_store_explicit(&ix->state, 2, memory_order_release);
  }
  while (atomic_load_explicit(&ix->state, memory_order_acquire) != 2) pm_thread_pause();
  return ix;
}

// ---- points for values ---------------------------------------------------------------------------------------------

typedef struct search {
  codebook c;
  const alphabet *a;
  const point_index *ix;
  float x[256], wx[256], w[256];  // magnitudes, or values where there are no signs; importance times those; importances
  pm_codebook_fit *out;
} search;

// Sums over values of w x g and w g^2, g being what the points (and shifts) stand for.
typedef struct sums {
  float xg, gg;
} sums;

static float gain(sums s) { return s.gg > 0 ? s.xg * s.xg / s.gg : 0; }  // what the best scale takes off sum w x^2

static float loss(sums s, float scale) { return scale * (scale * s.gg - 2 * s.xg); }  // error at a scale, less sum w x^2

static uint32_t digit(const alphabet *a, float v) {
  float step = a->value[1] - a->value[0], d = (v - a->value[0]) / step + 0.5f;
  return d > 0 ? d < (float)(a->n - 1) ? (uint32_t)d : (uint32_t)a->n - 1 : 0;
}

static float total(four v) { return (v[0] + v[1]) + (v[2] + v[3]); }

static four load(const float *p) {
  four v;
  memcpy(&v, p, sizeof v);
  return v;
}

// The best point for the coordinates from element k on, of x / scale less the shift: sum w (x / scale - g)^2 is least where
// sum g (w g - 2 w x / scale) is.
static sums best_point(const search *s, int k, float inverse, float shift, uint32_t near, uint32_t *point) {
  int n = s->a->coordinates;
  uint32_t cell = 0;
  for (int j = n - 1; j >= 0; j--) cell = cell * (uint32_t)s->a->n + digit(s->a, s->x[k + j] * inverse - shift);
  bool wide = n == 8;  // otherwise the upper half counts for nothing
  four none = {0}, w[2] = {load(s->w + k), wide ? load(s->w + k + 4) : none}, wx[2] = {load(s->wx + k), wide ? load(s->wx + k + 4) : none};
  four slope[2] = {wx[0] * (-2 * inverse), wx[1] * (-2 * inverse)};
  const uint16_t *list = s->ix->near[cell];
  uint32_t best = 0;
  float least = INFINITY;
  for (uint32_t i = 0; i < near; i++) {
    const float *p = s->ix->point[list[i]];
    four a = load(p) + shift, b = load(p + 4) + shift;
    float error = total(a * (w[0] * a + slope[0]) + b * (w[1] * b + slope[1]));
    if (error < least) least = error, best = i;
  }
  *point = list[best];
  four a = load(s->ix->point[*point]) + shift, b = load(s->ix->point[*point] + 4) + shift;
  return (sums){total(wx[0] * a + wx[1] * b), total(w[0] * a * a + w[1] * b * b)};
}

static sums best_eight(const search *s, int t, float inverse, float shift, uint32_t near, uint32_t point[2]) {
  sums a = best_point(s, 8 * t, inverse, shift, near, &point[0]);
  if (!s->c.fours) return a;
  sums b = best_point(s, 8 * t + 4, inverse, shift, near, &point[1]);
  return (sums){a.xg + b.xg, a.gg + b.gg};
}

// What a run (of one or two times 16 values) holds.
typedef struct run {
  sums sum;
  uint32_t point[4][2], down[4];
} run;

static void add(run *r, int i, sums s, const uint32_t point[2], uint32_t down) {
  r->sum.xg += s.xg, r->sum.gg += s.gg;
  r->point[i][0] = point[0], r->point[i][1] = point[1], r->down[i] = down;
}

// The points of eights first .. first + n - 1 at a scale. Where they share the sign of a shift it is given, otherwise each has its own.
static run best_run(const search *s, int first, int n, float scale, uint32_t down, uint32_t near) {
  run r = {0};
  float inverse = 1 / scale;
  for (int i = 0; i < n; i++) {
    uint32_t up_point[2] = {0}, down_point[2] = {0};
    sums up = {0}, low = {0};
    bool shifts = s->c.shift != NO_SHIFT, both = s->c.shift == SHIFT_EIGHT;
    if (both || !down) up = best_eight(s, first + i, inverse, shifts ? 1 : 0, near, up_point);
    if (both || down) low = best_eight(s, first + i, inverse, -1, near, down_point);
    bool lower = both ? loss(low, scale) < loss(up, scale) : down;
    add(&r, i, lower ? low : up, lower ? down_point : up_point, lower);
  }
  return r;
}

// The scale that takes most off the error of a run; 0 if none does.
static float best_scale(const search *s, int first, int n, float wanted, uint32_t down, float *most) {
  enum { COARSE = 12, FINE = 4 };
  float best = 0, scale = wanted * 0.68f;
  *most = 0;
  for (int i = 0; i < COARSE + FINE; i++) {
    if (i == COARSE) scale = best * 0.95f;
    run r = best_run(s, first, n, scale, down, FEW);
    if (gain(r.sum) > *most && r.sum.xg > 0) *most = gain(r.sum), best = r.sum.xg / r.sum.gg;
    scale *= i < COARSE ? 1.065f : 1.033f;
    if (i == COARSE - 1 && best == 0) break;
  }
  return best;
}

// ---- blocks --------------------------------------------------------------------------------------------------------

// Takes the signs off; where their number must be even, one sign is wrong: that of the value for which it matters least.
static void take_values(search *s, const float *x, const float *w) {
  float square = 0;
  for (int k = 0; k < 256; k++) square += x[k] * x[k] / 256;
  for (int t = 0; t < EIGHTS; t++) {
    uint32_t signs = 0;
    int cheapest = 8 * t;
    for (int k = 8 * t; k < 8 * t + 8; k++) {
      bool negative = s->c.shift == NO_SHIFT && x[k] < 0;
      s->w[k] = s->c.by_size ? w[k] * sqrtf(square + x[k] * x[k]) : w[k], s->x[k] = negative ? -x[k] : x[k];
      signs |= (uint32_t)negative << k % 8;
      if (s->w[k] * s->x[k] < s->w[cheapest] * s->x[cheapest]) cheapest = k;
    }
    if (s->c.even && __builtin_parity(signs)) signs ^= 1u << cheapest % 8, s->x[cheapest] = -s->x[cheapest];
    for (int k = 8 * t; k < 8 * t + 8; k++) s->wx[k] = s->w[k] * s->x[k];
    s->out->signs[t] = signs;
  }
}

// Of a run on its own, with the sign of its shift.
static float wanted_scale(const search *s, int first, int n, uint32_t *down) {
  float power = 0, weight = 0, most, most_down;
  for (int k = 8 * first; k < 8 * (first + n); k++) power += s->wx[k] * s->x[k], weight += s->w[k];
  float rms = weight > 0 ? sqrtf(power / weight) : 0;
  *down = 0;
  if (rms < 1e-30f) return 0;
  float scale = best_scale(s, first, n, rms / s->c.rms, 0, &most);
  if (s->c.shift != SHIFT_RUN) return scale;
  float scale_down = best_scale(s, first, n, rms / s->c.rms, 1, &most_down);
  *down = most_down > most;
  return *down ? scale_down : scale;
}

// Chooses the factor of a run near what is wanted, and the points that belong to it.
static sums choose(search *s, int first, int n, float d, float wanted, uint32_t down) {
  int near = (int)lrintf((wanted / d - 1) / 2), best_at = 0;
  run best = {0};
  float least = INFINITY;
  for (int i = near - 1; i <= near + 1; i++) {
    int at = i < 0 ? 0 : i < s->c.n_scale ? i : s->c.n_scale - 1;
    float scale = d * (float)(2 * at + 1);
    run r = best_run(s, first, n, scale, down, MANY);
    if (loss(r.sum, scale) < least) least = loss(r.sum, scale), best = r, best_at = at;
  }
  for (int i = 0; i < n; i++) {
    s->out->point[first + i][0] = best.point[i][0], s->out->point[first + i][1] = best.point[i][1];
    if (s->c.shift != NO_SHIFT) s->out->signs[first + i] = best.down[i];
    s->out->scale[(first + i) / 2] = (uint32_t)best_at;
  }
  float f = (float)(2 * best_at + 1);
  return (sums){f * best.sum.xg, f * f * best.sum.gg};
}

static uint32_t half_of(float f) { return pm_f32_to_f16(fminf(f, 65504)); }

// The scale of the block is fitted while points are chosen; in the end it is the one that keeps the block's power, sum w x^2. A fitted one
// leaves every product too small, by a tenth at two bits, and a model takes that worse than the little that the error grows.
void pm_codebook_search(pm_type type, const float *x, const float *w, pm_codebook_fit *out) {
  search s = {.c = codebook_of(type), .a = alphabet_of(type), .out = out};
  s.ix = index_of(type, &s.c);
  *out = (pm_codebook_fit){0};
  take_values(&s, x, w);
  int n = 2 * (int)s.c.runs;  // eights
  float wanted[RUNS] = {0}, most = 0, unit = pm_iq_unit(type);
  uint32_t down[RUNS] = {0};
  for (int t = 0; t < EIGHTS; t += n) {
    wanted[t / 2] = wanted_scale(&s, t, n, &down[t / 2]);
    most = fmaxf(most, wanted[t / 2]);
  }
  float d = most / (float)(2 * s.c.n_scale - 1), power = 0;
  for (int k = 0; k < 256; k++) power += s.wx[k] * s.x[k];
  for (int pass = 0; pass < 3; pass++) {
    sums all = {0};
    out->half = half_of(d / unit);
    d = pm_f16_to_f32((uint16_t)out->half) * unit;
    if (d == 0) return;
    for (int t = 0; t < EIGHTS; t += n) {
      sums r = choose(&s, t, n, d, wanted[t / 2], down[t / 2]);
      all.xg += r.xg, all.gg += r.gg;
    }
    if (pass == 2 && all.gg > 0) out->half = half_of(sqrtf(power / all.gg) / unit);
    if (all.xg > 0) d = all.xg / all.gg;
  }
}
