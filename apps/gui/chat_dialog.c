#include "gui_app.h"
#include "widgets.h"

enum { TEMPERATURE, TOP_K, TOP_P, MIN_P, REPEAT, MAX_TOKENS, SEED, N_SPIN };

static const struct {
  const char *title, *subtitle;
  double least, most, step;
  uint32_t digits;
} spin_rows[N_SPIN] = {[TEMPERATURE] = {"Temperature", "Higher is more surprising; 0 is always the likeliest token", 0, 5, 0.05, 2},
                       [TOP_K] = {"Top K", "Among so many of the likeliest tokens; 0 is all", 0, 1000, 1, 0},
                       [TOP_P] = {"Top P", "Among the likeliest tokens with this total probability", 0.01, 1, 0.01, 2},
                       [MIN_P] = {"Min P", "Not below this fraction of the likeliest one's probability", 0, 1, 0.01, 2},
                       [REPEAT] = {"Repeat penalty", "Makes recent tokens less likely; 1 is off", 0.5, 2, 0.01, 2},
                       [MAX_TOKENS] = {"Longest answer", "Tokens; 0 is as many as there is room for", 0, 1 << 20, 64, 0},
                       [SEED] = {"Seed", "Makes answers repeatable; 0 is a new one each time", 0, 2147483647, 1, 0}};

typedef struct dialog {
  pm_gui_app *app;
  GtkWidget *preset, *spins[N_SPIN], *thinking, *system;
  bool filling;
} dialog;

static void fill(dialog *d) {
  const pm_gui_chat_settings *s = pm_gui_session_settings(d->app->session);
  const double values[N_SPIN] = {s->temperature,    (double)s->top_k,      s->top_p,       s->min_p,
                                 s->repeat_penalty, (double)s->max_tokens, (double)s->seed};
  d->filling = true;
  for (int i = 0; i < N_SPIN; i++) gtk_spin_button_set_value(GTK_SPIN_BUTTON(d->spins[i]), values[i]);
  adw_combo_row_set_selected(ADW_COMBO_ROW(d->preset), (guint)(pm_gui_preset_find(s) + 1));
  d->filling = false;
}

static double value(const dialog *d, int i) { return gtk_spin_button_get_value(GTK_SPIN_BUTTON(d->spins[i])); }

static void on_change(GObject *object, GParamSpec *spec, gpointer user) {
  (void)object, (void)spec;
  dialog *d = user;
  if (d->filling) return;
  pm_gui_chat_settings *s = pm_gui_session_settings(d->app->session);
  s->temperature = value(d, TEMPERATURE);
  s->top_k = (int64_t)value(d, TOP_K);
  s->top_p = value(d, TOP_P);
  s->min_p = value(d, MIN_P);
  s->repeat_penalty = value(d, REPEAT);
  s->max_tokens = (int64_t)value(d, MAX_TOKENS);
  s->seed = (int64_t)value(d, SEED);
  s->thinking = gtk_switch_get_active(GTK_SWITCH(d->thinking));
  g_free(s->system);
  g_object_get(gtk_text_view_get_buffer(GTK_TEXT_VIEW(d->system)), "text", &s->system, NULL);
  pm_gui_session_save_settings(d->app->session);
  d->filling = true;
  adw_combo_row_set_selected(ADW_COMBO_ROW(d->preset), (guint)(pm_gui_preset_find(s) + 1));
  d->filling = false;
}

static void on_preset(GObject *row, GParamSpec *spec, gpointer user) {
  (void)spec;
  dialog *d = user;
  guint chosen = adw_combo_row_get_selected(ADW_COMBO_ROW(row));
  if (d->filling || chosen == 0 || !pm_gui_preset_name(chosen - 1)) return;
  pm_gui_preset_apply(chosen - 1, pm_gui_session_settings(d->app->session));
  pm_gui_session_save_settings(d->app->session);
  fill(d);
}

static void on_text(GtkTextBuffer *buffer, gpointer user) {
  (void)buffer;
  on_change(NULL, NULL, user);
}

