// Writes every damaged file into a folder and lists them: path, tab, a word of the message, tab, another (both may be empty).
#include <stdio.h>

#include "corrupt.h"
#include "synth.h"

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  char source[CORRUPT_PATH], path[CORRUPT_PATH];
  snprintf(source, sizeof source, "%s/source.gguf", argv[1]);
  if (pm_synth(source, &(pm_synth_options){.shape = "tiny", .mix = "Q4_K_M", .seed = 1}) != PM_OK) {
    fprintf(stderr, "%s\n", pm_fail_message());
    return 1;
  }
  for (size_t i = 0; corrupt_row(i); i++) {
    const corruption *c = corrupt_row(i);
    corrupt_make(c, source, argv[1], path);
    printf("%s\t%s\t%s\n", path, c->words[0] ? c->words[0] : "", c->words[1] ? c->words[1] : "");
  }
  return 0;
}
