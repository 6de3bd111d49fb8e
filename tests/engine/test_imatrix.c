// Importance matrices: sums that can be computed by hand, counts of experts, files that quantize reads, and stopping half-way.
#include <math.h>
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
#include "file.h"
#include "imatrix.h"
#include "imatrix_file.h"
#include "quantize.h"
#include "synth.h"
#include "tokenizer.h"

enum { CTX = 32, COLUMNS = 256, USED = 2, EXPERTS = 8 };

static char folder[] = "/tmp/pm-imatrix-XXXXXX", model[64], matrix[64], made[64];
static const char text[] =
    "There was once a fisherman who lived with his wife in a small hut close by the sea, and he went out every day to fish. And as he sat "
    "there "
    "with his rod, looking into the clear water, his line was suddenly dragged down, far below, and when he drew it up he brought out a "
    "flounder.";

static int setup(void **state) {
  (void)state;
  if (!mkdtemp(folder)) return -1;
  snprintf(model, sizeof model, "%s/model.gguf", folder), snprintf(made, sizeof made, "%s/made.gguf", folder);
  snprintf(matrix, sizeof matrix, "%s/imatrix.gguf", folder);
  return pm_synth(model, &(pm_synth_options){.shape = "tiny", .mix = "BF16", .seed = 4}) != PM_OK;
}

static int teardown(void **state) {
  (void)state;
  corrupt_remove(folder);
  return 0;
}

static pm_model_file *open_file(const char *path) {
  pm_model_file *f;
  if (pm_model_file_open(path, NULL, &f) != PM_OK) fail_msg("%s", pm_fail_message());
  return f;
}

static pm_imatrix_result measure(pm_imatrix_options o) {
  pm_imatrix_result r;
  o.n_ctx = CTX, o.n_thread = 2;
  if (pm_imatrix_make(model, text, sizeof text - 1, matrix, &o, &r) != PM_OK) fail_msg("%s", pm_fail_message());
  return r;
}

static const float *values(const pm_model_file *f, const char *name, uint64_t n) {
  const pm_file_tensor *t = pm_model_file_find_tensor(f, name);
  if (!t) fail_msg("%s is missing", name);
  assert_int_equal(t->type, PM_TYPE_F32);
  assert_int_equal(t->bytes, n * 4);
  return t->data;
}

// Tokens of piece after piece, each beginning with BOS.
static size_t tokens_of(const pm_model_file *f, int32_t *tokens, size_t capacity) {
  pm_tokenizer *t;
  if (pm_tokenizer_create(f, &t) != PM_OK) fail_msg("%s", pm_fail_message());
  size_t n = capacity;
  if (pm_tokenize(t, text, sizeof text - 1, (pm_tokenize_flags){.add_special = true}, tokens, &n) != PM_OK)
    fail_msg("%s", pm_fail_message());
  n = n / CTX * CTX;
  for (size_t i = 0; i < n; i += CTX)
    if (pm_tokenizer_bos(t) >= 0) tokens[i] = pm_tokenizer_bos(t);
  pm_tokenizer_destroy(t);
  return n;
}

// The first layer's input is the normalized embedding: its squares, summed over the tokens.
static void first_sums_are_known(void **state) {
  (void)state;
  int32_t tokens[1024];
  double expected[COLUMNS] = {0};
  pm_imatrix_result r = measure((pm_imatrix_options){.dataset = "a fable"});
  pm_model_file *f = open_file(model), *m = open_file(matrix);
  const pm_file_tensor *table = pm_model_file_find_tensor(f, "token_embd.weight");
  size_t n = tokens_of(f, tokens, 1024);
  assert_true(n >= 2 * CTX && r.n_chunk == n / CTX && r.n_chunk_text == r.n_chunk);
  for (size_t i = 0; i < n; i++) {
    float x[COLUMNS];
    double power = 0;
    pm_format_get(PM_TYPE_BF16)->decode((const uint8_t *)table->data + (size_t)tokens[i] * COLUMNS * 2, x, COLUMNS);
    for (int k = 0; k < COLUMNS; k++) power += (double)x[k] * (double)x[k] / COLUMNS;
    for (int k = 0; k < COLUMNS; k++) expected[k] += (double)x[k] * (double)x[k] / (power + 1e-6);
  }
  const float *q = values(m, "blk.0.attn_q_a.weight.in_sum2", COLUMNS), *kv = values(m, "blk.0.attn_kv_a_mqa.weight.in_sum2", COLUMNS);
  for (int k = 0; k < COLUMNS; k++) {
    if (fabs((double)q[k] / expected[k] - 1) > 1e-4) fail_msg("column %d: %g, expected %g", k, (double)q[k], expected[k]);
    assert_true(kv[k] == q[k]);
  }
  assert_true(values(m, "blk.0.attn_q_a.weight.counts", 1)[0] == (float)n);
  pm_model_file_close(f), pm_model_file_close(m);
}

