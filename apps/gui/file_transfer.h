// Files of a model from a hub to a folder, in a thread of its own.
#ifndef PM_FILE_TRANSFER_H
#define PM_FILE_TRANSFER_H

#include <gio/gio.h>
#include <libsoup/soup.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "model_source.h"

#define PM_GUI_PART ".part"  // after the name of a file that is not whole

typedef struct pm_gui_transfer {
  GPtrArray *files;  // of pm_gui_remote_file; they live longer than this
  char *folder;
  GCancellable *cancel;
  _Atomic uint64_t done;  // bytes that are there, of all files
  atomic_bool checking;   // what is there is read
} pm_gui_transfer;

// Brings all files that are not there. Connections that break are made anew, a few times without progress. False with a reason; what has
// come stays, unless it is wrong.
bool pm_gui_transfer_run(pm_gui_transfer *transfer, GError **error);
SoupSession *pm_gui_hub_session(void);
// Sets the error that belongs to an answer other than 200 and 206; false if it is one of these.
bool pm_gui_hub_refused(SoupMessage *message, GError **error);

#endif
