// Whole files in other formats: sizes as published, models that still say nearly the same, importances that reach the encoders, and
// refusals that leave nothing behind.
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
#include "gguf_write.h"
#include "memory.h"
#include "quantize.h"
#include "quantize_mix.h"
#include "session.h"
#include "synth.h"

static char folder[] = "/tmp/pm-quantize-XXXXXX", source[64], made[64], matrix[64];

static void make_source(uint32_t n_layer) {
  pm_synth_options o = {.shape = "tiny", .mix = "BF16", .n_layer = n_layer, .seed = 9};
  if (pm_synth(source, &o) != PM_OK) fail_msg("%s", pm_fail_message());
}

static int setup(void **state) {
  (void)state;
  if (!mkdtemp(folder)) return -1;
  snprintf(source, sizeof source, "%s/source.gguf", folder);
  snprintf(made, sizeof made, "%s/made.gguf", folder);
  snprintf(matrix, sizeof matrix, "%s/imatrix.gguf", folder);
  make_source(2);
  return 0;
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

static void quantize(const char *from, const char *to, pm_quantize_options o) {
  if (pm_quantize(from, to, &o) != PM_OK) fail_msg("%s: %s", o.mix, pm_fail_message());
}

// ---- mixes ---------------------------------------------------------------------------------------------------------

// MiB of DeepSeek-V2-Lite, the same with importances, and of DeepSeek-V3, as llama-quantize --dry-run gives them.
static const struct size_row {
  const char *mix;
  double lite, lite_weighted, large;
} SIZES[] = {
    {"F16", 29964.48, 29964.48, 1280086.27}, {"BF16", 29964.48, 29964.48, 1280086.27},  {"Q8_0", 15924.95, 15924.95, 680237.97},
    {"Q6_K", 13418.04, 13418.04, 525395.35}, {"Q5_K_M", 11300.17, 11300.17, 453398.93}, {"Q5_K_S", 10624.72, 10624.72, 440446.52},
    {"Q4_K_M", 9883.84, 9883.84, 385750.62}, {"Q4_K_S", 9091.52, 9091.52, 362453.97},   {"Q3_K_L", 8067.29, 8067.29, 331410.57},
    {"Q3_K_M", 7749.91, 7749.91, 304471.07}, {"Q3_K_S", 7140.57, 7140.57, 275750.40},   {"Q2_K", 6135.09, 6135.09, 232832.88},
    {"Q2_K_S", 6158.84, 6158.84, 214367.87}, {"Q4_0", 8488.76, 8512.79, 360546.72},     {"Q4_1", 9412.23, 9412.23, 400481.37},
    {"Q5_0", 10335.70, 10359.72, 440416.02}, {"Q5_1", 11259.17, 11259.17, 480350.68},   {"IQ4_XS", 8243.27, 8171.54, 342902.46},
    {"IQ4_NL", 8560.15, 8488.76, 362392.97}, {"IQ3_M", 7203.04, 7203.04, 278619.41},    {"IQ3_S", 7140.57, 7140.57, 275750.40},
    {"IQ3_XS", 6792.66, 6792.66, 260234.02}, {"IQ3_XXS", 6697.32, 6642.48, 257828.01},  {"IQ2_M", 6038.01, 6038.01, 207473.07},
    {"IQ2_S", 5730.59, 5730.59, 187998.80},  {"IQ2_XS", 5694.53, 5694.53, 186179.06},   {"IQ2_XXS", 5383.73, 5383.73, 166491.29},
    {"IQ1_M", 4999.45, 4999.45, 142148.45},  {"IQ1_S", 4768.88, 4768.88, 127542.75},    {"MXFP4_MOE", 8603.26, 8603.26, 348423.47},
    {"TQ1_0", 4990.32, 4990.32, 136396.56},  {"TQ2_0", 5456.78, 5456.78, 166283.24},
};

static double mib_of(const pm_mix *mix, const char *shape, bool imatrix) {
  uint8_t *bytes;
  size_t n;
  pm_model_file *f;
  if (pm_synth_header(shape, "F16", &bytes, &n) != PM_OK) fail_msg("%s", pm_fail_message());
  pm_model_file_desc d = {.header_only = true, .bytes = bytes, .n_bytes = n};
  if (pm_model_file_open(shape, &d, &f) != PM_OK) fail_msg("%s", pm_fail_message());
  pm_mix_model model = {.imatrix = imatrix};
  assert_int_equal(pm_meta_u32(f, "deepseek2.block_count", 0, &model.n_layer), PM_OK);
  uint64_t sum = 0;
  for (uint64_t i = 0; i < pm_model_file_n_tensor(f); i++) {
    const pm_file_tensor *t = pm_model_file_tensor(f, i);
    sum += pm_format_bytes(pm_mix_choose(mix, &model, t, NULL), t->ne[0] * t->ne[1] * t->ne[2]);
  }
  pm_model_file_close(f);
  pm_free(bytes);
  return (double)sum / (1 << 20);
}

static void sizes_are_the_usual(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
    const struct size_row *r = &SIZES[i];
    const pm_mix *m = pm_mix_find(r->mix);
    assert_non_null(m);
    double lite = mib_of(m, "deepseek-v2-lite", false), weighted = mib_of(m, "deepseek-v2-lite", true),
           large = mib_of(m, "deepseek-v3", false);
    if (fabs(lite - r->lite) > 0.01 || fabs(weighted - r->lite_weighted) > 0.01 || fabs(large - r->large) > 0.01)
      fail_msg("%s: %.2f, %.2f and %.2f MiB, expected %.2f, %.2f and %.2f", r->mix, lite, weighted, large, r->lite, r->lite_weighted,
               r->large);
  }
  assert_null(pm_mix_find("Q4_K"));
  assert_ptr_equal(pm_mix_find("q4_k_m"), pm_mix_find("Q4_K_M"));
}

