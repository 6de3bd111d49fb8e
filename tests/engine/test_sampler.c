#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sampler.h"

enum { N = 8, DRAWS = 20000 };

// ln of 0.4, 0.2, 0.15, 0.1, 0.06, 0.05, 0.03, 0.01, in mixed order
static const double probability[N] = {0.05, 0.4, 0.01, 0.2, 0.1, 0.15, 0.03, 0.06};

static void draw(const pm_sampler_desc *d, const int32_t *history, size_t n_history, double share[N]) {
  float logits[N];
  for (int i = 0; i < N; i++) logits[i] = (float)log(probability[i]) + 3, share[i] = 0;
  pm_rng rng = pm_rng_seed(5);
  void *memory = malloc(pm_sampler_bytes(N));
  for (int i = 0; i < DRAWS; i++) share[pm_sample(d, &rng, logits, N, history, n_history, memory)] += 1.0 / DRAWS;
  free(memory);
}

static void check_share(double got, double wanted) { assert_true(fabs(got - wanted) < 0.015); }

static void test_plain(void **state) {
  (void)state;
  double share[N];
  draw(&(pm_sampler_desc){.temperature = 1, .top_p = 1}, NULL, 0, share);
  for (int i = 0; i < N; i++) check_share(share[i], probability[i]);
}

static void test_top_k(void **state) {
  (void)state;
  double share[N];
  draw(&(pm_sampler_desc){.temperature = 1, .top_k = 3, .top_p = 1}, NULL, 0, share);
  check_share(share[1], 0.4 / 0.75);
  check_share(share[3], 0.2 / 0.75);
  check_share(share[5], 0.15 / 0.75);
}

static void test_top_p(void **state) {
  (void)state;
  double share[N];
  draw(&(pm_sampler_desc){.temperature = 1, .top_p = 0.59f}, NULL, 0, share);
  check_share(share[1], 0.4 / 0.6);
  check_share(share[3], 0.2 / 0.6);
}

static void test_min_p(void **state) {
  (void)state;
  double share[N];
  draw(&(pm_sampler_desc){.temperature = 1, .top_p = 1, .min_p = 0.3f}, NULL, 0, share);
  check_share(share[5], 0.15 / 0.75);
  assert_true(share[4] == 0);
}

static void test_temperature(void **state) {
  (void)state;
  double share[N], sum = 0;
  draw(&(pm_sampler_desc){.temperature = 0.5f, .top_p = 1}, NULL, 0, share);
  for (int i = 0; i < N; i++) sum += probability[i] * probability[i];
  check_share(share[1], 0.16 / sum);
}

static void test_penalties(void **state) {
  (void)state;
  const int32_t history[] = {1, 3, 1};
  double share[N];
  draw(&(pm_sampler_desc){.temperature = 1, .top_p = 1, .frequency_penalty = 50, .penalty_last_n = 2}, history, 3, share);
  assert_true(share[1] == 0 && share[3] == 0);
  draw(&(pm_sampler_desc){.temperature = 1, .top_p = 1, .presence_penalty = 50, .penalty_last_n = 1}, history, 3, share);
  assert_true(share[1] == 0 && share[3] > 0.3);
  draw(&(pm_sampler_desc){.temperature = 1, .top_p = 1, .repeat_penalty = 1000, .penalty_last_n = 64}, history, 3, share);
  assert_true(share[1] < 0.2);
}

static void test_greedy(void **state) {
  (void)state;
  const float logits[] = {NAN, 2, 5, 5, -1};
  assert_int_equal(pm_sample(&(pm_sampler_desc){.greedy = true}, NULL, logits, 5, NULL, 0, NULL), 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_plain),       cmocka_unit_test(test_top_k),     cmocka_unit_test(test_top_p),  cmocka_unit_test(test_min_p),
      cmocka_unit_test(test_temperature), cmocka_unit_test(test_penalties), cmocka_unit_test(test_greedy),
  };
  return cmocka_run_group_tests_name("sampler", tests, NULL, NULL);
}
