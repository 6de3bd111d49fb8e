// Matrix products: every format, both kinds of activations, every path that this machine can run, against double precision.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend.h"
#include "isa.h"
#include "kernels.h"
#include "test_seed.h"

static uint64_t seed;

// A buffer of exactly `bytes` that ends where an unreadable page begins.
typedef struct fenced {
  uint8_t *base, *data;
  size_t mapped;
} fenced;

static fenced fenced_create(size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), body = (bytes + page - 1) / page * page;
  fenced f = {.mapped = body + page};
  f.base = mmap(NULL, f.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_true(f.base != MAP_FAILED);
  assert_int_equal(mprotect(f.base + body, page, PROT_NONE), 0);
  f.data = f.base + body - bytes;
  return f;
}

static void fenced_destroy(fenced f) { munmap(f.base, f.mapped); }

// A weight matrix with its exact values, and rows of floats.
typedef struct problem {
  pm_type type;
  uint64_t n_in, n_out;
  uint32_t n_row;
  fenced w;
  float *weights;  // [n_out][n_in]
  float *x;        // [n_row][n_in]
} problem;

static problem problem_create(pm_type type, uint64_t n_in, uint64_t n_out, uint32_t n_row) {
  problem p = {.type = type, .n_in = n_in, .n_out = n_out, .n_row = n_row};
  const pm_format *f = pm_format_get(type);
  pm_rng rng = pm_rng_seed(seed++);
  size_t row_bytes = pm_format_bytes(type, n_in);
  p.w = fenced_create(row_bytes * n_out);
  p.weights = malloc(n_in * n_out * sizeof(float));
  p.x = malloc(n_in * n_row * sizeof(float));
  for (uint64_t o = 0; o < n_out; o++) {
    f->random(&rng, 0.5f, p.w.data + o * row_bytes, n_in);
    f->decode(p.w.data + o * row_bytes, p.weights + o * n_in, n_in);
  }
  for (size_t i = 0; i < n_in * n_row; i++) p.x[i] = (float)(pm_rng_uniform(&rng) + pm_rng_uniform(&rng) + pm_rng_uniform(&rng) - 1.5) * 3;
  return p;
}

static void problem_destroy(problem *p) {
  fenced_destroy(p->w);
  free(p->weights);
  free(p->x);
}

typedef struct rows {
  void *storage;
  const void **x;
} rows;

static rows rows_create(const problem *p, pm_cpu_act act) {
  size_t bytes = pm_cpu_act_bytes(act, p->n_in);
  assert_int_equal(bytes % 64, 0);
  rows r = {aligned_alloc(64, bytes * p->n_row), malloc(p->n_row * sizeof(void *))};
  for (uint32_t i = 0; i < p->n_row; i++) {
    void *dst = (char *)r.storage + i * bytes;
    memset(dst, 0xa5, bytes);
    pm_cpu_act_make(act, p->x + i * p->n_in, dst, p->n_in);
    r.x[i] = dst;
  }
  return r;
}

static void rows_destroy(rows r) {
  free(r.storage);
  free(r.x);
}

// Value k of a prepared row.
static double act_value(pm_cpu_act act, const void *row, uint64_t k) {
  if (act == PM_CPU_ACT_F32) return ((const float *)row)[k];
  const pm_cpu_act_unit *u = (const pm_cpu_act_unit *)row + k / PM_CPU_UNIT;
  return (double)u->scale[k % PM_CPU_UNIT / 32] * u->q[k % PM_CPU_UNIT];
}

enum { GUARD = 8 };

typedef struct output {
  float *storage;
  float **y;
  uint64_t stride;
} output;

static output output_create(const problem *p, float fill) {
  output o = {.stride = p->n_out + 2 * GUARD};
  o.storage = malloc(o.stride * p->n_row * sizeof(float));
  o.y = malloc(p->n_row * sizeof(float *));
  for (size_t i = 0; i < o.stride * p->n_row; i++) o.storage[i] = fill;
  for (uint32_t r = 0; r < p->n_row; r++) o.y[r] = o.storage + r * o.stride + GUARD;
  return o;
}

static void output_destroy(output o) {
  free(o.storage);
  free(o.y);
}

static pm_cpu_mm job_of(const problem *p, pm_cpu_act act, const rows *x, const output *y) {
  return (pm_cpu_mm){
      .type = p->type, .act = act, .w = p->w.data, .n_in = p->n_in, .out_end = p->n_out, .x = x->x, .y = y->y, .n_row = p->n_row};
}

