// The model files that the user has added. They stay where they are.
#ifndef PM_MODEL_LIBRARY_H
#define PM_MODEL_LIBRARY_H

#include "chat_store.h"

char *pm_gui_model_name(const char *path);  // the file's name without ".gguf" and the number of its part

GPtrArray *pm_gui_library_list(pm_gui_store *store);  // of paths, in the order in which they were added
// Adds a file; of a split model any part stands for the first. False with a reason: it is no GGUF file, or cannot be read.
bool pm_gui_library_add(pm_gui_store *store, const char *path, GError **error);
bool pm_gui_library_remove(pm_gui_store *store, const char *path, GError **error);
char *pm_gui_library_first_part(const char *path);  // "x-00003-of-00005.gguf" gives "x-00001-of-00005.gguf"
uint32_t pm_gui_library_parts(const char *path);    // how many there are by its name; 1 if it is not one of several
double pm_gui_library_bytes(const char *path);      // of all parts; negative: the file is not there

#endif
