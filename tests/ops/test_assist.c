// The host's share of a layer: equal to the double-precision reference within the limits of the CPU's experts, equal to the CPU backend
// bit by bit, whatever the number of threads.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu_assist.h"
#include "memory.h"
#include "test_seed.h"

enum { N_EXPERT = 13, N_USED = 4, MAX_ROWS = 5 };

// A layer of experts as a program of its own.
typedef struct layer {
  pm_program program;
  pm_tensor *x, *ids, *weights, *y;
  void *matrices[3];
  uint32_t d;
} layer;

// What one step of a layer is given.
typedef struct inputs {
  uint32_t n_row;
  bool mine[N_EXPERT];
  int32_t ids[MAX_ROWS * N_USED];
  float weights[MAX_ROWS * N_USED], own_weights[MAX_ROWS * N_USED];  // own: zero for experts that are not the host's
  float *x, *y[3];
} inputs;

static pm_tensor *add_matrix(layer *l, pm_rng *rng, int m, pm_type type, uint64_t n_in, uint64_t n_out) {
  uint64_t ne[3] = {n_in, n_out, N_EXPERT}, n = n_in * n_out * N_EXPERT;
  l->matrices[m] = malloc(pm_format_bytes(type, n));
  pm_format_get(type)->random(rng, 0.2f, l->matrices[m], n);
  return pm_program_weight(&l->program, "matrix", type, ne, l->matrices[m], 0);
}

static void make_layer(layer *l, pm_rng *rng, const pm_type types[3], uint32_t d, uint32_t d_ff) {
  pm_program *p = &l->program;
  pm_program_init(p, MAX_ROWS, 0, 0);
  l->d = d;
  pm_tensor *gate = add_matrix(l, rng, 0, types[0], d, d_ff), *up = add_matrix(l, rng, 1, types[1], d, d_ff);
  pm_expert_table *t = pm_program_experts(p, gate, up, add_matrix(l, rng, 2, types[2], d_ff, d));
  l->x = pm_program_scratch(p, "x", d);
  l->ids = pm_program_output(p, "ids", PM_TYPE_I32, N_USED, MAX_ROWS);
  l->weights = pm_program_scratch(p, "weights", N_USED);
  l->y = pm_program_scratch(p, "y", d);
  pm_view ids = pm_view_rows(l->ids), hidden = pm_view_batch(pm_program_scratch(p, "hidden", (uint64_t)N_USED * d_ff), N_USED);
  pm_program_append(p, (pm_op){.kind = PM_OP_EXPERTS_GLU, .experts_glu = {t, pm_view_rows(l->x), ids, hidden}});
  pm_program_append(p, (pm_op){.kind = PM_OP_EXPERTS_DOWN, .experts_down = {t, hidden, ids, pm_view_rows(l->weights), pm_view_rows(l->y)}});
  assert_int_equal(pm_program_check(p), PM_OK);
}

static void finish_layer(layer *l) {
  pm_program_finish(&l->program);
  for (int m = 0; m < 3; m++) free(l->matrices[m]);
}

static void draw(inputs *in, pm_rng *rng, uint32_t n_row, uint32_t n_mine, uint32_t d) {
  in->n_row = n_row;
  for (int e = 0; e < N_EXPERT; e++) in->mine[e] = (uint32_t)(e * 5 % N_EXPERT) < n_mine;
  for (uint32_t r = 0; r < n_row; r++) {
    uint32_t first = (uint32_t)(pm_rng_next(rng) % N_EXPERT), step = 1 + (uint32_t)(pm_rng_next(rng) % 3);
    for (uint32_t k = 0; k < N_USED; k++) {
      uint32_t i = r * N_USED + k;
      in->ids[i] = (int32_t)((first + k * step) % N_EXPERT);
      in->weights[i] = (float)pm_rng_uniform(rng);
      in->own_weights[i] = in->mine[in->ids[i]] ? in->weights[i] : 0;
    }
  }
  for (uint32_t i = 0; i < n_row * d; i++) in->x[i] = (float)(pm_rng_uniform(rng) - 0.5);
}

static void run_backend(pm_backend *b, const layer *l, const inputs *in, float *y) {
  const pm_backend_ops *ops = b->ops;
  size_t n = in->n_row * sizeof(float);
  memset(y, 0, n * l->d);
  assert_int_equal(ops->write(b, l->x, 0, in->x, n * l->d), PM_OK);
  assert_int_equal(ops->write(b, l->ids, 0, in->ids, n * N_USED), PM_OK);
  assert_int_equal(ops->write(b, l->weights, 0, in->own_weights, n * N_USED), PM_OK);
  assert_int_equal(ops->write(b, l->y, 0, y, n * l->d), PM_OK);
  assert_int_equal(ops->run(b, &(pm_step){.n_row = in->n_row}), PM_OK);
  assert_int_equal(ops->read(b, l->y, 0, y, n * l->d), PM_OK);
}

static double nmse(const float *y, const float *reference, size_t n) {
  double error = 0, square = 0;
  for (size_t i = 0; i < n; i++)
    error += ((double)y[i] - reference[i]) * ((double)y[i] - reference[i]), square += (double)reference[i] * reference[i];
  return square > 0 ? error / square : error;
}

static pm_backend *make_backend(layer *l, pm_cpu_desc desc) {
  pm_backend *b;
  assert_int_equal(pm_cpu_create(&desc, &b), PM_OK);
  assert_int_equal(b->ops->load(b, &l->program, NULL, NULL, NULL), PM_OK);
  return b;
}

