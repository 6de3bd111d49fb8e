#include <string.h>

#include "chat_export.h"
#include "gui_app.h"
#include "model_library.h"
#include "widgets.h"

enum { MAX_IMPORT = 64 << 20 };

static void add_filter(GtkFileChooserNative *dialog, const char *name, const char *pattern) {
  GtkFileFilter *filter = gtk_file_filter_new();
  gtk_file_filter_set_name(filter, name);
  gtk_file_filter_add_pattern(filter, pattern);
  gtk_file_chooser_add_filter(GTK_FILE_CHOOSER(dialog), filter);
  g_object_unref(filter);
}

// A conversation's title as a file name.
static char *file_name(const char *title, const char *extension) {
  g_autofree char *clean = g_strdup(title);
  for (char *at = clean; *at; at++)
    if (*at == '/' || *at == '.' || (unsigned char)*at < ' ') *at = ' ';
  g_strstrip(clean);
  return g_strconcat(*clean ? clean : "conversation", extension, NULL);
}

// ---- export ------------------------------------------------------------------------------------------------------------------------

typedef struct export_call {
  pm_gui_app *app;
  int64_t chat;
  bool markdown;
} export_call;

static void on_export(GtkNativeDialog *dialog, int response, gpointer data) {
  export_call *call = data;
  GError *error = NULL;
  g_autoptr(GFile) file = response == GTK_RESPONSE_ACCEPT ? gtk_file_chooser_get_file(GTK_FILE_CHOOSER(dialog)) : NULL;
  if (file) {
    g_autofree char *text = (call->markdown ? pm_gui_export_markdown : pm_gui_export_json)(call->app->store, call->chat, &error);
    g_autofree char *name = g_file_get_basename(file);
    bool good = text &&
                g_file_replace_contents(file, text, strlen(text), NULL, FALSE, G_FILE_CREATE_REPLACE_DESTINATION, NULL, NULL, &error);
    g_autofree char *message = good ? g_strdup_printf("Exported to %s", name)
                                    : g_strdup(error ? error->message : "It could not be exported.");
    pm_gui_app_toast(call->app, message);
    g_clear_error(&error);
  }
  g_object_unref(dialog);
  g_free(call);
}

void pm_gui_export_dialog(pm_gui_app *app, int64_t chat, bool markdown) {
  g_autoptr(pm_gui_chat) row = pm_gui_store_chat(app->store, chat, NULL);
  if (!row) return;
  GtkFileChooserNative *dialog = gtk_file_chooser_native_new("Export conversation", app->window, GTK_FILE_CHOOSER_ACTION_SAVE, "_Export",
                                                             "_Cancel");
  g_autofree char *name = file_name(row->title, markdown ? ".md" : ".json");
  gtk_file_chooser_set_current_name(GTK_FILE_CHOOSER(dialog), name);
  export_call *call = g_new(export_call, 1);
  *call = (export_call){app, chat, markdown};
  g_signal_connect(dialog, "response", G_CALLBACK(on_export), call);
  gtk_native_dialog_show(GTK_NATIVE_DIALOG(dialog));
}

// ---- import ------------------------------------------------------------------------------------------------------------------------

static void import(pm_gui_app *app, GFile *file) {
  GError *error = NULL;
  g_autoptr(GFileInfo) info = g_file_query_info(file, G_FILE_ATTRIBUTE_STANDARD_SIZE, G_FILE_QUERY_INFO_NONE, NULL, &error);
  g_autofree char *text = NULL;
  gsize bytes = 0;
  int64_t chat = 0;
  if (info && g_file_info_get_size(info) > MAX_IMPORT) {
    pm_gui_app_toast(app, "The file is larger than 64 MiB.");
    return;
  }
  if (info && g_file_load_contents(file, NULL, &text, &bytes, NULL, &error)) chat = pm_gui_import_json(app->store, text, bytes, &error);
  if (chat) {
    pm_gui_session_open(app->session, chat);
    pm_gui_window_events.listed(app);
  } else {
    pm_gui_app_toast(app, error ? error->message : "It could not be imported.");
  }
  g_clear_error(&error);
}

static void on_import(GtkNativeDialog *dialog, int response, gpointer app) {
  g_autoptr(GFile) file = response == GTK_RESPONSE_ACCEPT ? gtk_file_chooser_get_file(GTK_FILE_CHOOSER(dialog)) : NULL;
  if (file) import(app, file);
  g_object_unref(dialog);
}

void pm_gui_import_dialog(pm_gui_app *app) {
  GtkFileChooserNative *dialog = gtk_file_chooser_native_new("Import conversation", app->window, GTK_FILE_CHOOSER_ACTION_OPEN, "_Import",
                                                             "_Cancel");
  add_filter(dialog, "Conversations (JSON)", "*.json");
  g_signal_connect(dialog, "response", G_CALLBACK(on_import), app);
  gtk_native_dialog_show(GTK_NATIVE_DIALOG(dialog));
}

// ---- model files, folders
// -------------------------------------------------------------------------------------------------------------------

typedef struct choice_call {
  pm_gui_file_fn *chosen;
  void *user;
} choice_call;

static void on_choice(GtkNativeDialog *dialog, int response, gpointer data) {
  choice_call *call = data;
  g_autoptr(GListModel) files = response == GTK_RESPONSE_ACCEPT ? gtk_file_chooser_get_files(GTK_FILE_CHOOSER(dialog)) : NULL;
  for (guint i = 0; files && i < g_list_model_get_n_items(files); i++) {
    g_autoptr(GFile) file = g_list_model_get_item(files, i);
    g_autofree char *path = g_file_get_path(file);
    if (path) call->chosen(call->user, path);
  }
  g_object_unref(dialog);
  g_free(call);
}

static void show_choice(GtkFileChooserNative *dialog, pm_gui_file_fn *chosen, void *user) {
  choice_call *call = g_new(choice_call, 1);
  *call = (choice_call){chosen, user};
  g_signal_connect(dialog, "response", G_CALLBACK(on_choice), call);
  gtk_native_dialog_show(GTK_NATIVE_DIALOG(dialog));
}

void pm_gui_model_dialog(GtkWindow *parent, pm_gui_file_fn *chosen, void *user) {
  GtkFileChooserNative *dialog = gtk_file_chooser_native_new("Add models", parent, GTK_FILE_CHOOSER_ACTION_OPEN, "_Add", "_Cancel");
  gtk_file_chooser_set_select_multiple(GTK_FILE_CHOOSER(dialog), TRUE);
  add_filter(dialog, "Models (GGUF)", "*.gguf");
  show_choice(dialog, chosen, user);
}

void pm_gui_folder_dialog(GtkWindow *parent, pm_gui_file_fn *chosen, void *user) {
  show_choice(gtk_file_chooser_native_new("Folder for models", parent, GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER, "_Choose", "_Cancel"), chosen,
              user);
}
