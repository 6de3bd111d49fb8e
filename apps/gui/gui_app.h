// What the parts of the app share.
#ifndef PM_GUI_APP_H
#define PM_GUI_APP_H

#include <adwaita.h>

#include "chat_session.h"
#include "gui_settings.h"
#include "model_download.h"
#include "widgets.h"

typedef struct pm_gui_app {
  AdwApplication *gtk;
  pm_gui_store *store;
  pm_gui_engine *engine;
  pm_gui_session *session;
  pm_gui_downloads *downloads;
  char *folder, *program;  // where things are kept; pumice
  pm_gui_engine_settings settings;
  GtkCssProvider *font;
  GtkWindow *window;  // NULL before it is there and after it is closed
  GtkWidget *sidebar, *conversation, *composer, *toasts;
  GtkWidget *picker;  // NULL while it is not open
  guint inhibited;    // the computer stays awake: GTK's number for that; 0: it need not
} pm_gui_app;

void pm_gui_app_save(pm_gui_app *app);  // stores the settings, and applies theme and size of letters
void pm_gui_app_toast(pm_gui_app *app, const char *text);
void pm_gui_app_notify(pm_gui_app *app, const char *title, const char *body);  // where the window is not in use; body may be NULL

// gui_window.c
void pm_gui_window_open(pm_gui_app *app);
void pm_gui_window_update(pm_gui_app *app);               // after the engine or an answer has changed
extern const pm_gui_session_events pm_gui_window_events;  // user: the app

// window_actions.c
void pm_gui_actions_add(pm_gui_app *app);
void pm_gui_actions_update(pm_gui_app *app);
// Titles and keys of the actions that have some; NULL past the end.
typedef struct pm_gui_shortcut {
  const char *group, *title, *action, *keys;
} pm_gui_shortcut;
extern const pm_gui_shortcut pm_gui_shortcuts[];

// file_dialogs.c
void pm_gui_export_dialog(pm_gui_app *app, int64_t chat, bool markdown);
void pm_gui_import_dialog(pm_gui_app *app);
// These call back with the paths of the chosen model files, and of the chosen folder.
void pm_gui_model_dialog(GtkWindow *parent, pm_gui_file_fn *chosen, void *user);
void pm_gui_folder_dialog(GtkWindow *parent, pm_gui_file_fn *chosen, void *user);

// model_picker.c, preferences.c, chat_dialog.c, log_window.c, doctor_window.c
// `path`: a file to add and select, or NULL. There is one picker: if it is open it adds the file.
void pm_gui_picker_open(pm_gui_app *app, const char *path);
void pm_gui_picker_update(pm_gui_app *app, const char *whole);  // downloads have changed; `whole`: that of a model has ended, or NULL
void pm_gui_preferences_open(pm_gui_app *app);
void pm_gui_chat_dialog_open(pm_gui_app *app);
void pm_gui_log_open(pm_gui_app *app);
// A window for what a program has written, to be presented. *text: its text view.
GtkWidget *pm_gui_text_window(GtkWindow *parent, const char *title, GtkWidget *head, GtkWidget **text);
void pm_gui_doctor_open(pm_gui_app *app);

// download_dialog.c, download_list.c
void pm_gui_download_dialog_open(pm_gui_app *app, GtkWindow *parent);
GtkWidget *pm_gui_download_list_new(void);
void pm_gui_download_list_update(GtkWidget *list, pm_gui_downloads *downloads);

// gauges.c
GtkWidget *pm_gui_gauges_new(void);
void pm_gui_gauges_update(GtkWidget *gauges, const pm_gui_app *app);

#endif