// Every output within `tolerance` of the double sum over the prepared activations, relative to the sum of magnitudes; guards untouched.
static void check_sums(const problem *p, pm_cpu_act act, const rows *x, const output *y, float fill, double tolerance) {
  for (uint32_t r = 0; r < p->n_row; r++) {
    for (uint64_t o = 0; o < p->n_out; o++) {
      double sum = 0, size = 1e-30;
      for (uint64_t k = 0; k < p->n_in; k++) {
        double product = p->weights[o * p->n_in + k] * act_value(act, x->x[r], k);
        sum += product, size += fabs(product);
      }
      if (!(fabs(y->y[r][o] - sum) <= tolerance * size))
        fail_msg("%s, %s, in %llu, row %u of %u, output %llu: %g, expected %g", pm_cpu_path_name(), pm_format_get(p->type)->name,
                 (unsigned long long)p->n_in, r, p->n_row, (unsigned long long)o, y->y[r][o], sum);
    }
    for (int i = 1; i <= GUARD; i++) {
      assert_true(y->y[r][-i] == fill);
      assert_true(y->y[r][p->n_out - 1 + (size_t)i] == fill);
    }
  }
}

static void for_each_path(void (*body)(void)) {
  for (uint32_t i = 0; pm_cpu_isa_row(i); i++) {
    assert_true(pm_cpu_isa_force(pm_cpu_isa_row(i)->name));
    body();
  }
  assert_true(pm_cpu_isa_force(NULL));
}

static const pm_type types[] = {
#define PM_FORMAT(name, id, elements, bytes) PM_TYPE_##name,
#define PM_FORMAT_SIZED(name, id, elements, bytes)
#include "formats.def"
#undef PM_FORMAT
#undef PM_FORMAT_SIZED
};
enum { n_type = sizeof types / sizeof *types };

static void check_problem(pm_type type, uint64_t n_in, uint64_t n_out, uint32_t n_row, bool exact) {
  pm_cpu_act act = pm_cpu_act_for(type, exact);
  problem p = problem_create(type, n_in, n_out, n_row);
  rows x = rows_create(&p, act);
  output y = output_create(&p, -7.5f);
  pm_cpu_mm job = job_of(&p, act, &x, &y);
  pm_cpu_mm_run(&job);
  check_sums(&p, act, &x, &y, -7.5f, 1e-6);
  output_destroy(y);
  rows_destroy(x);
  problem_destroy(&p);
}

// Widths around the kernels' units of 16, 32, 128 and 256, in blocks; odd counts of outputs; rows across every batch size.
static void shapes_on_this_path(void) {
  static const uint32_t widths[][8] = {{1, 15, 16, 17, 127, 128, 300, 1030}, {1, 2, 3, 4, 5, 7, 12, 44}, {1, 2, 3, 4, 5, 8, 1, 1}};
  static const uint32_t shape[][2] = {{1, 1}, {37, 1}, {3, 2}, {16, 3}, {19, 5}, {33, 1}, {5, 9}, {20, 4}};
  for (int t = 0; t < n_type; t++) {
    uint32_t block = pm_format_get(types[t])->block_elements;
    for (int i = 0; i < 8; i++)
      for (int exact = 0; exact < 2; exact++)
        check_problem(types[t], widths[block == 1 ? 0 : block < 256 ? 1 : 2][i] * block, shape[i][0], shape[i][1], exact);
    check_problem(types[t], 256, 18, PM_CPU_BATCH_MAX + 3, false);
  }
}

static void test_shapes(void **state) {
  (void)state;
  for_each_path(shapes_on_this_path);
}

// 8-bit activations lose what rounding to 1/254 of a group's largest value must lose, and no more.
static void quantization_on_this_path(void) {
  problem p = problem_create(PM_TYPE_F32, 1000, 1, 4);
  rows x = rows_create(&p, PM_CPU_ACT_Q8);
  for (uint32_t r = 0; r < p.n_row; r++)
    for (uint64_t k = 0; k < 1024; k++) {
      const pm_cpu_act_unit *u = (const pm_cpu_act_unit *)x.x[r] + k / PM_CPU_UNIT;
      double most = 0;
      for (uint64_t i = k / 32 * 32; i < k / 32 * 32 + 32 && i < p.n_in; i++) most = fmax(most, fabs(p.x[r * p.n_in + i]));
      double value = k < p.n_in ? p.x[r * p.n_in + k] : 0;
      assert_true(fabs(act_value(PM_CPU_ACT_Q8, u, k % PM_CPU_UNIT) - value) <= most / 254 * 1.0001);
      assert_true(u->q[k % PM_CPU_UNIT] >= -127);
    }
  rows_destroy(x);
  problem_destroy(&p);
}

