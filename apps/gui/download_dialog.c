// Asks for the address of a model, shows what is there, and begins to download what is chosen.
#include <string.h>

#include "gui_app.h"

typedef struct dialog {
  pm_gui_app *app;
  GtkWidget *window, *address, *look, *state, *list, *folder_row;
  GPtrArray *models;  // that are shown
  char *folder;
  GCancellable *cancel;
} dialog;

static void dialog_free(gpointer data) {
  dialog *d = data;
  g_cancellable_cancel(d->cancel);
  g_object_unref(d->cancel);
  g_clear_pointer(&d->models, g_ptr_array_unref);
  g_free(d->folder);
  g_free(d);
}

static void say(dialog *d, const char *text, bool problem) {
  gtk_label_set_text(GTK_LABEL(d->state), text);
  gtk_widget_set_visible(d->state, *text != 0);
  (problem ? gtk_widget_add_css_class : gtk_widget_remove_css_class)(d->state, "error");
}

// ---- where to --------------------------------------------------------------------------------------------------------------------

static void show_folder(dialog *d) {
  g_autoptr(GFile) file = g_file_new_for_path(d->folder);
  g_autoptr(GFileInfo) info = NULL;
  while (!info) {  // the folder may not be there yet: its disk is that of the folder above
    info = g_file_query_filesystem_info(file, G_FILE_ATTRIBUTE_FILESYSTEM_FREE, NULL, NULL);
    GFile *above = info ? NULL : g_file_get_parent(file);
    if (!above) break;
    g_object_unref(file);
    file = above;
  }
  uint64_t room = info ? g_file_info_get_attribute_uint64(info, G_FILE_ATTRIBUTE_FILESYSTEM_FREE) : 0;
  g_autofree char *bytes = pm_gui_bytes((double)room), *text = g_strdup_printf("%s · %s free", d->folder, bytes);
  g_autofree char *markup = g_markup_escape_text(text, -1);
  adw_action_row_set_subtitle(ADW_ACTION_ROW(d->folder_row), markup);
}

static void on_folder(void *user, const char *path) {
  dialog *d = user;
  g_free(d->folder);
  d->folder = g_strdup(path);
  pm_gui_store_set(d->app->store, "download-folder", path, NULL);
  show_folder(d);
}

static void on_change_folder(GtkButton *button, gpointer user) {
  (void)button;
  dialog *d = user;
  pm_gui_folder_dialog(GTK_WINDOW(d->window), on_folder, d);
}

// ---- what there is ---------------------------------------------------------------------------------------------------------------

static void on_download(GtkButton *button, gpointer user) {
  dialog *d = user;
  const pm_gui_remote_model *m = g_object_get_data(G_OBJECT(button), "model");
  GError *error = NULL;
  if (pm_gui_downloads_add(d->app->downloads, m, d->folder, &error)) {
    gtk_window_destroy(GTK_WINDOW(d->window));
  } else {
    say(d, error->message, true);
    g_error_free(error);
  }
}

static GtkWidget *make_row(dialog *d, pm_gui_remote_model *m) {
  g_autofree char *bytes = pm_gui_bytes((double)m->bytes), *memory = pm_gui_bytes(pm_gui_machine_memory());
  g_autoptr(GString) text = g_string_new(bytes);
  if (m->files->len > 1) g_string_append_printf(text, " in %u files", m->files->len);
  if ((double)m->bytes > pm_gui_machine_memory()) g_string_append_printf(text, " · more than this computer's %s of memory", memory);
  g_autofree char *title = g_markup_escape_text(m->name, -1), *label = g_strdup_printf("Download %s", m->name);
  GtkWidget *row = adw_action_row_new(), *button = gtk_button_new_with_label("Download");
  adw_preferences_row_set_title(ADW_PREFERENCES_ROW(row), title);
  adw_action_row_set_subtitle(ADW_ACTION_ROW(row), text->str);
  gtk_widget_set_valign(button, GTK_ALIGN_CENTER);
  pm_gui_set_label(button, label);
  g_object_set_data(G_OBJECT(button), "model", m);
  g_signal_connect(button, "clicked", G_CALLBACK(on_download), d);
  adw_action_row_add_suffix(ADW_ACTION_ROW(row), button);
  return row;
}

