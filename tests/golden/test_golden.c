// Every backend against the float64 reference: log-probabilities, expert choices, greedy texts, perplexity.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "golden.h"

static bool on_gpu;

typedef struct compare {
  const float *reference;  // [n_token][n_vocab]
  uint32_t n_vocab;
  bool *agree;
  double *square_error, *square;  // per position
} compare;

static void add_position(void *user, size_t position, const double *logprobs) {
  compare *c = user;
  const float *r = c->reference + position * c->n_vocab;
  for (uint32_t i = 0; i < c->n_vocab; i++) {
    double d = logprobs[i] - r[i];
    c->square_error[position] += d * d, c->square[position] += (double)r[i] * r[i];
  }
}

// 1e-8 on the CPU, 1e-6 on Vulkan; expert sets equal for 99.5 % of (token, layer)
static void check(const char *what, const golden_error *e) {
  double nmse = e->square_error / e->square, sets = (double)e->n_set_equal / (double)e->n_set;
  print_message("# %s: NMSE %.3g, expert sets equal %.4f\n", what, nmse, sets);
  assert_true(e->square > 0);
  assert_true(nmse <= (on_gpu ? 1e-6 : 1e-8));
  assert_true(sets >= 0.995);
}

static void test_mini(void **state) {
  const char *name = *state;
  char file[64], json[64];
  snprintf(file, sizeof file, "%s.gguf", name);
  snprintf(json, sizeof json, "%s.json", name);
  pm_engine *e = golden_open(file, true, on_gpu);
  json_t *g = golden_load(json);
  size_t n, n_float;
  int32_t *tokens = golden_tokens(json_object_get(g, "tokens"), &n);
  float *reference = golden_floats(json_object_get(g, "logprobs"), &n_float);
  assert_int_equal(n_float, n * e->model.config.n_vocab);
  bool agree[64];
  double square_error[64] = {0}, square[64] = {0};
  assert_true(n <= 64);
  memset(agree, 1, sizeof agree);
  pm_session *s;
  assert_int_equal(pm_session_create(e, &s), PM_OK);
  compare c = {reference, e->model.config.n_vocab, agree, square_error, square};
  golden_run(s, tokens, n, add_position, &c);
  golden_error error = {0};
  golden_compare_experts(e, json_object_get(g, "experts"), 0, n, &error, agree);
  for (size_t i = 0; i < n; i++)
    if (agree[i]) error.square_error += square_error[i], error.square += square[i];
  check(name, &error);
  pm_session_destroy(s);
  pm_engine_close(e);
  free(tokens);
  free(reference);
  json_decref(g);
}

// Error of the 64 best tokens of the reference, weighted by their probability.
static double weighted_rms(const double *logprobs, const float *reference, uint32_t n_vocab) {
  bool *used = calloc(n_vocab, sizeof *used);
  double sum = 0, weight = 0;
  for (int k = 0; k < 64; k++) {
    uint32_t best = 0;
    double best_value = -INFINITY;
    for (uint32_t i = 0; i < n_vocab; i++)
      if (!used[i] && reference[i] > best_value) best = i, best_value = reference[i];
    used[best] = true;
    double d = logprobs[best] - reference[best], p = exp(reference[best]);
    sum += p * d * d, weight += p;
  }
  free(used);
  return sqrt(sum / weight);
}

static void last_logprobs(pm_session *s, double *out) { golden_log_softmax(s->logits, s->engine->model.config.n_vocab, out); }

// Greedy continuation, as long as the reference's choice is clear.
static void check_greedy(pm_session *s, const json_t *item) {
  size_t n;
  int32_t *greedy = golden_tokens(json_object_get(item, "greedy_tokens"), &n);
  for (size_t i = 0; i < n; i++) {
    double margin = json_real_value(json_array_get(json_object_get(item, "greedy_margin"), i));
    uint32_t best = 0;
    for (uint32_t k = 1; k < s->engine->model.config.n_vocab; k++)
      if (s->logits[k] > s->logits[best]) best = k;
    if (margin > 0.05) assert_int_equal(best, greedy[i]);
    if (i + 1 < n && pm_session_eval(s, &greedy[i], 1, NULL, NULL)) fail_msg("%s", pm_fail_message());
  }
  free(greedy);
}

static void run_prompts(pm_engine *e, const json_t *g, bool greedy, golden_error *error) {
  uint32_t n_vocab = e->model.config.n_vocab;
  double *logprobs = malloc(n_vocab * sizeof *logprobs);
  pm_session *s;
  assert_int_equal(pm_session_create(e, &s), PM_OK);
  size_t i;
  json_t *item;
  json_array_foreach(json_object_get(g, "items"), i, item) {
    size_t n, n_float;
    int32_t *tokens = golden_tokens(json_object_get(item, "tokens"), &n);
    float *reference = golden_floats(json_object_get(item, "last_logprobs"), &n_float);
    assert_int_equal(n_float, n_vocab);
    assert_int_equal(pm_session_rewind(s, 0), PM_OK);
    bool agree[64];
    memset(agree, 1, sizeof agree);
    for (size_t first = 0; first < n; first += 64) {  // by steps, to read every step's choice of experts
      size_t k = n - first < 64 ? n - first : 64;
      if (pm_session_eval(s, tokens + first, k, NULL, NULL)) fail_msg("%s", pm_fail_message());
      memset(agree, 1, sizeof agree);
      golden_compare_experts(e, json_object_get(item, "experts"), first, k, error, agree);
    }
    last_logprobs(s, logprobs);
    if (agree[(n - 1) % 64])
      for (uint32_t k = 0; k < n_vocab; k++)
        error->square_error += pow(logprobs[k] - reference[k], 2), error->square += pow(reference[k], 2);
    error->weighted_rms += weighted_rms(logprobs, reference, n_vocab);
    error->n_weighted++;
    if (greedy) check_greedy(s, item);
    free(tokens);
    free(reference);
  }
  pm_session_destroy(s);
  free(logprobs);
}

