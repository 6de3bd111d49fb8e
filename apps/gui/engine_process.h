// The engine's process: `pumice serve` with one model. It ends when this program does, however that ends.
#ifndef PM_ENGINE_PROCESS_H
#define PM_ENGINE_PROCESS_H

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct pm_gui_process pm_gui_process;

typedef struct pm_gui_process_events {
  void (*listening)(void *user, const char *url);  // "http://127.0.0.1:PORT"
  void (*ended)(void *user, const char *reason);   // by itself; reason: its last words, or how it ended
} pm_gui_process_events;

// `keys`: a line each, for the requests that it answers; it reads them from PM_GUI_KEY_PATH. `arguments` end with NULL.
enum { PM_GUI_KEY_FD = 3 };
#define PM_GUI_KEY_PATH "/dev/fd/3"
// `log`: gets the lines that it writes, the newest 64 KiB of them, until it is stopped.
pm_gui_process *pm_gui_process_start(char **arguments, const char *keys, GString *log, const pm_gui_process_events *events, void *user,
                                     GError **error);
void pm_gui_process_stop(pm_gui_process *process);  // at once, and without an event; NULL is fine

double pm_gui_process_memory(const pm_gui_process *process);  // bytes that it has in memory, mapped files included; negative: not known

#endif
