// The Vulkan backend on a real driver: the device that PUMICE_TEST_DEVICE names (default "0"), under the validation layer where there is
// one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "file.h"
#include "gpu.h"
#include "memory.h"
#include "testbed.h"

enum { SKIP = 77, D = 64, N_VOCAB = 300, N_OUT = 1000, MAX_ROWS = 48, MAX_LOGITS = 8, N_CELL = 40000 };

static const char *device_name;
static bool validate;

#define OK(call)                                                                         \
  do {                                                                                   \
    pm_status ok_status_ = (call);                                                       \
    if (ok_status_) fail_msg("%s: status %d: %s", #call, ok_status_, pm_fail_message()); \
  } while (0)

static pm_status open_backend(bool staged, const char *cache_dir, pm_backend **out) {
  pm_gpu_desc desc = {.device = device_name, .cache_dir = cache_dir, .validate = validate};
  return pm_gpu_open(&desc, staged, out);
}

// A small program: embed the token, multiply, give the rows that want logits.
typedef struct sample {
  pm_program program;
  pm_tensor *kv, *x, *logits;
  float table[N_VOCAB * D], norm[D], weight[N_OUT * D];
} sample;

static sample *make_sample(void) {
  sample *s = pm_alloc_zero(1, sizeof *s);
  assert_non_null(s);
  pm_rng rng = pm_rng_seed(3);
  for (size_t i = 0; i < N_VOCAB * D; i++) s->table[i] = (float)pm_rng_uniform(&rng) - 0.5f;
  for (size_t i = 0; i < D; i++) s->norm[i] = 0.5f + (float)pm_rng_uniform(&rng);
  for (size_t i = 0; i < N_OUT * D; i++) s->weight[i] = (float)pm_rng_uniform(&rng) - 0.5f;
  pm_program *p = &s->program;
  pm_program_init(p, MAX_ROWS, MAX_LOGITS, 0);
  pm_tensor *table = pm_program_weight(p, "table", PM_TYPE_F32, (uint64_t[]){D, N_VOCAB, 1}, s->table, 0);
  pm_tensor *norm = pm_program_weight(p, "norm", PM_TYPE_F32, (uint64_t[]){D, 1, 1}, s->norm, 0);
  pm_tensor *weight = pm_program_weight(p, "weight", PM_TYPE_F32, (uint64_t[]){D, N_OUT, 1}, s->weight, 0);
  pm_tensor *y = pm_program_scratch(p, "y", D);
  s->x = pm_program_scratch(p, "x", D);
  s->kv = pm_program_kv(p, "kv", PM_TYPE_F32, D, N_CELL);
  s->logits = p->logits = pm_program_output(p, "logits", PM_TYPE_F32, N_OUT, MAX_LOGITS);
  pm_program_append(p, (pm_op){.kind = PM_OP_EMBED, .layer = -1, .embed = {table, pm_view_rows(s->x)}});
  pm_program_append(p,
                    (pm_op){.kind = PM_OP_NORM, .layer = -1, .norm = {pm_view_rows(s->x), pm_view_rows(y), norm, 1e-6f, PM_ROWS_LOGITS}});
  pm_program_append(p, (pm_op){.kind = PM_OP_MATMUL,
                               .layer = -1,
                               .matmul = {.w = weight, .x = pm_view_rows(y), .y = pm_view_rows(s->logits), .rows = PM_ROWS_LOGITS}});
  OK(pm_program_check(p));
  return s;
}

static void free_sample(sample *s) {
  pm_program_finish(&s->program);
  pm_free(s);
}

static void expected_logits(const sample *s, uint32_t token, double *out) {
  const float *x = s->table + token * D;
  double square = 0;
  for (int i = 0; i < D; i++) square += (double)x[i] * x[i];
  for (int o = 0; o < N_OUT; o++) {
    out[o] = 0;
    for (int i = 0; i < D; i++) out[o] += s->weight[o * D + i] * (x[i] * s->norm[i] / __builtin_sqrt(square / D + 1e-6));
  }
}

// Runs n_row rows of which n_logit want logits, and checks all of them.
static void run_and_check(pm_backend *b, const sample *s, uint32_t n_row, uint32_t n_logit) {
  pm_row rows[MAX_ROWS];
  uint32_t wanted[MAX_LOGITS];
  for (uint32_t r = 0; r < n_row; r++) rows[r] = (pm_row){.token = (r * 7 + n_row * 13) % N_VOCAB, .pos = r};
  for (uint32_t i = 0; i < n_logit; i++) wanted[i] = n_row - 1 - i;
  pm_step step = {.n_row = n_row, .n_logit = n_logit, .rows = rows, .logit_row = wanted};
  OK(b->ops->run(b, &step));
  for (uint32_t i = 0; i < n_logit; i++) {
    double expected[N_OUT];
    const float *got = b->ops->logits(b) + (size_t)i * N_OUT;
    expected_logits(s, rows[wanted[i]].token, expected);
    for (int o = 0; o < N_OUT; o++)
      if (!(__builtin_fabs(got[o] - expected[o]) < 1e-4))
        fail_msg("%u rows, logits %u of %u, value %d: %g, expected %g", n_row, i, n_logit, o, got[o], expected[o]);
  }
}

static void lists_devices(void **state) {
  (void)state;
  pm_gpu_info infos[16];
  char why[256];
  uint32_t n = 16;
  OK(pm_gpu_list(infos, &n, why));
  assert_true(n >= 1 && !why[0]);
  for (uint32_t i = 0; i < n; i++) {
    print_message("device %u: %s (%s), %s, %s\n", i, infos[i].name, infos[i].driver, infos[i].uuid,
                  infos[i].usable ? infos[i].features : infos[i].reason);
    assert_true(infos[i].name[0]);
    assert_int_equal(strlen(infos[i].uuid), 36);
    assert_true(infos[i].usable == !infos[i].reason[0]);
    assert_true(infos[i].memory_total > 0 && infos[i].memory_free <= infos[i].memory_total);
  }
}

static void refuses_unknown_devices(void **state) {
  (void)state;
  pm_backend *b = (pm_backend *)1;
  pm_gpu_desc desc = {.device = "no such device"};
  assert_int_equal(pm_gpu_create(&desc, &b), PM_ERR_ARGUMENT);
  assert_null(b);
  desc.device = "999";
  assert_int_equal(pm_gpu_create(&desc, &b), PM_ERR_ARGUMENT);
}

// Not by itself: a machine with nothing but software devices has no device for pm_gpu_create.
static void never_takes_software_unasked(void **state) {
  (void)state;
  pm_gpu_info infos[16];
  char why[256];
  uint32_t n = 16, hardware = 0;
  OK(pm_gpu_list(infos, &n, why));
  for (uint32_t i = 0; i < n; i++) hardware += infos[i].usable && infos[i].kind != PM_GPU_SOFTWARE;
  pm_backend *b;
  pm_gpu_desc desc = {0};
  pm_status status = pm_gpu_create(&desc, &b);
  assert_int_equal(status, hardware ? PM_OK : PM_ERR_UNSUPPORTED);
  if (!status) b->ops->destroy(b);
}

static void found_by_uuid(void **state) {
  (void)state;
  pm_gpu_info infos[16];
  char why[256];
  uint32_t n = 16;
  OK(pm_gpu_list(infos, &n, why));
  pm_backend *b;
  pm_gpu_desc desc = {.device = infos[0].uuid};
  OK(pm_gpu_create(&desc, &b));
  b->ops->destroy(b);
}

// *state: whether uploads are staged.
static void runs_steps(void **state) {
  static const struct {
    uint32_t n_row, n_logit;
  } steps[] = {{1, 1}, {1, 0}, {2, 2}, {3, 1}, {MAX_ROWS, MAX_LOGITS}, {33, 0}, {5, 4}, {MAX_ROWS - 1, 1}, {1, 1}};
  sample *s = make_sample();
  pm_backend *b;
  OK(open_backend(*state != NULL, NULL, &b));
  OK(b->ops->load(b, &s->program, NULL, NULL, NULL));
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) run_and_check(b, s, steps[i].n_row, steps[i].n_logit);
  pm_backend_counters c = b->ops->counters(b);
  assert_int_equal(c.steps, sizeof steps / sizeof *steps);
  assert_int_equal(c.submissions, c.steps);
  assert_true(c.dispatches >= 3 * c.steps && c.barriers >= c.steps);
  pm_memory_use use = b->ops->memory(b);
  assert_true(use.weights >= sizeof s->table + sizeof s->weight && use.kv >= 4ull * D * N_CELL && use.scratch && use.staging &&
              !use.weights_mapped);

  pm_row row = {.token = 1};
  uint32_t wanted = 0;
  pm_step step = {.n_row = MAX_ROWS + 1, .n_logit = 1, .rows = &row, .logit_row = &wanted};
  assert_int_equal(b->ops->run(b, &step), PM_ERR_ARGUMENT);
  step = (pm_step){.n_row = 0, .rows = &row};
  assert_int_equal(b->ops->run(b, &step), PM_ERR_ARGUMENT);
  run_and_check(b, s, 1, 1);  // wrong use does no harm
  b->ops->destroy(b);
  free_sample(s);
}

