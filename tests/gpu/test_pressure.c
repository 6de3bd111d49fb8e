// Other programs take the device's memory in the middle of a run, as the budget says that the driver reports: slots are given back until
// what is left fits, and a conversation goes on to the bit as if nothing had happened.
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
#include "probe.h"
#include "session.h"
#include "testbed.h"

enum { N_PROMPT = 12, N_TOKEN = 35, N_FEW = 3, N_STAGE = 5, LAST = N_STAGE - 1, LOOK_STEPS = 32 };

#define RUN(call) \
  if (call) fail_msg("%s: %s", #call, pm_fail_message())

// ---- what the driver reports ----

static pm_engine *pressed;  // NULL: there is no pressure
static uint64_t budget;     // of it
static bool meddles;        // a move is under way when slots are given back
static uint64_t meddled;    // its ticket
static uint32_t n_look;

static uint64_t used(const pm_engine *e) {
  pm_memory_use m = e->backend->ops->memory(e->backend);
  return m.weights + m.kv + m.scratch + m.staging + m.slots + m.homes;
}

pm_gpu_room __wrap_pm_gpu_heap_room(const pm_gpu_probe *probe, uint32_t heap);
pm_gpu_room __wrap_pm_gpu_heap_room(const pm_gpu_probe *probe, uint32_t heap) {
  (void)probe, (void)heap;
  n_look++;
  if (!pressed) return (pm_gpu_room){UINT64_MAX, 0};
  pm_expert_move move = {0};  // to a slot that is about to be given back: the first, which is the last to go
  if (meddles) RUN(pressed->backend->ops->move(pressed->backend, &move, 1, &meddled));
  meddles = false;
  return (pm_gpu_room){budget, used(pressed)};
}

// ---- a conversation ----

// With room for three eighths of the experts beside the ring, if `all` is the engine that has them all.
static uint64_t card_bytes(const pm_engine *all) {
  const pm_plan_memory *m = &all->plan.device;
  const pm_config *c = &all->model.config;
  uint32_t n_ring = PM_EXPERT_FEW_ROWS * c->n_expert_used < c->n_expert ? PM_EXPERT_FEW_ROWS * c->n_expert_used : c->n_expert;
  uint64_t ring = 0;
  for (uint32_t i = 0; i < all->plan.experts.n_class; i++) ring += n_ring * all->plan.experts.classes[i].slot_bytes;
  return m->weights + m->kv + m->scratch + ring + m->slots / 8 * 3;
}

static pm_engine *open_with(const char *device, const pm_engine *all, const char *trace) {
  char path[512];
  pm_engine *e;
  snprintf(path, sizeof path, "%s/models/mini-v3.gguf", PM_TEST_DATA);
  pm_engine_desc d = {
      .device = device, .exact = true, .n_ctx = 256, .n_batch = N_PROMPT, .stream_only = true, .validate = testbed_validates()};
  if (all) d.sim_vram = card_bytes(all), d.trace_path = trace;
  RUN(pm_engine_open(path, &d, &e));
  return e;
}

static uint64_t n_slot(const pm_engine *e) { return pm_experts_look(e->experts).n_slot; }

// A stage is a prompt and tokens one by one; its logits are kept at its end.
static void run_stage(pm_session *s, pm_rng *rng, int n_token, float *logits) {
  uint32_t n_vocab = s->engine->model.config.n_vocab;
  int32_t tokens[N_PROMPT + N_TOKEN];
  for (int i = 0; i < N_PROMPT + N_TOKEN; i++) tokens[i] = (int32_t)(pm_rng_next(rng) % n_vocab);
  RUN(pm_session_eval(s, tokens, N_PROMPT, NULL, NULL));
  for (int i = N_PROMPT; i < N_PROMPT + n_token; i++) RUN(pm_session_eval(s, tokens + i, 1, NULL, NULL));
  assert_true(s->has_logits);
  memcpy(logits, s->logits, n_vocab * sizeof *logits);
}

// One stage is long enough for a look between tokens.
static int tokens_of(int stage) { return stage == 2 ? N_TOKEN : N_FEW; }

// Pressure of a stage: a byte too much, a third of the slots, and half of what is left too much; then nothing may stay.
static uint64_t budget_of(const pm_engine *e, int stage) {
  uint64_t slots = e->backend->ops->memory(e->backend).slots - e->plan.device.ring;
  return stage == 0 ? UINT64_MAX : stage == 1 ? used(e) - 1 : stage == 2 ? used(e) - slots / 3 : stage == 3 ? used(e) - slots / 2 : 0;
}

static void check_room(const pm_engine *e, int stage, uint64_t before) {
  uint64_t left = n_slot(e);
  print_message("# stage %d: %llu of %llu slots are left, %llu bytes for them\n", stage, (unsigned long long)left,
                (unsigned long long)before, (unsigned long long)e->backend->ops->memory(e->backend).slots);
  if (stage == 0) assert_int_equal(left, before);
  if (stage == 1) assert_true(left < before && left > before / 2);
  if (stage == 2 || stage == 3) assert_true(left < before && left > 0);
  if (stage == LAST) assert_int_equal(left, 0);
  if (stage < LAST) assert_true(used(e) <= budget);
}

static void check_replay(const char *path, const pm_experts_report *r) {
  pm_trace *trace;
  pm_replay_result replayed;
  RUN(pm_trace_open(path, &trace));
  RUN(pm_replay_run(trace, PM_REPLAY_RECORDED, NULL, &replayed));
  assert_int_equal(replayed.hits[0], r->few.fate[PM_EXPERT_HIT]);
  assert_int_equal(replayed.misses[0], r->few.fate[PM_EXPERT_VICTIM] + r->few.fate[PM_EXPERT_RING] + r->few.fate[PM_EXPERT_HOST]);
  assert_int_equal(replayed.hits[1], r->many.fate[PM_EXPERT_HIT]);
  pm_trace_close(trace);
}

static void run_under_pressure(const pm_engine *all, float *const *expected, const char *trace) {
  pm_engine *e = pressed = open_with(getenv("PUMICE_TEST_DEVICE"), all, trace);
  assert_non_null(e->experts);
  uint64_t ring = e->plan.device.ring;
  float *got = malloc(e->model.config.n_vocab * sizeof *got);
  pm_session *s;
  pm_rng rng = pm_rng_seed(7);
  RUN(pm_session_create(e, &s));
  for (int stage = 0; stage < N_STAGE; stage++) {
    uint64_t before = n_slot(e);
    budget = budget_of(e, stage), meddles = stage == LAST;
    run_stage(s, &rng, tokens_of(stage), got);
    check_room(e, stage, before);
    assert_memory_equal(got, expected[stage], e->model.config.n_vocab * sizeof *got);
  }
  assert_true(e->backend->ops->moved(e->backend, meddled));
  assert_int_equal(e->backend->ops->memory(e->backend).slots, ring);
  assert_true(pm_experts_look(e->experts).move_bytes > 0);
  pm_experts_report r = pm_experts_look(e->experts);
  free(got);
  pm_session_destroy(s);
  pm_engine_close(e);
  pressed = NULL;
  check_replay(trace, &r);
}

static void slots_are_given_back(void **state) {
  (void)state;
  const char *device = getenv("PUMICE_TEST_DEVICE");
  if (!device) skip();
  float *expected[N_STAGE];
  pm_session *s;
  pm_rng rng = pm_rng_seed(7);
  pm_engine *all = open_with(device, NULL, NULL);
  RUN(pm_session_create(all, &s));
  for (int stage = 0; stage < N_STAGE; stage++) {
    expected[stage] = malloc(all->model.config.n_vocab * sizeof(float));
    run_stage(s, &rng, tokens_of(stage), expected[stage]);
  }
  pm_session_destroy(s);
  char path[] = "/tmp/pumice-pressure-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  run_under_pressure(all, expected, path);
  unlink(path);
  for (int stage = 0; stage < N_STAGE; stage++) free(expected[stage]);
  pm_engine_close(all);
}

// Looking costs no memory, and happens once in a while.
static void looking_is_cheap(void **state) {
  (void)state;
  const char *device = getenv("PUMICE_TEST_DEVICE");
  if (!device) skip();
  pm_engine *all = open_with(device, NULL, NULL), *e = open_with(device, all, NULL);
  pm_engine_close(all);
  pm_session *s;
  pm_rng rng = pm_rng_seed(7);
  float *logits = malloc(e->model.config.n_vocab * sizeof *logits);
  RUN(pm_session_create(e, &s));
  run_stage(s, &rng, N_FEW, logits);
  uint32_t looks = n_look;
  uint64_t allocations = pm_alloc_count();
  run_stage(s, &rng, N_TOKEN, logits);
  assert_int_equal(pm_alloc_count(), allocations);
  assert_true(n_look > looks + 1 && n_look <= looks + 2 + N_TOKEN / LOOK_STEPS);
  free(logits);
  pm_session_destroy(s);
  pm_engine_close(e);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(slots_are_given_back),
      cmocka_unit_test(looking_is_cheap),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