static GtkWidget *make_system(dialog *d) {
  GtkWidget *group = adw_preferences_group_new(), *scroller = gtk_scrolled_window_new();
  adw_preferences_group_set_title(ADW_PREFERENCES_GROUP(group), "System prompt");
  d->system = gtk_text_view_new();
  gtk_text_view_set_wrap_mode(GTK_TEXT_VIEW(d->system), GTK_WRAP_WORD_CHAR);
  gtk_text_view_set_accepts_tab(GTK_TEXT_VIEW(d->system), FALSE);
  gtk_widget_add_css_class(d->system, "editor");
  pm_gui_set_label(d->system, "System prompt");
  gtk_text_buffer_set_text(gtk_text_view_get_buffer(GTK_TEXT_VIEW(d->system)), pm_gui_session_settings(d->app->session)->system, -1);
  gtk_scrolled_window_set_min_content_height(GTK_SCROLLED_WINDOW(scroller), 90);
  gtk_scrolled_window_set_child(GTK_SCROLLED_WINDOW(scroller), d->system);
  gtk_widget_add_css_class(scroller, "card");
  adw_preferences_group_add(ADW_PREFERENCES_GROUP(group), scroller);
  return group;
}

static GtkWidget *make_sampling(dialog *d) {
  GtkWidget *group = adw_preferences_group_new();
  adw_preferences_group_set_title(ADW_PREFERENCES_GROUP(group), "Choice of words");
  const char *names[16] = {"Of your own"};
  for (guint i = 0; i + 2 < G_N_ELEMENTS(names) && pm_gui_preset_name(i); i++) names[i + 1] = pm_gui_preset_name(i);
  d->preset = pm_gui_combo_row("Preset", names, 0);
  adw_preferences_group_add(ADW_PREFERENCES_GROUP(group), d->preset);
  for (int i = 0; i < N_SPIN; i++)
    adw_preferences_group_add(ADW_PREFERENCES_GROUP(group),
                              pm_gui_spin_row(spin_rows[i].title, spin_rows[i].subtitle, spin_rows[i].least, spin_rows[i].most,
                                              spin_rows[i].step, spin_rows[i].digits, 0, &d->spins[i]));
  return group;
}

void pm_gui_chat_dialog_open(pm_gui_app *app) {
  dialog *d = g_new0(dialog, 1);
  d->app = app;
  GtkWidget *page = adw_preferences_page_new(), *how = adw_preferences_group_new();
  adw_preferences_group_add(ADW_PREFERENCES_GROUP(how), pm_gui_switch_row("Think before answering", "Where the model can be asked to",
                                                                          pm_gui_session_settings(app->session)->thinking, &d->thinking));
  adw_preferences_page_add(ADW_PREFERENCES_PAGE(page), ADW_PREFERENCES_GROUP(make_system(d)));
  adw_preferences_page_add(ADW_PREFERENCES_PAGE(page), ADW_PREFERENCES_GROUP(how));
  adw_preferences_page_add(ADW_PREFERENCES_PAGE(page), ADW_PREFERENCES_GROUP(make_sampling(d)));
  fill(d);
  GtkWidget *window = adw_preferences_window_new();
  gtk_window_set_transient_for(GTK_WINDOW(window), app->window);
  gtk_window_set_modal(GTK_WINDOW(window), TRUE);
  gtk_window_set_title(GTK_WINDOW(window), "Conversation settings");
  adw_preferences_window_set_search_enabled(ADW_PREFERENCES_WINDOW(window), FALSE);
  adw_preferences_window_add(ADW_PREFERENCES_WINDOW(window), ADW_PREFERENCES_PAGE(page));
  g_object_set_data_full(G_OBJECT(window), "dialog", d, g_free);
  g_signal_connect(d->preset, "notify::selected", G_CALLBACK(on_preset), d);
  for (int i = 0; i < N_SPIN; i++) g_signal_connect(d->spins[i], "notify::value", G_CALLBACK(on_change), d);
  g_signal_connect(d->thinking, "notify::active", G_CALLBACK(on_change), d);
  g_signal_connect(gtk_text_view_get_buffer(GTK_TEXT_VIEW(d->system)), "changed", G_CALLBACK(on_text), d);
  gtk_window_present(GTK_WINDOW(window));
}
