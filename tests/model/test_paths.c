// One conversation, many ways: prompt in one step == token by token == in odd chunks == after a rewind == after a saved and loaded session
// == beside other sessions; and no allocation per token.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "generate.h"
#include "memory.h"
#include "testbed.h"

enum { N_TOKEN = 96 };

static bool on_gpu;

static pm_engine *open_model(const char *file, uint32_t n_session) {
  char path[512];
  snprintf(path, sizeof path, "%s/models/%s", PM_TEST_DATA, file);
  const char *device = getenv("PUMICE_TEST_DEVICE");
  if (on_gpu && !device) skip();
  pm_engine_desc d = {.device = on_gpu ? device : "cpu",
                      .exact = true,
                      .n_ctx = 256,
                      .n_batch = N_TOKEN,
                      .n_session = n_session,
                      .validate = on_gpu && testbed_validates()};
  pm_engine *e;
  if (pm_engine_open(strcmp(file, "pebble") ? path : PM_DEMO_MODEL, &d, &e)) fail_msg("%s: %s", file, pm_fail_message());
  return e;
}

static void make_tokens(const pm_engine *e, int32_t *tokens) {
  pm_rng rng = pm_rng_seed(42);
  for (int i = 0; i < N_TOKEN; i++) tokens[i] = (int32_t)(pm_rng_next(&rng) % e->model.config.n_vocab);
}

static float *keep_logits(const pm_session *s) {
  assert_true(s->has_logits);
  size_t bytes = s->engine->model.config.n_vocab * sizeof(float);
  return memcpy(malloc(bytes), s->logits, bytes);
}

static void check_same(const char *what, const pm_session *s, const float *expected) {
  double error = 0, square = 0;
  assert_true(s->has_logits);
  for (uint32_t i = 0; i < s->engine->model.config.n_vocab; i++) error += pow(s->logits[i] - expected[i], 2), square += pow(expected[i], 2);
  print_message("# %s: NMSE %.3g\n", what, error / square);
  assert_true(square > 0 && error / square <= 1e-9);
}

#define RUN(call) \
  if (call) fail_msg("%s: %s", #call, pm_fail_message())

static void eval_in_chunks(pm_session *s, const int32_t *tokens, size_t n, size_t chunk) {
  for (size_t i = 0; i < n; i += chunk) RUN(pm_session_eval(s, tokens + i, n - i < chunk ? n - i : chunk, NULL, NULL));
}

static void test_paths(void **state) {
  pm_engine *e = open_model(*state, 1);
  int32_t tokens[N_TOKEN];
  make_tokens(e, tokens);
  pm_session *s;
  RUN(pm_session_create(e, &s));
  RUN(pm_session_eval(s, tokens, N_TOKEN, NULL, NULL));
  float *whole = keep_logits(s);

  static const size_t chunks[] = {1, 2, 3, 7, 8, 9, 31, 33, 64};
  size_t step = on_gpu ? 3 : 1;  // every third on the slow software drivers: 1, 7, 31
  for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i += step) {
    char what[32];
    snprintf(what, sizeof what, "chunks of %zu", chunks[i]);
    RUN(pm_session_rewind(s, 0));
    eval_in_chunks(s, tokens, N_TOKEN, chunks[i]);
    check_same(what, s, whole);
  }

  RUN(pm_session_rewind(s, 40));
  const int32_t other[5] = {1, 2, 3, 4, 5};
  RUN(pm_session_eval(s, other, 5, NULL, NULL));
  RUN(pm_session_rewind(s, 40));
  RUN(pm_session_eval(s, tokens + 40, N_TOKEN - 40, NULL, NULL));
  check_same("after a rewind", s, whole);

  RUN(pm_session_rewind(s, 50));
  RUN(pm_session_eval(s, other, 5, NULL, NULL));
  size_t reused;
  RUN(pm_session_sync(s, tokens, N_TOKEN, &reused));
  assert_int_equal(reused, 50);
  check_same("after a sync", s, whole);
  RUN(pm_session_sync(s, tokens, N_TOKEN, &reused));
  assert_int_equal(reused, N_TOKEN);
  pm_session_destroy(s);
  free(whole);
  pm_engine_close(e);
}

