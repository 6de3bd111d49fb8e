#include "gui_app.h"
#include "widgets.h"

typedef struct preferences {
  pm_gui_app *app;
  GtkWidget *theme, *font, *enter, *notify, *threads, *vram, *ram, *share, *port, *port_row, *address, *key, *restart;
} preferences;

// ---- other programs ----------------------------------------------------------------------------------------------------------------

static void update_share(preferences *p) {
  const pm_gui_engine_settings *s = &p->app->settings;
  const pm_gui_engine_view *engine = pm_gui_engine_get(p->app->engine);
  bool runs = engine->state == PM_GUI_ENGINE_LOADING || engine->state == PM_GUI_ENGINE_READY;
  g_autofree char *address = g_strdup_printf("http://127.0.0.1:%" G_GINT64_FORMAT "/v1", s->port);
  adw_action_row_set_subtitle(ADW_ACTION_ROW(p->address), address);
  adw_action_row_set_subtitle(ADW_ACTION_ROW(p->key), s->share_key);
  GtkWidget *rows[] = {p->port_row, p->address, p->key};
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) gtk_widget_set_visible(rows[i], s->share);
  gtk_widget_set_visible(p->restart, runs && engine->port != (s->share ? s->port : 0));
}

static void on_copy(GtkButton *button, gpointer row) {
  gdk_clipboard_set_text(gtk_widget_get_clipboard(row), adw_action_row_get_subtitle(row));
  gtk_button_set_icon_name(button, "object-select-symbolic");
}

static void on_restart(GtkButton *button, gpointer user) {
  (void)button;
  preferences *p = user;
  pm_gui_engine_restart(p->app->engine, &p->app->settings);
  update_share(p);
}

static GtkWidget *make_copied(const char *title, const char *label) {
  GtkWidget *row = adw_action_row_new(), *copy = pm_gui_icon_button("edit-copy-symbolic", label, NULL);
  adw_preferences_row_set_title(ADW_PREFERENCES_ROW(row), title);
  gtk_widget_set_valign(copy, GTK_ALIGN_CENTER);
  adw_action_row_add_suffix(ADW_ACTION_ROW(row), copy);
  g_signal_connect(copy, "clicked", G_CALLBACK(on_copy), row);
  return row;
}

static GtkWidget *make_restart(preferences *p) {
  GtkWidget *row = adw_action_row_new(), *button = gtk_button_new_with_label("Restart Engine");
  adw_preferences_row_set_title(ADW_PREFERENCES_ROW(row), "The engine has to start again for this");
  gtk_widget_set_valign(button, GTK_ALIGN_CENTER);
  adw_action_row_add_suffix(ADW_ACTION_ROW(row), button);
  g_signal_connect(button, "clicked", G_CALLBACK(on_restart), p);
  return row;
}

// ---- the whole ---------------------------------------------------------------------------------------------------------------------

static void on_change(GObject *object, GParamSpec *spec, gpointer user) {
  (void)object, (void)spec;
  preferences *p = user;
  pm_gui_engine_settings *s = &p->app->settings;
  s->theme = adw_combo_row_get_selected(ADW_COMBO_ROW(p->theme));
  s->font_percent = gtk_spin_button_get_value_as_int(GTK_SPIN_BUTTON(p->font));
  s->send_on_enter = gtk_switch_get_active(GTK_SWITCH(p->enter));
  s->notify = gtk_switch_get_active(GTK_SWITCH(p->notify));
  s->n_thread = gtk_spin_button_get_value_as_int(GTK_SPIN_BUTTON(p->threads));
  s->vram_gib = gtk_spin_button_get_value(GTK_SPIN_BUTTON(p->vram));
  s->ram_gib = gtk_spin_button_get_value(GTK_SPIN_BUTTON(p->ram));
  s->share = gtk_switch_get_active(GTK_SWITCH(p->share));
  s->port = gtk_spin_button_get_value_as_int(GTK_SPIN_BUTTON(p->port));
  pm_gui_app_save(p->app);
  update_share(p);
}

static GtkWidget *make_group(const char *title, const char *description, GtkWidget *const rows[], size_t n) {
  GtkWidget *group = adw_preferences_group_new();
  adw_preferences_group_set_title(ADW_PREFERENCES_GROUP(group), title);
  if (description) adw_preferences_group_set_description(ADW_PREFERENCES_GROUP(group), description);
  for (size_t i = 0; i < n; i++) adw_preferences_group_add(ADW_PREFERENCES_GROUP(group), rows[i]);
  return group;
}

