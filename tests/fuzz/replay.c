// Runs a fuzz target over the files of a folder: what was found once stays found. Prints TAP.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

static void run_file(const char *path) {
  FILE *f = fopen(path, "rb");
  if (!f || fseek(f, 0, SEEK_END) != 0) abort();
  size_t n = (size_t)ftell(f);
  rewind(f);
  uint8_t *bytes = malloc(n ? n : 1);
  if (!bytes || fread(bytes, 1, n, f) != n) abort();
  fclose(f);
  LLVMFuzzerTestOneInput(bytes, n);
  free(bytes);
}

int main(int argc, char **argv) {
  DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
  if (!folder) {
    fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
    return 2;
  }
  int n = 0;
  for (struct dirent *e; (e = readdir(folder));) {
    char path[4096];
    if (e->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
    run_file(path);
    printf("ok %d - %s\n", ++n, e->d_name);
    fflush(stdout);
  }
  closedir(folder);
  printf("1..%d\n", n);
  return n ? 0 : 1;
}
