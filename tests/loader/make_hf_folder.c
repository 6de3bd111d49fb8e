// make_hf_folder SOURCE.gguf FOLDER: the model as a folder of FP8 weights in two files.
#include <stdio.h>

#include "hf_folder.h"

int main(int argc, char **argv) {
  if (argc != 3) return fprintf(stderr, "usage: make_hf_folder SOURCE.gguf FOLDER\n"), 2;
  hf_write(argv[1], argv[2], &(hf_options){.weights = HF_FP8, .n_shard = 2}, NULL);
  return 0;
}
