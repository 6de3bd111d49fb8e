// Models that a server may load: one, or those of a folder. A model is a GGUF file, or a folder with config.json and safetensors files.
#ifndef PM_MODEL_FOLDER_H
#define PM_MODEL_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pm_model_folder {
  const char *path;  // a file or a folder
  bool is_folder;
  const char *alias;  // what the one file is called; NULL = its name
} pm_model_folder;

typedef struct pm_model_entry {
  char id[256];  // the path below the folder, without ".gguf"
  char path[1024];
  uint64_t bytes;   // of the file; of the first part of a split model
  int64_t changed;  // seconds since the epoch
} pm_model_entry;

// The entries, by id; the caller frees them. Of split models the first parts only.
pm_model_entry *pm_model_folder_list(const pm_model_folder *f, size_t *n);
// Finds an entry by its id, with or without ".gguf" or Ollama's ":latest".
bool pm_model_folder_find(const pm_model_folder *f, const char *id, pm_model_entry *entry);

#endif