static void make_page(preferences *p, AdwPreferencesPage *page) {
  const pm_gui_engine_settings *s = &p->app->settings;
  p->theme = pm_gui_combo_row("Theme", (const char *const[]){"As the system", "Light", "Dark", NULL}, (guint)s->theme);
  GtkWidget *look[] = {p->theme,
                       pm_gui_spin_row("Size of letters", "Percent, in conversations", 50, 300, 10, 0, (double)s->font_percent, &p->font)};
  GtkWidget *typing[] = {
      pm_gui_switch_row("Enter sends", "Shift and Enter begin a line. If this is off, Ctrl and Enter send", s->send_on_enter, &p->enter),
      pm_gui_switch_row("Tell when an answer is finished", "If the window is not in use", s->notify, &p->notify)};
  GtkWidget *engine[] = {
      pm_gui_spin_row("Threads of the processor", "0 is one for each core", 0, 1024, 1, 0, (double)s->n_thread, &p->threads),
      pm_gui_spin_row("Graphics memory, GiB", "Experts are kept there in what the rest of the model leaves; 0 is all that is free", 0, 4096,
                      1, 1, s->vram_gib, &p->vram),
      pm_gui_spin_row("Memory, GiB", "0 is all that is free", 0, 65536, 1, 1, s->ram_gib, &p->ram)};
  p->port_row = pm_gui_spin_row("Port", NULL, 1, 65535, 1, 0, (double)s->port, &p->port);
  p->address = make_copied("Address", "Copy address");
  p->key = make_copied("Key", "Copy key");
  p->restart = make_restart(p);
  GtkWidget *share[] = {
      pm_gui_switch_row("Other programs may use the model", "A second conversation is kept for them", s->share, &p->share), p->port_row,
      p->address, p->key, p->restart};
  const struct {
    const char *title, *description;
    GtkWidget **rows;
    size_t n;
  } groups[] = {
      {"Appearance", NULL, look, G_N_ELEMENTS(look)},
      {"Messages", NULL, typing, G_N_ELEMENTS(typing)},
      {"Engine", "From the next time that a model is loaded. Device and context are with the models.", engine, G_N_ELEMENTS(engine)},
      {"Other programs", "Those on this computer that speak the OpenAI API or Ollama's.", share, G_N_ELEMENTS(share)}};
  for (size_t i = 0; i < G_N_ELEMENTS(groups); i++)
    adw_preferences_page_add(page, ADW_PREFERENCES_GROUP(make_group(groups[i].title, groups[i].description, groups[i].rows, groups[i].n)));
}

void pm_gui_preferences_open(pm_gui_app *app) {
  preferences *p = g_new0(preferences, 1);
  p->app = app;
  GtkWidget *page = adw_preferences_page_new(), *window = adw_preferences_window_new();
  make_page(p, ADW_PREFERENCES_PAGE(page));
  update_share(p);
  gtk_window_set_transient_for(GTK_WINDOW(window), app->window);
  gtk_window_set_modal(GTK_WINDOW(window), TRUE);
  gtk_window_set_title(GTK_WINDOW(window), "Preferences");
  adw_preferences_window_set_search_enabled(ADW_PREFERENCES_WINDOW(window), FALSE);
  adw_preferences_window_add(ADW_PREFERENCES_WINDOW(window), ADW_PREFERENCES_PAGE(page));
  g_object_set_data_full(G_OBJECT(window), "preferences", p, g_free);
  g_signal_connect(p->theme, "notify::selected", G_CALLBACK(on_change), p);
  GtkWidget *spins[] = {p->font, p->threads, p->vram, p->ram, p->port}, *switches[] = {p->enter, p->notify, p->share};
  for (size_t i = 0; i < G_N_ELEMENTS(spins); i++) g_signal_connect(spins[i], "notify::value", G_CALLBACK(on_change), p);
  for (size_t i = 0; i < G_N_ELEMENTS(switches); i++) g_signal_connect(switches[i], "notify::active", G_CALLBACK(on_change), p);
  gtk_window_present(GTK_WINDOW(window));
}
