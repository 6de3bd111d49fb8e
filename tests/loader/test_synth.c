// Synthetic model files: the shapes and sizes of the real ones, the same bytes every time, all or nothing.
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
#include "model_file.h"
#include "synth.h"
#include "synth_shape.h"

static char folder[] = "/tmp/pm-synth-XXXXXX", file_a[64], file_b[64];

static pm_model_file *make(const char *path, const char *shape, const char *mix, uint32_t n_layer, uint64_t seed) {
  pm_model_file *f;
  if (pm_synth(path, &(pm_synth_options){.shape = shape, .mix = mix, .n_layer = n_layer, .seed = seed}) != PM_OK)
    fail_msg("%s", pm_fail_message());
  if (pm_model_file_open(path, NULL, &f) != PM_OK) fail_msg("%s", pm_fail_message());
  return f;
}

// ---- tables --------------------------------------------------------------------------------------------------------

static uint64_t total_bytes(const char *shape, const char *mix, uint32_t *n) {
  pm_arena arena = {0};
  const pm_synth_model *m = pm_synth_model_find(shape);
  const pm_synth_tensor *t = pm_synth_tensors(m, pm_mix_find(mix), m->n_layer, &arena, n);
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < *n; i++) bytes += pm_format_bytes(t[i].type, t[i].ne[0] * t[i].ne[1] * t[i].ne[2]);
  pm_arena_finish(&arena);
  return bytes;
}

static void counts_and_sizes(void **state) {
  (void)state;
  uint32_t n;
  uint64_t bytes = total_bytes("deepseek-v2-lite", "Q4_K_M", &n);
  assert_int_equal(n, 404);
  print_message("deepseek-v2-lite Q4_K_M: %.2f GiB\n", (double)bytes / (1 << 30));
  assert_true(fabs((double)bytes / (1 << 30) - 9.7) < 0.1);
  total_bytes("moonlight", "Q4_K_M", &n);
  assert_int_equal(n, 430);
  bytes = total_bytes("deepseek-v3", "BF16", &n);
  assert_int_equal(n, 1086);
  assert_true(fabs((double)bytes / 2 - 671e9) < 1e9);  // 671 billion parameters
}

static void every_type_can_run(void **state) {
  (void)state;
  for (uint32_t s = 0; pm_synth_shape(s); s++)
    for (uint32_t x = 0; pm_synth_mix(x); x++) {
      pm_arena arena = {0};
      uint32_t n;
      const pm_synth_model *m = pm_synth_model_find(pm_synth_shape(s));
      const pm_synth_tensor *t = pm_synth_tensors(m, pm_mix_find(pm_synth_mix(x)), m->n_layer, &arena, &n);
      for (uint32_t i = 0; i < n; i++) {
        const pm_format *format = pm_format_get(t[i].type);
        assert_true(format->decode && format->random && t[i].ne[0] % format->block_elements == 0);
      }
      pm_arena_finish(&arena);
    }
}

static pm_type type_of(const pm_model_file *f, const char *name) {
  const pm_file_tensor *t = pm_model_file_find_tensor(f, name);
  assert_non_null(t);
  return (pm_type)t->type;
}

static void usual_mix(void **state) {
  (void)state;
  pm_model_file *f = make(file_a, "tiny", "Q4_K_M", 0, 1);
  assert_int_equal(type_of(f, "output.weight"), PM_TYPE_Q6_K);
  assert_int_equal(type_of(f, "blk.1.ffn_gate_exps.weight"), PM_TYPE_Q4_K);
  assert_int_equal(type_of(f, "blk.1.ffn_down_exps.weight"), PM_TYPE_Q5_0);  // rows of 32: no K-quant
  assert_int_equal(type_of(f, "blk.2.ffn_down_exps.weight"), PM_TYPE_Q8_0);
  assert_int_equal(type_of(f, "blk.1.ffn_gate_inp.weight"), PM_TYPE_F32);
  assert_int_equal(type_of(f, "blk.1.exp_probs_b.bias"), PM_TYPE_F32);
  pm_model_file_close(f);
}

// ---- contents ------------------------------------------------------------------------------------------------------

static double deviation_of(const pm_file_tensor *t) {
  const pm_format *format = pm_format_get((pm_type)t->type);
  size_t n = (size_t)(t->ne[0] * t->ne[1] * t->ne[2]);
  float *values = malloc(n * sizeof *values);
  format->decode(t->data, values, n);
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    assert_true(isfinite(values[i]));
    sum += (double)values[i] * values[i];
  }
  free(values);
  return sqrt(sum / (double)n);
}

static void values_have_their_deviation(void **state) {
  (void)state;
  for (uint32_t x = 0; pm_synth_mix(x); x++) {
    pm_model_file *f = make(file_a, "tiny", pm_synth_mix(x), 0, 3);
    for (uint64_t i = 0; i < pm_model_file_n_tensor(f); i++) {
      const pm_file_tensor *t = pm_model_file_tensor(f, i);
      double d = deviation_of(t), want = strstr(t->name, "norm") ? 1 : 1 / sqrt((double)t->ne[0]);
      if (t->bytes > 4000 && fabs(d / want - 1) > 0.15) fail_msg("%s: deviation %g, expected %g", t->name, d, want);
    }
    pm_model_file_close(f);
  }
}

