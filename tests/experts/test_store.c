// Homes for some of the experts: the same logits bit by bit as with all weights in the mapping, reads that the policy alone predicts, and
// clean failures.
#define _GNU_SOURCE  // mincore
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
// cmocka needs some of the above
#include <cmocka.h>

#include "corrupt.h"
#include "direct_read.h"
#include "file.h"
#include "memory.h"
#include "model.h"
#include "store.h"

enum { MAX_ROWS = 40, N_CELL = 128, N_PROMPT = 33, N_DECODE = 8, N_STEP = 1 + N_DECODE + 2, MAX_LOG = 1 << 20, MINIMUM = 0, ALL = 100 };

// A model on the CPU backend, with a store or without.
typedef struct runner {
  pm_model_file *file;
  pm_model model;
  pm_program program;
  pm_backend *backend;
  pm_backend_needs needs;
  uint32_t *class_of, n_used;
  pm_expert_plan plan;
  pm_store *store;
  bool loaded;
  uint32_t n_log;  // what need was asked: table, number of ids, ids
  int32_t *log;
} runner;

static char folder[] = "/tmp/pm-store-XXXXXX";

static pm_status need(void *user, uint32_t table, const int32_t *ids, uint32_t n_id, double *ready) {
  runner *r = user;
  *ready = 0;
  assert_true(r->n_log + n_id + 2 < MAX_LOG);
  r->log[r->n_log++] = (int32_t)table, r->log[r->n_log++] = (int32_t)n_id;
  memcpy(r->log + r->n_log, ids, n_id * sizeof *ids);
  r->n_log += n_id;
  assert_memory_equal(r->backend->ops->chosen(r->backend, table), ids, n_id * sizeof *ids);
  return pm_store_need(r->store, table, ids, n_id);
}

static uint32_t class_size(const runner *r, uint32_t class) {
  uint32_t n = 0;
  for (uint32_t t = 0; t < r->program.n_table; t++) n += r->class_of[t] == class ? r->program.tables[t]->n_expert : 0;
  return n;
}

// Homes for some percent of the experts of each class, but for one layer at least.
static void make_plan(runner *r, uint32_t percent) {
  r->plan = (pm_expert_plan){.n_class = r->needs.n_class, .class_of = r->class_of, .host = {.user = r, .need = need}};
  for (uint32_t c = 0; c < r->plan.n_class; c++) {
    uint32_t n = class_size(r, c) * percent / 100, least = r->program.tables[0]->n_expert;
    r->plan.classes[c] = r->needs.classes[c];
    r->plan.classes[c].n_home = n > least ? n : least;
  }
}

static pm_status open_model(runner *r, const char *path, bool read_file, uint32_t n_thread) {
  PM_TRY(pm_model_file_open(path, &(pm_model_file_desc){.read = read_file}, &r->file));
  PM_TRY(pm_model_init(&r->model, r->file, false));
  PM_TRY(pm_model_build(&r->model, MAX_ROWS, 1, PM_TYPE_F16, N_CELL, &r->program));
  PM_TRY(pm_cpu_create(&(pm_cpu_desc){.n_thread = n_thread}, &r->backend));
  PM_TRY(r->backend->ops->needs(r->backend, &r->program, &r->needs));
  PM_NEW(&r->class_of, r->program.n_table, "classes");
  pm_program_expert_classes(&r->program, r->class_of);
  r->n_used = r->model.config.n_expert_used;
  return PM_OK;
}

static pm_status add_store(runner *r, uint32_t percent, pm_store_desc desc) {
  make_plan(r, percent);
  PM_TRY(r->backend->ops->load(r->backend, &r->program, &r->plan, NULL, NULL));
  desc.program = &r->program, desc.file = r->file, desc.plan = &r->plan;
  PM_TRY(pm_store_create(&desc, &r->store));
  return pm_store_load(r->store, r->backend, NULL, NULL, NULL);
}

static void close_runner(runner *r) {
  if (r->backend) r->backend->ops->destroy(r->backend);
  pm_store_destroy(r->store);
  pm_program_finish(&r->program);
  pm_model_finish(&r->model);
  pm_model_file_close(r->file);
  pm_free(r->class_of);
  free(r->log);
  *r = (runner){0};
}