static void clear_list(dialog *d) {
  GtkWidget *child;
  while ((child = gtk_widget_get_first_child(d->list))) gtk_list_box_remove(GTK_LIST_BOX(d->list), child);
  g_clear_pointer(&d->models, g_ptr_array_unref);
  gtk_widget_set_visible(d->list, FALSE);
}

static void on_models(void *user, GPtrArray *models, const char *problem) {
  dialog *d = user;
  gtk_widget_set_sensitive(d->look, TRUE);
  say(d, problem ? problem : "", true);
  if (!models) return;
  d->models = g_ptr_array_ref(models);
  for (guint i = 0; i < models->len; i++) gtk_list_box_append(GTK_LIST_BOX(d->list), make_row(d, models->pdata[i]));
  gtk_widget_set_visible(d->list, TRUE);
}

static void on_look(GtkWidget *widget, gpointer user) {
  (void)widget;
  dialog *d = user;
  if (!gtk_widget_get_sensitive(d->look)) return;
  GError *error = NULL;
  pm_gui_source *source = pm_gui_source_parse(gtk_editable_get_text(GTK_EDITABLE(d->address)), &error);
  clear_list(d);
  say(d, source ? "Asking what is there…" : error->message, !source);
  g_clear_error(&error);
  if (!source) return;
  gtk_widget_set_sensitive(d->look, FALSE);
  pm_gui_source_list(source, d->cancel, on_models, d);
}

// ---- the window ------------------------------------------------------------------------------------------------------------------

static GtkWidget *make_address(dialog *d) {
  d->address = gtk_entry_new();
  d->look = gtk_button_new_with_label("Look Up");
  gtk_widget_set_hexpand(d->address, TRUE);
  g_object_set(d->address, "placeholder-text", "https://huggingface.co/OWNER/NAME", NULL);
  pm_gui_set_label(d->address, "Address of a model");
  gtk_widget_add_css_class(d->look, "suggested-action");
  g_signal_connect(d->address, "activate", G_CALLBACK(on_look), d);
  g_signal_connect(d->look, "clicked", G_CALLBACK(on_look), d);
  return pm_gui_box(GTK_ORIENTATION_HORIZONTAL, 6, d->address, d->look, NULL);
}

static GtkWidget *make_folder(dialog *d) {
  GtkWidget *group = adw_preferences_group_new(), *change = gtk_button_new_with_label("Change…");
  d->folder_row = adw_action_row_new();
  adw_preferences_row_set_title(ADW_PREFERENCES_ROW(d->folder_row), "Folder");
  gtk_widget_set_valign(change, GTK_ALIGN_CENTER);
  pm_gui_set_label(change, "Change the folder");
  adw_action_row_add_suffix(ADW_ACTION_ROW(d->folder_row), change);
  adw_preferences_group_add(ADW_PREFERENCES_GROUP(group), d->folder_row);
  g_signal_connect(change, "clicked", G_CALLBACK(on_change_folder), d);
  return group;
}

void pm_gui_download_dialog_open(pm_gui_app *app, GtkWindow *parent) {
  dialog *d = g_new0(dialog, 1);
  d->app = app;
  d->cancel = g_cancellable_new();
  d->folder = pm_gui_store_get(app->store, "download-folder");
  if (!d->folder) d->folder = g_build_filename(app->folder, "models", NULL);
  GtkWidget *hint = pm_gui_text_label("The address of a model in GGUF format on Hugging Face, or its OWNER/NAME there.", "dim-label");
  gtk_label_set_wrap(GTK_LABEL(hint), TRUE);
  d->state = pm_gui_text_label("", NULL);
  gtk_label_set_wrap(GTK_LABEL(d->state), TRUE);
  d->list = gtk_list_box_new();
  gtk_widget_add_css_class(d->list, "boxed-list");
  gtk_list_box_set_selection_mode(GTK_LIST_BOX(d->list), GTK_SELECTION_NONE);
  pm_gui_set_label(d->list, "Models there");
  GtkWidget *box = pm_gui_box(GTK_ORIENTATION_VERTICAL, 12, hint, make_address(d), d->state, d->list, make_folder(d), NULL);
  d->window = pm_gui_dialog_new(parent, "Download a model", NULL, box);
  gtk_window_set_default_size(GTK_WINDOW(d->window), 560, 520);
  g_object_set_data_full(G_OBJECT(d->window), "dialog", d, dialog_free);
  clear_list(d);
  say(d, "", false);
  show_folder(d);
  gtk_window_present(GTK_WINDOW(d->window));
}