// A step that must go out in pieces gives the same logits; the same pieces go out together when time allows.
static void cuts_long_steps(void **state) {
  (void)state;
  sample *s = make_sample();
  pm_backend *b;
  OK(open_backend(false, NULL, &b));
  pm_gpu *g = (pm_gpu *)b;
  g->piece_cost = 1;  // every dispatch is a piece
  OK(b->ops->load(b, &s->program, NULL, NULL, NULL));
  g->submit_seconds = 1e-12;
  run_and_check(b, s, 7, 3);
  pm_backend_counters c = b->ops->counters(b);
  assert_int_equal(c.submissions, c.dispatches);
  g->submit_seconds = 1e6;
  run_and_check(b, s, 7, 3);
  assert_int_equal(b->ops->counters(b).submissions, c.submissions + 1);
  b->ops->destroy(b);
  free_sample(s);
}

static void allocates_nothing_per_step(void **state) {
  (void)state;
  sample *s = make_sample();
  pm_backend *b;
  OK(open_backend(false, NULL, &b));
  OK(b->ops->load(b, &s->program, NULL, NULL, NULL));
  uint64_t before = pm_alloc_count();
  for (int i = 0; i < 5; i++) run_and_check(b, s, 1, 1), run_and_check(b, s, MAX_ROWS, 1);
  assert_int_equal(pm_alloc_count(), before);
  b->ops->destroy(b);
  free_sample(s);
}

