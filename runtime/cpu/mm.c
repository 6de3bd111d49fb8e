// Walks the outputs of a product in tiles and the rows in batches; the arithmetic is in the tables of isa.h.
#include <string.h>

#include "isa.h"

pm_cpu_act pm_cpu_act_for(pm_type weight_type, bool exact) {
  return !exact && pm_cpu_isa_get()->run[PM_CPU_ACT_Q8][weight_type] ? PM_CPU_ACT_Q8 : PM_CPU_ACT_F32;
}

static uint64_t n_unit(uint64_t n) { return (n + PM_CPU_UNIT - 1) / PM_CPU_UNIT; }

size_t pm_cpu_act_bytes(pm_cpu_act act, uint64_t n) {
  return (size_t)n_unit(n) * (act == PM_CPU_ACT_Q8 ? sizeof(pm_cpu_act_unit) : PM_CPU_UNIT * sizeof(float));
}

void pm_cpu_act_make(pm_cpu_act act, const float *src, void *dst, uint64_t n) {
  if (act == PM_CPU_ACT_Q8) {
    pm_cpu_isa_get()->act_q8(src, dst, n);
  } else {
    memcpy(dst, src, n * sizeof(float));
    memset((float *)dst + n, 0, pm_cpu_act_bytes(act, n) - n * sizeof(float));
  }
}

// One matrix of a product: where row 0 is, and the kernel that multiplies it.
typedef struct matrix {
  pm_cpu_tile_fn *run;
  const uint8_t *w;
  size_t row_bytes;
  const void *const *x;
} matrix;

static matrix matrix_of(const pm_cpu_isa *isa, pm_type type, pm_cpu_act act, const void *w, uint64_t n_in, const void *const *x) {
  return (matrix){isa->run[act][type], w, pm_format_bytes(type, n_in), x};
}

// How outputs [o, o + n) are covered by a tile. The last tile of a share reaches back over outputs that are not written; a matrix with
// fewer rows than a tile is done row by row, the row repeated.
typedef struct cover {
  uint64_t first;  // output of tile lane 0
  uint32_t lane;   // of output o
  uint32_t n;
  bool repeat;
} cover;

static cover cover_of(uint64_t o, uint64_t out_end, uint32_t tile) {
  if (out_end < tile) return (cover){o, 0, 1, true};
  uint64_t first = o + tile <= out_end ? o : out_end - tile;
  return (cover){first, (uint32_t)(o - first), (uint32_t)(first + tile - o), false};
}

static void multiply(const matrix *m, const pm_cpu_mm *job, cover c, uint32_t row, uint32_t n_row, float *out) {
  m->run(&(pm_cpu_tile){.w = m->w + c.first * m->row_bytes,
                        .stride = c.repeat ? 0 : m->row_bytes,
                        .n_in = job->n_in,
                        .x = m->x + row,
                        .n_row = n_row,
                        .out = out});
}

static void store(const pm_cpu_mm *job, uint64_t o, uint32_t n, uint32_t row, const float *out) {
  float *y = job->y[row] + o, scale = job->row_scale ? job->row_scale[row] : 1;
  if (job->accumulate) {
    for (uint32_t i = 0; i < n; i++) y[i] += scale * out[i];
  } else {
    for (uint32_t i = 0; i < n; i++) y[i] = scale * out[i];
  }
}

static void run(const pm_cpu_mm *job, const pm_cpu_isa *isa, const matrix *gate, const matrix *up) {
  _Alignas(64) float out[PM_CPU_BATCH_MAX * PM_CPU_TILE_MAX], out_up[PM_CPU_BATCH_MAX * PM_CPU_TILE_MAX];
  for (uint32_t row = 0; row < job->n_row; row += PM_CPU_BATCH_MAX) {
    uint32_t n_row = job->n_row - row < PM_CPU_BATCH_MAX ? job->n_row - row : PM_CPU_BATCH_MAX;
    for (uint64_t o = job->out_first; o < job->out_end;) {
      cover c = cover_of(o, job->out_end, isa->tile);
      multiply(gate, job, c, row, n_row, out);
      if (up) {
        multiply(up, job, c, row, n_row, out_up);
        isa->silu_mul(out, out_up, out, (size_t)n_row * isa->tile);
      }
      for (uint32_t r = 0; r < n_row; r++) store(job, o, c.n, row + r, out + (size_t)r * isa->tile + c.lane);
      o += c.n;
    }
  }
}

void pm_cpu_mm_run(const pm_cpu_mm *job) {
  const pm_cpu_isa *isa = pm_cpu_isa_get();
  matrix m = matrix_of(isa, job->type, job->act, job->w, job->n_in, job->x);
  run(job, isa, &m, NULL);
}

void pm_cpu_glu_run(const pm_cpu_glu *job) {
  const pm_cpu_isa *isa = pm_cpu_isa_get();
  matrix gate = matrix_of(isa, job->gate.type, job->gate.act, job->gate.w, job->gate.n_in, job->gate.x);
  matrix up = matrix_of(isa, job->up_type, job->up_act, job->up_w, job->gate.n_in, job->up_x);
  run(&job->gate, isa, &gate, &up);
}