// Every token chooses so many experts; what goes through an expert's first two matrices goes through its last one.
static void experts_are_counted(void **state) {
  (void)state;
  pm_imatrix_result r = measure((pm_imatrix_options){0});
  pm_model_file *m = open_file(matrix);
  uint64_t seen = 0;
  for (int layer = 1; layer < 3; layer++) {
    char name[96];
    const float *counts[3], *sums[2];
    static const char *const parts[] = {"gate", "up", "down"};
    for (int k = 0; k < 3; k++) {
      snprintf(name, sizeof name, "blk.%d.ffn_%s_exps.weight.counts", layer, parts[k]);
      counts[k] = values(m, name, EXPERTS);
      snprintf(name, sizeof name, "blk.%d.ffn_%s_exps.weight.in_sum2", layer, parts[k]);
      if (k < 2) sums[k] = values(m, name, EXPERTS * COLUMNS);
    }
    double sum = 0;
    for (int e = 0; e < EXPERTS; e++) {
      double row = 0;
      for (int k = 0; k < COLUMNS; k++) row += (double)sums[0][e * COLUMNS + k];
      assert_true(counts[0][e] == counts[1][e] && counts[0][e] == counts[2][e]);
      assert_true((counts[0][e] > 0) == (row > 0));
      sum += (double)counts[0][e], seen += counts[0][e] > 0;
    }
    assert_memory_equal(sums[0], sums[1], EXPERTS * COLUMNS * sizeof(float));
    assert_true(sum == (double)r.n_chunk * CTX * USED);
  }
  assert_int_equal(r.n_expert, 2 * EXPERTS);
  assert_int_equal(r.n_expert_seen, seen);
  pm_model_file_close(m);
}

static void on_row(void *user, const pm_quantize_row *row) {
  bool layer = strncmp(row->name, "blk.", 4) == 0 && strcmp(row->from, row->to) != 0;
  if (layer && !row->weighted) fail_msg("%s has no importances", row->name);
  *(uint32_t *)user += row->weighted;
}

static void quantize_reads_it(void **state) {
  (void)state;
  uint32_t n_weighted = 0;
  pm_imatrix_result r = measure((pm_imatrix_options){.dataset = "a fable"});
  pm_quantize_options o = {.mix = "IQ2_XXS", .imatrix = matrix, .n_thread = 2, .row = on_row, .user = &n_weighted};
  if (pm_quantize(model, made, &o) != PM_OK) fail_msg("%s", pm_fail_message());
  assert_true(n_weighted > 20 && n_weighted <= r.n_entry);
  pm_imatrix_file *m;
  assert_int_equal(pm_imatrix_file_open(matrix, &m), PM_OK);
  assert_int_equal(pm_imatrix_file_n_entry(m), r.n_entry);
  assert_int_equal(pm_imatrix_file_n_chunk(m), r.n_chunk);
  assert_string_equal(pm_imatrix_file_dataset(m), "a fable");
  pm_imatrix_file_close(m);
}

// A legacy file's kv_b is taken apart at load: what its parts meet is not what the whole would, so nothing is said of it.
static void legacy_files(void **state) {
  (void)state;
  char path[512], name[96];
  pm_imatrix_result r;
  snprintf(path, sizeof path, "%s/models/mini-v2lite-legacy.gguf", PM_TEST_DATA);
  pm_imatrix_options o = {.n_ctx = CTX, .n_chunk = 1};
  if (pm_imatrix_make(path, text, sizeof text - 1, matrix, &o, &r) != PM_OK) fail_msg("%s", pm_fail_message());
  pm_model_file *m = open_file(matrix);
  for (int layer = 0; layer < 3; layer++) {
    snprintf(name, sizeof name, "blk.%d.attn_kv_b.weight.in_sum2", layer);
    assert_null(pm_model_file_find_tensor(m, name));
    snprintf(name, sizeof name, "blk.%d.attn_output.weight.in_sum2", layer);
    assert_non_null(pm_model_file_find_tensor(m, name));
  }
  pm_model_file_close(m);
}

static bool stop(void *user, float done) {
  (void)user, (void)done;
  return false;
}

static void stopping_keeps_what_there_is(void **state) {
  (void)state;
  uint32_t chunks = 0;
  pm_imatrix_result r = measure((pm_imatrix_options){.progress = stop});
  assert_true(r.n_chunk == 1 && r.n_chunk_text > 1);
  pm_model_file *m = open_file(matrix);
  assert_int_equal(pm_meta_u32(m, "imatrix.chunk_count", 0, &chunks), PM_OK);
  assert_int_equal(chunks, 1);
  assert_true(values(m, "blk.0.attn_q_a.weight.counts", 1)[0] == CTX);
  pm_model_file_close(m);
}

static void refusals(void **state) {
  (void)state;
  pm_imatrix_result r;
  pm_imatrix_options o = {.n_ctx = CTX};
  unlink(matrix);
  assert_int_equal(pm_imatrix_make(model, "short", 5, matrix, &o, &r), PM_ERR_ARGUMENT);
  assert_non_null(strstr(pm_fail_message(), "give a longer text"));
  assert_int_equal(pm_imatrix_make(model, "", 0, matrix, &o, &r), PM_ERR_ARGUMENT);
  assert_int_equal(pm_imatrix_make("/none.gguf", text, 5, matrix, &o, &r), PM_ERR_IO);
  assert_int_equal(pm_imatrix_make(model, text, sizeof text - 1, "/none/imatrix.gguf", &o, &r), PM_ERR_IO);
  assert_false(pm_file_exists(matrix));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(first_sums_are_known), cmocka_unit_test(experts_are_counted),          cmocka_unit_test(quantize_reads_it),
      cmocka_unit_test(legacy_files),         cmocka_unit_test(stopping_keeps_what_there_is), cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