// *state: whether transfers are staged. 10 MB: more than a staging half, at odd offsets.
static void moves_bytes(void **state) {
  sample *s = make_sample();
  pm_backend *b;
  OK(open_backend(*state != NULL, NULL, &b));
  OK(b->ops->load(b, &s->program, NULL, NULL, NULL));
  size_t bytes = pm_tensor_bytes(s->kv), n = bytes / 4;
  uint32_t *sent = pm_alloc(bytes), *got = pm_alloc_zero(1, bytes);
  assert_non_null(sent);
  assert_non_null(got);
  OK(b->ops->read(b, s->kv, 0, got, bytes));
  for (size_t i = 0; i < n; i++) assert_int_equal(got[i], 0);  // a fresh cache is zero
  pm_rng rng = pm_rng_seed(5);
  for (size_t i = 0; i < n; i++) sent[i] = (uint32_t)pm_rng_next(&rng);
  OK(b->ops->write(b, s->kv, 4, sent + 1, bytes - 8));
  OK(b->ops->read(b, s->kv, 0, got, bytes));
  assert_int_equal(got[0], 0);
  assert_int_equal(got[n - 1], 0);
  assert_memory_equal(got + 1, sent + 1, bytes - 8);

  run_and_check(b, s, 2, 1);
  const float *logits = b->ops->logits(b);
  float kept = logits[0], x[2 * D], direct;
  OK(b->ops->read(b, s->x, 0, x, sizeof x));
  assert_memory_equal(x, s->table + 26 * D, D * sizeof *x);  // row 0 of run_and_check(2): token 26
  OK(b->ops->read(b, s->logits, 0, &direct, sizeof direct));
  assert_true(direct == kept && logits[0] == kept);  // reading leaves the logits alone
  assert_int_equal(b->ops->read(b, s->kv, bytes - 4, got, 8), PM_ERR_ARGUMENT);
  assert_int_equal(b->ops->write(b, s->program.tensors[0], 0, got, 4), PM_ERR_ARGUMENT);
  b->ops->destroy(b);
  pm_free(sent);
  pm_free(got);
  free_sample(s);
}

