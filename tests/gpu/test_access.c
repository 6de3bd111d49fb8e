// Every dispatch touches what it declares and nothing else, so that the barriers, which follow from the declarations, are where they must
// be. (The validation layer cannot see this: to it all scratch is one buffer.)
//
// The calls of ops_*.c are caught at link time. A step of a small model is run dispatch by dispatch: memory that changed must have been
// declared as written; and with everything poisoned that was not declared at all, the dispatch must give the same again.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gpu.h"
#include "memory.h"
#include "model.h"
#include "pick.h"

enum { SKIP = 77, MAX_ROWS = 24, N_CELL = 64, MAX_DISPATCHES = 4096 };
static const uint32_t poison = 0xffffffffu;  // not a number, and no sensible index

#define OK(call)                                                                         \
  do {                                                                                   \
    pm_status ok_status_ = (call);                                                       \
    if (ok_status_) fail_msg("%s: status %d: %s", #call, ok_status_, pm_fail_message()); \
  } while (0)

// ---- what ops declare ----

typedef struct dispatch {
  char kernel[64];
  pm_gpu_access accesses[16];
  uint32_t n;
} dispatch;

static struct {
  dispatch list[MAX_DISPATCHES];
  uint32_t n;
} declared;

static void declare(const pm_tensor *t, bool write) {
  dispatch *d = &declared.list[declared.n];
  assert_true(declared.n < MAX_DISPATCHES && d->n < 16);
  d->accesses[d->n++] = (pm_gpu_access){t, write};
}

void __real_pm_gpu_record_read(pm_gpu_recorder *r, const pm_tensor *t);
void __wrap_pm_gpu_record_read(pm_gpu_recorder *r, const pm_tensor *t);
void __wrap_pm_gpu_record_read(pm_gpu_recorder *r, const pm_tensor *t) {
  declare(t, false);
  __real_pm_gpu_record_read(r, t);
}

void __real_pm_gpu_record_write(pm_gpu_recorder *r, const pm_tensor *t);
void __wrap_pm_gpu_record_write(pm_gpu_recorder *r, const pm_tensor *t);
void __wrap_pm_gpu_record_write(pm_gpu_recorder *r, const pm_tensor *t) {
  declare(t, true);
  __real_pm_gpu_record_write(r, t);
}

void __real_pm_gpu_record_dispatch(pm_gpu_recorder *r, const pm_gpu_dispatch *d);
void __wrap_pm_gpu_record_dispatch(pm_gpu_recorder *r, const pm_gpu_dispatch *d);
void __wrap_pm_gpu_record_dispatch(pm_gpu_recorder *r, const pm_gpu_dispatch *d) {
  snprintf(declared.list[declared.n].kernel, sizeof declared.list[0].kernel, "%s", d->kernel);
  declared.n++;
  declared.list[declared.n].n = 0;
  __real_pm_gpu_record_dispatch(r, d);
}

static void forget_declared(void) {
  declared.n = 0;
  declared.list[0].n = 0;
}

// ---- memory of a program: scratch and cache, as 32-bit words one after another ----

typedef struct image {
  pm_gpu *g;
  size_t n;  // words
  uint32_t *before, *after;
  uint8_t *access;  // of the dispatch: 1 = read, 2 = written
} image;

static void copy_words(const image *m, uint32_t *out, const uint32_t *in) {
  uint32_t *at = out;
  const uint32_t *from = in;
  for (uint32_t i = 0; i <= m->g->plan.kv.n; i++) {
    const pm_gpu_buffer *b = i ? &m->g->kv[i - 1] : &m->g->scratch;
    if (out)
      memcpy(at, b->mapped, b->bytes), at += b->bytes / 4;
    else
      memcpy(b->mapped, from, b->bytes), from += b->bytes / 4;
  }
}

static image make_image(pm_gpu *g) {
  image m = {.g = g, .n = g->scratch.bytes / 4};
  for (uint32_t i = 0; i < g->plan.kv.n; i++) m.n += g->kv[i].bytes / 4;
  m.before = pm_alloc(4 * m.n), m.after = pm_alloc(4 * m.n), m.access = pm_alloc(m.n);
  assert_true(m.before && m.after && m.access);
  return m;
}

static void free_image(image *m) {
  pm_free(m->before);
  pm_free(m->after);
  pm_free(m->access);
}

static size_t first_word(const image *m, const pm_tensor *t) {
  size_t word = t->place.offset / 4;
  if (t->role != PM_ROLE_KV) return word;
  word += m->g->scratch.bytes / 4;
  for (uint32_t i = 0; i < t->place.arena; i++) word += m->g->kv[i].bytes / 4;
  return word;
}

static void mark(const image *m, const dispatch *d) {
  memset(m->access, 0, m->n);
  for (uint32_t i = 0; i < d->n; i++) {
    const pm_tensor *t = d->accesses[i].tensor;
    if (t->role == PM_ROLE_WEIGHT) continue;
    size_t first = first_word(m, t), n = pm_tensor_bytes(t) / 4;
    for (size_t w = first; w < first + n; w++) m->access[w] |= d->accesses[i].write ? 2 : 1;
  }
}

static const char *owner(const image *m, size_t word) {
  const pm_program *p = m->g->program;
  for (uint32_t i = 0; i < p->n_tensor + m->g->temps.n; i++) {
    const pm_tensor *t = i < p->n_tensor ? p->tensors[i] : m->g->temps.items[i - p->n_tensor];
    if (t->role != PM_ROLE_WEIGHT && word >= first_word(m, t) && word < first_word(m, t) + pm_tensor_bytes(t) / 4) return t->name;
  }
  return "no tensor";
}

static void submit(pm_gpu *g, VkCommandBuffer piece) {
  OK(pm_gpu_submit(&g->device, &piece, 1));
  OK(pm_gpu_wait(&g->device, g->device.ticket));
}

// Runs one dispatch twice, as described above. Leaves memory as after the dispatch.
static void check_dispatch(const image *m, const dispatch *d, VkCommandBuffer piece) {
  mark(m, d);
  copy_words(m, m->before, NULL);
  submit(m->g, piece);
  copy_words(m, m->after, NULL);
  for (size_t w = 0; w < m->n; w++)
    if (m->before[w] != m->after[w] && !(m->access[w] & 2))
      fail_msg("kernel %s writes to %s, which was not declared", d->kernel, owner(m, w));

  uint32_t *again = pm_alloc(4 * m->n);
  assert_non_null(again);
  for (size_t w = 0; w < m->n; w++) again[w] = m->access[w] ? m->before[w] : poison;
  copy_words(m, NULL, again);
  submit(m->g, piece);
  copy_words(m, again, NULL);
  for (size_t w = 0; w < m->n; w++)
    if (m->access[w] & 2 && again[w] != m->after[w])
      fail_msg("kernel %s gives another value in %s when what it does not declare is poisoned: %08x, %08x", d->kernel, owner(m, w),
               m->after[w], again[w]);
  pm_free(again);
  copy_words(m, NULL, m->after);
}

// ---- models ----

static const char *device_name;

static void check_step(pm_gpu *g, const pm_model *model, uint32_t n_row, uint32_t n_logit) {
  pm_row rows[MAX_ROWS];
  uint32_t logit_row[MAX_ROWS];
  float rope[MAX_ROWS * 2 * PM_MAX_ROPE_PAIRS];
  uint32_t n_rope = g->program->n_rope;
  for (uint32_t i = 0; i < n_row; i++) {
    rows[i] = (pm_row){.token = (i * 31 + n_row) % model->config.n_vocab, .pos = i + 5, .base = 3};
    pm_rope_fill(&model->config.rope, rows[i].pos, rope + i * n_rope);
    logit_row[i] = n_row - 1 - i;
  }
  pm_gpu_recording *r = &g->recordings[n_logit > 1][0];
  for (uint32_t i = 0; i < 2 * PM_GPU_BUCKETS; i++)
    pm_gpu_recording_finish(&g->device, &g->recordings[i / PM_GPU_BUCKETS][i % PM_GPU_BUCKETS]);
  forget_declared();
  pm_step step = {.n_row = n_row, .n_logit = n_logit, .rows = rows, .logit_row = logit_row, .rope = rope};
  OK(g->base.ops->run(&g->base, &step));  // leaves the step's data in the step buffer
  OK(pm_gpu_recording_get(g, n_row, n_logit, &r));
  assert_int_equal(r->n_piece, declared.n);
  image m = make_image(g);
  for (uint32_t i = 0; i < declared.n; i++) check_dispatch(&m, &declared.list[i], r->pieces[i].commands);
  free_image(&m);
}

// As the device would run it, or with one row of pick.def wherever its op allows.
static void check_model(const char *name, uint32_t pick_row) {
  char path[512];
  snprintf(path, sizeof path, PM_TEST_DATA "/models/%s.gguf", name);
  pm_model_file *file;
  pm_model model;
  pm_program program;
  pm_backend *b;
  pm_gpu_desc desc = {.device = device_name};
  OK(pm_model_file_open(path, &(pm_model_file_desc){0}, &file));
  OK(pm_model_init(&model, file, false));
  OK(pm_model_build(&model, MAX_ROWS, MAX_ROWS, PM_TYPE_F16, N_CELL, &program));
  pm_gpu_pick_force(pick_row);
  forget_declared();
  OK(pm_gpu_create(&desc, &b));
  pm_gpu *g = (pm_gpu *)b;
  g->piece_cost = 0;  // a piece per dispatch
  OK(b->ops->load(b, &program, NULL, NULL, NULL));
  check_step(g, &model, 1, 1);
  check_step(g, &model, MAX_ROWS - 1, 2);
  b->ops->destroy(b);
  pm_program_finish(&program);
  pm_model_finish(&model);
  pm_model_file_close(file);
}

static void deepseek_v3(void **state) {
  (void)state;
  check_model("mini-v3", UINT32_MAX);
}

// The paths of hardware devices, which a software device would not choose: the first row of pick.def that begins like this.
static void other_path(void **state) {
  const char *wanted = *state;
  uint32_t row = 0;
  while (row < pm_gpu_pick_count() && strncmp(pm_gpu_pick_text(row), wanted, strlen(wanted)) != 0) row++;
  if (row == pm_gpu_pick_count()) fail_msg("no row \"%s\" in pick.def", wanted);
  check_model("mini-v2", row);
}

// The test looks into the device's memory, so it must be mapped, as it is on software devices.
static int choose_device(void) {
  const char *wanted = getenv("PUMICE_TEST_DEVICE");
  device_name = wanted && wanted[0] ? wanted : "0";
  pm_backend *b;
  pm_gpu_desc desc = {.device = device_name};
  pm_status status = pm_gpu_create(&desc, &b);
  if (status) {
    printf("%s: %s\n", status == PM_ERR_UNSUPPORTED ? "skip" : "failed", pm_fail_message());
    return status == PM_ERR_UNSUPPORTED ? SKIP : 1;
  }
  bool mapped = pm_gpu_memory_is_mapped(&((pm_gpu *)b)->device, PM_GPU_DEVICE);
  b->ops->destroy(b);
  if (!mapped) printf("skip: the memory of this device cannot be mapped\n");
  return mapped ? 0 : SKIP;
}

int main(void) {
  int result = choose_device();
  if (result) return result;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(deepseek_v3),
      {"tiled products", other_path, NULL, NULL, "MATMUL ANY matmul"},
      {"grouped experts, gate and up", other_path, NULL, NULL, "EXPERTS_GLU ANY matmul"},
      {"grouped experts, down", other_path, NULL, NULL, "EXPERTS_DOWN ANY matmul"},
      {"split attention", other_path, NULL, NULL, "MLA_ATTENTION ANY"},
  };
  return cmocka_run_group_tests_name("gpu_access", tests, NULL, NULL);
}
