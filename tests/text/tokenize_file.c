// Tokens of the documents of a file: tokenize_file VOCABULARY.gguf TEXT. Documents end in the byte 1e; each becomes a line of ids.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "tokenizer.h"

static pm_status print_ids(const pm_tokenizer *t, const char *text, size_t bytes) {
  size_t n = bytes;
  int32_t *ids = malloc((n ? n : 1) * sizeof *ids);
  if (!ids) PM_FAIL(PM_ERR_MEMORY, "out of memory: ids");
  pm_status status = pm_tokenize(t, text, bytes, (pm_tokenize_flags){.parse_special = true}, ids, &n);
  for (size_t i = 0; i < n && status == PM_OK; i++) printf(i ? " %d" : "%d", ids[i]);
  puts("");
  free(ids);
  return status;
}

static pm_status run(const char *vocabulary, const char *path) {
  pm_model_file *model;
  pm_tokenizer *t;
  pm_file *file;
  const uint8_t *bytes;
  PM_TRY(pm_model_file_open(vocabulary, &(pm_model_file_desc){.header_only = true}, &model));
  PM_TRY(pm_tokenizer_create(model, &t));
  PM_TRY(pm_file_open(path, &file));
  PM_TRY(pm_file_map(file, &bytes));
  const char *text = (const char *)bytes, *end = text + pm_file_bytes(file);
  for (const char *stop; text < end; text = stop + 1) {
    stop = memchr(text, 0x1e, (size_t)(end - text));
    if (!stop) PM_FAIL(PM_ERR_FORMAT, "%s: the last document does not end in 1e", path);
    PM_TRY(print_ids(t, text, (size_t)(stop - text)));
  }
  pm_file_close(file);
  pm_tokenizer_destroy(t);
  pm_model_file_close(model);
  return PM_OK;
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: tokenize_file VOCABULARY.gguf TEXT\n");
    return 2;
  }
  if (run(argv[1], argv[2]) == PM_OK) return 0;
  fprintf(stderr, "%s\n", pm_fail_message());
  return 1;
}