static bool stop_at_half(void *user, float done) {
  *(float *)user = done;
  return done < 0.5f;
}

static void can_be_stopped(void **state) {
  (void)state;
  sample *s = make_sample();
  pm_backend *b;
  float done = 0;
  OK(open_backend(false, NULL, &b));
  assert_int_equal(b->ops->load(b, &s->program, NULL, stop_at_half, &done), PM_ERR_CANCELLED);
  assert_true(done >= 0.5f && done <= 1);
  b->ops->destroy(b);
  free_sample(s);
}

static void refuses_what_does_not_fit(void **state) {
  (void)state;
  pm_backend *b;
  sample *s = make_sample();
  pm_gpu_desc desc = {.device = device_name, .memory_limit = 1 << 20, .validate = validate};
  OK(pm_gpu_create(&desc, &b));
  assert_int_equal(b->ops->load(b, &s->program, NULL, NULL, NULL), PM_ERR_MEMORY);
  assert_non_null(strstr(pm_fail_message(), "GiB"));
  b->ops->destroy(b);
  free_sample(s);

  s = make_sample();
  for (int i = 0; i < 3; i++) pm_program_kv(&s->program, "huge", PM_TYPE_F32, 1 << 20, 1 << 20);
  OK(open_backend(false, NULL, &b));
  assert_int_equal(b->ops->load(b, &s->program, NULL, NULL, NULL), PM_ERR_UNSUPPORTED);
  assert_non_null(strstr(pm_fail_message(), "shorter context"));
  b->ops->destroy(b);
  free_sample(s);
}

// ---- the pipeline cache ----

static void load_and_run(const char *dir, char path[512], size_t *saved) {
  sample *s = make_sample();
  pm_backend *b;
  OK(open_backend(false, dir, &b));
  OK(b->ops->load(b, &s->program, NULL, NULL, NULL));
  run_and_check(b, s, 3, 2);
  pm_gpu *g = (pm_gpu *)b;
  assert_non_null(g->pipelines.path);
  snprintf(path, 512, "%s", g->pipelines.path);
  *saved = g->pipelines.saved_bytes;
  b->ops->destroy(b);
  free_sample(s);
}

static uint64_t file_bytes(const char *path) {
  pm_file *f;
  OK(pm_file_open(path, &f));
  uint64_t bytes = pm_file_bytes(f);
  pm_file_close(f);
  return bytes;
}

static void keeps_pipelines(void **state) {
  (void)state;
  char dir[] = "/tmp/pumice-test-XXXXXX", path[512];
  size_t saved;
  assert_non_null(mkdtemp(dir));
  load_and_run(dir, path, &saved);
  assert_true(saved > 0);
  uint64_t whole = file_bytes(path);
  assert_true(whole > 56);  // our header and the driver's blob

  FILE *f = fopen(path, "r+b");  // a byte in the middle of the blob
  assert_non_null(f);
  assert_int_equal(fseek(f, 60, SEEK_SET), 0);
  int byte = fgetc(f);
  assert_int_equal(fseek(f, 60, SEEK_SET), 0);
  assert_int_equal(fputc(byte ^ 0xff, f), byte ^ 0xff);
  assert_int_equal(fclose(f), 0);
  load_and_run(dir, path, &saved);  // ignored, and written anew
  assert_true(file_bytes(path) >= whole);

  f = fopen(path, "wb");  // empty
  assert_non_null(f);
  assert_int_equal(fclose(f), 0);
  load_and_run(dir, path, &saved);
  assert_true(file_bytes(path) >= whole);
  load_and_run(dir, path, &saved);  // an intact file
  assert_int_equal(remove(path), 0);
  assert_int_equal(remove(dir), 0);
}

static void does_without_a_cache_directory(void **state) {
  (void)state;
  sample *s = make_sample();
  pm_backend *b;
  OK(open_backend(false, "/proc/nowhere/at/all", &b));
  OK(b->ops->load(b, &s->program, NULL, NULL, NULL));
  run_and_check(b, s, 1, 1);
  b->ops->destroy(b);
  free_sample(s);
}

