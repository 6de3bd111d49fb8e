// The model files that the user has added. They stay where they are.
#ifndef PM_MODEL_LIBRARY_H
#define PM_MODEL_LIBRARY_H

#include "chat_store.h"

GPtrArray *pm_gui_library_list(pm_gui_store *store);  // of paths, in the order in which they were added
// Adds a file; of a split model any part stands for the first. False with a reason: it is no GGUF file, or cannot be read.
bool pm_gui_library_add(pm_gui_store *store, const char *path, GError **error);
bool pm_gui_library_remove(pm_gui_store *store, const char *path, GError **error);
char *pm_gui_library_first_part(const char *path);  // "x-00003-of-00005.gguf" gives "x-00001-of-00005.gguf"
double pm_gui_library_bytes(const char *path);      // of all parts; negative: the file is not there

#endif