static void test_snapshot(void **state) {
  char path[] = "/tmp/pumice-session-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  pm_engine *e = open_model(*state, 1);
  int32_t tokens[N_TOKEN];
  make_tokens(e, tokens);
  pm_session *s;
  RUN(pm_session_create(e, &s));
  RUN(pm_session_eval(s, tokens, N_TOKEN, NULL, NULL));
  float *whole = keep_logits(s);
  RUN(pm_session_rewind(s, 60));
  RUN(pm_session_save(s, path));
  pm_session_destroy(s);
  pm_engine_close(e);

  e = open_model(*state, 2);
  pm_session *first;  // so that the loaded session lies at other cells than the saved one
  RUN(pm_session_create(e, &first));
  RUN(pm_session_create(e, &s));
  RUN(pm_session_load(s, path));
  assert_int_equal(s->length, 60);
  RUN(pm_session_eval(s, tokens + 60, N_TOKEN - 60, NULL, NULL));
  check_same("after a saved session", s, whole);

  assert_int_equal(truncate(path, 5000), 0);
  assert_int_not_equal(pm_session_load(s, path), PM_OK);
  assert_int_equal(s->length, 0);
  assert_int_equal(truncate(path, 10), 0);
  assert_int_not_equal(pm_session_load(s, path), PM_OK);
  unlink(path);
  assert_int_equal(pm_session_load(s, path), PM_ERR_IO);
  pm_session_destroy(s);
  pm_session_destroy(first);
  free(whole);
  pm_engine_close(e);
}

static void test_sessions(void **state) {
  pm_engine *e = open_model(*state, 3);
  int32_t tokens[N_TOKEN];
  make_tokens(e, tokens);
  pm_session *s[3], *extra;
  for (int i = 0; i < 3; i++) RUN(pm_session_create(e, &s[i]));
  assert_int_equal(pm_session_create(e, &extra), PM_ERR_MEMORY);
  RUN(pm_session_eval(s[0], tokens, N_TOKEN, NULL, NULL));
  float *whole = keep_logits(s[0]);
  RUN(pm_session_eval(s[1], tokens + 3, 30, NULL, NULL));
  for (int i = 0; i < N_TOKEN; i += 16) {  // the third session's steps between those of the others
    RUN(pm_session_eval(s[2], tokens + i, 16, NULL, NULL));
    RUN(pm_session_eval(s[1], tokens + i / 2, 1, NULL, NULL));
  }
  check_same("between other sessions", s[2], whole);
  for (int i = 0; i < 3; i++) pm_session_destroy(s[i]);
  free(whole);
  pm_engine_close(e);
}

static bool take_text(void *user, bool thinking, const char *text, size_t bytes) {
  (void)thinking, (void)text;
  *(size_t *)user += bytes;
  return true;
}

static pm_generated generate(pm_session *s, const pm_sampler_desc *sampling, size_t max_tokens, size_t *bytes) {
  pm_answer_desc d = {.sampling = *sampling, .seed = 7, .max_tokens = max_tokens, .text = take_text, .user = bytes};
  pm_answer *a;
  RUN(pm_answer_begin(s, &d, &a));
  RUN(pm_answer_run(a));
  pm_generated g = pm_answer_result(a);
  pm_answer_end(a);
  return g;
}

