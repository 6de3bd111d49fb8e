#include "gui_app.h"
#include "widgets.h"

typedef struct preferences {
  pm_gui_app *app;
  GtkWidget *theme, *font, *enter, *notify, *threads, *vram, *ram;
} preferences;

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
  pm_gui_app_save(p->app);
}

static GtkWidget *make_group(const char *title, const char *description, GtkWidget *const rows[], size_t n) {
  GtkWidget *group = adw_preferences_group_new();
  adw_preferences_group_set_title(ADW_PREFERENCES_GROUP(group), title);
  if (description) adw_preferences_group_set_description(ADW_PREFERENCES_GROUP(group), description);
  for (size_t i = 0; i < n; i++) adw_preferences_group_add(ADW_PREFERENCES_GROUP(group), rows[i]);
  return group;
}

void pm_gui_preferences_open(pm_gui_app *app) {
  const pm_gui_engine_settings *s = &app->settings;
  preferences *p = g_new0(preferences, 1);
  p->app = app;
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
  GtkWidget *page = adw_preferences_page_new();
  adw_preferences_page_add(ADW_PREFERENCES_PAGE(page), ADW_PREFERENCES_GROUP(make_group("Appearance", NULL, look, 2)));
  adw_preferences_page_add(ADW_PREFERENCES_PAGE(page), ADW_PREFERENCES_GROUP(make_group("Messages", NULL, typing, 2)));
  adw_preferences_page_add(ADW_PREFERENCES_PAGE(page),
                           ADW_PREFERENCES_GROUP(make_group(
                               "Engine", "From the next time that a model is loaded. Device and context are with the models.", engine, 3)));
  GtkWidget *window = adw_preferences_window_new();
  gtk_window_set_transient_for(GTK_WINDOW(window), app->window);
  gtk_window_set_modal(GTK_WINDOW(window), TRUE);
  gtk_window_set_title(GTK_WINDOW(window), "Preferences");
  adw_preferences_window_set_search_enabled(ADW_PREFERENCES_WINDOW(window), FALSE);
  adw_preferences_window_add(ADW_PREFERENCES_WINDOW(window), ADW_PREFERENCES_PAGE(page));
  g_object_set_data_full(G_OBJECT(window), "preferences", p, g_free);
  g_signal_connect(p->theme, "notify::selected", G_CALLBACK(on_change), p);
  GtkWidget *spins[] = {p->font, p->threads, p->vram, p->ram};
  for (size_t i = 0; i < G_N_ELEMENTS(spins); i++) g_signal_connect(spins[i], "notify::value", G_CALLBACK(on_change), p);
  g_signal_connect(p->enter, "notify::active", G_CALLBACK(on_change), p);
  g_signal_connect(p->notify, "notify::active", G_CALLBACK(on_change), p);
  gtk_window_present(GTK_WINDOW(window));
}