// A model whose embedding table is its output too keeps that as an output; rows that are no whole blocks get another format, or 16 bits.
static void single_tensors(void **state) {
  (void)state;
  static const struct {
    const char *mix, *name;
    uint64_t ne[3];
    bool tied;
    pm_type type;
    bool fallback;
  } rows[] = {
      {"Q4_K_M", "token_embd.weight", {2048, 102400, 1}, false, PM_TYPE_Q4_K, false},
      {"Q4_K_M", "token_embd.weight", {2048, 102400, 1}, true, PM_TYPE_Q6_K, false},
      {"Q4_K_M", "blk.0.ffn_down_exps.weight", {1408, 2048, 64}, false, PM_TYPE_Q8_0, true},
      {"Q4_K_M", "blk.5.ffn_down_exps.weight", {1408, 2048, 64}, false, PM_TYPE_Q8_0, true},
      {"Q4_K_M", "blk.6.ffn_down_exps.weight", {1408, 2048, 64}, false, PM_TYPE_Q5_0, true},
      {"Q3_K_M", "blk.6.ffn_down_exps.weight", {1408, 2048, 64}, false, PM_TYPE_Q5_0, true},
      {"IQ2_XXS", "blk.6.ffn_down_exps.weight", {1408, 2048, 64}, false, PM_TYPE_IQ4_NL, true},
      {"Q2_K", "blk.6.attn_k_b.weight", {128, 512, 16}, false, PM_TYPE_Q4_0, true},
      {"Q6_K", "blk.6.attn_q.weight", {48, 512, 1}, false, PM_TYPE_F16, true},
      {"MXFP4_MOE", "blk.6.ffn_up_exps.weight", {2048, 1408, 64}, false, PM_TYPE_MXFP4, false},
      {"MXFP4_MOE", "blk.6.ffn_up_shexp.weight", {2048, 1408, 1}, false, PM_TYPE_Q8_0, false},
      {"Q2_K", "blk.6.ffn_gate_inp.weight", {2048, 64, 1}, false, PM_TYPE_F32, false},
      {"Q2_K", "blk.6.attn_norm.weight", {2048, 1, 1}, false, PM_TYPE_F32, false},
      {"Q2_K", "blk.6.attn_kv_a_norm.weight", {512, 1, 1}, false, PM_TYPE_F32, false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    pm_file_tensor t = {.name = rows[i].name, .type = PM_TYPE_BF16, .n_dim = rows[i].ne[2] > 1 ? 3 : rows[i].ne[1] > 1 ? 2 : 1};
    for (int k = 0; k < 4; k++) t.ne[k] = k < 3 ? rows[i].ne[k] : 1;
    bool fallback;
    pm_type type = pm_mix_choose(pm_mix_find(rows[i].mix), &(pm_mix_model){.n_layer = 27, .tied = rows[i].tied}, &t, &fallback);
    if (type != rows[i].type || fallback != rows[i].fallback)
      fail_msg("%s: %s becomes %s, expected %s", rows[i].mix, t.name, pm_format_get(type)->name, pm_format_get(rows[i].type)->name);
  }
}

// ---- models --------------------------------------------------------------------------------------------------------

enum { N_TOKEN = 24 };

static float *logits_of(const char *path, size_t *n) {
  pm_engine *e;
  pm_session *s;
  int32_t tokens[N_TOKEN];
  if (pm_engine_open(path, &(pm_engine_desc){.device = "cpu", .n_ctx = 64, .n_thread = 1, .exact = true}, &e) != PM_OK)
    fail_msg("%s", pm_fail_message());
  if (pm_session_create(e, &s) != PM_OK) fail_msg("%s", pm_fail_message());
  for (int i = 0; i < N_TOKEN; i++) tokens[i] = 7 + 11 * i % 290;
  uint32_t n_vocab = e->model.config.n_vocab;
  *n = (size_t)n_vocab * N_TOKEN;
  float *copy = malloc(*n * sizeof *copy);
  for (int i = 0; i < N_TOKEN; i++) {
    if (pm_session_eval(s, tokens + i, 1, NULL, NULL) != PM_OK) fail_msg("%s", pm_fail_message());
    memcpy(copy + (size_t)i * n_vocab, s->logits, n_vocab * sizeof *copy);
  }
  pm_session_destroy(s);
  pm_engine_close(e);
  return copy;
}

static double relative_error(const float *a, const float *b, size_t n) {
  double error = 0, power = 0;
  for (size_t i = 0; i < n; i++) error += pow((double)a[i] - (double)b[i], 2), power += pow((double)a[i], 2);
  return sqrt(error / power);
}

// Relative errors of logits that every mix must stay within: with one dense layer, and with one of experts behind it. The random router
// there has no favourites, so coarse formats change many choices: the second column says little more than that the model runs.
static const struct bound {
  const char *mix;
  double dense, experts;
} BOUNDS[] = {
    {"F32", 1e-5, 1e-5},    {"F16", 1e-06, 1e-06},     {"BF16", 1e-06, 1e-06},  {"Q8_0", 0.02, 0.032},  {"Q6_K", 0.056, 0.084},
    {"Q5_K_M", 0.12, 0.3},  {"Q5_K_S", 0.12, 0.3},     {"Q4_K_M", 0.26, 0.41},  {"Q4_K_S", 0.26, 0.41}, {"IQ4_XS", 0.31, 0.66},
    {"IQ4_NL", 0.31, 0.66}, {"Q3_K_L", 0.49, 0.82},    {"Q3_K_M", 0.5, 0.8},    {"Q3_K_S", 0.51, 0.83}, {"IQ3_M", 0.46, 0.76},
    {"IQ3_S", 0.47, 0.75},  {"IQ3_XS", 0.47, 0.81},    {"IQ3_XXS", 0.61, 0.87}, {"Q2_K", 0.79, 1.1},    {"Q2_K_S", 0.81, 1.2},
    {"IQ2_M", 0.73, 1},     {"IQ2_S", 0.87, 1.1},      {"IQ2_XS", 0.95, 1.3},   {"IQ2_XXS", 1, 1.2},    {"IQ1_M", 1.1, 1.4},
    {"IQ1_S", 1.2, 1.4},    {"MXFP4_MOE", 0.21, 0.46}, {"TQ2_0", 0.97, 1.3},    {"TQ1_0", 0.97, 1.3},   {"Q5_1", 0.13, 0.3},
    {"Q5_0", 0.16, 0.35},   {"Q4_1", 0.28, 0.54},      {"Q4_0", 0.28, 0.51},
};

static double error_of_mix(const char *mix, const float *before, size_t n) {
  size_t m;
  quantize(source, made, (pm_quantize_options){.mix = mix, .n_thread = 2});
  float *after = logits_of(made, &m);
  assert_int_equal(n, m);
  for (size_t i = 0; i < n; i++) assert_true(isfinite(after[i]));
  double error = relative_error(before, after, n);
  free(after);
  return error;
}

static void every_mix_runs(void **state) {
  (void)state;
  size_t n;
  uint32_t n_mix = 0;
  make_source(1);
  float *dense = logits_of(source, &n);
  make_source(2);
  float *experts = logits_of(source, &n);
  for (; pm_mix_row(n_mix); n_mix++) {
    const struct bound *b = &BOUNDS[n_mix];
    assert_string_equal(b->mix, pm_mix_row(n_mix)->name);
    make_source(1);
    double dense_error = error_of_mix(b->mix, dense, n);
    make_source(2);
    double experts_error = error_of_mix(b->mix, experts, n);
    print_message("%-9s relative error of logits %.5f, with experts %.5f\n", b->mix, dense_error, experts_error);
    assert_true(dense_error <= b->dense && experts_error <= b->experts);
  }
  assert_int_equal(n_mix, sizeof BOUNDS / sizeof *BOUNDS);
  free(dense), free(experts);
}

// The bytes do not depend on the threads.
static void threads_do_not_matter(void **state) {
  (void)state;
  char other[80];
  snprintf(other, sizeof other, "%s.2", made);
  quantize(source, made, (pm_quantize_options){.mix = "Q4_K_M", .n_thread = 1});
  quantize(source, other, (pm_quantize_options){.mix = "Q4_K_M", .n_thread = 3});
  pm_model_file *a = open_file(made), *b = open_file(other);
  for (uint64_t i = 0; i < pm_model_file_n_tensor(a); i++) {
    const pm_file_tensor *x = pm_model_file_tensor(a, i), *y = pm_model_file_tensor(b, i);
    assert_string_equal(x->name, y->name);
    assert_int_equal(x->bytes, y->bytes);
    assert_memory_equal(x->data, y->data, x->bytes);
  }
  pm_model_file_close(a), pm_model_file_close(b);
  unlink(other);
}

// ---- metadata ------------------------------------------------------------------------------------------------------

static void print_meta(const pm_model_file *f, const char *key, char *text, size_t n) {
  const pm_meta *m = pm_model_file_find_meta(f, key);
  if (!m) fail_msg("%s is missing", key);
  pm_meta_print(f, m, text, n);
}

static void metadata_is_kept(void **state) {
  (void)state;
  char mini[512], x[512], y[512];
  uint32_t version = 0, type = 0;
  snprintf(mini, sizeof mini, "%s/models/mini-glm.gguf", PM_TEST_DATA);
  quantize(mini, made, (pm_quantize_options){.mix = "Q5_0"});
  pm_model_file *a = open_file(mini), *b = open_file(made);
  for (uint64_t i = 0; i < pm_model_file_n_meta(a); i++) {
    const pm_meta *m = pm_model_file_meta(a, i);
    if (!strcmp(m->key, "general.file_type") || !strcmp(m->key, "general.quantization_version")) continue;
    print_meta(a, m->key, x, sizeof x), print_meta(b, m->key, y, sizeof y);
    assert_string_equal(x, y);
    const pm_meta *kept = pm_model_file_find_meta(b, m->key);
    assert_true(kept->type == m->type && kept->count == m->count);
    if (m->type != PM_META_ARRAY || m->element != PM_META_STRING) continue;
    for (uint64_t k = 0; k < m->count; k++) {
      const char *s, *t;
      size_t n_s, n_t;
      assert_int_equal(pm_meta_string(a, m->key, k, &s, &n_s), PM_OK);
      assert_int_equal(pm_meta_string(b, m->key, k, &t, &n_t), PM_OK);
      assert_true(n_s == n_t && !memcmp(s, t, n_s));
    }
  }
  assert_int_equal(pm_meta_u32(b, "general.quantization_version", 0, &version), PM_OK);
  assert_int_equal(pm_meta_u32(b, "general.file_type", 0, &type), PM_OK);
  assert_true(version == 2 && type == 8);
  for (uint64_t i = 0; i < pm_model_file_n_tensor(a); i++)
    assert_string_equal(pm_model_file_tensor(a, i)->name, pm_model_file_tensor(b, i)->name);
  pm_model_file_close(a), pm_model_file_close(b);
}

static void alignment_is_kept(void **state) {
  (void)state;
  static const uint64_t ne[2] = {64, 3};
  float values[192];
  uint32_t alignment = 0;
  pm_gguf_writer *w;
  char path[80];
  snprintf(path, sizeof path, "%s/aligned.gguf", folder);
  for (int i = 0; i < 192; i++) values[i] = sinf((float)i);
  assert_int_equal(pm_gguf_writer_open(path, &w), PM_OK);
  pm_gguf_set_alignment(w, 4096);
  pm_gguf_put_u32(w, "general.alignment", 4096);
  pm_gguf_put_string(w, "general.architecture", "none");
  pm_gguf_put_tensor(w, "a.weight", PM_TYPE_F32, 2, ne);
  pm_gguf_put_tensor(w, "b.weight", PM_TYPE_F32, 2, ne);
  pm_gguf_put_data(w, values, sizeof values), pm_gguf_put_data(w, values, sizeof values);
  assert_int_equal(pm_gguf_writer_commit(w), PM_OK);
  quantize(path, made, (pm_quantize_options){.mix = "Q8_0"});
  pm_model_file *f = open_file(made);
  assert_int_equal(pm_meta_u32(f, "general.alignment", 0, &alignment), PM_OK);
  assert_int_equal(alignment, 4096);
  for (uint64_t i = 0; i < 2; i++) {
    const pm_file_tensor *t = pm_model_file_tensor(f, i);
    float back[192];
    assert_true(t->type == PM_TYPE_Q8_0 && t->offset % 4096 == 0);
    pm_format_get(PM_TYPE_Q8_0)->decode(t->data, back, 192);
    for (int k = 0; k < 192; k++) assert_true(fabsf(back[k] - values[k]) < 0.005f);
  }
  pm_model_file_close(f);
}

static void split_sets_are_joined(void **state) {
  (void)state;
  char path[CORRUPT_PATH];
  snprintf(path, sizeof path, "%s/set", folder);
  assert_int_equal(pm_file_make_dirs(path), PM_OK);
  snprintf(path, sizeof path, "%s/set/model.gguf", folder);
  gguf_doc *d = doc_read(source);
  corrupt_write_set(d, path, 3);
  doc_free(d);
  quantize(path, made, (pm_quantize_options){.mix = "Q8_0"});
  pm_model_file *whole = open_file(source), *f = open_file(made);
  assert_int_equal(pm_model_file_n_tensor(f), pm_model_file_n_tensor(whole));
  assert_int_equal(pm_model_file_n_shard(f), 1);
  assert_null(pm_model_file_find_meta(f, "split.count"));
  pm_model_file_close(f), pm_model_file_close(whole);
}

// ---- importances ---------------------------------------------------------------------------------------------------

// Importances of one matrix: its first column counts for everything.
static void write_matrix(const char *type, uint64_t columns, float value) {
  float *sums = calloc(columns, sizeof *sums), count = 4;
  pm_gguf_writer *w;
  sums[0] = value;
  assert_int_equal(pm_gguf_writer_open(matrix, &w), PM_OK);
  pm_gguf_put_string(w, "general.type", type);
  pm_gguf_put_u32(w, "imatrix.chunk_count", 5);
  pm_gguf_put_tensor(w, "blk.0.ffn_gate.weight.in_sum2", PM_TYPE_F32, 1, &columns);
  pm_gguf_put_tensor(w, "blk.0.ffn_gate.weight.counts", PM_TYPE_F32, 1, &(uint64_t){1});
  pm_gguf_put_data(w, sums, columns * sizeof *sums);
  pm_gguf_put_data(w, &count, sizeof count);
  assert_int_equal(pm_gguf_writer_commit(w), PM_OK);
  free(sums);
}

static double column_error(const char *path, const char *name, uint64_t column) {
  pm_model_file *a = open_file(source), *b = open_file(path);
  const pm_file_tensor *x = pm_model_file_find_tensor(a, name), *y = pm_model_file_find_tensor(b, name);
  double error = 0;
  for (uint64_t row = 0; row < x->ne[1]; row++) {
    float before[256], after[256];
    const pm_format *f = pm_format_get((pm_type)x->type), *g = pm_format_get((pm_type)y->type);
    f->decode((const char *)x->data + row * pm_format_bytes(f->type, 256), before, 256);
    g->decode((const char *)y->data + row * pm_format_bytes(g->type, 256), after, 256);
    error += pow((double)before[column] - (double)after[column], 2);
  }
  pm_model_file_close(a), pm_model_file_close(b);
  return error;
}

static void importances_reach_their_columns(void **state) {
  (void)state;
  static const char gate[] = "blk.0.ffn_gate.weight", up[] = "blk.0.ffn_up.weight";
  uint32_t chunks = 0;
  quantize(source, made, (pm_quantize_options){.mix = "Q3_K_S"});
  double before = column_error(made, gate, 0), other = column_error(made, up, 0);
  write_matrix("imatrix", 256, 1000);
  quantize(source, made, (pm_quantize_options){.mix = "Q3_K_S", .imatrix = matrix});
  assert_true(column_error(made, gate, 0) < 0.3 * before);
  assert_true(column_error(made, up, 0) == other);  // of which nothing is known
  pm_model_file *f = open_file(made);
  assert_int_equal(pm_meta_u32(f, "quantize.imatrix.chunks_count", 0, &chunks), PM_OK);
  assert_int_equal(chunks, 5);
  pm_model_file_close(f);
}

// ---- refusals ------------------------------------------------------------------------------------------------------

static void expect_refusal(pm_quantize_options o, const char *from, const char *to, pm_status status, const char *words) {
  assert_int_equal(pm_quantize(from, to, &o), status);
  if (!strstr(pm_fail_message(), words)) fail_msg("\"%s\" was expected in: %s", words, pm_fail_message());
}

static bool stop(void *user, float done) {
  (void)user;
  return done < 0.3f;
}

static void write_wrong_value(const char *path, float value) {
  static const uint64_t ne[2] = {64, 2};
  float values[128] = {0};
  values[77] = value;
  pm_gguf_writer *w;
  assert_int_equal(pm_gguf_writer_open(path, &w), PM_OK);
  pm_gguf_put_string(w, "general.architecture", "none");
  pm_gguf_put_tensor(w, "a.weight", PM_TYPE_F32, 2, ne);
  pm_gguf_put_data(w, values, sizeof values);
  assert_int_equal(pm_gguf_writer_commit(w), PM_OK);
}

static void refusals_leave_nothing(void **state) {
  (void)state;
  pm_quantize_options q8 = {.mix = "Q8_0"}, f16 = {.mix = "F16"}, weighted = {.mix = "Q8_0", .imatrix = matrix};
  char odd[80], link[80];
  snprintf(odd, sizeof odd, "%s/odd.gguf", folder), snprintf(link, sizeof link, "%s/link.gguf", folder);
  unlink(made);
  expect_refusal((pm_quantize_options){.mix = "Q4"}, source, made, PM_ERR_ARGUMENT, "no mix \"Q4\"");
  expect_refusal(q8, source, source, PM_ERR_ARGUMENT, "is the file to be read");
  assert_int_equal(symlink(source, link), 0);
  expect_refusal(q8, source, link, PM_ERR_ARGUMENT, "is the file to be read");
  expect_refusal(q8, source, "/none/made.gguf", PM_ERR_IO, "/none/made.gguf");
  expect_refusal((pm_quantize_options){.mix = "Q8_0", .progress = stop}, source, made, PM_ERR_CANCELLED, "cancelled");
  write_wrong_value(odd, NAN);
  expect_refusal(q8, odd, made, PM_ERR_FORMAT, "value 77 is not finite");
  write_wrong_value(odd, 1e6f);
  expect_refusal(f16, odd, made, PM_ERR_FORMAT, "too large for 16 bits");
  write_matrix("imatrix", 128, 1);
  expect_refusal(weighted, source, made, PM_ERR_FORMAT, "measured for another model");
  write_matrix("imatrix", 256, -1);
  expect_refusal(weighted, source, made, PM_ERR_FORMAT, "expected a finite sum of squares");
  write_matrix("model", 256, 1);
  expect_refusal(weighted, source, made, PM_ERR_FORMAT, "no importance matrix");
  assert_false(pm_file_exists(made));
  pm_model_file_close(open_file(source));
}

// The k-th allocation fails: a clean status, and no file.
static void memory_is_short(void **state) {
  (void)state;
  unlink(made);
  for (uint64_t k = 1;; k++) {
    pm_quantize_options o = {.mix = "Q4_0", .n_thread = 1};
    pm_alloc_fail_at(k);
    pm_status status = pm_quantize(source, made, &o);
    pm_alloc_fail_at(0);
    if (status == PM_OK) break;
    assert_int_equal(status, PM_ERR_MEMORY);
    assert_false(pm_file_exists(made));
    assert_true(k < 1000);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sizes_are_the_usual),    cmocka_unit_test(single_tensors),
      cmocka_unit_test(every_mix_runs),         cmocka_unit_test(threads_do_not_matter),
      cmocka_unit_test(metadata_is_kept),       cmocka_unit_test(alignment_is_kept),
      cmocka_unit_test(split_sets_are_joined),  cmocka_unit_test(importances_reach_their_columns),
      cmocka_unit_test(refusals_leave_nothing), cmocka_unit_test(memory_is_short),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