static void test_quantization(void **state) {
  (void)state;
  for_each_path(quantization_on_this_path);
}

static void extremes_on_this_path(void) {
  static const float extreme[] = {0, 1e-38f, 1e-45f, 3e38f, -3e38f, 1};
  for (size_t i = 0; i < sizeof extreme / sizeof *extreme; i++) {
    _Alignas(64) uint8_t row[sizeof(pm_cpu_act_unit)];
    float x[128] = {0};
    x[5] = extreme[i], x[6] = -extreme[i], x[7] = extreme[i] / 2;
    pm_cpu_act_make(PM_CPU_ACT_Q8, x, row, 128);
    for (uint64_t k = 0; k < 128; k++)
      assert_true(fabs(act_value(PM_CPU_ACT_Q8, row, k) - (double)x[k]) <= fabs((double)extreme[i]) / 253 + 1e-33);
  }
}

static void test_extremes(void **state) {
  (void)state;
  for_each_path(extremes_on_this_path);
}

// An output has the same bits on every path, in any batch, for any share of the outputs.
static void check_same_bits(pm_type type, bool exact, uint64_t n_in) {
  enum { N_OUT = 45, N_ROW = 23 };
  pm_cpu_act act = pm_cpu_act_for(type, exact);
  assert_true(pm_cpu_isa_force("plain"));
  problem p = problem_create(type, n_in, N_OUT, N_ROW);
  rows x = rows_create(&p, act);
  output expected = output_create(&p, 0);
  pm_cpu_mm job = job_of(&p, act, &x, &expected);
  pm_cpu_mm_run(&job);
  for (uint32_t path = 0; pm_cpu_isa_row(path); path++) {
    assert_true(pm_cpu_isa_force(pm_cpu_isa_row(path)->name));
    rows x_here = rows_create(&p, act);
    assert_memory_equal(x_here.storage, x.storage, pm_cpu_act_bytes(act, n_in) * N_ROW);
    for (uint32_t n_row = 1; n_row <= N_ROW; n_row = n_row * 3 / 2 + 1) {
      output y = output_create(&p, 1);
      for (uint32_t r = 0; r < N_ROW; r += n_row)
        for (uint64_t o = 0; o < N_OUT; o += 10 + n_row) {
          pm_cpu_mm part = job_of(&p, act, &x_here, &y);
          part.x += r, part.y += r;
          part.n_row = N_ROW - r < n_row ? N_ROW - r : n_row;
          part.out_first = o, part.out_end = o + 10 + n_row < N_OUT ? o + 10 + n_row : N_OUT;
          pm_cpu_mm_run(&part);
        }
      for (uint32_t r = 0; r < N_ROW; r++)
        for (uint64_t o = 0; o < N_OUT; o++)
          if (y.y[r][o] != expected.y[r][o])
            fail_msg("%s, %s, in %llu, rows of %u: row %u output %llu is %a, expected %a", pm_cpu_path_name(), pm_format_get(type)->name,
                     (unsigned long long)n_in, n_row, r, (unsigned long long)o, y.y[r][o], expected.y[r][o]);
      output_destroy(y);
    }
    rows_destroy(x_here);
  }
  assert_true(pm_cpu_isa_force(NULL));
  output_destroy(expected);
  rows_destroy(x);
  problem_destroy(&p);
}

static void test_same_bits(void **state) {
  (void)state;
  for (int t = 0; t < n_type; t++)
    for (int exact = 0; exact < 2; exact++) {
      uint32_t block = pm_format_get(types[t])->block_elements;
      check_same_bits(types[t], exact, block == 256 ? 768 : block == 128 ? 384 : block == 64 ? 320 : block == 32 ? 352 : 345);
    }
}

