#include <string.h>

#include "gui_app.h"
#include "model_fit.h"
#include "model_library.h"
#include "widgets.h"

typedef struct picker {
  pm_gui_app *app;
  GtkWidget *window, *list, *downloads, *empty, *place, *fit, *load, *device, *n_ctx, *problem;
  char **devices;  // names for the settings, in the order of the row
  GCancellable *cancel, *cancel_fit;
  char *path;  // that is selected
  pm_gui_card card;
} picker;

static void picker_free(gpointer data) {
  picker *p = data;
  g_cancellable_cancel(p->cancel);
  g_cancellable_cancel(p->cancel_fit);
  g_object_unref(p->cancel);
  g_object_unref(p->cancel_fit);
  g_strfreev(p->devices);
  g_free(p->path);
  g_free(p);
}

// ---- how the selected model fits ---------------------------------------------------------------------------------------------------

static GtkWidget *add_text(picker *p, const char *text, const char *css) {
  GtkWidget *label = pm_gui_text_label(text, css);
  gtk_label_set_wrap(GTK_LABEL(label), TRUE);
  gtk_label_set_selectable(GTK_LABEL(label), TRUE);
  gtk_box_append(GTK_BOX(p->fit), label);
  return label;
}

static double sum(const double parts[PM_GUI_PARTS]) {
  double s = 0;
  for (int i = 0; i < PM_GUI_PARTS; i++) s += parts[i];
  return s;
}

// Two digits that count.
static double rounded(double rate) {
  double unit = 1;
  while (rate >= 100 * unit) unit *= 10;
  while (unit > 1e-3 && rate < 10 * unit) unit /= 10;
  return unit * (double)(int)(rate / unit + 0.5);
}

static void add_rates(picker *p, const char *what, double least, double most, const char *how) {
  g_autofree char *text = g_markup_printf_escaped("%s: <b>%.10g to %.10g tokens/s</b> %s", what, rounded(least), rounded(most), how);
  gtk_label_set_markup(GTK_LABEL(add_text(p, "", NULL)), text);
}

static void add_expected(picker *p, const char *what, double rate, const char *limit) {
  g_autofree char *how = g_strdup_printf("expected, limited by the %s", limit);
  add_rates(p, what, rate * PM_GUI_RATE_LEAST, rate * PM_GUI_RATE_MOST, how);
}

// What is known is worth more than what is expected.
static void add_history(picker *p) {
  double least, most;
  g_autofree char *name = pm_gui_model_name(p->path);
  uint32_t n = pm_gui_store_rates(p->app->store, name, &least, &most);
  g_autofree char *how = g_strdup_printf("in the newest %u", n);
  if (n) add_rates(p, "Answers so far", least, most, how);
}

static void on_fit(void *user, const pm_gui_fit *fit) {
  picker *p = user;
  const pumice_plan_info *plan = &fit->plan;
  pm_gui_clear_box(p->fit);
  gtk_widget_set_sensitive(p->load, fit->good && plan->fits);
  if (!fit->good || !plan->fits) {
    add_text(p, fit->good ? plan->reason : fit->message, "error");
    return;
  }
  g_autofree char *head = g_strdup_printf("%s%son %s, context %u of %u tokens", fit->quant, *fit->quant ? ", " : "", plan->device,
                                          plan->n_ctx, fit->n_ctx_train);
  add_text(p, head, "dim-label");
  if (sum(fit->device) > 0) gtk_box_append(GTK_BOX(p->fit), pm_gui_fit_bar_new("Graphics memory", fit->device, (double)plan->vram_budget));
  if (sum(fit->host) > 0 || plan->ram_budget)
    gtk_box_append(GTK_BOX(p->fit), pm_gui_fit_bar_new("Memory", fit->host, (double)plan->ram_budget));
  if (fit->disk > 0) {
    g_autofree char *bytes = pm_gui_bytes(fit->disk), *text = g_strdup_printf("%s stay on disk and are read when needed", bytes);
    add_text(p, text, NULL);
  }
  p->card = (pm_gui_card){sum(fit->device), (double)plan->vram_budget};
  add_history(p);
  add_expected(p, "Answers", plan->decode_rate, plan->decode_limit);
  add_expected(p, "Prompts", plan->prompt_rate, plan->prompt_limit);
  if (*plan->note) add_text(p, plan->note, "dim-label");
}

