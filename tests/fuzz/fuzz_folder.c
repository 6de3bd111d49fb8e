// Opens a Hugging Face folder one file of which is the input, in every way there is, and looks at all of its tensors. The first byte says
// which file: 's'afetensors, 'i'ndex, 'c'onfig.json, 't'okenizer.json; the others are good.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "model_file.h"

static const char CONFIG[] =
    "{\"model_type\":\"deepseek_v3\",\"max_position_embeddings\":64,\"hidden_size\":128,\"intermediate_size\":128,\"moe_intermediate_"
    "size\":128,"
    "\"num_hidden_layers\":1,\"num_attention_heads\":1,\"n_routed_experts\":2,\"num_experts_per_tok\":1,\"rms_norm_eps\":1e-6,\"kv_lora_"
    "rank\":8,"
    "\"qk_nope_head_dim\":8,\"qk_rope_head_dim\":4,\"v_head_dim\":8,\"vocab_size\":4,\"num_nextn_predict_layers\":1}";
static const char TOKENIZER[] =
    "{\"added_tokens\":[{\"id\":0,\"content\":\"<s>\",\"special\":true}],\"pre_tokenizer\":{\"pretokenizers\":[{\"pattern\":{\"Regex\":\"["
    "\\r\\n]\"}},"
    "{\"pattern\":{\"Regex\":\"\\\\s?\\\\p{L}+\"}},{\"pattern\":{\"Regex\":\"\\\\s?\\\\p{P}+\"}},{\"pattern\":{\"Regex\":\"[\\u4e00-"
    "\\u9fa5]+\"}}]},"
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1,\"b\":2},\"merges\":[\"a b\",[\"b\",\"a\"]]}}";
static const char INDEX[] = "{\"weight_map\":{}}";

static char root[] = "/tmp/pm-fuzz-XXXXXX";

static struct side {
  char letter;
  const char *name, *good;
  size_t n;
} sides[] = {
    {'c', "config.json", CONFIG, sizeof CONFIG - 1},
    {'t', "tokenizer.json", TOKENIZER, sizeof TOKENIZER - 1},
    {'i', "model.safetensors.index.json", INDEX, sizeof INDEX - 1},
    {'s', "model.safetensors", "\2\0\0\0\0\0\0\0{}", 10},
};
enum { N_SIDE = sizeof sides / sizeof *sides };

static void path_of(int i, char path[128]) { snprintf(path, 128, "%s/%s", root, sides[i].name); }

static void put(int i, const void *bytes, size_t n) {
  char path[128];
  path_of(i, path);
  FILE *f = fopen(path, "wb");
  if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0) abort();
}

static void remove_files(void) {
  char path[128];
  for (int i = 0; i < N_SIDE; i++) path_of(i, path), unlink(path);
  rmdir(root);
}

static void prepare(void) {
  static bool done;
  if (!done && !mkdtemp(root)) abort();
  if (!done) atexit(remove_files);
  done = true;
}

static void touch(const void *at, uint64_t n) {
  const volatile uint8_t *bytes = at;
  (void)bytes[0], (void)bytes[n - 1];
}

static void look_at_tensor(const pm_model_file *f, const pm_file_tensor *t, bool header_only) {
  const pm_format *format = pm_format_find(t->type);
  if (!format || pm_model_file_find_tensor(f, t->name) != t || !t->bytes || t->ne[0] % format->block_elements) abort();
  if (header_only != (!t->data && !t->slabs)) abort();
  if (header_only) return;
  if (t->data) touch(t->data, t->bytes);
  for (uint64_t i = 0; t->slabs && i < t->ne[2]; i++) touch(t->slabs[i].data, t->ne[0] * t->ne[1]);
  if (t->ne[0] > 1 << 16) return;
  float *row = malloc(t->ne[0] * sizeof *row);
  if (!row) abort();
  pm_file_tensor_floats(t, t->ne[2] - 1, t->ne[1] - 1, 1, row);
  free(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  prepare();
  if (!size) return 0;
  for (int i = 0; i < N_SIDE; i++) {
    char path[128];
    path_of(i, path);
    if (sides[i].letter == data[0])
      put(i, data + 1, size - 1);
    else if (sides[i].letter == 'i')
      unlink(path);
    else
      put(i, sides[i].good, sides[i].n);
  }
  static const pm_model_file_desc WAYS[] = {{0}, {.read = true}, {.header_only = true}};
  for (size_t i = 0; i < sizeof WAYS / sizeof *WAYS; i++) {
    pm_model_file *f;
    pm_status status = pm_model_file_open(root, &WAYS[i], &f);
    if ((status == PM_OK) != (f != NULL) || (status != PM_OK && !pm_fail_message()[0])) abort();
    if (!f) continue;
    for (uint64_t k = 0; k < pm_model_file_n_tensor(f); k++) look_at_tensor(f, pm_model_file_tensor(f, k), WAYS[i].header_only);
    pm_model_file_close(f);
  }
  return 0;
}