static void test_no_allocation(void **state) {
  (void)state;
  pm_engine *e = open_model("pebble", 1);
  pm_session *s;
  RUN(pm_session_create(e, &s));
  const int32_t prompt[] = {0, 100, 200, 300};
  RUN(pm_session_eval(s, prompt, 4, NULL, NULL));
  const pm_sampler_desc sampling[] = {
      {.greedy = true}, {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1.1f, .penalty_last_n = 64}};
  for (int i = 0; i < 2; i++) {
    size_t bytes = 0;
    (void)generate(s, &sampling[i], 2, &bytes);  // whatever is made at first use
    RUN(pm_session_rewind(s, 4));
    RUN(pm_session_sync(s, prompt, 4, NULL));
    pm_answer_desc d = {.sampling = sampling[i], .seed = 7, .max_tokens = 24, .text = take_text, .user = &bytes};
    pm_answer *a;
    RUN(pm_answer_begin(s, &d, &a));
    uint64_t before = pm_alloc_count();
    RUN(pm_answer_run(a));
    assert_true(pm_answer_result(a).n_token > 4);
    assert_int_equal(pm_alloc_count() - before, 0);
    pm_answer_end(a);
    RUN(pm_session_sync(s, prompt, 4, NULL));
  }
  pm_session_destroy(s);
  pm_engine_close(e);
}

static void test_limits(void **state) {
  (void)state;
  pm_engine *e = open_model("mini-v3.gguf", 1);
  pm_session *s;
  RUN(pm_session_create(e, &s));
  int32_t token = 1, bad = (int32_t)e->model.config.n_vocab;
  bool done;
  pm_sampler_desc greedy = {.greedy = true};
  size_t bytes = 0;
  pm_answer *a;
  RUN(pm_answer_begin(s, &(pm_answer_desc){.sampling = greedy, .text = take_text, .user = &bytes}, &a));
  assert_int_equal(pm_answer_next(a, &token, &done), PM_ERR_ARGUMENT);
  pm_answer_end(a);
  token = 1;
  assert_int_equal(pm_session_eval(s, &bad, 1, NULL, NULL), PM_ERR_ARGUMENT);
  bad = -1;
  assert_int_equal(pm_session_eval(s, &bad, 1, NULL, NULL), PM_ERR_ARGUMENT);
  const int32_t tokens[32] = {1};
  for (uint32_t i = 0; i < e->kv.n_ctx; i += 32) RUN(pm_session_eval(s, tokens, 32, NULL, NULL));
  assert_int_equal(s->length, e->kv.n_ctx);
  assert_int_equal(pm_session_eval(s, &token, 1, NULL, NULL), PM_ERR_ARGUMENT);
  assert_int_equal(pm_session_rewind(s, e->kv.n_ctx + 1), PM_ERR_ARGUMENT);
  pm_generated g = generate(s, &greedy, 0, &bytes);
  assert_int_equal(g.stop, PM_STOP_LENGTH);
  assert_int_equal(g.n_token, 0);
  RUN(pm_session_rewind(s, 3));
  atomic_store(&s->cancel, true);
  assert_int_equal(pm_session_eval(s, &token, 1, NULL, NULL), PM_ERR_CANCELLED);
  assert_int_equal(s->length, 3);
  RUN(pm_session_eval(s, &token, 1, NULL, NULL));
  pm_session_destroy(s);
  pm_engine_close(e);
}

int main(int argc, char **argv) {
  on_gpu = argc > 1 && !strcmp(argv[1], "gpu");
  const struct CMUnitTest tests[] = {
      {"prompt, steps, rewind, sync: mini-v2lite", test_paths, NULL, NULL, (void *)"mini-v2lite.gguf"},
      {"prompt, steps, rewind, sync: mini-v3", test_paths, NULL, NULL, (void *)"mini-v3.gguf"},
      {"saved session", test_snapshot, NULL, NULL, (void *)"mini-v3.gguf"},
      {"several sessions", test_sessions, NULL, NULL, (void *)"mini-v2.gguf"},
      {"no allocation per token", test_no_allocation, NULL, NULL, NULL},
      {"limits", test_limits, NULL, NULL, NULL},
  };
  return cmocka_run_group_tests_name(on_gpu ? "ways of running, Vulkan" : "ways of running, CPU", tests, NULL, NULL);
}
