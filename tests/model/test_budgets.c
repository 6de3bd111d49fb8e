// One conversation at many budgets: with all experts in the device's memory, with half of them, a tenth, none; streamed, bit for bit the
// same; with the processor's help within rounding; with homes for only some of them and the rest on disk. A prompt, tokens one by one, a
// rewind and a saved session at each.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "expert_replay.h"
#include "memory.h"
#include "session.h"
#include "synth.h"
#include "testbed.h"

enum {
  N_TOKEN = 48,
  N_PROMPT = 28,
  N_TAKEN = 4
};  // logits are taken after the prompt, in the middle of the tokens, at their end, and after
    // the session was loaded

typedef struct taken {
  float *logits[N_TAKEN];
} taken;

typedef struct budget {
  uint32_t percent;  // of the bytes of all experts; 101: no limit
  bool stream_only;
  uint32_t homes_percent;  // of all experts; 100: each has one
  uint32_t n_batch;        // rows of a step; 0: the whole prompt
} budget;

#define RUN(call) \
  if (call) fail_msg("%s: %s", #call, pm_fail_message())

static const char *model_path(const char *file, char path[512]) {
  if (!strcmp(file, "pebble")) return PM_DEMO_MODEL;
  if (file[0] == '/') return file;
  snprintf(path, 512, "%s/models/%s", PM_TEST_DATA, file);
  return path;
}

static pm_engine *open_with(const char *file, const pm_engine_desc *d) {
  char path[512];
  pm_engine *e;
  if (pm_engine_open(model_path(file, path), d, &e)) fail_msg("%s: %s", file, pm_fail_message());
  return e;
}

// What limits have to be for a budget: sizes that do not depend on it come from an engine without limits. The ring, without which nothing
// can stream, comes on top. `host`: what an engine with a home for each expert takes of the machine's memory.
static void set_limits(const pm_engine *all, const pm_plan_memory *host, const budget *b, pm_engine_desc *d) {
  const pm_plan_memory *m = &all->plan.device;
  const pm_config *c = &all->model.config;
  uint64_t ring = 0;
  for (uint32_t i = 0; i < all->plan.experts.n_class; i++) ring += c->n_expert_used * all->plan.experts.classes[i].slot_bytes;
  if (b->percent <= 100) d->sim_vram = m->weights + m->kv + m->scratch + ring + m->slots * b->percent / 100;
  if (b->homes_percent < 100) d->ram_limit = pm_plan_total(host) - host->homes * (100 - b->homes_percent) / 100;
}

static float *keep(const pm_session *s) {
  assert_true(s->has_logits);
  size_t bytes = s->engine->model.config.n_vocab * sizeof(float);
  return memcpy(malloc(bytes), s->logits, bytes);
}

static taken converse(pm_engine *e) {
  char path[] = "/tmp/pumice-budget-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  int32_t tokens[N_TOKEN];
  taken t;
  pm_session *s;
  pm_rng rng = pm_rng_seed(7);
  for (int i = 0; i < N_TOKEN; i++) tokens[i] = (int32_t)(pm_rng_next(&rng) % e->model.config.n_vocab);
  RUN(pm_session_create(e, &s));
  RUN(pm_session_eval(s, tokens, N_PROMPT, NULL, NULL));
  t.logits[0] = keep(s);
  for (int i = N_PROMPT; i < N_TOKEN; i++) {
    RUN(pm_session_eval(s, tokens + i, 1, NULL, NULL));
    if (i == N_TOKEN - 10) t.logits[1] = keep(s);
  }
  RUN(pm_session_rewind(s, N_PROMPT + 5));
  for (int i = N_PROMPT + 5; i < N_TOKEN; i += 3) RUN(pm_session_eval(s, tokens + i, N_TOKEN - i < 3 ? N_TOKEN - i : 3, NULL, NULL));
  t.logits[2] = keep(s);
  RUN(pm_session_rewind(s, N_PROMPT - 2));
  RUN(pm_session_save(s, path));
  RUN(pm_session_rewind(s, 0));
  RUN(pm_session_load(s, path));
  RUN(pm_session_eval(s, tokens + N_PROMPT - 2, 12, NULL, NULL));
  t.logits[3] = keep(s);
  pm_session_destroy(s);
  unlink(path);
  return t;
}

static double worst_nmse(const pm_engine *e, const taken *a, const taken *b) {
  double worst = 0;
  for (int k = 0; k < N_TAKEN; k++) {
    double error = 0, square = 0;
    for (uint32_t i = 0; i < e->model.config.n_vocab; i++)
      error += pow(a->logits[k][i] - b->logits[k][i], 2), square += pow(a->logits[k][i], 2);
    assert_true(square > 0);
    if (error / square > worst) worst = error / square;
  }
  return worst;
}

static void drop(taken *t) {
  for (int k = 0; k < N_TAKEN; k++) free(t->logits[k]);
}

static pm_engine_desc description(const char *device) {
  return (pm_engine_desc){.device = device, .exact = true, .n_ctx = 128, .n_batch = N_PROMPT, .stream_only = true};
}

// The conversation at each budget, against the one with everything in the device's memory.
static void check_budgets(const char *file, const budget *budgets, size_t n) {
  const char *device = getenv("PUMICE_TEST_DEVICE");
  if (!device) skip();
  pm_engine_desc d = description(device);
  d.validate = testbed_validates();
  pm_engine *all = open_with(file, &d);
  assert_null(all->experts);
  taken expected = converse(all);
  pm_plan_memory host = {0};
  for (const budget *b = budgets; b < budgets + n; b++) {
    pm_engine_desc limited = d;
    limited.stream_only = b->stream_only;
    if (b->n_batch) limited.n_batch = b->n_batch;
    set_limits(all, &host, b, &limited);
    pm_engine *e = open_with(file, &limited);
    if (b->percent <= 25) assert_non_null(e->experts);
    taken got = converse(e);
    double nmse = worst_nmse(all, &expected, &got);
    uint64_t n_read = e->experts ? pm_experts_look(e->experts).store.misses : 0;
    print_message("# %s, %3u %% in slots, %3u %% in homes, %s: NMSE %.3g, %llu experts read\n", file, b->percent, b->homes_percent,
                  b->stream_only ? "streamed" : "with the processor", nmse, (unsigned long long)n_read);
    assert_true(b->homes_percent < 100 ? n_read > 0 : n_read == 0);
    if (b->homes_percent == 100) host = e->plan.host;
    assert_true(b->stream_only ? nmse == 0 : nmse <= 1e-6);
    drop(&got);
    pm_engine_close(e);
  }
  drop(&expected);
  pm_engine_close(all);
}

static void budgets_agree(void **state) {
  static const budget budgets[] = {{100, true, 100},
                                   {50, true, 100},
                                   {25, true, 100},
                                   {10, true, 100},
                                   {0, true, 100},
                                   {50, false, 100},
                                   {10, false, 100},
                                   {0, false, 100},
                                   {25, true, 60},
                                   {25, false, 60},
                                   {25, true, 100, N_PROMPT - 1},
                                   {10, true, 100, 17}};
  check_budgets(*state, budgets, sizeof budgets / sizeof *budgets);
}

static void small_models_agree(void **state) {
  static const char *const files[] = {"mini-v2lite.gguf", "mini-v2lite-legacy.gguf", "mini-v2.gguf",
                                      "mini-v3.gguf",     "mini-moonlight.gguf",     "mini-glm.gguf"};
  static const budget budgets[] = {{10, true, 100}, {10, false, 60}};
  (void)state;
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) check_budgets(files[i], budgets, sizeof budgets / sizeof *budgets);
}