// The k-th allocation fails, for every k up to the end of the load: a clean status each time.
static void survives_failed_allocations(void **state) {
  (void)state;
  sample *s = make_sample();
  uint64_t k = 1;
  for (;; k++) {
    pm_backend *b = NULL;
    uint64_t before = pm_alloc_count();
    pm_alloc_fail_at(k);
    pm_status status = open_backend(true, NULL, &b);
    if (!status) status = b->ops->load(b, &s->program, NULL, NULL, NULL);
    pm_alloc_fail_at(0);
    bool failed = pm_alloc_count() - before >= k;
    if (!status) run_and_check(b, s, 2, 1);
    if (b) b->ops->destroy(b);
    if (!failed) break;
    if (status != PM_ERR_MEMORY) fail_msg("allocation %llu: status %d: %s", (unsigned long long)k, status, pm_fail_message());
  }
  print_message("%llu allocations failed one by one\n", (unsigned long long)k - 1);
  assert_true(k > 8);
  free_sample(s);
}

// ---- failures of the driver, injected through the device's own table of functions ----

static uint32_t calls, fail_at;  // the fail_at-th call fails
static VkResult fail_with;

#define FAILING(function, parameters, arguments) \
  static PFN_##function real_##function;         \
  static VKAPI_ATTR VkResult VKAPI_CALL failing_##function parameters { return ++calls == fail_at ? fail_with : real_##function arguments; }
FAILING(vkCreateBuffer, (VkDevice d, const VkBufferCreateInfo *i, const VkAllocationCallbacks *a, VkBuffer *o), (d, i, a, o))
FAILING(vkAllocateMemory, (VkDevice d, const VkMemoryAllocateInfo *i, const VkAllocationCallbacks *a, VkDeviceMemory *o), (d, i, a, o))
FAILING(vkMapMemory, (VkDevice d, VkDeviceMemory m, VkDeviceSize o, VkDeviceSize n, VkMemoryMapFlags f, void **p), (d, m, o, n, f, p))
FAILING(vkCreateShaderModule, (VkDevice d, const VkShaderModuleCreateInfo *i, const VkAllocationCallbacks *a, VkShaderModule *o),
        (d, i, a, o))
FAILING(vkCreateDescriptorPool, (VkDevice d, const VkDescriptorPoolCreateInfo *i, const VkAllocationCallbacks *a, VkDescriptorPool *o),
        (d, i, a, o))
FAILING(vkAllocateCommandBuffers, (VkDevice d, const VkCommandBufferAllocateInfo *i, VkCommandBuffer *o), (d, i, o))
FAILING(vkEndCommandBuffer, (VkCommandBuffer c), (c))
FAILING(vkQueueSubmit, (VkQueue q, uint32_t n, const VkSubmitInfo *i, VkFence f), (q, n, i, f))
FAILING(vkWaitSemaphores, (VkDevice d, const VkSemaphoreWaitInfo *i, uint64_t t), (d, i, t))

#define INJECT(g, function) (real_##function = (g)->device.fn.function, (g)->device.fn.function = failing_##function)

typedef struct injection {
  const char *name;
  void (*inject)(pm_gpu *g);
  VkResult result;
  pm_status status;
} injection;

#define INJECTOR(function) \
  static void inject_##function(pm_gpu *g) { INJECT(g, function); }
INJECTOR(vkCreateBuffer)
INJECTOR(vkAllocateMemory)
INJECTOR(vkMapMemory)
INJECTOR(vkCreateShaderModule)
INJECTOR(vkCreateDescriptorPool)
INJECTOR(vkAllocateCommandBuffers)
INJECTOR(vkEndCommandBuffer)
INJECTOR(vkQueueSubmit)
INJECTOR(vkWaitSemaphores)