static void update_fit(picker *p) {
  g_cancellable_cancel(p->cancel_fit);
  g_object_unref(p->cancel_fit);
  p->cancel_fit = g_cancellable_new();
  gtk_widget_set_sensitive(p->load, FALSE);
  pm_gui_clear_box(p->fit);
  if (!p->path) return;
  add_text(p, "Looking at the file…", "dim-label");
  pm_gui_fit_compute(p->path, &p->app->settings, p->cancel_fit, on_fit, p);
}

// ---- the list ----------------------------------------------------------------------------------------------------------------------

static const char *path_of(GtkListBoxRow *row) { return row ? g_object_get_data(G_OBJECT(row), "path") : NULL; }

static void fill(picker *p, const char *select);

static void on_remove(GtkButton *button, gpointer user) {
  picker *p = user;
  GtkWidget *row = gtk_widget_get_ancestor(GTK_WIDGET(button), GTK_TYPE_LIST_BOX_ROW);
  GError *error = NULL;
  if (!pm_gui_library_remove(p->app->store, path_of(GTK_LIST_BOX_ROW(row)), &error)) pm_gui_app_toast(p->app, error->message);
  g_clear_error(&error);
  fill(p, NULL);
}

static GtkWidget *make_row(picker *p, const char *path) {
  g_autofree char *name = pm_gui_model_name(path), *folder = g_path_get_dirname(path);
  double bytes = pm_gui_library_bytes(path);
  g_autofree char *size = bytes < 0 ? g_strdup("the file is not there") : pm_gui_bytes(bytes),
                  *subtitle = g_strdup_printf("%s · %s", size, folder);
  g_autofree char *name_markup = g_markup_escape_text(name, -1), *subtitle_markup = g_markup_escape_text(subtitle, -1);
  GtkWidget *row = adw_action_row_new(), *remove = pm_gui_icon_button("user-trash-symbolic", "Remove from the list", NULL);
  adw_preferences_row_set_title(ADW_PREFERENCES_ROW(row), name_markup);
  adw_action_row_set_subtitle(ADW_ACTION_ROW(row), subtitle_markup);
  gtk_widget_set_valign(remove, GTK_ALIGN_CENTER);
  adw_action_row_add_suffix(ADW_ACTION_ROW(row), remove);
  g_signal_connect(remove, "clicked", G_CALLBACK(on_remove), p);
  g_object_set_data_full(G_OBJECT(row), "path", g_strdup(path), g_free);
  return row;
}

static void fill(picker *p, const char *select) {
  GtkWidget *child;
  while ((child = gtk_widget_get_first_child(p->list))) gtk_list_box_remove(GTK_LIST_BOX(p->list), child);
  g_autoptr(GPtrArray) paths = pm_gui_library_list(p->app->store);
  GtkWidget *chosen = NULL;
  for (guint i = 0; i < paths->len; i++) {
    GtkWidget *row = make_row(p, paths->pdata[i]);
    gtk_list_box_append(GTK_LIST_BOX(p->list), row);
    if (!chosen || !g_strcmp0(paths->pdata[i], select)) chosen = row;
  }
  gtk_widget_set_visible(p->list, paths->len > 0);
  gtk_widget_set_visible(p->empty, paths->len == 0);
  gtk_widget_set_visible(p->place, paths->len > 0);
  gtk_widget_set_visible(p->load, paths->len > 0);
  if (chosen) gtk_list_box_select_row(GTK_LIST_BOX(p->list), GTK_LIST_BOX_ROW(chosen));
}