typedef struct nll {
  const int32_t *tokens;
  size_t n;
  double sum;
} nll;

static void add_nll(void *user, size_t position, const double *logprobs) {
  nll *l = user;
  if (position + 1 < l->n) l->sum -= logprobs[l->tokens[position + 1]];
}

// Windows of BOS and 511 tokens of the text; relative error of the perplexity.
static double perplexity_error(pm_engine *e, const json_t *g) {
  char path[512];
  snprintf(path, sizeof path, "%s/golden/perplexity-text.txt", PM_TEST_DATA);
  FILE *f = fopen(path, "rb");
  assert_non_null(f);
  char *text = malloc(1 << 20);
  size_t bytes = fread(text, 1, 1 << 20, f), n = bytes;
  fclose(f);
  int32_t *tokens = malloc(n * sizeof *tokens);
  assert_int_equal(pm_tokenize(e->tokenizer, text, bytes, (pm_tokenize_flags){0}, tokens, &n), PM_OK);
  const json_t *expected = json_object_get(g, "perplexity");
  size_t n_window = json_array_size(json_object_get(expected, "window_nll"));
  if (on_gpu) n_window = 1;  // a software driver is slow; the reference has each window apart
  pm_session *s;
  assert_int_equal(pm_session_create(e, &s), PM_OK);
  double mine = 0, theirs = 0;
  for (size_t w = 0; w < n_window; w++) {
    int32_t window[512] = {pm_tokenizer_bos(e->tokenizer)};
    memcpy(window + 1, tokens + w * 511, 511 * sizeof *window);
    nll l = {window, 512, 0};
    golden_run(s, window, 512, add_nll, &l);
    mine += l.sum / 511, theirs += json_real_value(json_array_get(json_object_get(expected, "window_nll"), w));
  }
  pm_session_destroy(s);
  free(tokens);
  free(text);
  return fabs(exp((mine - theirs) / (double)n_window) - 1);
}

static void test_pebble_exact(void **state) {
  (void)state;
  pm_engine *e = golden_open("pebble-q4_k_m.gguf", true, on_gpu);
  json_t *g = golden_load("pebble-q4_k_m.json");
  golden_error error = {0};
  run_prompts(e, g, true, &error);
  check("pebble", &error);
  double ppl = perplexity_error(e, g);
  print_message("# pebble, exact: perplexity off by %.4f %%\n", 100 * ppl);
  assert_true(ppl <= 0.0005);
  json_decref(g);
  pm_engine_close(e);
}

// The modes people use: f16 cache, 8-bit activations on the CPU. Bounds: tests/README.md.
static void test_pebble_default(void **state) {
  (void)state;
  pm_engine *e = golden_open("pebble-q4_k_m.gguf", false, on_gpu);
  json_t *g = golden_load("pebble-q4_k_m.json");
  golden_error error = {0};
  run_prompts(e, g, false, &error);
  double rms = error.weighted_rms / error.n_weighted;
  print_message("# pebble, default mode: log-probability error %.5f\n", rms);
  assert_true(rms <= (on_gpu ? 0.0015 : 0.0114));
  if (!on_gpu) {  // on Vulkan tests/apps/device.sh does the same
    double ppl = perplexity_error(e, g);
    print_message("# pebble, default mode: perplexity off by %.4f %%\n", 100 * ppl);
    assert_true(ppl <= 0.003);
  }
  json_decref(g);
  pm_engine_close(e);
}

int main(int argc, char **argv) {
  on_gpu = argc > 1 && !strcmp(argv[1], "gpu");
  const struct CMUnitTest tests[] = {
      {"mini-v2lite", test_mini, NULL, NULL, (void *)"mini-v2lite"},
      {"mini-v2lite-legacy", test_mini, NULL, NULL, (void *)"mini-v2lite-legacy"},
      {"mini-v2", test_mini, NULL, NULL, (void *)"mini-v2"},
      {"mini-v3", test_mini, NULL, NULL, (void *)"mini-v3"},
      {"mini-moonlight", test_mini, NULL, NULL, (void *)"mini-moonlight"},
      {"mini-glm", test_mini, NULL, NULL, (void *)"mini-glm"},
      {"pebble, exact mode", test_pebble_exact, NULL, NULL, NULL},
      {"pebble, default mode", test_pebble_default, NULL, NULL, NULL},
  };
  return cmocka_run_group_tests_name(on_gpu ? "golden values on Vulkan" : "golden values on the CPU", tests, NULL, NULL);
}
