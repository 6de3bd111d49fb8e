// The k-th allocation fails, for every k: a clean ERR_MEMORY with a message, nothing half-done, and (in sanitizer builds) nothing leaked.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// cmocka needs some of the above
#include <cmocka.h>

#include "corrupt.h"
#include "gguf_write.h"
#include "memory.h"
#include "model_file.h"
#include "synth.h"

static char folder[] = "/tmp/pm-faults-XXXXXX", whole[64], set[CORRUPT_PATH], made[64];

typedef pm_status work_fn(const void *arg);

// Runs `work` with the 1st, 2nd, ... allocation failing until it succeeds; every failure must be reported as one.
static void fail_each(work_fn *work, const void *arg, uint64_t least) {
  uint64_t k = 0;
  pm_status status;
  do {
    pm_alloc_fail_at(++k);
    status = work(arg);
    pm_alloc_fail_at(0);
    if (status != PM_OK && status != PM_ERR_MEMORY) fail_msg("allocation %d: status %d, %s", (int)k, status, pm_fail_message());
    if (status != PM_OK && !strstr(pm_fail_message(), "memory")) fail_msg("allocation %d: %s", (int)k, pm_fail_message());
  } while (status != PM_OK);
  print_message("%d allocations failed in turn\n", (int)k - 1);
  assert_true(k > least);
}

typedef struct opening {
  const char *path;
  pm_model_file_desc desc;
} opening;

static pm_status open_and_close(const void *arg) {
  const opening *o = arg;
  pm_model_file *f = NULL;
  pm_status status = pm_model_file_open(o->path, &o->desc, &f);
  assert_true((status == PM_OK) == (f != NULL));
  pm_model_file_close(f);
  return status;
}

static void opening_a_file(void **state) {
  (void)state;
  fail_each(open_and_close, &(opening){.path = whole}, 4);
  fail_each(open_and_close, &(opening){.path = whole, .desc.read = true}, 5);
  fail_each(open_and_close, &(opening){.path = whole, .desc.header_only = true}, 4);
}

static void opening_a_set(void **state) {
  (void)state;
  fail_each(open_and_close, &(opening){.path = set}, 8);
  fail_each(open_and_close, &(opening){.path = set, .desc.read = true}, 12);
}

static pm_status synthesize(const void *arg) {
  (void)arg;
  pm_status status = pm_synth(made, &(pm_synth_options){.shape = "tiny", .mix = "Q4_0"});
  assert_int_equal(access(made, F_OK) == 0, status == PM_OK);
  unlink(made);
  return status;
}

static void synthesizing(void **state) {
  (void)state;
  fail_each(synthesize, NULL, 10);
}

static pm_status write_many_tensors(const void *arg) {
  (void)arg;
  pm_gguf_writer *w;
  PM_TRY(pm_gguf_writer_open(made, &w));
  for (int i = 0; i < 300; i++) {
    char name[16];
    snprintf(name, sizeof name, "t%d", i);
    pm_gguf_put_tensor(w, name, PM_TYPE_F32, 1, (uint64_t[]){1});
  }
  for (int i = 0; i < 300; i++) pm_gguf_put_data(w, &(float){1}, 4);
  return pm_gguf_writer_commit(w);
}

static void writing(void **state) {
  (void)state;
  fail_each(write_many_tensors, NULL, 5);
}

static int make_files(void **state) {
  (void)state;
  if (!mkdtemp(folder)) return 1;
  snprintf(whole, sizeof whole, "%s/whole.gguf", folder);
  snprintf(made, sizeof made, "%s/made.gguf", folder);
  if (pm_synth(whole, &(pm_synth_options){.shape = "tiny", .mix = "Q4_K_M"}) != PM_OK) return 1;
  snprintf(set, sizeof set, "%s/set.gguf", folder);
  gguf_doc *d = doc_read(whole);
  corrupt_write_set(d, set, 5);  // more than the table of shards first has room for
  doc_free(d);
  return 0;
}

static int remove_files(void **state) {
  (void)state;
  corrupt_remove(folder);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(opening_a_file), cmocka_unit_test(opening_a_set), cmocka_unit_test(synthesizing),
                                     cmocka_unit_test(writing)};
  return cmocka_run_group_tests(tests, make_files, remove_files);
}