static void on_selected(GtkListBox *list, GtkListBoxRow *row, gpointer user) {
  (void)list;
  picker *p = user;
  g_free(p->path);
  p->path = g_strdup(path_of(row));
  update_fit(p);
}

static void add_file(void *user, const char *path) {
  picker *p = user;
  GError *error = NULL;
  bool good = pm_gui_library_add(p->app->store, path, &error);
  gtk_widget_set_visible(p->problem, !good);
  if (!good) gtk_label_set_text(GTK_LABEL(p->problem), error->message);
  g_clear_error(&error);
  g_autofree char *first = pm_gui_library_first_part(path);
  if (good) fill(p, first);
}

static void on_download(GtkButton *button, gpointer user) {
  (void)button;
  picker *p = user;
  pm_gui_download_dialog_open(p->app, GTK_WINDOW(p->window));
}

static void on_add(GtkButton *button, gpointer user) {
  (void)button;
  picker *p = user;
  pm_gui_model_dialog(GTK_WINDOW(p->window), add_file, p);
}

// ---- where it is to run ------------------------------------------------------------------------------------------------------------

static void on_place(GObject *object, GParamSpec *spec, gpointer user) {
  (void)object, (void)spec;
  picker *p = user;
  guint device = adw_combo_row_get_selected(ADW_COMBO_ROW(p->device));
  if (p->devices && device < g_strv_length(p->devices)) {
    g_free(p->app->settings.device);
    p->app->settings.device = g_strdup(p->devices[device]);
  }
  p->app->settings.n_ctx = gtk_spin_button_get_value_as_int(GTK_SPIN_BUTTON(p->n_ctx));
  pm_gui_app_save(p->app);
  update_fit(p);
}

static void on_devices(void *user, const char *const *names, const char *const *titles) {
  picker *p = user;
  GtkStringList *list = gtk_string_list_new(titles);
  guint chosen = 0;
  for (guint i = 0; names[i]; i++)
    if (!strcmp(names[i], p->app->settings.device)) chosen = i;
  g_signal_handlers_block_by_func(p->device, on_place, p);
  adw_combo_row_set_model(ADW_COMBO_ROW(p->device), G_LIST_MODEL(list));
  adw_combo_row_set_selected(ADW_COMBO_ROW(p->device), chosen);
  g_signal_handlers_unblock_by_func(p->device, on_place, p);
  g_object_unref(list);
  p->devices = g_strdupv((char **)names);
}

static void on_load(GtkButton *button, gpointer user) {
  (void)button;
  picker *p = user;
  pm_gui_app *app = p->app;
  pm_gui_store_set(app->store, "last-model", p->path, NULL);
  pm_gui_engine_load(app->engine, p->path, &app->settings, p->card);
  gtk_window_destroy(GTK_WINDOW(p->window));
}

static void on_unload(GtkButton *button, gpointer user) {
  picker *p = user;
  pm_gui_engine_unload(p->app->engine);
  gtk_widget_set_visible(GTK_WIDGET(button), FALSE);
}

// ---- the window --------------------------------------------------------------------------------------------------------------------

static GtkWidget *make_place(picker *p) {
  GtkWidget *group = adw_preferences_group_new();
  p->device = pm_gui_combo_row("Device", (const char *const[]){"Automatic", NULL}, 0);
  adw_preferences_group_add(ADW_PREFERENCES_GROUP(group), p->device);
  adw_preferences_group_add(ADW_PREFERENCES_GROUP(group), pm_gui_spin_row("Context", "Tokens of a conversation; 0 is the model's usual", 0,
                                                                          1 << 20, 1024, 0, (double)p->app->settings.n_ctx, &p->n_ctx));
  g_signal_connect(p->device, "notify::selected", G_CALLBACK(on_place), p);
  g_signal_connect(p->n_ctx, "notify::value", G_CALLBACK(on_place), p);
  return group;
}

