// Tuning on the device that PUMICE_TEST_DEVICE names (default "0"): a kernel that is made slow loses, what was found is kept, used, ignored
// and forgotten as it should be, and no file in the cache folder does harm.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cache_file.h"
#include "file.h"
#include "gpu.h"
#include "gpu_under_test.h"
#include "layout.h"
#include "memory.h"
#include "pick.h"

enum { D = 256, N_VOCAB = 20, N_OUT = 600, MAX_ROWS = 4, SLOW = 8 };

static const char *device_name;
static char dir[] = "/tmp/pumice-tune-XXXXXX";
static float table[N_VOCAB * D], weight[N_OUT * D];

#define OK(call)                                                                         \
  do {                                                                                   \
    pm_status ok_status_ = (call);                                                       \
    if (ok_status_) fail_msg("%s: status %d: %s", #call, ok_status_, pm_fail_message()); \
  } while (0)

// ---- a kernel that is slow: dispatched many times over ----

static const pm_gpu_pick *slow;

void __real_pm_gpu_record_dispatch(pm_gpu_recorder *r, const pm_gpu_dispatch *d);
void __wrap_pm_gpu_record_dispatch(pm_gpu_recorder *r, const pm_gpu_dispatch *d);
void __wrap_pm_gpu_record_dispatch(pm_gpu_recorder *r, const pm_gpu_dispatch *d) {
  bool is_slow = slow && !strncmp(d->kernel, "matvec.", 7) && d->constants[2] == slow->a && d->constants[3] == slow->b;
  for (int i = 0; i < (is_slow ? SLOW : 1); i++) __real_pm_gpu_record_dispatch(r, d);
}

// ---- a program: the token's row of a table, times a matrix ----

typedef struct sample {
  pm_program program;
  pm_backend *b;
  pm_gpu *g;
  pm_gpu_recorder recorder;
  pm_gpu_shape shape;  // of the product, for one row
} sample;

static void open_sample(sample *s, pm_tuning tuning) {
  *s = (sample){0};
  pm_program *p = &s->program;
  pm_program_init(p, MAX_ROWS, 1, 0);
  pm_tensor *t = pm_program_weight(p, "table", PM_TYPE_F32, (uint64_t[]){D, N_VOCAB, 1}, table, 0);
  pm_tensor *w = pm_program_weight(p, "weight", PM_TYPE_F32, (uint64_t[]){D, N_OUT, 1}, weight, 0);
  pm_tensor *x = pm_program_scratch(p, "x", D);
  p->logits = pm_program_output(p, "logits", PM_TYPE_F32, N_OUT, 1);
  pm_program_append(p, (pm_op){.kind = PM_OP_EMBED, .layer = -1, .embed = {t, pm_view_rows(x)}});
  pm_program_append(p, (pm_op){.kind = PM_OP_MATMUL,
                               .layer = -1,
                               .matmul = {.w = w, .x = pm_view_rows(x), .y = pm_view_rows(p->logits), .rows = PM_ROWS_LOGITS}});
  OK(pm_gpu_open(&(pm_gpu_desc){.device = device_name, .cache_dir = dir, .tuning = tuning}, false, &s->b));
  s->g = (pm_gpu *)s->b;
  OK(s->b->ops->load(s->b, p, NULL, NULL, NULL));
  s->recorder = pm_gpu_recorder_of(s->g);
  s->shape = (pm_gpu_shape){PM_OP_MATMUL, 1, pm_gpu_row_units(D), N_OUT, PM_TYPE_F32};
}

static void close_sample(sample *s) {
  s->b->ops->destroy(s->b);
  pm_program_finish(&s->program);
}

static void check_logits(sample *s) {
  pm_row row = {.token = 7};
  uint32_t wanted = 0;
  OK(s->b->ops->run(s->b, &(pm_step){.n_row = 1, .n_logit = 1, .rows = &row, .logit_row = &wanted}));
  for (int o = 0; o < N_OUT; o++) {
    double sum = 0;
    for (int i = 0; i < D; i++) sum += (double)table[7 * D + i] * (double)weight[o * D + i];
    if (!(__builtin_fabs(sum - (double)s->b->ops->logits(s->b)[o]) < 1e-4)) fail_msg("logit %d is wrong", o);
  }
}

static bool same_pick(pm_gpu_pick a, pm_gpu_pick b) {
  return !strcmp(a.kernel, b.kernel) && a.workgroup == b.workgroup && a.a == b.a && a.b == b.b && a.c == b.c;
}

typedef struct seen {
  uint32_t n;
  bool stop;
  pm_tune_row product;
} seen;

static bool on_row(void *user, float done, const pm_tune_row *row) {
  seen *s = user;
  s->n++;
  assert_true(done > 0 && done <= 1 && row->n_row == 1 && row->before_seconds > 0 && row->after_seconds > 0);
  if (row->op == PM_OP_MATMUL) s->product = *row;
  return !s->stop;
}

static pm_status tune(sample *s, seen *found, bool first_use) {
  return s->b->ops->tune(s->b, &(pm_tune_desc){.n_size = 1, .sizes = {1}, .first_use = first_use, .report = on_row, .user = found});
}

// ---- tests ----

static void software_is_never_tuned_unasked(void **state) {
  (void)state;
  sample s;
  seen found = {0};
  open_sample(&s, PM_TUNING_FIRST);
  OK(tune(&s, &found, true));
  if (s.g->device.probe.info.kind == PM_GPU_SOFTWARE)
    assert_true(!found.n && !s.g->pipelines.tuning.n_winner && s.g->tuning == PM_TUNING_USE);
  else
    assert_true(found.n > 0);
  close_sample(&s);
  OK(pm_gpu_forget_tuning(&(pm_gpu_desc){.device = device_name, .cache_dir = dir}));
}

static void a_slow_kernel_loses(void **state) {
  (void)state;
  sample s;
  seen found = {0};
  open_sample(&s, PM_TUNING_ROOM);
  pm_gpu_pick usual = pm_gpu_pick_find(&s.recorder, s.shape);
  slow = &usual;
  OK(tune(&s, &found, false));
  slow = NULL;
  assert_true(found.n == 1 && strcmp(found.product.before, found.product.after) != 0);
  assert_true(found.product.after_seconds * 1.05 < found.product.before_seconds && found.product.n_in == D && found.product.n_out == N_OUT);
  pm_gpu_pick tuned = pm_gpu_pick_find(&s.recorder, s.shape);
  assert_false(same_pick(usual, tuned));
  check_logits(&s);
  close_sample(&s);

  open_sample(&s, PM_TUNING_USE);
  assert_true(same_pick(tuned, pm_gpu_pick_find(&s.recorder, s.shape)));
  s.shape.n_out++;  // of other shapes nothing is known
  assert_true(same_pick(usual, pm_gpu_pick_find(&s.recorder, s.shape)));
  check_logits(&s);
  close_sample(&s);

  open_sample(&s, PM_TUNING_OFF);
  assert_true(same_pick(usual, pm_gpu_pick_find(&s.recorder, s.shape)));
  close_sample(&s);
}

// After a_slow_kernel_loses: the file is there.
static void damaged_files_are_as_good_as_none(void **state) {
  (void)state;
  sample s;
  char path[512];
  open_sample(&s, PM_TUNING_USE);
  pm_gpu_tuning *t = &s.g->pipelines.tuning;
  assert_int_equal(t->n_winner, 1);
  snprintf(path, sizeof path, "%s", t->path);
  uint8_t bytes[4096];
  FILE *f = fopen(path, "rb");
  assert_non_null(f);
  size_t n = fread(bytes, 1, sizeof bytes, f);
  fclose(f);
  assert_true(n > 64 && n < sizeof bytes);
  for (size_t i = 0; i < 2 * n; i += 3) {  // cut short, and with a byte changed
    pm_gpu_tuning other;
    assert_non_null(f = fopen(path, "wb"));
    if (i >= n) bytes[i - n] ^= 0x81;
    fwrite(bytes, 1, i < n ? i : n, f);
    fclose(f);
    if (i >= n) bytes[i - n] ^= 0x81;
    OK(pm_gpu_tuning_init(&other, &s.g->device, dir));
    assert_int_equal(other.n_winner, 0);
    pm_gpu_tuning_finish(&other);
  }
  t->winners[0].row = 100000;  // whole, and nonsense
  OK(pm_gpu_tuning_save(t, &s.g->device));
  pm_gpu_tuning other;
  OK(pm_gpu_tuning_init(&other, &s.g->device, dir));
  assert_int_equal(other.n_winner, 0);
  pm_gpu_tuning_finish(&other);
  t->winners[0].row = 0;  // of another operation: not used
  pm_gpu_pick usual = pm_gpu_pick_find(&s.recorder, s.shape);
  t->n_winner = 0;
  assert_true(same_pick(usual, pm_gpu_pick_find(&s.recorder, s.shape)));
  close_sample(&s);
}

static void wrong_kernels_are_passed_over(void **state) {
  (void)state;
  sample s;
  open_sample(&s, PM_TUNING_OFF);
  pm_gpu_tuning *t = &s.g->pipelines.tuning;
  uint32_t usual = pm_gpu_pick_first(&s.recorder, &s.shape);
  OK(pm_gpu_tuning_set_wrong(t, usual, PM_TYPE_F32));
  OK(pm_gpu_tuning_set(t, &s.shape, usual));
  OK(pm_gpu_tuning_save(t, &s.g->device));
  close_sample(&s);

  for (pm_tuning tuning = PM_TUNING_OFF; tuning <= PM_TUNING_USE; tuning++) {
    open_sample(&s, tuning);
    assert_int_not_equal(pm_gpu_pick_first(&s.recorder, &s.shape), usual);
    pm_gpu_pick pick;
    assert_false(pm_gpu_pick_may(&s.recorder, &s.shape, usual, &pick));
    s.shape.type = PM_TYPE_Q4_K;  // the others are right
    assert_int_equal(pm_gpu_pick_first(&s.recorder, &s.shape), usual);
    check_logits(&s);
    close_sample(&s);
  }

  open_sample(&s, PM_TUNING_OFF);  // with none that is right there is still one
  for (uint32_t i = 0; i < pm_gpu_pick_count(); i++) OK(pm_gpu_tuning_set_wrong(&s.g->pipelines.tuning, i, PM_TYPE_F32));
  assert_int_equal(pm_gpu_pick_first(&s.recorder, &s.shape), usual);
  close_sample(&s);
}

static void what_was_found_before_a_stop_is_kept(void **state) {
  (void)state;
  sample s;
  seen found = {.stop = true};
  OK(pm_gpu_forget_tuning(&(pm_gpu_desc){.device = device_name, .cache_dir = dir}));
  open_sample(&s, PM_TUNING_ROOM);
  assert_int_equal(s.g->pipelines.tuning.n_winner, 0);
  assert_int_equal(tune(&s, &found, false), PM_ERR_CANCELLED);
  check_logits(&s);
  close_sample(&s);
  open_sample(&s, PM_TUNING_USE);
  assert_int_equal(s.g->pipelines.tuning.n_winner, 1);
  check_logits(&s);
  close_sample(&s);
}

static int clean_up(void **state) {
  (void)state;
  char command[64];
  snprintf(command, sizeof command, "rm -r %s", dir);
  return system(command);
}

int main(void) {
  int result = choose_gpu(&device_name);
  if (result) return result;
  if (!mkdtemp(dir)) return 1;
  pm_rng rng = pm_rng_seed(11);
  for (size_t i = 0; i < N_VOCAB * D; i++) table[i] = (float)pm_rng_uniform(&rng) - 0.5f;
  for (size_t i = 0; i < N_OUT * D; i++) weight[i] = (float)pm_rng_uniform(&rng) - 0.5f;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(software_is_never_tuned_unasked),      cmocka_unit_test(a_slow_kernel_loses),
      cmocka_unit_test(damaged_files_are_as_good_as_none),    cmocka_unit_test(wrong_kernels_are_passed_over),
      cmocka_unit_test(what_was_found_before_a_stop_is_kept),
  };
  return cmocka_run_group_tests_name("gpu_tune", tests, NULL, clean_up);
}
