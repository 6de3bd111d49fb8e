// Whether and how a model fits in this machine: the planner's figures, computed beside the main loop.
#ifndef PM_MODEL_FIT_H
#define PM_MODEL_FIT_H

#include <gtk/gtk.h>
#include <pumice.h>

#include "gui_settings.h"

// What memory is for, in the order in which bars show it.
typedef enum pm_gui_part { PM_GUI_WEIGHTS, PM_GUI_CACHE, PM_GUI_SCRATCH, PM_GUI_EXPERTS, PM_GUI_PARTS } pm_gui_part;

typedef struct pm_gui_fit {
  bool good;      // the file could be read
  char *message;  // if not, why
  pumice_plan_info plan;
  double device[PM_GUI_PARTS], host[PM_GUI_PARTS], disk;  // bytes
  char quant[64];
  uint32_t n_ctx_train;
} pm_gui_fit;

// What answers may reach, as parts of plan.decode_rate and prompt_rate: published figures of other runtimes are 0.6 to 1.04 of what the
// plan says of their machines, and parts differ by a quarter from what is typical of them.
#define PM_GUI_RATE_LEAST 0.6
#define PM_GUI_RATE_MOST 1.3

// Calls back in the main loop, unless cancelled by then.
typedef void pm_gui_fit_fn(void *user, const pm_gui_fit *fit);
void pm_gui_fit_compute(const char *path, const pm_gui_engine_settings *settings, GCancellable *cancel, pm_gui_fit_fn *done, void *user);

// Names that settings take for devices, and what to call them: "auto" first, then those of this machine.
typedef void pm_gui_devices_fn(void *user, const char *const *names, const char *const *titles);
void pm_gui_devices_list(GCancellable *cancel, pm_gui_devices_fn *done, void *user);

// A bar of one memory: what parts take of it, and what is left. `budget`: bytes that may be used.
GtkWidget *pm_gui_fit_bar_new(const char *title, const double parts[PM_GUI_PARTS], double budget);

#endif
