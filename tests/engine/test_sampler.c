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

static const uint64_t *allowed;  // of the next draws

static void draw(const pm_sampler_desc *d, const int32_t *history, size_t n_history, double share[N]) {
  float logits[N];
  for (int i = 0; i < N; i++) logits[i] = (float)log(probability[i]) + 3, share[i] = 0;
  pm_rng rng = pm_rng_seed(5);
  void *memory = malloc(pm_sampler_bytes(N));
  pm_sampler_input in = {.logits = logits, .n_vocab = N, .history = history, .n_history = n_history, .allowed = allowed};
  for (int i = 0; i < DRAWS; i++) share[pm_sample(d, &rng, &in, memory)] += 1.0 / DRAWS;
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

// A long history costs no more than a pass over it, and counts each token.
static void test_long_history(void **state) {
  (void)state;
  enum { LONG = 1 << 20 };
  int32_t *history = malloc(LONG * sizeof *history);
  for (int i = 0; i < LONG; i++) history[i] = i % 2 ? 1 : 3;
  const float logits[] = {0, 10, 0, 9, 0};
  pm_sampler_input in = {.logits = logits, .n_vocab = 5, .history = history, .n_history = LONG};
  pm_sampler_desc d = {.greedy = true, .frequency_penalty = 1e-5f, .penalty_last_n = UINT32_MAX};
  void *memory = malloc(pm_sampler_bytes(5));
  assert_int_equal(pm_sample(&d, NULL, &in, memory), 1);
  d.frequency_penalty = 19e-6f;  // 10 - 9.96 and 9 - 9.96
  assert_int_equal(pm_sample(&d, NULL, &in, memory), 1);
  d.frequency_penalty = 2e-5f;
  assert_int_equal(pm_sample(&d, NULL, &in, memory), 0);
  free(memory), free(history);
}

static void test_bias(void **state) {
  (void)state;
  const pm_bias bias[] = {{1, -INFINITY}, {2, 3.0f}};
  double share[N], p2 = 0.01 * exp(3);
  draw(&(pm_sampler_desc){.temperature = 1, .top_p = 1, .bias = bias, .n_bias = 2}, NULL, 0, share);
  assert_true(share[1] == 0);
  check_share(share[2], p2 / (0.59 + p2));
  check_share(share[3], 0.2 / (0.59 + p2));
}

static void test_allowed(void **state) {
  (void)state;
  const uint64_t some = 1 << 3 | 1 << 5;
  double share[N];
  allowed = &some;
  draw(&(pm_sampler_desc){.temperature = 1, .top_p = 1}, NULL, 0, share);
  check_share(share[3], 0.2 / 0.35);
  check_share(share[5], 0.15 / 0.35);
  draw(&(pm_sampler_desc){.greedy = true}, NULL, 0, share);
  assert_true(share[3] > 0.99);
  allowed = NULL;
}

static int32_t greedy(const float *logits, uint32_t n, const pm_bias *bias, size_t n_bias) {
  char memory[256];
  assert_true(pm_sampler_bytes(n) <= sizeof memory);
  pm_sampler_input in = {.logits = logits, .n_vocab = n};
  return pm_sample(&(pm_sampler_desc){.greedy = true, .bias = bias, .n_bias = n_bias}, NULL, &in, memory);
}

static void test_greedy(void **state) {
  (void)state;
  const float logits[] = {NAN, 2, 5, 5, -1}, nothing[] = {NAN, -INFINITY};
  const pm_bias bias[] = {{2, -1}, {3, -INFINITY}, {0, 100}};
  assert_int_equal(greedy(logits, 5, NULL, 0), 2);
  assert_int_equal(greedy(logits, 5, bias, 1), 3);
  assert_int_equal(greedy(logits, 5, bias, 3), 2);
  assert_int_equal(greedy(nothing, 2, NULL, 0), -1);
  assert_int_equal(greedy(nothing, 2, bias, 1 - 1), -1);
  const pm_bias ban[] = {{0, -INFINITY}};
  assert_int_equal(greedy(nothing, 2, ban, 1), -1);
}

static void test_top_tokens(void **state) {
  (void)state;
  const float logits[] = {NAN, (float)log(0.25) + 7, (float)log(0.125) + 7, (float)log(0.5) + 7, (float)log(0.125) + 7};
  pm_token_prob p[4];
  pm_top_tokens(logits, 5, 4, 3, p);
  const pm_token_prob wanted[] = {{4, (float)log(0.125)}, {3, (float)log(0.5)}, {1, (float)log(0.25)}, {2, (float)log(0.125)}};
  for (int i = 0; i < 4; i++) {
    assert_int_equal(p[i].token, wanted[i].token);
    assert_true(fabsf(p[i].log_probability - wanted[i].log_probability) < 1e-5f);
  }
  pm_top_tokens(logits, 5, 1, 0, p);
  assert_true(p[0].token == 1 && fabsf(p[0].log_probability - (float)log(0.25)) < 1e-5f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_plain),   cmocka_unit_test(test_top_k),        cmocka_unit_test(test_top_p),
      cmocka_unit_test(test_min_p),   cmocka_unit_test(test_temperature),  cmocka_unit_test(test_penalties),
      cmocka_unit_test(test_greedy),  cmocka_unit_test(test_long_history), cmocka_unit_test(test_bias),
      cmocka_unit_test(test_allowed), cmocka_unit_test(test_top_tokens),
  };
  return cmocka_run_group_tests_name("sampler", tests, NULL, NULL);
}
