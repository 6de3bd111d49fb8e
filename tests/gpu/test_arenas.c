// Weights in one arena or in many, on a device whose buffers are large or small, staged or not: the logits are the same to the bit.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gpu.h"
#include "gpu_under_test.h"
#include "memory.h"
#include "model.h"

enum { N_ROW = 4, N_CELL = 16 };

#define OK(call)                                                                         \
  do {                                                                                   \
    pm_status ok_status_ = (call);                                                       \
    if (ok_status_) fail_msg("%s: status %d: %s", #call, ok_status_, pm_fail_message()); \
  } while (0)

static const char *device_name;

typedef struct loaded {
  pm_model_file *file;
  pm_model model;
  pm_program program;
} loaded;

static void open_model(loaded *m) {
  OK(pm_model_file_open(PM_TEST_DATA "/models/mini-v3.gguf", &(pm_model_file_desc){0}, &m->file));
  OK(pm_model_init(&m->model, m->file, false));
  OK(pm_model_build(&m->model, N_ROW, 1, PM_TYPE_F16, N_CELL, &m->program));
}

static void close_model(loaded *m) {
  pm_program_finish(&m->program);
  pm_model_finish(&m->model);
  pm_model_file_close(m->file);
}

// Two steps of four tokens; copies the logits of the last. False if the program does not fit buffers of that size.
static bool run(loaded *m, bool staged, uint64_t max_buffer, float *logits, uint32_t *n_arena) {
  pm_backend *b;
  pm_gpu_desc desc = {.device = device_name};
  OK(pm_gpu_open(&desc, staged, &b));
  pm_gpu *g = (pm_gpu *)b;
  if (max_buffer) g->device.probe.max_buffer = max_buffer;
  pm_status status = b->ops->load(b, &m->program, NULL, NULL, NULL);
  if (status == PM_ERR_UNSUPPORTED && max_buffer) {
    b->ops->destroy(b);
    return false;
  }
  OK(status);
  *n_arena = g->plan.weights.n;
  for (uint32_t step = 0; step < 2; step++) {
    pm_row rows[N_ROW];
    float rope[N_ROW * 2 * PM_MAX_ROPE_PAIRS];
    uint32_t last = N_ROW - 1;
    for (uint32_t i = 0; i < N_ROW; i++) {
      rows[i] = (pm_row){.token = 17 + 5 * i + step, .pos = step * N_ROW + i};
      pm_rope_fill(&m->model.config.rope, rows[i].pos, rope + i * m->program.n_rope);
    }
    OK(b->ops->run(b, &(pm_step){.n_row = N_ROW, .n_logit = 1, .rows = rows, .logit_row = &last, .rope = rope}));
  }
  memcpy(logits, b->ops->logits(b), pm_tensor_row_bytes(m->program.logits));
  b->ops->destroy(b);
  return true;
}

static void same_logits(void **state) {
  (void)state;
  loaded m;
  open_model(&m);
  size_t bytes = pm_tensor_row_bytes(m.program.logits);
  float *expected = pm_alloc(bytes), *got = pm_alloc(bytes);
  assert_true(expected && got);
  uint32_t n_arena;
  assert_true(run(&m, false, 0, expected, &n_arena));
  for (size_t i = 0; i < bytes / 4; i++) assert_true(expected[i] == expected[i]);
  assert_true(run(&m, false, 1 << 20, got, &n_arena));
  assert_true(n_arena >= 8);
  assert_memory_equal(got, expected, bytes);
  assert_true(run(&m, true, 0, got, &n_arena));
  assert_memory_equal(got, expected, bytes);
  assert_false(run(&m, false, 1 << 19, got, &n_arena));
  assert_non_null(strstr(pm_fail_message(), "16 buffers"));
  pm_free(expected);
  pm_free(got);
  close_model(&m);
}

int main(void) {
  int result = choose_gpu(&device_name);
  if (result) return result;
  const struct CMUnitTest tests[] = {cmocka_unit_test(same_logits)};
  return cmocka_run_group_tests_name("gpu_arenas", tests, NULL, NULL);
}
