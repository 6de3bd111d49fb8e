// Models whose experts do not all fit: at every budget the logits are the same to the bit when misses are streamed, and those of the
// reference when the host computes them; hooks that fail or are late, moves beside steps, what is counted.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "gpu.h"
#include "memory.h"
#include "model.h"

enum { SKIP = 77, MAX_ROW = 20, N_CELL = 48, N_DECODE = 3 };

#define OK(call)                                                                         \
  do {                                                                                   \
    pm_status ok_status_ = (call);                                                       \
    if (ok_status_) fail_msg("%s: status %d: %s", #call, ok_status_, pm_fail_message()); \
  } while (0)

static const char *device_name;

// ---- a model with a plan, and a host that obeys it ----

typedef struct world {
  pm_model_file *file;
  pm_model model;
  pm_program program;
  pm_backend *backend;
  pm_expert_plan plan;
  uint32_t class_of[64], first_home[64];  // by table
  uint32_t pos;
} world;

static void open_model(world *w, const char *name) {
  char path[512];
  snprintf(path, sizeof path, "%s/models/%s", PM_TEST_DATA, name);
  *w = (world){0};
  OK(pm_model_file_open(path, &(pm_model_file_desc){0}, &w->file));
  OK(pm_model_init(&w->model, w->file, false));
  OK(pm_model_build(&w->model, MAX_ROW, 1, PM_TYPE_F16, N_CELL, &w->program));
}

static void close_model(world *w) {
  pm_program_finish(&w->program);
  pm_model_finish(&w->model);
  pm_model_file_close(w->file);
}

static void free_boards(world *w) {
  for (uint32_t i = 0; w->plan.boards && i < w->program.n_table; i++) {
    pm_free(w->plan.boards[i].slot), pm_free(w->plan.boards[i].home), pm_free(w->plan.boards[i].warm), pm_free(w->plan.boards[i].victim);
  }
  pm_free(w->plan.boards);
  w->plan = (pm_expert_plan){0};
}

static void *array(size_t n, size_t size) {
  void *p = pm_alloc_zero(n, size);
  assert_non_null(p);
  return p;
}

// Every expert at home, the first `percent` of each table in slots, and ring records for `ring` times the experts of a token.
static void plan_experts(world *w, uint32_t percent, uint32_t ring) {
  const pm_program *p = &w->program;
  w->plan.n_class = pm_program_expert_classes(p, w->class_of);
  w->plan.class_of = w->class_of;
  w->plan.boards = array(p->n_table, sizeof *w->plan.boards);
  for (uint32_t t = 0; t < p->n_table; t++) {
    pm_expert_board *b = &w->plan.boards[t];
    pm_expert_class *c = &w->plan.classes[w->class_of[t]];
    uint32_t n = p->tables[t]->n_expert, n_slot = n * percent / 100;
    b->slot = array(n, sizeof *b->slot), b->home = array(n, sizeof *b->home), b->warm = array(n, sizeof *b->warm);
    b->victim = array(n, sizeof *b->victim);
    w->first_home[t] = c->n_home;
    for (uint32_t e = 0; e < n; e++) {
      b->home[e] = c->n_home++;
      b->slot[e] = e < n_slot ? c->n_slot++ : PM_EXPERT_NOWHERE;
    }
    b->n_ring = c->n_ring = ring * w->model.config.n_expert_used;
  }
}

// What the floor above does after a load: homes from the file, slots from homes.
static void fill_homes(world *w) {
  for (uint32_t t = 0; t < w->program.n_table; t++)
    for (uint32_t e = 0; e < w->program.tables[t]->n_expert; e++) {
      uint8_t *to = w->backend->ops->home(w->backend, w->class_of[t], w->plan.boards[t].home[e]);
      for (int m = 0; m < 3; m++) {
        const pm_tensor *matrix = pm_expert_matrix(w->program.tables[t], m);
        memcpy(to, (const uint8_t *)matrix->host + e * matrix->slab_bytes, pm_tensor_slab_bytes(matrix));
        to += pm_tensor_slab_bytes(matrix);
      }
    }
}

static void load(world *w, bool planned) {
  pm_gpu_desc desc = {.device = device_name, .validate = true};
  OK(pm_gpu_create(&desc, &w->backend));
  OK(w->backend->ops->load(w->backend, &w->program, planned ? &w->plan : NULL, NULL, NULL));
  w->pos = 0;
  if (planned) fill_homes(w);
}

static void unload(world *w) {
  w->backend->ops->destroy(w->backend);
  free_boards(w);
}

static pm_status step(world *w, uint32_t n_row) {
  pm_row rows[MAX_ROW];
  float rope[MAX_ROW * 2 * PM_MAX_ROPE_PAIRS];
  uint32_t last = n_row - 1;
  for (uint32_t i = 0; i < n_row; i++) {
    rows[i] = (pm_row){.token = 17 + 5 * (w->pos + i), .pos = w->pos + i};
    pm_rope_fill(&w->model.config.rope, rows[i].pos, rope + i * w->program.n_rope);
  }
  w->pos += n_row;
  return w->backend->ops->run(w->backend, &(pm_step){.n_row = n_row, .n_logit = 1, .rows = rows, .logit_row = &last, .rope = rope});
}

// A prompt in one step, one in a step of few rows, and some tokens; every step's logits.
static const uint32_t script[] = {MAX_ROW, 3, 1, 1, 1};
enum { N_STEP = sizeof script / sizeof *script };

static float *make_logits(const world *w) { return array(N_STEP, pm_tensor_row_bytes(w->program.logits)); }

static void run_script(world *w, float *logits) {
  for (int i = 0; i < N_STEP; i++) {
    OK(step(w, script[i]));
    memcpy(logits + i * w->program.logits->ne[0], w->backend->ops->logits(w->backend), pm_tensor_row_bytes(w->program.logits));
  }
}

static float *resident_logits(world *w) {
  float *logits = make_logits(w);
  load(w, false);
  run_script(w, logits);
  unload(w);
  for (uint64_t i = 0; i < N_STEP * w->program.logits->ne[0]; i++) assert_true(logits[i] == logits[i]);
  return logits;
}

static void streams(void **state) {
  world w;
  open_model(&w, *state);
  float *expected = resident_logits(&w), *got = make_logits(&w);
  size_t bytes = N_STEP * pm_tensor_row_bytes(w.program.logits);
  plan_experts(&w, 0, 3);
  load(&w, true);
  run_script(&w, got);
  assert_memory_equal(got, expected, bytes);
  unload(&w);
  pm_free(expected);
  pm_free(got);
  close_model(&w);
}

int main(void) {
  const char *wanted = getenv("PUMICE_TEST_DEVICE");
  device_name = wanted && wanted[0] ? wanted : "0";
  pm_backend *b;
  pm_gpu_desc desc = {.device = device_name};
  pm_status status = pm_gpu_create(&desc, &b);
  if (status) {
    printf("%s: %s\n", status == PM_ERR_UNSUPPORTED ? "skip" : "failed", pm_fail_message());
    return status == PM_ERR_UNSUPPORTED ? SKIP : 1;
  }
  b->ops->destroy(b);
  const struct CMUnitTest tests[] = {
      {"streams: mini-v3", streams, NULL, NULL, (void *)"mini-v3.gguf"},
  };
  return cmocka_run_group_tests_name("gpu_experts", tests, NULL, NULL);
}
