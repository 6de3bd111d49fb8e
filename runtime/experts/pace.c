#include "pace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"

enum { WINDOW = 8 };                // tokens
enum { SOON = 2, RARELY = 256 };    // windows between two looks at another way, at least and at most
enum { BASE, FILL, HOST, ASK, N };  // of the fit

static const double forget = 0.998, usual = 1.0 / 16;
static const double past = 0.5;        // of what is believed of a way's time, the weight that is left a window later
static const double toll = 0.005;      // of all time, what looks at another way may cost
static const double clearly = 0.97;    // another way is taken if it is this much better
static const double hysteresis = 0.9;  // a table changes sides for this much

typedef struct fit {
  double theta[N], p[N][N];  // milliseconds: all coefficients are then near 1
} fit;

typedef struct table {
  double misses;  // of a token, usually
  bool assist;
} table;

struct pm_pace {
  pm_pace_desc desc;
  fit fit;
  double x[N];  // of the running token
  pm_pace_way way, best;
  double window[WINDOW], median[PM_PACE_WAYS];
  uint32_t n_window, n_play, played[PM_PACE_WAYS];  // windows: when each way was last played, 0: never
  table tables[];
};

const char *pm_pace_way_name(pm_pace_way way) {
  static const char *const names[PM_PACE_WAYS] = {"stream", "assist", "split"};
  return names[way];
}

static bool may(const pm_pace *p, pm_pace_way way) { return p->desc.ways >> way & 1; }

pm_status pm_pace_create(const pm_pace_desc *desc, pm_pace **out) {
  *out = NULL;
  pm_pace *p = pm_alloc_zero(1, sizeof *p + desc->n_table * sizeof *p->tables);
  if (!p) PM_FAIL(PM_ERR_MEMORY, "out of memory: times of %u tables", desc->n_table);
  p->desc = *desc;
  const double guess[N] = {0, desc->fill * 1e3, desc->host * 1e3, desc->ask * 1e3};
  for (int i = 0; i < N; i++) {
    p->fit.theta[i] = guess[i];
    p->fit.p[i][i] = i == BASE ? 1e4 : guess[i] * guess[i];
  }
  while (!may(p, p->way)) p->way++;
  p->best = p->way;
  for (uint32_t t = 0; t < desc->n_table; t++) p->tables[t] = (table){.misses = desc->n_used, .assist = true};
  *out = p;
  return PM_OK;
}

void pm_pace_destroy(pm_pace *p) { pm_free(p); }

// A coefficient cannot be negative, whatever a noisy fit says.
static double coefficient(const pm_pace *p, int i) { return p->fit.theta[i] > 0 ? p->fit.theta[i] : 0; }

// ---- choosing ----

// Misses that are streamed while the host computes the others, so that both end together.
static uint32_t share(const pm_pace *p, const table *t) {
  double fill = coefficient(p, FILL), host = coefficient(p, HOST);
  return fill + host > 0 ? (uint32_t)(t->misses * host / (fill + host) + 0.5) : 0;
}

pm_pace_choice pm_pace_choose(const pm_pace *p, uint32_t t) {
  const table *a = &p->tables[t];
  if (p->way == PM_PACE_STREAM || !a->assist) return (pm_pace_choice){false, p->desc.n_used};
  return (pm_pace_choice){true, p->way == PM_PACE_SPLIT ? share(p, a) : 0};
}

static void choose_side(const pm_pace *p, table *t) {
  if (!(p->desc.ways & (p->desc.ways - 1))) return;  // the only way there is
  double fill = coefficient(p, FILL), host = coefficient(p, HOST), streamed = fill * t->misses, assisted = coefficient(p, ASK);
  if (p->way == PM_PACE_SPLIT)
    assisted += fill + host > 0 ? t->misses * fill * host / (fill + host) : 0;
  else
    assisted += host * t->misses;
  t->assist = t->assist ? streamed >= hysteresis * assisted : assisted < hysteresis * streamed;
}

// ---- learning ----

void pm_pace_saw(pm_pace *p, uint32_t t, uint32_t n_fill, uint32_t n_host) {
  table *a = &p->tables[t];
  a->misses += usual * (n_fill + n_host - a->misses);
  p->x[FILL] += n_fill, p->x[HOST] += n_host, p->x[ASK] += pm_pace_choose(p, t).assist;
}

static void learn(fit *f, const double x[N], double y) {
  double px[N], xpx = 0, error = y;
  for (int i = 0; i < N; i++) {
    px[i] = 0;
    for (int j = 0; j < N; j++) px[i] += f->p[i][j] * x[j];
    xpx += x[i] * px[i];
    error -= x[i] * f->theta[i];
  }
  for (int i = 0; i < N; i++) {
    f->theta[i] += px[i] / (forget + xpx) * error;
    for (int j = 0; j < N; j++) f->p[i][j] = (f->p[i][j] - px[i] * px[j] / (forget + xpx)) / forget;
  }
  // Directions that no token shows anything of would grow without end.
  for (int i = 0; i < N; i++)
    if (f->p[i][i] > 1e6)
      for (int j = 0; j < N; j++) f->p[i][j] *= 0.5, f->p[j][i] *= 0.5;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

// ---- the referee ----

// Whether a way other than the best is to be looked at again: the worse it is, the more rarely, so that all looks together cost little.
static bool is_due(const pm_pace *p, pm_pace_way w) {
  if (!may(p, w) || w == p->best) return false;
  double wait = (p->median[w] / p->median[p->best] - 1) / toll;
  return !p->played[w] || p->n_play - p->played[w] >= fmin(fmax(wait, SOON), RARELY);
}

static void end_window(pm_pace *p) {
  pm_pace_way w = p->way;
  qsort(p->window, WINDOW, sizeof *p->window, ascending);
  p->n_play++;
  double now = p->window[WINDOW / 2], left = p->played[w] ? pow(past, p->n_play - p->played[w]) : 0;
  p->median[w] += (1 - left) * (now - p->median[w]);
  p->played[w] = p->n_play;
  if (p->median[w] < clearly * p->median[p->best]) p->best = w;
  p->way = p->best;
  for (w = 0; w < PM_PACE_WAYS; w++)
    if (is_due(p, w)) p->way = w;
}

void pm_pace_end(pm_pace *p, double seconds) {
  p->x[BASE] = 1;
  if (p->way != PM_PACE_SPLIT) learn(&p->fit, p->x, seconds * 1e3);  // where link and host overlap, times do not add up
  memset(p->x, 0, sizeof p->x);
  p->window[p->n_window++] = seconds;
  if (p->n_window == WINDOW) {
    p->n_window = 0;
    end_window(p);
  }
  for (uint32_t t = 0; t < p->desc.n_table; t++) choose_side(p, &p->tables[t]);
}

pm_pace_state pm_pace_look(const pm_pace *p) {
  pm_pace_state s = {
      p->best, coefficient(p, BASE) * 1e-3, coefficient(p, FILL) * 1e-3, coefficient(p, HOST) * 1e-3, coefficient(p, ASK) * 1e-3, {0}};
  memcpy(s.median, p->median, sizeof s.median);
  return s;
}