static void check_layer(const pm_type types[3], uint32_t d, uint32_t d_ff, bool exact, uint32_t n_thread) {
  layer l = {0};
  pm_rng rng = pm_rng_seed(test_seed() + d * 31 + d_ff + types[0]);
  make_layer(&l, &rng, types, d, d_ff);
  inputs in = {.x = malloc(MAX_ROWS * d * sizeof(float))};
  for (int i = 0; i < 3; i++) in.y[i] = malloc(MAX_ROWS * d * sizeof(float));
  pm_backend *reference = make_backend(&l, (pm_cpu_desc){.reference = true});
  pm_backend *fast = make_backend(&l, (pm_cpu_desc){.n_thread = 1, .exact = exact});
  pm_cpu_assist *a;
  pm_cpu_assist_desc desc = {.program = &l.program, .max_rows = MAX_ROWS, .n_thread = n_thread, .exact = exact};
  assert_int_equal(pm_cpu_assist_create(&desc, &a), PM_OK);
  uint64_t before = 0;
  for (uint32_t round = 0; round < 8; round++) {
    draw(&in, &rng, 1 + round % MAX_ROWS, round * 2, d);
    run_backend(reference, &l, &in, in.y[0]);
    run_backend(fast, &l, &in, in.y[1]);
    memset(in.y[2], 0x55, MAX_ROWS * d * sizeof(float));
    pm_expert_ask ask = {.table = 0, .n_row = in.n_row, .ids = in.ids, .weights = in.weights, .x = in.x, .y = in.y[2]};
    before = pm_alloc_count();
    assert_int_equal(pm_cpu_assist_run(a, &ask, in.mine), PM_OK);
    assert_int_equal(pm_alloc_count() - before, 0);
    for (uint32_t i = 0; i < in.n_row * d; i++)
      if (in.y[1][i] != in.y[2][i]) fail_msg("value %u is %g, the backend has %g", i, (double)in.y[2][i], (double)in.y[1][i]);
    double error = nmse(in.y[2], in.y[0], (size_t)in.n_row * d),
           limit = exact ? 1e-11 : 6e-4;  // three products of rounded values, 2e-4 each
    if (!(error <= limit)) fail_msg("%s, %ux%u: NMSE %g", pm_format_get(types[0])->name, d, d_ff, error);
  }
  pm_cpu_assist_destroy(a);
  fast->ops->destroy(fast);
  reference->ops->destroy(reference);
  for (int i = 0; i < 3; i++) free(in.y[i]);
  free(in.x);
  finish_layer(&l);
}

static void every_format(void **state) {
  (void)state;
  for (size_t i = 0; pm_format_row(i); i++) {
    const pm_format *f = pm_format_row(i);
    if (!f->decode) continue;
    uint32_t block = f->block_elements;
    uint32_t d = block > 32 ? 2 * block : block > 1 ? 5 * block : 71, d_ff = block > 32 ? block : block > 1 ? 3 * block : 37;
    for (int exact = 0; exact < 2; exact++) check_layer((pm_type[]){f->type, f->type, f->type}, d, d_ff, exact, 2);
  }
}

static void mixed_formats(void **state) {
  (void)state;
  check_layer((pm_type[]){PM_TYPE_Q4_K, PM_TYPE_F16, PM_TYPE_Q6_K}, 512, 768, false, 3);
  check_layer((pm_type[]){PM_TYPE_F32, PM_TYPE_Q8_0, PM_TYPE_Q5_0}, 96, 160, false, 1);
}

static void too_many_rows(void **state) {
  (void)state;
  layer l = {0};
  pm_rng rng = pm_rng_seed(1);
  make_layer(&l, &rng, (pm_type[]){PM_TYPE_F32, PM_TYPE_F32, PM_TYPE_F32}, 8, 8);
  pm_cpu_assist *a;
  assert_int_equal(pm_cpu_assist_create(&(pm_cpu_assist_desc){.program = &l.program, .max_rows = 2, .n_thread = 1}, &a), PM_OK);
  assert_int_equal(pm_cpu_assist_run(a, &(pm_expert_ask){.n_row = 3}, NULL), PM_ERR_ARGUMENT);
  pm_cpu_assist_destroy(a);
  finish_layer(&l);
}

static void failed_allocations(void **state) {
  (void)state;
  layer l = {0};
  pm_rng rng = pm_rng_seed(1);
  make_layer(&l, &rng, (pm_type[]){PM_TYPE_F32, PM_TYPE_F32, PM_TYPE_F32}, 8, 8);
  pm_cpu_assist_desc desc = {.program = &l.program, .max_rows = 2, .n_thread = 2};
  pm_status status = PM_ERR_MEMORY;
  uint64_t k = 0;
  while (status) {
    pm_cpu_assist *a;
    pm_alloc_fail_at(++k);
    status = pm_cpu_assist_create(&desc, &a);
    pm_alloc_fail_at(0);
    assert_int_equal(status, a ? PM_OK : PM_ERR_MEMORY);
    pm_cpu_assist_destroy(a);
  }
  assert_true(k > 10);
  finish_layer(&l);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_format), cmocka_unit_test(mixed_formats), cmocka_unit_test(too_many_rows),
                                     cmocka_unit_test(failed_allocations)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