// DeepSeek-V2-Lite's heads, router, experts and shared experts, narrow ones.
static void v2_lite_agrees(void **state) {
  static const budget budgets[] = {{100, true, 100}, {50, true, 100}, {25, true, 100}, {10, true, 100}, {0, true, 100}, {25, false, 100}};
  char path[] = "/tmp/pumice-v2-lite-XXXXXX";
  int fd = mkstemp(path);
  (void)state;
  assert_true(fd >= 0);
  close(fd);
  RUN(pm_synth(path, &(pm_synth_options){.shape = "tiny-v2-lite", .mix = "Q4_K_M", .seed = 3}));
  check_budgets(path, budgets, sizeof budgets / sizeof *budgets);
  unlink(path);
}

// In the default mode the processor's share is computed from activations in 8 bits: the error stays below that of the CPU backend, which
// computes everything so.
static void help_is_as_good_as_the_processor(void **state) {
  const char *file = *state, *device = getenv("PUMICE_TEST_DEVICE");
  if (!device) skip();
  const budget b = {10, false, 100};
  pm_engine_desc d = description(device);
  pm_engine *exact = open_with(file, &d);
  taken expected = converse(exact);
  d.exact = d.stream_only = false, d.device = "cpu";
  pm_engine *cpu = open_with(file, &d);
  taken alone = converse(cpu);
  d.device = device, d.experts = "assist";
  set_limits(exact, NULL, &b, &d);
  pm_engine *e = open_with(file, &d);
  taken helped = converse(e);
  double limit = worst_nmse(exact, &expected, &alone), nmse = worst_nmse(exact, &expected, &helped);
  print_message("# NMSE with the processor's help %.3g, by the processor alone %.3g\n", nmse, limit);
  assert_true(pm_experts_look(e->experts).host_records > 0);
  assert_true(nmse > 0 && nmse <= limit);
  drop(&expected), drop(&alone), drop(&helped);
  pm_engine_close(exact), pm_engine_close(cpu), pm_engine_close(e);
}

