// The k-th allocation, Vulkan call or read from disk fails, for every k of a short conversation with a model whose experts do not all fit:
// the answer is the same as ever, on a fallback that says so, or there is a clean error, after which the same call succeeds, unless the
// device is lost. Nothing hangs, nothing is leaked. And slots that change hands while the device's second queue is late.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "gpu.h"
#include "session.h"
#include "vulkan_faults.h"

enum { SKIP = 77, N_CTX = 64, N_PROMPT = 12, N_TAKEN = 5, N_LONG = 48, FEW = 1, MANY = 5, MOST = 64 };
static const double prompt_seconds = 5;  // after which an error of a lost device is no prompt answer, on a machine that is busy

static const char *device;
static char saved[] = "/tmp/pumice-faults-XXXXXX";

#define OK(call) \
  if (call) fail_msg("%s: %s", #call, pm_fail_message())

// ---- engines -------------------------------------------------------------------------------------------------------

// How the experts are served; the limits are found once (find_limits).
typedef struct way {
  const char *name;
  pm_engine_desc desc;
  double tolerance;    // NMSE of the logits
  float *expected[2];  // of the device, and of the processor: [N_TAKEN][n_vocab]
} way;

static way ways[2] = {
    {.name = "streamed", .desc = {.stream_only = true}},
    {.name = "with the processor", .desc = {.experts = "assist", .sim_link = {.rate = 20e9, .latency = 1e-4}}, .tolerance = 1e-9},
};
enum { N_WAY = sizeof ways / sizeof *ways };

static pm_status open_on(const way *w, const char *where, pm_engine **out) {
  char path[512];
  pm_engine_desc d = w->desc;
  snprintf(path, sizeof path, "%s/models/mini-v2lite.gguf", PM_TEST_DATA);
  d.device = where, d.exact = true, d.n_ctx = N_CTX, d.n_batch = 16, d.n_thread = 2;
  return pm_engine_open(path, &d, out);
}

// Room for a quarter of the experts and for the ring; homes for six of ten, the others are on disk.
static void find_limits(way *w) {
  pm_engine *e;
  OK(open_on(w, device, &e));
  const pm_plan_memory *m = &e->plan.device;
  const pm_config *c = &e->model.config;
  uint32_t n_ring = PM_EXPERT_FEW_ROWS * c->n_expert_used < c->n_expert ? PM_EXPERT_FEW_ROWS * c->n_expert_used : c->n_expert;
  uint64_t ring = 0;
  for (uint32_t i = 0; i < e->plan.experts.n_class; i++) ring += n_ring * e->plan.experts.classes[i].slot_bytes;
  w->desc.sim_vram = m->weights + m->kv + m->scratch + ring + m->slots / 4;
  pm_engine_close(e);
  OK(open_on(w, device, &e));
  w->desc.ram_limit = pm_plan_total(&e->plan.host) - e->plan.host.homes * 4 / 10;
  pm_engine_close(e);
}

static bool is_on_device(const pm_engine *e) { return e->backend->ops->move != NULL; }

// ---- a conversation ------------------------------------------------------------------------------------------------

// A prompt, tokens, the session saved and loaded, a token: what an act came to. Acts that take logits return the row to compare them with.
enum { PROMPT, TOKEN_1, TOKEN_2, TOKENS, SAVE, LOAD, LAST, N_ACT };

static const uint32_t n_token[N_ACT] = {[PROMPT] = N_PROMPT, [TOKEN_1] = 1, [TOKEN_2] = 1, [TOKENS] = 3, [LAST] = 1};

// `end`: tokens that the session holds afterwards.
static pm_status act(pm_session *s, int which, uint32_t end) {
  int32_t tokens[N_PROMPT];
  uint32_t n = end - s->length;
  if (which == SAVE) return pm_session_save(s, saved);
  if (which == LOAD) return pm_session_load(s, saved);
  for (uint32_t i = 0; i < n; i++) tokens[i] = (int32_t)((17 + 31 * (s->length + i)) % s->engine->model.config.n_vocab);
  return pm_session_eval(s, tokens, n, NULL, NULL);
}

static int row_of(int which) { return which == SAVE || which == LOAD ? -1 : which == LAST ? N_TAKEN - 1 : which; }

static void check_logits(const pm_session *s, const way *w, int row) {
  uint32_t n = s->engine->model.config.n_vocab;
  bool on_device = is_on_device(s->engine);
  const float *expected = w->expected[!on_device] + (size_t)row * n;
  double error = 0, square = 0;
  assert_true(s->has_logits);
  for (uint32_t i = 0; i < n; i++) error += pow((double)s->logits[i] - expected[i], 2), square += pow(expected[i], 2);
  assert_true(square > 0);
  if (!(error <= w->tolerance * square))
    fail_msg("logits %d, %s, %s: NMSE %.3g", row, w->name, on_device ? "device" : "CPU", error / square);
}

static float *take_all(const way *w, const char *where) {
  pm_engine *e;
  pm_session *s;
  OK(open_on(w, where, &e));
  assert_true(e->experts || !is_on_device(e));
  uint32_t n = e->model.config.n_vocab;
  float *all = malloc((size_t)N_TAKEN * n * sizeof *all);
  OK(pm_session_create(e, &s));
  for (int i = 0; i < N_ACT; i++) {
    OK(act(s, i, s->length + n_token[i]));
    if (row_of(i) >= 0) memcpy(all + (size_t)row_of(i) * n, s->logits, n * sizeof *all);
  }
  if (is_on_device(e)) assert_true(pm_experts_look(e->experts).store.misses > 0);
  pm_session_destroy(s);
  pm_engine_close(e);
  return all;
}

// ---- what a fault may lead to --------------------------------------------------------------------------------------

typedef struct tally {
  uint64_t fired;
  uint64_t same;      // nothing was to be noticed
  uint64_t fallback;  // announced
  uint64_t again;     // an error, and the same call succeeded when it was made again
  uint64_t lost;      // an error for good
  uint64_t unopened;  // the engine was not opened
} tally;

static void check_error(pm_status status) {
  if (status != PM_ERR_MEMORY && status != PM_ERR_IO && status != PM_ERR_DEVICE && status != PM_ERR_DEVICE_LOST)
    fail_msg("status %d: %s", status, pm_fail_message());
  assert_true(strlen(pm_fail_message()) > 8);
}

static pm_status create(pm_engine *e, pm_session **s) {
  pm_status status = pm_session_create(e, s);
  if (!status) return PM_OK;
  check_error(status);
  OK(pm_session_create(e, s));
  return status;
}

// The conversation; each act that fails fails for good at once, or succeeds when it is made again. Returns the first failure.
static pm_status converse(pm_engine *e, const way *w) {
  pm_session *s;
  pm_status first = create(e, &s);
  for (int i = 0; i < N_ACT; i++) {
    uint32_t begin = s->length, end = begin + n_token[i];
    pm_status status = act(s, i, end);
    if (status) {
      char was[200];
      check_error(status);
      snprintf(was, sizeof was, "%s", pm_fail_message());

      first = first ? first : status;
      if (i != LOAD) assert_true(s->length >= begin && s->length <= end - (n_token[i] > 0));
      if (row_of(i) >= 0) assert_false(s->has_logits);
      double failed_at = pm_clock_seconds();
      pm_status then = act(s, i, end);
      if (status == PM_ERR_DEVICE_LOST) {
        assert_int_equal(then, PM_ERR_DEVICE_LOST);
        assert_true(pm_clock_seconds() - failed_at < prompt_seconds);
        break;
      }
      if (then) fail_msg("act %d failed: %s; and again: %s", i, was, pm_fail_message());
    }
    if (row_of(i) >= 0) check_logits(s, w, row_of(i));
  }
  pm_session_destroy(s);
  return first;
}

static void count(tally *t, pm_status status, bool fallback) {
  t->fired++;
  if (status)
    status == PM_ERR_DEVICE_LOST ? t->lost++ : t->again++;
  else
    fallback ? t->fallback++ : t->same++;
}

// ---- sweeps --------------------------------------------------------------------------------------------------------

typedef struct fault {
  const char *name;
  fault_place place;
  VkResult result;
} fault;

static const fault faults[] = {
    {"allocations", FAULT_ALLOCATION, VK_ERROR_OUT_OF_HOST_MEMORY},
    {"reads", FAULT_READ, VK_ERROR_UNKNOWN},
    {"instance and device, no memory", FAULT_INSTANCE, VK_ERROR_OUT_OF_HOST_MEMORY},
    {"instance and device, lost", FAULT_INSTANCE, VK_ERROR_DEVICE_LOST},
    {"memory, none left", FAULT_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY},
    {"objects", FAULT_OBJECT, VK_ERROR_OUT_OF_HOST_MEMORY},
    {"recording", FAULT_COMMANDS, VK_ERROR_OUT_OF_HOST_MEMORY},
    {"submissions, no memory", FAULT_SUBMIT, VK_ERROR_OUT_OF_HOST_MEMORY},
    {"submissions, lost", FAULT_SUBMIT, VK_ERROR_DEVICE_LOST},
    {"waits, no memory", FAULT_WAIT, VK_ERROR_OUT_OF_HOST_MEMORY},
    {"waits, lost", FAULT_WAIT, VK_ERROR_DEVICE_LOST},
    {"counters, no memory", FAULT_COUNTER, VK_ERROR_OUT_OF_HOST_MEMORY},
    {"counters, lost", FAULT_COUNTER, VK_ERROR_DEVICE_LOST},
    {"signals, no memory", FAULT_SIGNAL, VK_ERROR_OUT_OF_HOST_MEMORY},
    {"signals, lost", FAULT_SIGNAL, VK_ERROR_DEVICE_LOST},
};
enum { N_FAULT = sizeof faults / sizeof *faults };

// A read that failed is always told.
static bool happened(const fault *f, bool told) { return f->place == FAULT_READ ? told : fault_fired(); }

// The next k: every one at first, then ever fewer; all of them when the program is asked to ("every").
static bool every;
static uint64_t after(uint64_t k, uint64_t first) { return every || k < first ? k + 1 : 4 * k; }

// The host reads counters until they say what it waits for: there is no last one.
static uint64_t last_of(const fault *f) { return f->place == FAULT_COUNTER ? MOST : UINT64_MAX; }

static void check_nothing_left(void) {
  assert_int_equal(fault_live_objects(), 0);
  assert_int_equal(fault_live_memory(), 0);
}

// A fault while a model is opened that may run on a card or else on the processor.
static bool fault_at_opening(const fault *f, uint64_t k, const way *w, tally *t) {
  pm_engine *e = NULL;
  fault_arm(f->place, k, f->result);
  pm_status status = open_on(w, "auto", &e);
  bool fired = happened(f, status || e->note[0]);
  fault_disarm();
  assert_true((e != NULL) == (status == PM_OK));
  if (status) {
    check_error(status);
    t->unopened++, t->fired++;
  } else {
    if (!is_on_device(e)) assert_non_null(strstr(e->note, "CPU"));
    if (fired) {  // an engine that met no fault converses in setup
      count(t, PM_OK, e->note[0]);
      OK(converse(e, w));
    }
    pm_engine_close(e);
  }
  check_nothing_left();
  return fired;
}

static void opening(void **state) {
  const way *w = *state;
  for (const fault *f = faults; f < faults + N_FAULT; f++) {
    tally t = {0};
    double begin = pm_clock_seconds();
    for (uint64_t k = 1; k <= last_of(f) && fault_at_opening(f, k, w, &t);) k = after(k, FEW);
    print_message("# opening, %s: %d faults: %d unnoticed, %d on a fallback, %d errors (%.1f s)\n", f->name, (int)t.fired, (int)t.same,
                  (int)t.fallback, (int)t.unopened, pm_clock_seconds() - begin);
    if (f->place != FAULT_SIGNAL) assert_true(t.fired > 0);
  }
}

// A fault while a session runs, on an engine that goes on for as long as its device is there.
static bool fault_at_running(const fault *f, uint64_t k, const way *w, pm_engine **e, tally *t) {
  if (!*e) OK(open_on(w, device, e));
  fault_arm(f->place, k, f->result);
  pm_status status = converse(*e, w);
  bool fired = happened(f, status != PM_OK);
  if (fired) count(t, status, false);
  bool over = status == PM_ERR_DEVICE_LOST || fired != (status != PM_OK);
  if (over) pm_engine_close(*e), *e = NULL;  // in the presence of the fault
  fault_disarm();
  if (over) check_nothing_left();
  return fired;
}

static void running(void **state) {
  const way *w = *state;
  for (const fault *f = faults; f < faults + N_FAULT; f++) {
    bool once = f->place == FAULT_COMMANDS || f->place == FAULT_OBJECT || f->place == FAULT_ALLOCATION;  // when first used
    if (f->place == FAULT_INSTANCE || f->place == FAULT_MEMORY || (once && w != ways)) continue;
    pm_engine *e = NULL;
    tally t = {0};
    double begin = pm_clock_seconds();
    uint64_t first = once || f->result == VK_ERROR_DEVICE_LOST ? FEW : MANY;
    for (uint64_t k = 1; k <= last_of(f) && fault_at_running(f, k, w, &e, &t); k = after(k, first))
      if (once) pm_engine_close(e), e = NULL;
    pm_engine_close(e);
    check_nothing_left();
    print_message("# %s, %s: %d faults: %d unnoticed, %d errors and then the same, %d times lost (%.1f s)\n", w->name, f->name,
                  (int)t.fired, (int)t.same, (int)t.again, (int)t.lost, pm_clock_seconds() - begin);
  }
}

// ---- a late second queue -------------------------------------------------------------------------------------------

// Logits after each of many tokens.
static float *speak(const way *w, bool late) {
  pm_engine *e;
  pm_session *s;
  OK(open_on(w, device, &e));
  uint32_t n = e->model.config.n_vocab;
  float *all = malloc((size_t)N_LONG * n * sizeof *all);
  uint64_t loaded = pm_experts_look(e->experts).move_bytes;
  OK(pm_session_create(e, &s));
  if (late) fault_delay(((pm_gpu *)e->backend)->moves.passed, 0.004);
  for (int i = 0; i < N_LONG; i++) {
    OK(act(s, i ? TOKEN_1 : PROMPT, s->length + (i ? 1 : N_PROMPT)));
    memcpy(all + (size_t)i * n, s->logits, n * sizeof *all);
  }
  if (late) {
    print_message("# %u moves were late, %llu bytes moved beside the steps\n", fault_delayed(),
                  (unsigned long long)(pm_experts_look(e->experts).move_bytes - loaded));
    assert_true(fault_delayed() > 0);
    fault_delay(VK_NULL_HANDLE, 0);
  }
  pm_session_destroy(s);
  pm_engine_close(e);
  check_nothing_left();
  return all;
}

static void slots_change_hands(void **state) {
  const way *w = *state;
  pm_engine *e;
  OK(open_on(w, device, &e));
  size_t n = (size_t)N_LONG * e->model.config.n_vocab;
  pm_engine_close(e);
  float *expected = speak(w, false), *got = speak(w, true);
  double error = 0, square = 0;
  for (size_t i = 0; i < n; i++) error += pow((double)got[i] - expected[i], 2), square += pow(expected[i], 2);
  assert_true(square > 0 && error <= w->tolerance * square);
  free(expected), free(got);
}

static int setup(void **state) {
  (void)state;
  int fd = mkstemp(saved);
  if (fd < 0) return 1;
  close(fd);
  fault_pretend(true);  // "auto" takes no software device
  for (way *w = ways; w < ways + N_WAY; w++) {
    find_limits(w);
    w->expected[0] = take_all(w, device);
    w->expected[1] = take_all(w, "cpu");
  }
  check_nothing_left();
  return 0;
}

static int teardown(void **state) {
  (void)state;
  unlink(saved);
  for (way *w = ways; w < ways + N_WAY; w++) free(w->expected[0]), free(w->expected[1]);
  return 0;
}

int main(int argc, char **argv) {
  every = argc > 1 && !strcmp(argv[1], "every");
  if (argc > 1 && !every) cmocka_set_test_filter(argv[1]);
  device = getenv("PUMICE_TEST_DEVICE");
  if (!device) return puts("skip: no device"), SKIP;
  const struct CMUnitTest tests[] = {
      {"faults while a model is opened", opening, NULL, NULL, &ways[0]},
      {"faults while experts are streamed", running, NULL, NULL, &ways[0]},
      {"faults while the processor helps", running, NULL, NULL, &ways[1]},
      {"slots change hands while experts are streamed", slots_change_hands, NULL, NULL, &ways[0]},
      {"slots change hands while the processor helps", slots_change_hands, NULL, NULL, &ways[1]},
  };
  return cmocka_run_group_tests_name("gpu_faults", tests, setup, teardown);
}