// Accumulation and a factor per row, on top of plain products.
static void accumulate_on_this_path(void) {
  problem p = problem_create(PM_TYPE_Q4_K, 512, 21, 3);
  rows x = rows_create(&p, PM_CPU_ACT_Q8);
  output plain = output_create(&p, 0), scaled = output_create(&p, 0.25f);
  pm_cpu_mm job = job_of(&p, PM_CPU_ACT_Q8, &x, &plain);
  pm_cpu_mm_run(&job);
  job.y = scaled.y, job.accumulate = true, job.row_scale = (const float[]){2, -0.5f, 0};
  pm_cpu_mm_run(&job);
  job.out_first = 20;
  pm_cpu_mm_run(&job);
  for (uint32_t r = 0; r < p.n_row; r++)
    for (uint64_t o = 0; o < p.n_out; o++) {
      float expected = 0.25f + job.row_scale[r] * plain.y[r][o];
      if (o == 20) expected += job.row_scale[r] * plain.y[r][o];
      assert_true(scaled.y[r][o] == expected);
    }
  output_destroy(plain);
  output_destroy(scaled);
  rows_destroy(x);
  problem_destroy(&p);
}

static void test_accumulate(void **state) {
  (void)state;
  for_each_path(accumulate_on_this_path);
}

// SwiGLU of two matrices of different formats and different activations.
static void glu_on_this_path(void) {
  problem gate = problem_create(PM_TYPE_Q6_K, 256, 35, 6), up = problem_create(PM_TYPE_F16, 256, 35, 6);
  rows x = rows_create(&gate, PM_CPU_ACT_Q8), x_up = rows_create(&gate, PM_CPU_ACT_F32);
  output a = output_create(&gate, 0), b = output_create(&gate, 0), y = output_create(&gate, -7.5f);
  pm_cpu_mm job = job_of(&gate, PM_CPU_ACT_Q8, &x, &a), job_up = job_of(&up, PM_CPU_ACT_F32, &x_up, &b);
  pm_cpu_mm_run(&job);
  pm_cpu_mm_run(&job_up);
  job.y = y.y;
  pm_cpu_glu_run(&(pm_cpu_glu){.gate = job, .up_type = up.type, .up_act = PM_CPU_ACT_F32, .up_w = up.w.data, .up_x = x_up.x});
  for (uint32_t r = 0; r < gate.n_row; r++) {
    for (uint64_t o = 0; o < gate.n_out; o++) {
      double g = a.y[r][o], expected = g / (1 + exp(-g)) * (double)b.y[r][o];
      assert_true(fabs((double)y.y[r][o] - expected) <= 1e-6 * fabs(expected) + 1e-30);
    }
    assert_true(y.y[r][-1] == -7.5f && y.y[r][gate.n_out] == -7.5f);
  }
  output_destroy(a);
  output_destroy(b);
  output_destroy(y);
  rows_destroy(x);
  rows_destroy(x_up);
  problem_destroy(&gate);
  problem_destroy(&up);
}

// The gate function alone, far out on both sides.
static void silu_on_this_path(void) {
  for (double g = -120; g < 120; g += 0.37) {
    float gate = (float)g, up = 1.5f, y;
    pm_cpu_isa_get()->silu_mul(&gate, &up, &y, 1);
    double expected = (double)gate / (1 + exp(-(double)gate)) * 1.5;
    assert_true(fabs((double)y - expected) <= 1e-6 * fabs(expected) + 1e-35);
  }
}

static void test_glu(void **state) {
  (void)state;
  for_each_path(glu_on_this_path);
  for_each_path(silu_on_this_path);
}

static void test_paths(void **state) {
  (void)state;
  assert_false(pm_cpu_isa_force("abacus"));
  assert_true(pm_cpu_isa_force("plain"));
  assert_string_equal(pm_cpu_path_name(), "plain");
  assert_true(pm_cpu_isa_force(NULL));
  uint32_t n = 0;
  while (pm_cpu_isa_row(n)) n++;
  assert_string_equal(pm_cpu_path_name(), pm_cpu_isa_row(n - 1)->name);
  print_message("paths: %u, best: %s\n", n, pm_cpu_path_name());
}

int main(void) {
  seed = test_seed();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_paths),     cmocka_unit_test(test_quantization), cmocka_unit_test(test_extremes), cmocka_unit_test(test_shapes),
      cmocka_unit_test(test_same_bits), cmocka_unit_test(test_accumulate),   cmocka_unit_test(test_glu),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