// What a trace recorded, played again offline, counts what the engine counted.
static void a_replay_counts_the_same(void **state) {
  static const budget budgets[] = {{25, true, 100}, {25, false, 100}, {10, true, 100}};
  const char *file = *state, *device = getenv("PUMICE_TEST_DEVICE");
  if (!device) skip();
  pm_engine_desc d = description(device);
  pm_engine *all = open_with(file, &d);
  for (size_t i = 0; i < sizeof budgets / sizeof *budgets; i++) {
    char path[] = "/tmp/pumice-use-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    pm_engine_desc limited = d;
    limited.stream_only = budgets[i].stream_only, limited.trace_path = path;
    set_limits(all, NULL, &budgets[i], &limited);
    pm_engine *e = open_with(file, &limited);
    taken t = converse(e);
    drop(&t);
    pm_experts_report r = pm_experts_look(e->experts);
    pm_engine_close(e);
    pm_trace *trace;
    pm_replay_result replayed;
    RUN(pm_trace_open(path, &trace));
    RUN(pm_replay_run(trace, PM_REPLAY_RECORDED, NULL, &replayed));
    const uint64_t *few = r.few.fate, *many = r.many.fate;
    print_message("# %u %%: %llu hits, %llu misses of single tokens\n", budgets[i].percent, (unsigned long long)few[PM_EXPERT_HIT],
                  (unsigned long long)replayed.misses[0]);
    assert_true(few[PM_EXPERT_HIT] > 0 && replayed.misses[0] > 0);
    assert_int_equal(replayed.hits[0], few[PM_EXPERT_HIT]);
    assert_int_equal(replayed.misses[0], few[PM_EXPERT_VICTIM] + few[PM_EXPERT_RING] + few[PM_EXPERT_HOST]);
    assert_int_equal(replayed.hits[1], many[PM_EXPERT_HIT]);
    assert_int_equal(replayed.misses[1], many[PM_EXPERT_RING]);
    pm_trace_close(trace);
    unlink(path);
  }
  pm_engine_close(all);
}

int main(int argc, char **argv) {
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  const struct CMUnitTest tests[] = {
      {"budgets agree: the demo model", budgets_agree, NULL, NULL, (void *)"pebble"},
      {"budgets agree: small models", small_models_agree, NULL, NULL, NULL},
      {"budgets agree: V2-Lite's shape", v2_lite_agrees, NULL, NULL, NULL},
      {"a replay counts the same", a_replay_counts_the_same, NULL, NULL, (void *)"pebble"},
      {"the processor's help in the default mode", help_is_as_good_as_the_processor, NULL, NULL, (void *)"pebble"},
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
