// Several sessions in one step: logits equal those of lone sessions, whatever shares a step with what; a session that is cancelled, or a
// step that fails, leaves the others as they are.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "memory.h"
#include "session.h"

enum { N_SESSION = 4, N_TOKEN = 70, N_BATCH = 24, N_CTX = 128 };

static bool on_gpu;

#define RUN(call) \
  if (call) fail_msg("%s: %s", #call, pm_fail_message())

static pm_engine_desc description(void) {
  const char *device = getenv("PUMICE_TEST_DEVICE");
  if (on_gpu && !device) skip();
  return (pm_engine_desc){.device = on_gpu ? device : "cpu",
                          .exact = true,
                          .n_ctx = N_CTX,
                          .n_batch = N_BATCH,
                          .n_session = N_SESSION,
                          .n_thread = 2,
                          .validate = on_gpu};
}

typedef struct group {
  pm_engine *e;
  pm_session *s[N_SESSION];
  int32_t tokens[N_SESSION][N_TOKEN];
  float *alone[N_SESSION];  // logits after all tokens of a session that never shared a step
} group;

static void open_sessions(group *g) {
  for (int i = 0; i < N_SESSION; i++) RUN(pm_session_create(g->e, &g->s[i]));
}

static group open_group(const char *file, const pm_engine_desc *d) {
  char path[512];
  group g;
  snprintf(path, sizeof path, "%s/models/%s", PM_TEST_DATA, file);
  if (pm_engine_open(path, d, &g.e)) fail_msg("%s: %s", file, pm_fail_message());
  uint32_t n_vocab = g.e->model.config.n_vocab;
  pm_rng rng = pm_rng_seed(11);
  open_sessions(&g);
  for (int i = 0; i < N_SESSION; i++) {
    for (int k = 0; k < N_TOKEN; k++) g.tokens[i][k] = (int32_t)(pm_rng_next(&rng) % n_vocab);
    RUN(pm_session_eval(g.s[i], g.tokens[i], N_TOKEN, NULL, NULL));
    g.alone[i] = memcpy(malloc(n_vocab * sizeof(float)), g.s[i]->logits, n_vocab * sizeof(float));
    RUN(pm_session_rewind(g.s[i], 0));
  }
  return g;
}

static void close_group(group *g) {
  for (int i = 0; i < N_SESSION; i++) pm_session_destroy(g->s[i]), free(g->alone[i]);
  pm_engine_close(g->e);
}

// The next n tokens of session i.
static pm_part next_part(group *g, int i, size_t n) {
  return (pm_part){.session = g->s[i], .tokens = g->tokens[i] + g->s[i]->length, .n = n};
}

static void check_alike(const group *g, int i, double limit) {
  const pm_session *s = g->s[i];
  double error = 0, square = 0;
  assert_int_equal(s->length, N_TOKEN);
  assert_true(s->has_logits);
  for (uint32_t k = 0; k < g->e->model.config.n_vocab; k++)
    error += pow(s->logits[k] - g->alone[i][k], 2), square += pow(g->alone[i][k], 2);
  if (error > limit * square) fail_msg("session %d: NMSE %.3g", i, error / square);
}

// Random pieces, from one token to more than a step takes, of random sessions, until all have their tokens.
static void run_mixed(group *g, uint64_t seed) {
  static const size_t sizes[] = {1, 1, 1, 2, 5, 9, 17, 40};
  pm_rng rng = pm_rng_seed(seed);
  for (int left = N_SESSION; left;) {
    pm_part parts[N_SESSION];
    size_t n = 0;
    left = 0;
    for (int i = 0; i < N_SESSION; i++) {
      size_t rest = N_TOKEN - g->s[i]->length, k = sizes[pm_rng_next(&rng) % 8];
      left += rest > 0;
      if (rest && pm_rng_next(&rng) % 4) parts[n++] = next_part(g, i, k < rest ? k : rest);
    }
    RUN(pm_session_eval_parts(parts, n));
    for (size_t i = 0; i < n; i++) assert_true(parts[i].status == PM_OK && parts[i].n_done == parts[i].n);
  }
}

static void check_mixed(group *g, uint64_t seed, double limit) {
  for (int i = 0; i < N_SESSION; i++) RUN(pm_session_rewind(g->s[i], 0));
  run_mixed(g, seed);
  for (int i = 0; i < N_SESSION; i++) check_alike(g, i, limit);
}

static void mixed_steps(void **state) {
  pm_engine_desc d = description();
  group g = open_group(*state, &d);
  for (uint64_t seed = 1; seed <= (on_gpu ? 2 : 8); seed++) check_mixed(&g, seed, 1e-9);
  close_group(&g);
}

// One token of each session at a time is one step, and allocates nothing.
static void steps_are_shared(void **state) {
  pm_engine_desc d = description();
  group g = open_group(*state, &d);
  pm_part parts[N_SESSION];
  uint64_t steps = 0, allocations = 0;
  for (int k = 0; k < N_TOKEN; k++) {
    if (k == 1) steps = g.e->backend->ops->counters(g.e->backend).steps, allocations = pm_alloc_count();
    for (int i = 0; i < N_SESSION; i++) parts[i] = next_part(&g, i, 1);
    RUN(pm_session_eval_parts(parts, N_SESSION));
  }
  assert_int_equal(g.e->backend->ops->counters(g.e->backend).steps - steps, N_TOKEN - 1);
  assert_int_equal(pm_alloc_count() - allocations, 0);
  for (int i = 0; i < N_SESSION; i++) check_alike(&g, i, 1e-9);
  close_group(&g);
}

// Results that do not depend on how much fits do not depend on company either.
static void deterministic_steps(void **state) {
  pm_engine_desc d = description();
  d.stream_only = true;
  group g = open_group(*state, &d);
  pm_part parts[N_SESSION];
  for (int i = 0; i < N_SESSION; i++) parts[i] = next_part(&g, i, N_TOKEN);
  RUN(pm_session_eval_parts(parts, N_SESSION));
  for (int i = 0; i < N_SESSION; i++) check_alike(&g, i, 0);
  close_group(&g);
}

// Rows of several sessions choose experts that have to be brought, or that the processor computes.
static void experts_elsewhere(void **state) {
  static const char *const ways[] = {"stream", "assist"};
  if (!on_gpu) {
    print_message("skip: on the CPU experts have no slots\n");
    skip();
  }
  pm_engine_desc d = description();
  group all = open_group(*state, &d);
  const pm_plan_memory *m = &all.e->plan.device;
  uint64_t ring = 0;
  for (uint32_t i = 0; i < all.e->plan.experts.n_class; i++)
    ring += all.e->model.config.n_expert_used * all.e->plan.experts.classes[i].slot_bytes;
  for (int i = 0; i < 2; i++) {
    d.experts = ways[i], d.sim_vram = m->weights + m->kv + m->scratch + ring + m->slots / 10;
    group g = open_group(*state, &d);
    assert_non_null(g.e->experts);
    check_mixed(&g, 5, 1e-6);
    pm_experts_report r = pm_experts_look(g.e->experts);
    assert_true(i ? r.host_records > 0 : r.few.fate[PM_EXPERT_RING] + r.few.fate[PM_EXPERT_VICTIM] > 0);
    close_group(&g);
  }
  close_group(&all);
}

// ---- a prefix from another session ----

static void prefixes_are_copied(void **state) {
  pm_engine_desc d = description();
  group g = open_group(*state, &d);
  RUN(pm_session_eval(g.s[0], g.tokens[0], N_TOKEN, NULL, NULL));
  RUN(pm_session_eval(g.s[1], g.tokens[0], 10, NULL, NULL));  // is that text's beginning
  RUN(pm_session_eval(g.s[2], g.tokens[2], N_TOKEN, NULL, NULL));
  for (int i = 1; i <= 3; i++) {
    RUN(pm_session_copy(g.s[i], g.s[0], 50));
    assert_int_equal(g.s[i]->length, 50);
    assert_false(g.s[i]->has_logits);
    memcpy(g.tokens[i], g.tokens[0], sizeof g.tokens[i]);
    memcpy(g.alone[i], g.alone[0], g.e->model.config.n_vocab * sizeof(float));
    RUN(pm_session_eval(g.s[i], g.tokens[i] + 50, N_TOKEN - 50, NULL, NULL));
    check_alike(&g, i, 1e-9);
  }
  check_alike(&g, 0, 1e-9);
  RUN(pm_session_rewind(g.s[3], 20));
  RUN(pm_session_copy(g.s[3], g.s[0], N_TOKEN));  // with its logits
  check_alike(&g, 3, 1e-9);
  assert_int_equal(pm_session_copy(g.s[3], g.s[0], N_TOKEN + 1), PM_ERR_ARGUMENT);
  assert_int_equal(pm_session_copy(g.s[3], g.s[3], 1), PM_ERR_ARGUMENT);
  check_alike(&g, 3, 1e-9);
  close_group(&g);
}

// ---- in the middle of a call ----

static struct {
  pm_backend_ops ops;
  pm_status (*run)(pm_backend *b, const pm_step *step);
  int n_step;  // before something happens
  pm_session *cancel;
} spy;

static pm_status spied_run(pm_backend *b, const pm_step *step) {
  if (--spy.n_step) return spy.run(b, step);
  if (!spy.cancel) PM_FAIL(PM_ERR_DEVICE, "this step fails");
  atomic_store(&spy.cancel->cancel, true);
  return spy.run(b, step);
}

static void spy_on(pm_engine *e, int n_step, pm_session *cancel) {
  spy.ops = *e->backend->ops, spy.run = spy.ops.run, spy.n_step = n_step, spy.cancel = cancel;
  spy.ops.run = spied_run;
  e->backend->ops = &spy.ops;
}

static void one_is_cancelled(void **state) {
  pm_engine_desc d = description();
  group g = open_group(*state, &d);
  const pm_backend_ops *ops = g.e->backend->ops;
  pm_part parts[] = {next_part(&g, 0, 1), next_part(&g, 1, N_TOKEN), next_part(&g, 2, N_TOKEN)};
  spy_on(g.e, 2, g.s[1]);
  assert_int_equal(pm_session_eval_parts(parts, 3), PM_ERR_CANCELLED);
  g.e->backend->ops = ops;
  assert_int_equal(parts[0].status, PM_OK);
  assert_int_equal(parts[1].status, PM_ERR_CANCELLED);
  assert_int_equal(parts[2].status, PM_OK);
  assert_int_equal(parts[1].n_done, 2 * N_BATCH - 1);
  assert_int_equal(g.s[1]->length, 2 * N_BATCH - 1);
  assert_false(g.s[1]->has_logits);
  check_alike(&g, 2, 1e-9);
  pm_part rest[] = {next_part(&g, 1, N_TOKEN - g.s[1]->length), next_part(&g, 0, N_TOKEN - 1)};
  RUN(pm_session_eval_parts(rest, 2));
  check_alike(&g, 0, 1e-9);
  check_alike(&g, 1, 1e-9);

  RUN(pm_session_rewind(g.s[0], 0));  // before the first step, and alone
  atomic_store(&g.s[0]->cancel, true);
  pm_part first = next_part(&g, 0, N_TOKEN);
  assert_int_equal(pm_session_eval_parts(&first, 1), PM_ERR_CANCELLED);
  assert_int_equal(g.s[0]->length, 0);
  close_group(&g);
}

static void a_step_fails(void **state) {
  pm_engine_desc d = description();
  group g = open_group(*state, &d);
  const pm_backend_ops *ops = g.e->backend->ops;
  pm_part parts[] = {next_part(&g, 0, 1), next_part(&g, 1, N_TOKEN), next_part(&g, 2, N_TOKEN)};
  spy_on(g.e, 3, NULL);
  assert_int_equal(pm_session_eval_parts(parts, 3), PM_ERR_DEVICE);
  g.e->backend->ops = ops;
  assert_int_equal(parts[0].status, PM_OK);
  assert_int_equal(parts[1].status, PM_ERR_DEVICE);
  assert_int_equal(parts[2].status, PM_ERR_DEVICE);
  assert_int_equal(parts[1].n_done, 2 * N_BATCH - 1);
  for (int i = 1; i <= 2; i++) RUN(pm_session_eval(g.s[i], g.tokens[i] + g.s[i]->length, N_TOKEN - g.s[i]->length, NULL, NULL));
  for (int i = 1; i <= 2; i++) check_alike(&g, i, 1e-9);
  close_group(&g);
}

// ---- wrong arguments: nothing is evaluated ----

static void check_refused(group *g, pm_part bad, const char *words) {
  pm_part parts[] = {next_part(g, 0, 3), bad};
  uint32_t length = bad.session->length;
  assert_int_equal(pm_session_eval_parts(parts, 2), PM_ERR_ARGUMENT);
  assert_non_null(strstr(pm_fail_message(), words));
  assert_int_equal(g->s[0]->length, 0);
  assert_int_equal(bad.session->length, length);
  assert_int_equal(parts[0].n_done, 0);
}

static void wrong_arguments(void **state) {
  pm_engine_desc d = description();
  group g = open_group(*state, &d), other = open_group(*state, &d);
  const int32_t none[] = {-1};
  check_refused(&g, next_part(&g, 0, 1), "same session");
  check_refused(&g, (pm_part){.session = other.s[0], .tokens = g.tokens[0], .n = 1}, "another model");
  check_refused(&g, (pm_part){.session = g.s[1], .tokens = none, .n = 1}, "part 1: token id -1");
  RUN(pm_session_eval(g.s[1], g.tokens[1], N_TOKEN, NULL, NULL));
  check_refused(&g, (pm_part){.session = g.s[1], .tokens = g.tokens[1], .n = N_CTX - N_TOKEN + 1}, "do not fit a context");
  pm_part full = {.session = g.s[1], .tokens = g.tokens[1], .n = N_CTX - N_TOKEN};
  RUN(pm_session_eval_parts(&full, 1));
  assert_int_equal(g.s[1]->length, N_CTX);
  check_refused(&g, (pm_part){.session = g.s[1], .tokens = g.tokens[1], .n = 1}, "do not fit a context");
  RUN(pm_session_eval_parts(NULL, 0));
  close_group(&g), close_group(&other);
}

int main(int argc, char **argv) {
  on_gpu = argc > 1 && !strcmp(argv[1], "gpu");
  const struct CMUnitTest tests[] = {
      {"mixed steps: mini-v2lite", mixed_steps, NULL, NULL, (void *)"mini-v2lite.gguf"},
      {"mixed steps: mini-v3", mixed_steps, NULL, NULL, (void *)"mini-v3.gguf"},
      {"steps are shared", steps_are_shared, NULL, NULL, (void *)"mini-v3.gguf"},
      {"deterministic steps", deterministic_steps, NULL, NULL, (void *)"mini-v3.gguf"},
      {"experts that are elsewhere", experts_elsewhere, NULL, NULL, (void *)"mini-v3.gguf"},
      {"prefixes are copied", prefixes_are_copied, NULL, NULL, (void *)"mini-v3.gguf"},
      {"one is cancelled", one_is_cancelled, NULL, NULL, (void *)"mini-v3.gguf"},
      {"a step fails", a_step_fails, NULL, NULL, (void *)"mini-v3.gguf"},
      {"wrong arguments", wrong_arguments, NULL, NULL, (void *)"mini-v3.gguf"},
  };
  return cmocka_run_group_tests_name(on_gpu ? "several sessions, Vulkan" : "several sessions, CPU", tests, NULL, NULL);
}
