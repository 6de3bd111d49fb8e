// Where models can be had: repositories of Hugging Face, or of a hub with the same addresses (https://huggingface.co/docs/hub/api).
#ifndef PM_MODEL_SOURCE_H
#define PM_MODEL_SOURCE_H

#include <glib.h>
#include <stdint.h>

typedef struct pm_gui_source {
  char *hub, *repo, *revision;  // "https://huggingface.co", "OWNER/NAME", "main"
  char *path;                   // of the one file that is meant; NULL: any
  char *tag;                    // what its name has in it, as in OWNER/NAME:Q4_K_M; NULL: anything
} pm_gui_source;

typedef struct pm_gui_remote_file {
  char *url, *name, *sha256;  // name: without folders; sha256: NULL where the hub does not tell
  uint64_t bytes;
} pm_gui_remote_file;

typedef struct pm_gui_remote_model {
  char *name;        // as pm_gui_model_name has it
  GPtrArray *files;  // of pm_gui_remote_file: all its parts, in order
  uint64_t bytes;    // of all
} pm_gui_remote_model;

// From the address of a repository, a folder or a file, as a browser shows it, or from OWNER/NAME; NULL with a reason if it is neither.
pm_gui_source *pm_gui_source_parse(const char *address, GError **error);
void pm_gui_source_free(pm_gui_source *source);
char *pm_gui_source_list_url(const pm_gui_source *source);
// The GGUF models in the answer from that address, smallest first, as pm_gui_remote_model; NULL with a reason if there is none. A split
// model of which parts are missing is none.
GPtrArray *pm_gui_source_models(const pm_gui_source *source, const char *json, size_t bytes, GError **error);

pm_gui_remote_file *pm_gui_remote_file_new(const char *url, const char *name, const char *sha256, uint64_t bytes);
void pm_gui_remote_file_free(pm_gui_remote_file *file);
void pm_gui_remote_model_free(pm_gui_remote_model *model);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(pm_gui_source, pm_gui_source_free)

#endif
