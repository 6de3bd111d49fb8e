// Every damaged file is refused by what should refuse it, with a message that names the file and the field, in no time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka needs some of the above
#include <cmocka.h>

#include "clock.h"
#include "corrupt.h"
#include "model_file.h"
#include "synth.h"

static char folder[] = "/tmp/pm-corrupt-XXXXXX", source[64];

static void check_message(const corruption *c, const char *path) {
  const char *message = pm_fail_message();
  char in_folder[64];
  snprintf(in_folder, sizeof in_folder, "%s/%s/", folder, c->name);
  if (!strstr(message, in_folder)) fail_msg("%s (%s): the message does not name the file: %s", c->name, path, message);
  for (int i = 0; i < 2; i++)
    if (c->words[i] && !strstr(message, c->words[i])) fail_msg("%s: the message lacks \"%s\": %s", c->name, c->words[i], message);
}

// 1 if the loader did with `path` what row c wants.
static void check_open(const corruption *c, const char *path, bool read) {
  pm_model_file *f;
  double start = pm_clock_seconds();
  pm_status status = pm_model_file_open(path, &(pm_model_file_desc){.read = read}, &f);
  double seconds = pm_clock_seconds() - start;
  pm_status expected = c->level == CORRUPT_FILE ? c->status : PM_OK;
  if (status != expected) fail_msg("%s: status %d, expected %d; %s", c->name, status, expected, status ? pm_fail_message() : "");
  assert_true((status == PM_OK) == (f != NULL));
  if (status != PM_OK) check_message(c, path);
  assert_true(seconds < 1);
  pm_model_file_close(f);
}

static void every_corruption(void **state) {
  (void)state;
  size_t n_file = 0, n_model = 0;
  char path[CORRUPT_PATH];
  for (const corruption *c; (c = corrupt_row(n_file + n_model)); c->level == CORRUPT_FILE ? n_file++ : n_model++) {
    corrupt_make(c, source, folder, path);
    check_open(c, path, false);
    check_open(c, path, true);
  }
  print_message("%zu damaged files refused, %zu more are for the model to refuse\n", n_file, n_model);
  assert_true(n_file >= 40);
}

// Header-only reading forgives missing data and nothing else.
static void header_only(void **state) {
  (void)state;
  char path[CORRUPT_PATH];
  for (size_t i = 0; corrupt_row(i); i++) {
    const corruption *c = corrupt_row(i);
    if (c->level != CORRUPT_FILE) continue;
    corrupt_make(c, source, folder, path);
    bool data_is_cut = !strcmp(c->name, "cut-before-data") || !strcmp(c->name, "cut-data") || !strcmp(c->name, "cut-last-byte") ||
                       !strcmp(c->name, "set-spoiled-cut");
    bool data_ends = c->words[1] && !strcmp(c->words[1], "data ends");
    pm_model_file *f;
    pm_status status = pm_model_file_open(path, &(pm_model_file_desc){.header_only = true}, &f);
    if (data_is_cut) {
      assert_int_equal(status, PM_OK);
      for (uint64_t k = 0; k < pm_model_file_n_tensor(f); k++) assert_null(pm_model_file_tensor(f, k)->data);
    } else if (!data_ends && status != c->status) {
      fail_msg("%s: status %d, expected %d", c->name, status, c->status);
    }
    pm_model_file_close(f);
  }
}

static int make_source(void **state) {
  (void)state;
  if (!mkdtemp(folder)) return 1;
  snprintf(source, sizeof source, "%s/source.gguf", folder);
  return pm_synth(source, &(pm_synth_options){.shape = "tiny", .mix = "Q4_K_M", .seed = 1}) != PM_OK;
}

static int remove_folder(void **state) {
  (void)state;
  corrupt_remove(folder);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_corruption), cmocka_unit_test(header_only)};
  return cmocka_run_group_tests(tests, make_source, remove_folder);
}
