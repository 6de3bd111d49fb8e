// Opens the input as a model file in every way there is, and looks at all of it. The file is the first of a set of two, and the second is
// the same file: that way split keys are followed, too.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "model_file.h"

static char folder[] = "/tmp/pm-fuzz-XXXXXX", first[64], second[64];

static void remove_files(void) { unlink(first), unlink(second), rmdir(folder); }

static void prepare(void) {
  if (first[0]) return;
  if (!mkdtemp(folder)) abort();
  snprintf(first, sizeof first, "%s/m-00001-of-00002.gguf", folder);
  snprintf(second, sizeof second, "%s/m-00002-of-00002.gguf", folder);
  if (symlink(first, second) != 0) abort();
  atexit(remove_files);
}

static void look_at_meta(const pm_model_file *f, const pm_meta *m) {
  char line[100];
  pm_meta_print(f, m, line, sizeof line);
  if (strlen(line) >= sizeof line || pm_model_file_find_meta(f, m->key) != m) abort();
  for (uint64_t i = 0; i <= m->count && i < 1000; i++) {
    uint32_t u;
    int64_t s;
    float x;
    bool b;
    const char *text = NULL;
    size_t n = 0;
    bool any = !pm_meta_u32(f, m->key, i, &u) + !pm_meta_i64(f, m->key, i, &s) + !pm_meta_f32(f, m->key, i, &x) +
               !pm_meta_bool(f, m->key, i, &b);
    bool is_text = pm_meta_string(f, m->key, i, &text, &n) == PM_OK;
    if (any && is_text) abort();
    if (is_text && n) (void)*(volatile const char *)&text[n - 1];
  }
}

static void look_at_tensor(const pm_model_file *f, const pm_file_tensor *t, bool header_only) {
  const pm_format *format = pm_format_find(t->type);
  if (!format || pm_model_file_find_tensor(f, t->name) != t || !t->bytes || t->ne[0] % format->block_elements) abort();
  if (header_only != !t->data) abort();
  if (header_only) return;
  const volatile uint8_t *bytes = t->data;
  (void)bytes[0], (void)bytes[t->bytes - 1];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  prepare();
  FILE *file = fopen(first, "wb");
  if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0) abort();
  static const pm_model_file_desc WAYS[] = {{0}, {.read = true}, {.header_only = true}};
  for (size_t i = 0; i < sizeof WAYS / sizeof *WAYS; i++) {
    pm_model_file *f;
    pm_status status = pm_model_file_open(first, &WAYS[i], &f);
    if ((status == PM_OK) != (f != NULL) || (status != PM_OK && !pm_fail_message()[0])) abort();
    if (!f) continue;
    for (uint64_t k = 0; k < pm_model_file_n_meta(f); k++) look_at_meta(f, pm_model_file_meta(f, k));
    for (uint64_t k = 0; k < pm_model_file_n_tensor(f); k++) look_at_tensor(f, pm_model_file_tensor(f, k), WAYS[i].header_only);
    pm_model_file_close(f);
  }
  return 0;
}