#define RUN(call) \
  if (call) fail_msg("%s: %s", #call, pm_fail_message())

static pm_status step(runner *r, uint32_t pos, uint32_t n, uint32_t seed, float *logits) {
  static float rope[MAX_ROWS * 2 * PM_MAX_ROPE_PAIRS];
  pm_row rows[MAX_ROWS];
  pm_rng rng = pm_rng_seed(seed);
  const pm_config *c = &r->model.config;
  for (uint32_t i = 0; i < n; i++) {
    rows[i] = (pm_row){.token = (uint32_t)(pm_rng_next(&rng) % c->n_vocab), .pos = pos + i};
    pm_rope_fill(&c->rope, pos + i, rope + (size_t)i * 2 * c->rope.n_pair);
  }
  uint32_t last = n - 1;
  PM_TRY(r->backend->ops->run(r->backend, &(pm_step){.n_row = n, .n_logit = 1, .rows = rows, .logit_row = &last, .rope = rope}));
  memcpy(logits, r->backend->ops->logits(r->backend), c->n_vocab * sizeof *logits);
  return PM_OK;
}

// A prompt, tokens, a rewind with another continuation: logits [N_STEP][n_vocab].
static pm_status converse(runner *r, float *logits) {
  uint32_t n_vocab = r->model.config.n_vocab;
  PM_TRY(step(r, 0, N_PROMPT, 1, logits));
  for (uint32_t i = 0; i < N_DECODE; i++) PM_TRY(step(r, N_PROMPT + i, 1, 2 + i, logits += n_vocab));
  PM_TRY(step(r, 20, 7, 99, logits += n_vocab));
  return step(r, 27, 1, 100, logits + n_vocab);
}

static float *expected_logits(const char *path, size_t *bytes) {
  runner r = {0};
  RUN(open_model(&r, path, false, 2));
  RUN(r.backend->ops->load(r.backend, &r.program, NULL, NULL, NULL));
  *bytes = (size_t)N_STEP * r.model.config.n_vocab * sizeof(float);
  float *logits = malloc(*bytes);
  RUN(converse(&r, logits));
  close_runner(&r);
  return logits;
}

// What the policy alone makes of the choices that were logged.
static void check_replay(const runner *r) {
  uint32_t n_home[PM_EXPERT_CLASSES], n_expert = r->program.tables[0]->n_expert, n_fill, n_hit;
  for (uint32_t c = 0; c < r->plan.n_class; c++) n_home[c] = r->plan.classes[c].n_home;
  pm_homes_desc desc = {r->program.n_table, n_expert, r->n_used, r->plan.n_class, r->class_of, n_home};
  pm_homes *h;
  pm_homes_fill *fills = malloc(n_expert * sizeof *fills);
  RUN(pm_homes_create(&desc, &h));
  RUN(pm_homes_seed(h, NULL));
  pm_store_counters expected = {0}, counted = pm_store_count(r->store);
  for (uint32_t at = 0; at < r->n_log; at += 2 + (uint32_t)r->log[at + 1]) {
    uint32_t table = (uint32_t)r->log[at];
    RUN(pm_homes_need(h, table, r->log + at + 2, (uint32_t)r->log[at + 1] / r->n_used, NULL, fills, &n_fill, &n_hit));
    expected.hits += n_hit, expected.misses += n_fill, expected.bytes += n_fill * pm_expert_bytes(r->program.tables[table]);
  }
  assert_int_equal(counted.hits, expected.hits);
  assert_int_equal(counted.misses, expected.misses);
  assert_int_equal(counted.bytes, expected.bytes);
  pm_homes_destroy(h);
  free(fills);
}

// Percent of the experts' pages of the file that the system holds. Not all can be dropped: it keeps neighbouring pages together.
static size_t cached_percent(const runner *r) {
  size_t n_held = 0, n = 0;
  for (uint32_t t = 0; t < r->program.n_table; t++)
    for (int m = 0; m < 3; m++) {
      const pm_tensor *w = pm_expert_matrix(r->program.tables[t], m);
      uintptr_t first = ((uintptr_t)w->host + 4095) / 4096 * 4096, end = ((uintptr_t)w->host + pm_tensor_bytes(w)) / 4096 * 4096;
      if (end <= first) continue;
      unsigned char *held = malloc((end - first) / 4096);
      assert_int_equal(mincore((void *)first, end - first, held), 0);
      for (size_t i = 0; i < (end - first) / 4096; i++) n_held += held[i] & 1;
      free(held);
      n += (end - first) / 4096;
    }
  return 100 * n_held / n;
}

static void check_memory(const runner *r) {
  pm_memory_use use = r->backend->ops->memory(r->backend);
  uint64_t homes = 0;
  for (uint32_t c = 0; c < r->plan.n_class; c++) homes += r->plan.classes[c].n_home * r->plan.classes[c].home_bytes;
  assert_int_equal(use.homes, homes);
  assert_int_equal(use.weights_mapped, r->needs.weights);
  assert_int_equal(use.kv, r->needs.kv);
  assert_int_equal(use.scratch, r->needs.scratch);
  assert_true(r->needs.unified && r->needs.budget > 0);
}

static void check_budget(const char *path, uint32_t percent, bool read_file, bool own, const float *expected, size_t bytes) {
  static const pm_store_desc WAYS[] = {{0}, {.no_uring = true}, {.no_direct = true}};
  for (size_t way = 0; way < sizeof WAYS / sizeof *WAYS; way++) {
    runner r = {.log = malloc(MAX_LOG * sizeof(int32_t))};
    float *logits = malloc(bytes);
    RUN(open_model(&r, path, read_file, 1 + way));
    RUN(add_store(&r, percent, WAYS[way]));
    check_memory(&r);
    uint64_t before = pm_alloc_count();
    RUN(converse(&r, logits));
    assert_int_equal(pm_alloc_count(), before);
    assert_memory_equal(logits, expected, bytes);
    pm_store_counters n = pm_store_count(r.store);
    assert_true(n.hits > 0 && (percent == ALL) == (n.misses == 0));
    check_replay(&r);
    size_t cached = own ? cached_percent(&r) : 0;
    if (way == 0 || way == 2)
      print_message("# %3u %%, %s: %d hits, %d misses, %d bytes, %d %% of the file's experts cached\n", percent, pm_store_way(r.store),
                    (int)n.hits, (int)n.misses, (int)n.bytes, (int)cached);
    assert_true(cached < 25);
    free(logits);
    close_runner(&r);
  }
}

static const char *model_path(const char *name) {
  static char path[512];
  snprintf(path, sizeof path, "%s/models/%s", PM_TEST_DATA, name);
  return strcmp(name, "pebble") ? path : PM_DEMO_MODEL;
}

// A copy that nobody else has in memory.
static const char *own_copy(const char *path) {
  static char copy[128];
  pm_file *f;
  const uint8_t *bytes;
  pm_file_writer *w;
  snprintf(copy, sizeof copy, "%s/copy.gguf", folder);
  RUN(pm_file_open(path, &f));
  RUN(pm_file_map(f, &bytes));
  RUN(pm_file_writer_open(copy, &w));
  RUN(pm_file_writer_append(w, bytes, pm_file_bytes(f)));
  RUN(pm_file_writer_commit(w));
  pm_file_close(f);
  return copy;
}

static void equal_at_every_budget(void **state) {
  static const uint32_t PERCENT[] = {ALL, 60, 30, MINIMUM};
  size_t bytes;
  const char *path = own_copy(model_path(*state));
  float *expected = expected_logits(path, &bytes);
  for (size_t i = 0; i < sizeof PERCENT / sizeof *PERCENT; i++)
    check_budget(path, PERCENT[i], false, !strcmp(*state, "pebble"), expected, bytes);
  free(expected);
}

static void file_in_memory_and_split(void **state) {
  (void)state;
  size_t bytes;
  char set[CORRUPT_PATH];
  float *expected = expected_logits(model_path("mini-v2lite.gguf"), &bytes);
  check_budget(model_path("mini-v2lite.gguf"), 50, true, false, expected, bytes);
  snprintf(set, sizeof set, "%s/set.gguf", folder);
  gguf_doc *d = doc_read(model_path("mini-v2lite.gguf"));
  corrupt_write_set(d, set, 4);
  doc_free(d);
  check_budget(set, 50, false, false, expected, bytes);
  free(expected);
}

// Reads fail while loading or in a step: a clean status, and the next attempt is as good as the first.
static void failing_reads(void **state) {
  (void)state;
  size_t bytes;
  const char *path = model_path("mini-v2lite.gguf");
  float *expected = expected_logits(path, &bytes), *logits = malloc(bytes);
  pm_status status = PM_ERR_IO;
  uint32_t n_failed_steps = 0;
  for (uint64_t k = 1; status; k += 5) {
    runner r = {.log = malloc(MAX_LOG * sizeof(int32_t))};
    RUN(open_model(&r, path, false, 2));
    pm_direct_fail_at(k);
    status = add_store(&r, 60, (pm_store_desc){.no_uring = k % 2});
    bool loaded = status == PM_OK;
    if (loaded) status = converse(&r, logits);
    pm_direct_fail_at(0);
    assert_true(status == PM_OK || status == PM_ERR_IO);
    if (status) assert_non_null(strstr(pm_fail_message(), path));
    if (loaded && status) {
      n_failed_steps++;
      RUN(converse(&r, logits));
    }
    if (loaded) assert_memory_equal(logits, expected, bytes);
    close_runner(&r);
  }
  assert_true(n_failed_steps > 3);
  free(logits);
  free(expected);
}

static bool stop_halfway(void *user, float done) {
  *(float *)user = done;
  return done < 0.5f;
}

static void stopped_and_missing(void **state) {
  (void)state;
  runner r = {0};
  float done = 0;
  const char *path = own_copy(model_path("mini-v3.gguf"));
  RUN(open_model(&r, path, false, 1));
  make_plan(&r, ALL);
  pm_store_desc desc = {.program = &r.program, .file = r.file, .plan = &r.plan};
  RUN(r.backend->ops->load(r.backend, &r.program, &r.plan, NULL, NULL));
  RUN(pm_store_create(&desc, &r.store));
  assert_int_equal(pm_store_load(r.store, r.backend, NULL, stop_halfway, &done), PM_ERR_CANCELLED);
  assert_true(done >= 0.5f);
  assert_null(r.program.tables[0]->slab[0][0]);
  pm_store_destroy(r.store);
  unlink(path);  // its mapping stays
  assert_int_equal(pm_store_create(&desc, &r.store), PM_ERR_IO);
  assert_non_null(strstr(pm_fail_message(), "copy"));
  assert_null(r.store);
  close_runner(&r);
}

static void failed_allocations(void **state) {
  (void)state;
  runner r = {0};
  RUN(open_model(&r, model_path("mini-glm.gguf"), false, 1));
  make_plan(&r, 50);
  RUN(r.backend->ops->load(r.backend, &r.program, &r.plan, NULL, NULL));
  pm_status status = PM_ERR_MEMORY;
  uint64_t k = 0;
  while (status) {
    pm_alloc_fail_at(++k);
    status = pm_store_create(&(pm_store_desc){.program = &r.program, .file = r.file, .plan = &r.plan}, &r.store);
    if (!status) status = pm_store_load(r.store, r.backend, NULL, NULL, NULL);
    pm_alloc_fail_at(0);
    assert_true(status == PM_OK || status == PM_ERR_MEMORY);
    pm_store_destroy(r.store);
  }
  r.store = NULL;
  assert_true(k > 15);
  close_runner(&r);
}

// Without homes for all experts that a step's rows choose there is nothing to be done but to say so; the step ends, and a smaller one runs.
static void too_many_rows(void **state) {
  (void)state;
  runner r = {.log = malloc(MAX_LOG * sizeof(int32_t))};
  size_t bytes;
  float *expected = expected_logits(model_path("mini-v3.gguf"), &bytes), *logits = malloc(bytes);
  RUN(open_model(&r, model_path("mini-v3.gguf"), false, 2));
  make_plan(&r, MINIMUM);
  for (uint32_t c = 0; c < r.plan.n_class; c++) r.plan.classes[c].n_home = r.n_used;
  RUN(r.backend->ops->load(r.backend, &r.program, &r.plan, NULL, NULL));
  RUN(pm_store_create(&(pm_store_desc){.program = &r.program, .file = r.file, .plan = &r.plan}, &r.store));
  RUN(pm_store_load(r.store, r.backend, NULL, NULL, NULL));
  assert_int_equal(converse(&r, logits), PM_ERR_MEMORY);
  assert_non_null(strstr(pm_fail_message(), "fewer rows"));
  RUN(step(&r, 0, 1, 1, logits));
  free(logits);
  free(expected);
  close_runner(&r);
}

static int make_folder(void **state) {
  (void)state;
  return !mkdtemp(folder);
}

static int remove_folder(void **state) {
  (void)state;
  corrupt_remove(folder);
  return 0;
}

int main(int argc, char **argv) {
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  const struct CMUnitTest tests[] = {
      {"equal at every budget: pebble", equal_at_every_budget, NULL, NULL, (void *)"pebble"},
      {"equal at every budget: mini-v3", equal_at_every_budget, NULL, NULL, (void *)"mini-v3.gguf"},
      {"equal at every budget: mini-glm", equal_at_every_budget, NULL, NULL, (void *)"mini-glm.gguf"},
      cmocka_unit_test(file_in_memory_and_split),
      cmocka_unit_test(failing_reads),
      cmocka_unit_test(stopped_and_missing),
      cmocka_unit_test(failed_allocations),
      cmocka_unit_test(too_many_rows),
  };
  return cmocka_run_group_tests_name("homes of experts, CPU", tests, make_folder, remove_folder);
}