static const injection injections[] = {
    {"vkCreateBuffer", inject_vkCreateBuffer, VK_ERROR_OUT_OF_DEVICE_MEMORY, PM_ERR_MEMORY},
    {"vkAllocateMemory", inject_vkAllocateMemory, VK_ERROR_OUT_OF_DEVICE_MEMORY, PM_ERR_MEMORY},
    {"vkMapMemory", inject_vkMapMemory, VK_ERROR_MEMORY_MAP_FAILED, PM_ERR_MEMORY},
    {"vkCreateDescriptorPool", inject_vkCreateDescriptorPool, VK_ERROR_OUT_OF_HOST_MEMORY, PM_ERR_MEMORY},
    {"vkAllocateCommandBuffers", inject_vkAllocateCommandBuffers, VK_ERROR_OUT_OF_HOST_MEMORY, PM_ERR_MEMORY},
    {"vkEndCommandBuffer", inject_vkEndCommandBuffer, VK_ERROR_OUT_OF_DEVICE_MEMORY, PM_ERR_MEMORY},
    {"vkQueueSubmit", inject_vkQueueSubmit, VK_ERROR_DEVICE_LOST, PM_ERR_DEVICE_LOST},
    {"vkWaitSemaphores", inject_vkWaitSemaphores, VK_ERROR_DEVICE_LOST, PM_ERR_DEVICE_LOST},
};

// Each call of each function fails once, during load: a clean status with the function's name, and a clean end.
static void survives_a_failing_driver(void **state) {
  (void)state;
  sample *s = make_sample();
  for (size_t i = 0; i < sizeof injections / sizeof *injections; i++) {
    const injection *in = &injections[i];
    for (uint32_t k = 1;; k++) {
      pm_backend *b;
      OK(open_backend(true, NULL, &b));
      in->inject((pm_gpu *)b);
      calls = 0, fail_at = k, fail_with = in->result;
      pm_status status = b->ops->load(b, &s->program, NULL, NULL, NULL);
      fail_at = 0;
      if (calls >= k && (status != in->status || !strstr(pm_fail_message(), in->name)))
        fail_msg("call %u of %s: status %d: %s", k, in->name, status, pm_fail_message());
      if (calls < k) run_and_check(b, s, 1, 1);
      b->ops->destroy(b);
      if (calls < k) break;
    }
  }
  free_sample(s);
}

// A pipeline that could not be made beside the others is tried once more, when it is needed.
static void makes_pipelines_twice(void **state) {
  (void)state;
  sample *s = make_sample();
  pm_backend *b;
  OK(open_backend(false, NULL, &b));
  inject_vkCreateShaderModule((pm_gpu *)b);
  calls = 0, fail_at = 2, fail_with = VK_ERROR_OUT_OF_HOST_MEMORY;
  OK(b->ops->load(b, &s->program, NULL, NULL, NULL));
  assert_true(calls > 2);
  run_and_check(b, s, 1, 1);
  b->ops->destroy(b);
  free_sample(s);
}

static VKAPI_ATTR VkResult VKAPI_CALL fault_info(VkDevice d, VkDeviceFaultCountsEXT *counts, VkDeviceFaultInfoEXT *info) {
  (void)d;
  if (info) snprintf(info->description, sizeof info->description, "page fault in a test");
  counts->addressInfoCount = counts->vendorInfoCount = 0;
  return VK_SUCCESS;
}

static void stays_lost(void **state) {
  (void)state;
  sample *s = make_sample();
  pm_backend *b;
  OK(open_backend(false, NULL, &b));
  OK(b->ops->load(b, &s->program, NULL, NULL, NULL));
  run_and_check(b, s, 1, 1);
  pm_gpu *g = (pm_gpu *)b;
  g->device.probe.fault = true;
  g->device.fn.vkGetDeviceFaultInfoEXT = fault_info;
  inject_vkQueueSubmit(g);
  calls = 0, fail_at = 1, fail_with = VK_ERROR_DEVICE_LOST;
  pm_row row = {.token = 1};
  uint32_t wanted = 0;
  pm_step step = {.n_row = 1, .n_logit = 1, .rows = &row, .logit_row = &wanted};
  float value;
  for (int i = 0; i < 2; i++) {  // the driver would answer again; the backend does not ask it
    assert_int_equal(b->ops->run(b, &step), PM_ERR_DEVICE_LOST);
    assert_non_null(strstr(pm_fail_message(), "page fault in a test"));
    assert_int_equal(calls, 1);
  }
  assert_int_equal(b->ops->read(b, s->logits, 0, &value, 4), PM_ERR_DEVICE_LOST);
  assert_int_equal(b->ops->write(b, s->kv, 0, &value, 4), PM_ERR_DEVICE_LOST);
  b->ops->destroy(b);
  free_sample(s);
}

