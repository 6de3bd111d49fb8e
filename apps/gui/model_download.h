// Models on their way from a hub to a folder. What has come stays in FILE.part, across restarts of the program, until the file is whole and
// has the checksum that the hub tells; then it gets its name, and the model a place in the library.
#ifndef PM_MODEL_DOWNLOAD_H
#define PM_MODEL_DOWNLOAD_H

#include <gio/gio.h>
#include <stdbool.h>

#include "chat_store.h"
#include "model_source.h"

typedef struct pm_gui_download pm_gui_download;
typedef struct pm_gui_downloads pm_gui_downloads;

typedef enum pm_gui_download_state {
  PM_GUI_DOWNLOAD_PAUSED,
  PM_GUI_DOWNLOAD_RUNNING,
  PM_GUI_DOWNLOAD_CHECKING,  // what is there is read, for the checksum
  PM_GUI_DOWNLOAD_STOPPING
} pm_gui_download_state;

typedef struct pm_gui_download_view {
  const char *name, *folder, *message;  // message: why it paused; NULL if it was told to
  pm_gui_download_state state;
  double done, total, rate;  // bytes; bytes per second
} pm_gui_download_view;

typedef struct pm_gui_download_events {  // in the main loop
  void (*changed)(void *user);           // the list, or one of it
  void (*whole)(void *user, const char *name, const char *path);
} pm_gui_download_events;

// Those that an earlier run has left are there, paused.
pm_gui_downloads *pm_gui_downloads_create(pm_gui_store *store, const pm_gui_download_events *events, void *user);
void pm_gui_downloads_destroy(pm_gui_downloads *downloads);     // what has come stays
GPtrArray *pm_gui_downloads_list(pm_gui_downloads *downloads);  // of pm_gui_download, the newest last

// Begins one; NULL with a reason: the folder cannot be made, or a model of this name is on its way to it already.
pm_gui_download *pm_gui_downloads_add(pm_gui_downloads *downloads, const pm_gui_remote_model *model, const char *folder, GError **error);
pm_gui_download_view pm_gui_download_get(const pm_gui_download *download);  // valid until the next event
void pm_gui_download_start(pm_gui_download *download);                      // goes on where it stopped
void pm_gui_download_pause(pm_gui_download *download);
void pm_gui_download_discard(pm_gui_download *download);  // also from the list and, what is not whole, from the folder

// The models that a source, which is freed, has; NULL with a reason. Not called if cancelled.
typedef void pm_gui_models_fn(void *user, GPtrArray *models, const char *problem);
void pm_gui_source_list(pm_gui_source *source, GCancellable *cancel, pm_gui_models_fn *done, void *user);

#endif