static GtkWidget *make_head(picker *p) {
  GtkWidget *head = adw_header_bar_new(), *add = gtk_button_new_with_label("Add Files…"),
            *download = gtk_button_new_with_label("Download…"), *unload = gtk_button_new_with_label("Unload");
  p->load = gtk_button_new_with_label("Load");
  gtk_widget_add_css_class(p->load, "suggested-action");
  gtk_widget_set_visible(unload, pm_gui_engine_get(p->app->engine)->state != PM_GUI_ENGINE_NONE);
  adw_header_bar_pack_start(ADW_HEADER_BAR(head), add);
  adw_header_bar_pack_start(ADW_HEADER_BAR(head), download);
  adw_header_bar_pack_end(ADW_HEADER_BAR(head), p->load);
  adw_header_bar_pack_end(ADW_HEADER_BAR(head), unload);
  g_signal_connect(add, "clicked", G_CALLBACK(on_add), p);
  g_signal_connect(download, "clicked", G_CALLBACK(on_download), p);
  g_signal_connect(p->load, "clicked", G_CALLBACK(on_load), p);
  g_signal_connect(unload, "clicked", G_CALLBACK(on_unload), p);
  return head;
}

static GtkWidget *make_content(picker *p) {
  p->list = gtk_list_box_new();
  gtk_widget_add_css_class(p->list, "boxed-list");
  pm_gui_set_label(p->list, "Models");
  g_signal_connect(p->list, "row-selected", G_CALLBACK(on_selected), p);
  p->downloads = pm_gui_download_list_new();
  pm_gui_download_list_update(p->downloads, p->app->downloads);
  p->fit = gtk_box_new(GTK_ORIENTATION_VERTICAL, 10);
  p->problem = pm_gui_text_label("", "error");
  gtk_label_set_wrap(GTK_LABEL(p->problem), TRUE);
  gtk_widget_set_visible(p->problem, FALSE);
  p->place = make_place(p);
  p->empty = adw_status_page_new();
  adw_status_page_set_title(ADW_STATUS_PAGE(p->empty), "No models yet");
  adw_status_page_set_description(ADW_STATUS_PAGE(p->empty),
                                  "Add files in GGUF format that are on this computer, or drop them here: they stay where they are. Or "
                                  "download a model from Hugging Face.");
  return pm_gui_box(GTK_ORIENTATION_VERTICAL, 18, p->problem, p->downloads, p->empty, p->list, p->place, p->fit, NULL);
}

void pm_gui_picker_open(pm_gui_app *app, const char *path) {
  if (app->picker) {
    if (path) add_file(g_object_get_data(G_OBJECT(app->picker), "picker"), path);
    return;
  }
  picker *p = g_new0(picker, 1);
  *p = (picker){.app = app, .cancel = g_cancellable_new(), .cancel_fit = g_cancellable_new()};
  GtkWidget *head = make_head(p), *box = make_content(p);
  p->window = app->picker = pm_gui_dialog_new(app->window, "Models", head, box);
  g_object_add_weak_pointer(G_OBJECT(p->window), (gpointer *)&app->picker);
  gtk_window_set_default_size(GTK_WINDOW(p->window), 640, 640);
  g_object_set_data_full(G_OBJECT(p->window), "picker", p, picker_free);
  pm_gui_accept_files(p->window, add_file, p);
  g_autofree char *last = pm_gui_store_get(app->store, "last-model");
  fill(p, last);
  if (path) add_file(p, path);
  pm_gui_devices_list(p->cancel, on_devices, p);
  gtk_window_present(GTK_WINDOW(p->window));
}

void pm_gui_picker_update(pm_gui_app *app, const char *whole) {
  if (!app->picker) return;
  picker *p = g_object_get_data(G_OBJECT(app->picker), "picker");
  pm_gui_download_list_update(p->downloads, app->downloads);
  if (whole) fill(p, whole);
}
