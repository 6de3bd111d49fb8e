#define _GNU_SOURCE  // memmem
// Hugging Face folders: the same numbers as a GGUF file with the same weights, from wherever experts are read; and damaged ones, which are
// refused by what should refuse them, with a message that names the file and the field.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
// cmocka needs some of the above
#include <cmocka.h>

#include "clock.h"
#include "corrupt.h"
#include "hf_folder.h"
#include "session.h"
#include "store.h"
#include "testbed.h"

enum { N_TOKEN = 40, N_PROMPT = 30 };

static bool on_gpu;
static char root[] = "/tmp/pm-folder-XXXXXX";

#define RUN(call) \
  if (call) fail_msg("%s: %s", #call, pm_fail_message())

// ---- good ones -----------------------------------------------------------------------------------------------------

static pm_engine *open_engine(const char *path, pm_engine_desc d) {
  const char *device = getenv("PUMICE_TEST_DEVICE");
  if (on_gpu && !device) skip();
  d.device = on_gpu ? device : "cpu", d.n_ctx = 64, d.n_batch = N_PROMPT, d.validate = on_gpu && testbed_validates();
  pm_engine *e;
  RUN(pm_engine_open(path, &d, &e));
  return e;
}

// Logits after a prompt, and after some tokens one by one. Closes the engine.
static float *converse(pm_engine *e) {
  uint32_t n_vocab = e->model.config.n_vocab;
  float *out = malloc(2 * n_vocab * sizeof *out);
  int32_t tokens[N_TOKEN];
  for (int i = 0; i < N_TOKEN; i++) tokens[i] = 37 * i % 500 + 2;
  pm_session *s;
  RUN(pm_session_create(e, &s));
  RUN(pm_session_eval(s, tokens, N_PROMPT, NULL, NULL));
  memcpy(out, s->logits, n_vocab * sizeof *out);
  for (int i = N_PROMPT; i < N_TOKEN; i++) RUN(pm_session_eval(s, tokens + i, 1, NULL, NULL));
  memcpy(out + n_vocab, s->logits, n_vocab * sizeof *out);
  pm_session_destroy(s);
  pm_engine_close(e);
  return out;
}

static double nmse(const float *a, const float *b, size_t n) {
  double error = 0, square = 0;
  for (size_t i = 0; i < n; i++) error += pow((double)a[i] - (double)b[i], 2), square += pow((double)b[i], 2);
  assert_true(square > 0);
  return error / square;
}

static void same_texts(const pm_model_file *a, const pm_model_file *b, const char *key) {
  const pm_meta *x = pm_model_file_find_meta(a, key), *y = pm_model_file_find_meta(b, key);
  assert_non_null(x), assert_non_null(y);
  assert_int_equal(x->count, y->count);
  for (uint64_t i = 0; i < x->count; i++) {
    int64_t type = 1;
    RUN(pm_meta_i64(b, "tokenizer.ggml.token_type", i, &type));
    if (type == 5 && strstr(key, "tokens")) continue;  // unused: a folder has no text for it
    const char *s, *t;
    size_t n, m;
    RUN(pm_meta_string(a, key, i, &s, &n));
    RUN(pm_meta_string(b, key, i, &t, &m));
    assert_int_equal(n, m);
    assert_memory_equal(s, t, n);
  }
}

static void same_tokenizer(const char *folder, const char *gguf) {
  pm_model_file *a, *b;
  RUN(pm_model_file_open(folder, NULL, &a));
  RUN(pm_model_file_open(gguf, NULL, &b));
  same_texts(a, b, "tokenizer.ggml.model");
  same_texts(a, b, "tokenizer.ggml.pre");
  same_texts(a, b, "tokenizer.ggml.tokens");
  same_texts(a, b, "tokenizer.ggml.merges");
  for (uint64_t i = 0; i < pm_model_file_find_meta(b, "tokenizer.ggml.tokens")->count; i++) {
    int64_t s, t;
    RUN(pm_meta_i64(a, "tokenizer.ggml.token_type", i, &s));
    RUN(pm_meta_i64(b, "tokenizer.ggml.token_type", i, &t));
    assert_int_equal(s, t);
  }
  uint32_t bos = 9, eos = 9;
  bool add = false;
  const char *chat = NULL;
  size_t n = 0;
  RUN(pm_meta_u32(a, "tokenizer.ggml.bos_token_id", 0, &bos));
  RUN(pm_meta_u32(a, "tokenizer.ggml.eos_token_id", 0, &eos));
  RUN(pm_meta_bool(a, "tokenizer.ggml.add_bos_token", 0, &add));
  RUN(pm_meta_string(a, "tokenizer.chat_template", 0, &chat, &n));
  assert_true(bos == 0 && eos == 1 && add && n == 16 && !memcmp(chat, "{{ bos_token }}\n", n));
  pm_model_file_close(a);
  pm_model_file_close(b);
}

typedef struct good {
  const char *model;
  hf_options how;
} good;

static void compare(const char *what, const char *folder, const char *twin, pm_engine_desc d) {
  pm_engine *e = open_engine(twin, d);
  size_t n = 2 * (size_t)e->model.config.n_vocab;
  float *expected = converse(e), *got = converse(open_engine(folder, d));
  double error = nmse(got, expected, n);
  print_message("# %s: NMSE %.3g against a GGUF file of the same weights\n", what, error);
  assert_true(error <= (on_gpu ? 1e-9 : 1e-11));
  free(expected), free(got);
}

static void same_as_twin(void **state) {
  const good *g = *state;
  char source[256], folder[128], twin[144];
  snprintf(source, sizeof source, "%s/models/%s.gguf", PM_TEST_DATA, g->model);
  snprintf(folder, sizeof folder, "%s/%s-%d", root, g->model, (int)g->how.weights);
  snprintf(twin, sizeof twin, "%s.gguf", folder);
  hf_write(source, folder, &g->how, twin);
  same_tokenizer(folder, twin);
  compare(g->model, folder, twin, (pm_engine_desc){.exact = true});
  compare(g->model, folder, twin, (pm_engine_desc){0});
}

// For cases in which no device has a part.
static void run_once(void) {
  if (!on_gpu) return;
  printf("skip: tested without a device\n");
  skip();
}

// Experts that are read into homes as they are chosen, weights that were read instead of mapped: bit for bit the same.
static void wherever_experts_are(void **state) {
  (void)state;
  run_once();
  char folder[128];
  snprintf(folder, sizeof folder, "%s/mini-v3-%d", root, HF_FP8);
  pm_engine *e = open_engine(folder, (pm_engine_desc){0});
  size_t n = 2 * (size_t)e->model.config.n_vocab;
  uint64_t experts = 0;
  for (uint32_t t = 0; t < e->program.n_table; t++) experts += e->program.tables[t]->n_expert * pm_expert_bytes(e->program.tables[t]);
  uint64_t always = pm_plan_total(&e->plan.host) + e->plan.host.page_cache - experts;
  assert_true(e->plan.host.weights > experts && e->plan.host.page_cache > 0);  // FP8 was packed, the rest is mapped
  assert_int_equal(e->backend->ops->memory(e->backend).weights, e->plan.host.weights);
  float *expected = converse(e);
  e = open_engine(folder, (pm_engine_desc){.ram_limit = always + experts * 3 / 5});
  assert_true(e->plan.tiered && e->plan.on_disk.n_expert > 0);
  float *read = converse(e);
  assert_memory_equal(read, expected, n * sizeof *read);
  float *copied = converse(open_engine(folder, (pm_engine_desc){.read_file = true}));
  assert_memory_equal(copied, expected, n * sizeof *copied);
  free(expected), free(read), free(copied);
}

// ---- damaged ones --------------------------------------------------------------------------------------------------

typedef struct damage {
  const char *file, *find, *put;  // the first `find` becomes `put`; NULL find: the file is removed; NULL put: it is cut there
  pm_status status;
  const char *words[2];
} damage;

#define WEIGHTS "model-00001-of-00002.safetensors"
#define INDEX "model.safetensors.index.json"

static const damage DAMAGES[] = {
    {"config.json", "deepseek_v2", "llama", PM_ERR_UNSUPPORTED, {"model_type", "deepseek_v3"}},
    {"config.json", "\"hidden_size\"", "\"hidden\"", PM_ERR_FORMAT, {"hidden_size", "whole number"}},
    {"config.json", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 3000000000", PM_ERR_FORMAT, {"num_hidden_layers", "512"}},
    {"config.json", "\"n_routed_experts\": 12", "\"n_routed_experts\": 1e9", PM_ERR_FORMAT, {"n_routed_experts", "512"}},
    {"config.json", "\"n_routed_experts\": 12", "\"n_routed_experts\": 13", PM_ERR_FORMAT, {"experts.12.gate_proj", "missing"}},
    {"config.json", "\"n_routed_experts\": 12", "\"n_routed_experts\": -12", PM_ERR_FORMAT, {"n_routed_experts", "whole"}},
    {"config.json", "\"norm_topk_prob\": false", "\"norm_topk_prob\": \"no\"", PM_ERR_FORMAT, {"norm_topk_prob", "true or false"}},
    {"config.json", "\"type\": \"yarn\"", "\"type\": \"longrope\"", PM_ERR_UNSUPPORTED, {"longrope", "yarn"}},
    {"config.json", "\"mscale\": 0.7", "\"mscale\": 0.8", PM_ERR_FORMAT, {"mscale_all_dim", "same"}},
    {"config.json", "\"e4m3\"", "\"e5m2\"", PM_ERR_UNSUPPORTED, {"fmt", "e5m2"}},
    {"config.json", "[128, 128]", "[64, 64]", PM_ERR_FORMAT, {"weight_block_size", "[128, 128]"}},
    {"config.json", "\"silu\"", "\"gelu\"", PM_ERR_FORMAT, {"hidden_act", "silu"}},
    {"config.json", "\"q_lora_rank\": null", "\"q_lora_rank\": nul", PM_ERR_FORMAT, {"config.json", "line"}},
    {"config.json", "\"rms_norm_eps\": ", "\"rms_norm_eps\": 1e999, \"x\": ", PM_ERR_FORMAT, {"config.json", "too large"}},
    {"config.json", "{", "{\"hidden_act\": \"silu\",", PM_ERR_FORMAT, {"config.json", "twice"}},
    {"config.json", "{", "[", PM_ERR_FORMAT, {"config.json", "line 1"}},
    {"config.json", "{", NULL, PM_ERR_FORMAT, {"config.json", "line 1"}},
    {"tokenizer.json", NULL, NULL, PM_ERR_UNSUPPORTED, {"tokenizer.json", "missing"}},
    {"tokenizer.json", "\"BPE\"", "\"Unigram\"", PM_ERR_FORMAT, {"tokenizer.json", "BPE"}},
    {"tokenizer.json", "{1,3}", "{1,4}", PM_ERR_UNSUPPORTED, {"pre_tokenizer", "{1,4}"}},
    {"tokenizer.json", "\"id\": 0", "\"id\": 1", PM_ERR_FORMAT, {"token 1", "two texts"}},
    {"tokenizer.json", "\"id\": 0", "\"id\": 4000000000", PM_ERR_FORMAT, {"added_tokens", "ids"}},
    {"tokenizer.json", "\"merges\": [", "\"merges\": [7, ", PM_ERR_FORMAT, {"model.merges", "texts"}},
    {"tokenizer.json", "\"merges\": [", "\"merges\": [[\"a\"], ", PM_ERR_FORMAT, {"model.merges", "pairs"}},
    {"tokenizer.json", "<|eos|>", "\\ud800", PM_ERR_FORMAT, {"tokenizer.json", "escape"}},
    {"tokenizer.json", "<|eos|>", "\\u0000", PM_ERR_FORMAT, {"tokenizer.json", "NUL"}},
    {"tokenizer.json", "<|eos|>", "\xff", PM_ERR_FORMAT, {"tokenizer.json", "UTF-8"}},
    {INDEX, "weight_map", "weight_maps", PM_ERR_FORMAT, {INDEX, "weight_map"}},
    {INDEX, WEIGHTS, "../" WEIGHTS, PM_ERR_FORMAT, {INDEX, "of this folder"}},
    {INDEX, WEIGHTS, "/etc/passwd", PM_ERR_FORMAT, {INDEX, "of this folder"}},
    {INDEX, WEIGHTS, "model-00002-of-00002.safetensors", PM_ERR_FORMAT, {INDEX, "is not in"}},
    {INDEX, WEIGHTS, "other.safetensors", PM_ERR_IO, {"other.safetensors", NULL}},
    {INDEX, "model.embed_tokens.weight", "model.embed_token.weight", PM_ERR_FORMAT, {INDEX, "is not in"}},
    {WEIGHTS, NULL, NULL, PM_ERR_IO, {WEIGHTS, NULL}},
    {WEIGHTS, "__metadata__", NULL, PM_ERR_FORMAT, {WEIGHTS, "header"}},
    {WEIGHTS, "\"dtype\"", "\"type\"", PM_ERR_FORMAT, {WEIGHTS, "dtype"}},
    {WEIGHTS, "\"F8_E4M3\"", "\"F8_E5M2\"", PM_ERR_UNSUPPORTED, {WEIGHTS, "F8_E5M2"}},
    {WEIGHTS, "\"F8_E4M3\"", "\"F4\"", PM_ERR_UNSUPPORTED, {WEIGHTS, "F4"}},
    {WEIGHTS, "\"F8_E4M3\"", "\"BF16\"", PM_ERR_FORMAT, {WEIGHTS, "data_offsets"}},
    {WEIGHTS, "\"shape\":[", "\"shape\":[1,1,1,", PM_ERR_FORMAT, {WEIGHTS, "shape"}},
    {WEIGHTS, "\"shape\":[", "\"shape\":[0,", PM_ERR_FORMAT, {WEIGHTS, "shape"}},
    {WEIGHTS, "\"shape\":[", "\"shape\":[1152921504606846976,", PM_ERR_FORMAT, {WEIGHTS, "shape"}},
    {WEIGHTS, "\"shape\":[", "\"shape\":[0.5,", PM_ERR_FORMAT, {WEIGHTS, "shape"}},
    {WEIGHTS, "\"data_offsets\":[", "\"data_offsets\":[4,", PM_ERR_FORMAT, {WEIGHTS, "data_offsets"}},
    {WEIGHTS, "\"data_offsets\":[0,", "\"data_offsets\":[9,", PM_ERR_FORMAT, {WEIGHTS, "data_offsets"}},
    {WEIGHTS, "\"data_offsets\":[", "\"data_offsets\":[\"a\"],\"x\":[", PM_ERR_FORMAT, {WEIGHTS, "data_offsets"}},
    {WEIGHTS, "_scale_inv\"", "_scale_in\"", PM_ERR_FORMAT, {INDEX, "weight_scale_inv"}},
    {WEIGHTS,
     "proj.weight_scale_inv\":{\"dtype\":\"F32\",\"shape\":[1,",
     "proj.weight_scale_inv\":{\"dtype\":\"F32\",\"shape\":[1,1,",
     PM_ERR_FORMAT,
     {WEIGHTS, "one for each square"}},
    {WEIGHTS,
     "\"__metadata__\":{",
     "\"__metadata__\":{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
     PM_ERR_FORMAT,
     {WEIGHTS, "nested too deeply"}},
    {WEIGHTS, "model.layers.0.", "model\\u0007layers.0.", PM_ERR_FORMAT, {WEIGHTS, "control character"}},
};

static uint8_t *read_file(const char *path, size_t *n) {
  FILE *f = fopen(path, "rb");
  assert_non_null(f);
  fseek(f, 0, SEEK_END);
  *n = (size_t)ftell(f);
  rewind(f);
  uint8_t *bytes = malloc(*n + 1);
  assert_int_equal(fread(bytes, 1, *n, f), *n);
  fclose(f);
  return bytes;
}

// A header that grows or shrinks has its length set right, and is filled up with spaces so that the data stays aligned.
static void apply(const damage *d, const char *path) {
  size_t n, find = strlen(d->find), put = d->put ? strlen(d->put) : 0;
  uint8_t *bytes = read_file(path, &n), *at = memmem(bytes, n, d->find, find);
  if (!at) fail_msg("%s has no \"%s\"", d->file, d->find);
  size_t head = (size_t)(at - bytes), tail = d->put ? n - head - find : 0;
  bool weights = !strcmp(d->file, WEIGHTS) && d->put;
  uint64_t header, fill = weights ? (find - put) % 8 : 0, begin = weights ? 9 : 0;
  memcpy(&header, bytes, 8);
  header += put - find + fill;
  if (weights) memcpy(bytes, &header, 8);
  FILE *f = fopen(path, "wb");
  fwrite(bytes, 1, begin, f);
  fprintf(f, "%*s", (int)fill, "");
  fwrite(bytes + begin, 1, head - begin, f);
  if (d->put) fwrite(d->put, 1, put, f);
  fwrite(at + find, 1, tail, f);
  fclose(f);
  free(bytes);
}

static void check_refused(const damage *d, const char *folder, bool header_only) {
  pm_model_file *f;
  double start = pm_clock_seconds();
  pm_status status = pm_model_file_open(folder, &(pm_model_file_desc){.header_only = header_only}, &f);
  if (status != d->status)
    fail_msg("%s, \"%s\": status %d, expected %d; %s", d->file, d->put ? d->put : "", status, d->status, status ? pm_fail_message() : "");
  for (int i = 0; i < 2; i++)
    if (d->words[i] && !strstr(pm_fail_message(), d->words[i]))
      fail_msg("%s, \"%s\": the message lacks \"%s\": %s", d->file, d->put ? d->put : "", d->words[i], pm_fail_message());
  assert_null(f);
  assert_true(pm_clock_seconds() - start < 2);
}

static void every_damage(void **state) {
  (void)state;
  run_once();
  char source[256], folder[128], good_path[256], path[256];
  snprintf(source, sizeof source, "%s/models/mini-v2lite-legacy.gguf", PM_TEST_DATA);
  snprintf(folder, sizeof folder, "%s/damaged", root);
  hf_write(source, folder, &(hf_options){HF_FP8, 2, false}, NULL);
  for (size_t i = 0; i < sizeof DAMAGES / sizeof *DAMAGES; i++) {
    const damage *d = &DAMAGES[i];
    snprintf(path, sizeof path, "%s/%s", folder, d->file);
    snprintf(good_path, sizeof good_path, "%s/good", root);
    assert_int_equal(rename(path, good_path), 0);
    size_t n;
    uint8_t *bytes = read_file(good_path, &n);
    doc_save(path, bytes, n);
    free(bytes);
    if (d->find)
      apply(d, path);
    else
      unlink(path);
    check_refused(d, folder, false);
    check_refused(d, folder, true);
    assert_int_equal(rename(good_path, path), 0);
  }
  pm_model_file *f;
  RUN(pm_model_file_open(folder, NULL, &f));  // whole again
  pm_model_file_close(f);
}

// A download that has not ended: the header can be looked at, the weights cannot be used.
static void unfinished(void **state) {
  (void)state;
  run_once();
  char path[256], folder[128];
  snprintf(folder, sizeof folder, "%s/damaged", root);
  snprintf(path, sizeof path, "%s/%s", folder, WEIGHTS);
  size_t n;
  uint8_t *bytes = read_file(path, &n);
  doc_save(path, bytes, n - 1);
  free(bytes);
  pm_model_file *f;
  RUN(pm_model_file_open(folder, &(pm_model_file_desc){.header_only = true}, &f));
  for (uint64_t i = 0; i < pm_model_file_n_tensor(f); i++)
    assert_true(!pm_model_file_tensor(f, i)->data && !pm_model_file_tensor(f, i)->slabs);
  pm_model_file_close(f);
  assert_int_equal(pm_model_file_open(folder, NULL, &f), PM_ERR_FORMAT);
  assert_non_null(strstr(pm_fail_message(), "still being downloaded"));
}

static int make_root(void **state) {
  (void)state;
  return mkdtemp(root) ? 0 : 1;
}

static int remove_root(void **state) {
  (void)state;
  corrupt_remove(root);
  return 0;
}

int main(int argc, char **argv) {
  on_gpu = argc > 1 && !strcmp(argv[1], "gpu");
  static const good goods[] = {
      {"mini-v2lite-legacy", {HF_BF16, 1, false}},  // FP8 comes below, in a folder that is then damaged
      {"mini-v2", {HF_F32, 2, true}},
      {"mini-v3", {HF_FP8, 3, true}},
  };
  const struct CMUnitTest tests[] = {
      {"BF16, one file", same_as_twin, NULL, NULL, (void *)&goods[0]},
      {"F32, two files", same_as_twin, NULL, NULL, (void *)&goods[1]},
      {"FP8, three files", same_as_twin, NULL, NULL, (void *)&goods[2]},
      cmocka_unit_test(wherever_experts_are),
      cmocka_unit_test(every_damage),
      cmocka_unit_test(unfinished),
  };
  return cmocka_run_group_tests(tests, make_root, remove_root);
}