// ---- validation ----

static void says_which_package(void **state) {
  (void)state;
  char *kept = getenv("VK_LAYER_PATH");
  kept = kept ? pm_strdup(kept) : NULL;
  setenv("VK_LAYER_PATH", "/nonexistent", 1);
  pm_backend *b;
  pm_gpu_desc desc = {.device = device_name, .validate = true};
  pm_status status = pm_gpu_create(&desc, &b);
  if (kept)
    setenv("VK_LAYER_PATH", kept, 1);
  else
    unsetenv("VK_LAYER_PATH");
  pm_free(kept);
  assert_int_equal(status, PM_ERR_UNSUPPORTED);
  assert_non_null(strstr(pm_fail_message(), "vulkan-validationlayers"));
}

// A mistake of ours, which the driver would not notice, becomes a failure that stays.
static void complaints_are_failures(void **state) {
  (void)state;
  if (!validate) {
    print_message("skip: no validation layer\n");
    skip();
  }
  sample *s = make_sample();
  pm_backend *b;
  OK(open_backend(false, NULL, &b));
  OK(b->ops->load(b, &s->program, NULL, NULL, NULL));
  pm_gpu_device *d = &((pm_gpu *)b)->device;
  VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = 64};  // without any usage
  VkBuffer buffer = VK_NULL_HANDLE;
  if (d->fn.vkCreateBuffer(d->handle, &info, NULL, &buffer) == VK_SUCCESS) d->fn.vkDestroyBuffer(d->handle, buffer, NULL);
  pm_row row = {.token = 1};
  pm_step step = {.n_row = 1, .rows = &row};
  for (int i = 0; i < 2; i++) {
    assert_int_equal(b->ops->run(b, &step), PM_ERR_DEVICE);
    assert_non_null(strstr(pm_fail_message(), "validation"));
    assert_non_null(strstr(pm_fail_message(), "VkBufferCreateInfo"));
  }
  b->ops->destroy(b);
  free_sample(s);
}

// ---- finding a device ----

static int choose_device(void) {
  pm_gpu_info infos[16];
  char why[256];
  uint32_t n = 16;
  pm_backend *b;
  if (pm_gpu_list(infos, &n, why) || !n) {
    printf("skip: %s\n", why[0] ? why : "no Vulkan device");
    return SKIP;
  }
  const char *wanted = getenv("PUMICE_TEST_DEVICE");
  device_name = wanted && wanted[0] ? wanted : "0";
  validate = testbed_validates();
  pm_status status = open_backend(false, NULL, &b);
  if (status) {
    printf("%s: %s\n", status == PM_ERR_UNSUPPORTED ? "skip" : "failed", pm_fail_message());
    return status == PM_ERR_UNSUPPORTED ? SKIP : 1;
  }
  b->ops->destroy(b);
  return 0;
}

int main(void) {
  int result = choose_device();
  if (result) return result;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lists_devices),
      cmocka_unit_test(refuses_unknown_devices),
      cmocka_unit_test(never_takes_software_unasked),
      cmocka_unit_test(found_by_uuid),
      {"runs_steps", runs_steps, NULL, NULL, NULL},
      {"runs_steps, staged", runs_steps, NULL, NULL, &device_name},
      cmocka_unit_test(cuts_long_steps),
      cmocka_unit_test(allocates_nothing_per_step),
      {"moves_bytes", moves_bytes, NULL, NULL, NULL},
      {"moves_bytes, staged", moves_bytes, NULL, NULL, &device_name},
      cmocka_unit_test(can_be_stopped),
      cmocka_unit_test(refuses_what_does_not_fit),
      cmocka_unit_test(keeps_pipelines),
      cmocka_unit_test(does_without_a_cache_directory),
      cmocka_unit_test(survives_failed_allocations),
      cmocka_unit_test(survives_a_failing_driver),
      cmocka_unit_test(makes_pipelines_twice),
      cmocka_unit_test(stays_lost),
      cmocka_unit_test(says_which_package),
      cmocka_unit_test(complaints_are_failures),
  };
  return cmocka_run_group_tests_name("gpu_device", tests, NULL, NULL);
}