static void seed_decides(void **state) {
  (void)state;
  pm_model_file *a = make(file_a, "tiny", "Q4_K_M", 0, 5), *b = make(file_b, "tiny", "Q4_K_M", 0, 5);
  for (int round = 0; round < 2; round++) {
    const pm_file_tensor *x = pm_model_file_find_tensor(a, "blk.1.ffn_up_exps.weight"),
                         *y = pm_model_file_find_tensor(b, "blk.1.ffn_up_exps.weight");
    assert_int_equal(memcmp(x->data, y->data, x->bytes) == 0, round == 0);
    pm_model_file_close(b);
    b = make(file_b, "tiny", "Q4_K_M", 0, 6);
  }
  pm_model_file_close(a), pm_model_file_close(b);
}

// Larger than one batch, and the pieces are all different.
static void large_tensors(void **state) {
  (void)state;
  pm_model_file *f = make(file_a, "deepseek-v2-lite", "Q4_0", 1, 1);
  const pm_file_tensor *t = pm_model_file_find_tensor(f, "token_embd.weight");
  assert_int_equal(t->bytes, (uint64_t)2048 * 102400 / 32 * 18);
  for (uint64_t at = 0; at + 262144 < t->bytes; at += 262144)
    assert_memory_not_equal((const char *)t->data + at, (const char *)t->data + at + 262144, 1000);
  uint32_t n_layer = 0, n_dense = 0;
  assert_int_equal(pm_meta_u32(f, "deepseek2.block_count", 0, &n_layer), PM_OK);
  assert_int_equal(pm_meta_u32(f, "deepseek2.leading_dense_block_count", 0, &n_dense), PM_OK);
  assert_true(n_layer == 1 && n_dense == 1);
  assert_non_null(pm_model_file_find_tensor(f, "blk.0.ffn_gate.weight"));
  assert_null(pm_model_file_find_tensor(f, "blk.1.attn_norm.weight"));
  pm_model_file_close(f);
}

static void vocabulary_is_complete(void **state) {
  (void)state;
  pm_model_file *f = make(file_a, "tiny", "Q4_0", 1, 1);
  const pm_meta *tokens = pm_model_file_find_meta(f, "tokenizer.ggml.tokens"),
                *types = pm_model_file_find_meta(f, "tokenizer.ggml.token_type");
  assert_true(tokens->count == 320 && types->count == 320);
  static const char *const PRESENT[] = {"a",        " ",           "\xc4\xa0",   "\xc4\x80", "\xc5\x83",
                                        "\xc3\xbf", "\xc4\xa0the", "<｜User｜>", "[PAD319]"};  // a, -, space, NUL, 0xad, 0xff
  static const int FOUND[] = {1, 0, 1, 1, 1, 1, 1, 1, 1};
  for (size_t k = 0; k < sizeof PRESENT / sizeof *PRESENT; k++) {
    int found = 0;
    for (uint64_t i = 0; i < tokens->count; i++) {
      const char *text;
      size_t n;
      assert_int_equal(pm_meta_string(f, "tokenizer.ggml.tokens", i, &text, &n), PM_OK);
      found += n == strlen(PRESENT[k]) && !memcmp(text, PRESENT[k], n);
    }
    assert_int_equal(found, FOUND[k]);
  }
  pm_model_file_close(f);
}

// ---- refusals ------------------------------------------------------------------------------------------------------

static bool stop_half_way(void *user, float done) {
  assert_true(done >= *(float *)user && done <= 1);
  *(float *)user = done;
  return done < 0.5f;
}

static void refuses(void **state) {
  (void)state;
  unlink(file_b);
  float last = 0;
  const struct {
    pm_synth_options options;
    pm_status status;
    const char *word;
  } cases[] = {
      {{.shape = "gpt", .mix = "Q4_0"}, PM_ERR_ARGUMENT, "gpt"},
      {{.shape = "tiny", .mix = "Q3"}, PM_ERR_ARGUMENT, "Q3"},
      {{.mix = "Q4_0"}, PM_ERR_ARGUMENT, "shape"},
      {{.shape = "tiny"}, PM_ERR_ARGUMENT, "mix"},
      {{.shape = "tiny", .mix = "Q4_0", .n_layer = 4}, PM_ERR_ARGUMENT, "4 layers"},
      {{.shape = "tiny", .mix = "Q4_0", .progress = stop_half_way, .user = &last}, PM_ERR_CANCELLED, "cancelled"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_int_equal(pm_synth(file_b, &cases[i].options), cases[i].status);
    assert_non_null(strstr(pm_fail_message(), cases[i].word));
    assert_int_equal(access(file_b, F_OK), -1);
  }
  assert_true(last >= 0.5f);
  assert_int_equal(pm_synth("/nonexistent/x.gguf", &(pm_synth_options){.shape = "tiny", .mix = "Q4_0"}), PM_ERR_IO);
}

static int make_folder(void **state) {
  (void)state;
  if (!mkdtemp(folder)) return 1;
  snprintf(file_a, sizeof file_a, "%s/a.gguf", folder);
  snprintf(file_b, sizeof file_b, "%s/b.gguf", folder);
  return 0;
}

static int remove_folder(void **state) {
  (void)state;
  corrupt_remove(folder);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(counts_and_sizes),
      cmocka_unit_test(every_type_can_run),
      cmocka_unit_test(usual_mix),
      cmocka_unit_test(values_have_their_deviation),
      cmocka_unit_test(seed_decides),
      cmocka_unit_test(large_tensors),
      cmocka_unit_test(vocabulary_is_complete),
      cmocka_unit_test(refuses),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
