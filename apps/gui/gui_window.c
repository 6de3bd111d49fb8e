#include <string.h>

#include "composer.h"
#include "conversation_view.h"
#include "gui_app.h"
#include "sidebar.h"
#include "widgets.h"

static const char style[] =
    ".conversation { padding: 18px 12px; }"
    ".message { padding: 10px 14px; border-radius: 12px; }"
    ".from-user { background: alpha(@accent_bg_color, 0.12); }"
    ".found { outline: 2px solid @accent_color; }"
    ".message-buttons button { min-width: 26px; min-height: 26px; padding: 2px; opacity: 0.6; }"
    ".message-buttons button:hover, .message-buttons button:focus { opacity: 1; }"
    ".fold > box > title { opacity: 0.75; }"
    ".thoughts { opacity: 0.75; padding: 6px 12px; margin: 6px 0; }"
    ".thoughts:dir(ltr) { border-left: 3px solid alpha(currentColor, 0.25); }"
    ".thoughts:dir(rtl) { border-right: 3px solid alpha(currentColor, 0.25); }"
    ".code { border-radius: 8px; background: alpha(currentColor, 0.06); }"
    ".code-head { padding: 2px 4px 2px 12px; background: alpha(currentColor, 0.06); }"
    ".code-body, .code-body textview, .code-body text { background: transparent; }"
    ".code-body { padding: 8px 12px; }"
    ".composer { padding: 7px; border-radius: 23px; background: alpha(currentColor, 0.07); }"
    ".composer button { min-width: 32px; min-height: 32px; padding: 0; }"
    ".composer button.text-button { padding: 0 14px; border-radius: 16px; }"
    ".composer textview, .composer text, .editor, .editor text { background: transparent; }"
    ".editor text { padding: 4px; }"
    ".composer textview, .composer-hint { padding: 10px 8px; }"
    ".composer scrollbar slider { min-height: 20px; }"
    ".editor { border-radius: 8px; background: alpha(currentColor, 0.06); }"
    ".bottom { padding: 6px 12px 8px 12px; }"
    ".gauges { margin: 0 8px; }"
    ".gauges flowboxchild { padding: 0; }"
    ".gauges levelbar block { min-height: 4px; }"
    ".sidebar-entry { margin: 6px 8px; }"
    ".dialog-content { padding: 18px; }"
    ".log { padding: 12px; }"
    ".download { padding: 10px 6px 10px 12px; }"
    ".fit-bar { border-radius: 7px; }";

typedef struct window {
  pm_gui_app *app;
  GtkWidget *model, *banner, *banner_text, *banner_button, *dismiss, *loading, *loading_bar, *gauges, *flap;
  bool noted;  // what is not as it was wished has been read
} window;

static window *get(const pm_gui_app *app) { return g_object_get_data(G_OBJECT(app->window), "window"); }

void pm_gui_app_toast(pm_gui_app *app, const char *text) {
  if (!app->window) return;
  g_autofree char *markup = g_markup_escape_text(text, -1);
  AdwToast *toast = adw_toast_new(markup);
  adw_toast_overlay_add_toast(ADW_TOAST_OVERLAY(app->toasts), toast);
}

void pm_gui_app_notify(pm_gui_app *app, const char *title, const char *body) {
  if (!app->settings.notify || !app->window || gtk_window_is_active(app->window)) return;
  GNotification *note = g_notification_new(title);
  if (body) g_notification_set_body(note, body);
  g_application_send_notification(G_APPLICATION(app->gtk), title, note);
  g_object_unref(note);
}

// ---- what is shown of the engine ---------------------------------------------------------------------------------------------------

static void show_banner(window *w, bool error, const char *text, const char *label, const char *action) {
  gtk_info_bar_set_message_type(GTK_INFO_BAR(w->banner), error ? GTK_MESSAGE_ERROR : GTK_MESSAGE_WARNING);
  gtk_widget_set_visible(w->dismiss, !error);
  gtk_label_set_text(GTK_LABEL(w->banner_text), text);
  gtk_button_set_label(GTK_BUTTON(w->banner_button), label);
  gtk_actionable_set_action_name(GTK_ACTIONABLE(w->banner_button), action);
}

static void update_banner(window *w, const pm_gui_engine_view *engine) {
  bool failed = engine->state == PM_GUI_ENGINE_FAILED, ready = engine->state == PM_GUI_ENGINE_READY;
  if (!ready) w->noted = false;
  bool shown = failed || (ready && engine->message && !w->noted);
  gtk_info_bar_set_revealed(GTK_INFO_BAR(w->banner), shown);
  gtk_widget_set_visible(w->banner, shown);
  if (!shown) return;
  g_autofree char *text = ready               ? g_strdup_printf("%s is loaded, but %s", engine->name, engine->message)
                          : engine->was_ready ? g_strdup_printf("The engine has stopped: %s", engine->message)
                                              : g_strdup_printf("%s could not be loaded: %s", engine->name, engine->message);
  bool restart = failed && engine->was_ready;
  show_banner(w, failed, text, restart ? "Restart engine" : "Pick a model", restart ? "win.restart" : "win.models");
}

static void on_noted(GtkInfoBar *bar, int response, gpointer user) {
  (void)response;
  window *w = user;
  w->noted = true;
  gtk_info_bar_set_revealed(bar, FALSE);
}

static void update_loading(window *w, const pm_gui_engine_view *engine) {
  bool loading = engine->state == PM_GUI_ENGINE_LOADING;
  gtk_widget_set_visible(w->loading, loading);
  if (!loading) return;
  g_autofree char *text = engine->progress >= 0 ? g_strdup_printf("Loading %s: %.0f %%", engine->name, 100 * engine->progress)
                                                : g_strdup_printf("Loading %s", engine->name);
  gtk_progress_bar_set_text(GTK_PROGRESS_BAR(w->loading_bar), text);
  if (engine->progress >= 0)
    gtk_progress_bar_set_fraction(GTK_PROGRESS_BAR(w->loading_bar), CLAMP(engine->progress, 0, 1));
  else
    gtk_progress_bar_pulse(GTK_PROGRESS_BAR(w->loading_bar));
}

static void update_inhibition(pm_gui_app *app) {
  bool writing = pm_gui_session_writing(app->session) != PM_GUI_IDLE;
  if (writing && !app->inhibited)
    app->inhibited = gtk_application_inhibit(GTK_APPLICATION(app->gtk), app->window, GTK_APPLICATION_INHIBIT_SUSPEND,
                                             "An answer is being written");
  if (!writing && app->inhibited) {
    gtk_application_uninhibit(GTK_APPLICATION(app->gtk), app->inhibited);
    app->inhibited = 0;
  }
}

void pm_gui_window_update(pm_gui_app *app) {
  if (!app->window) return;
  window *w = get(app);
  const pm_gui_engine_view *engine = pm_gui_engine_get(app->engine);
  bool ready = engine->state == PM_GUI_ENGINE_READY, named = ready || engine->state == PM_GUI_ENGINE_LOADING;
  pm_gui_writing writing = pm_gui_session_writing(app->session);
  gtk_button_set_label(GTK_BUTTON(w->model), named ? engine->name : "Pick a model");
  pm_gui_composer_update(app->composer, ready && writing == PM_GUI_IDLE, writing == PM_GUI_HERE,
                         writing == PM_GUI_HERE && pm_gui_session_is_thinking(app->session));
  pm_gui_conversation_view_invite(app->conversation, named);
  update_banner(w, engine);
  update_loading(w, engine);
  pm_gui_gauges_update(w->gauges, app);
  pm_gui_actions_update(app);
  update_inhibition(app);
}

// ---- what the session tells --------------------------------------------------------------------------------------------------------

static void on_opened(void *user) {
  pm_gui_app *app = user;
  if (!app->window) return;
  pm_gui_conversation_view_show(app->conversation, pm_gui_session_path(app->session));
  pm_gui_window_update(app);
}

static void on_listed(void *user) {
  pm_gui_app *app = user;
  if (app->window) pm_gui_sidebar_refresh(app->sidebar, pm_gui_session_chat(app->session));
}

static void on_grown(void *user, int64_t message, const char *content, const char *thinking) {
  pm_gui_app *app = user;
  if (!app->window) return;
  pm_gui_conversation_view_grow(app->conversation, message, content, thinking);
}

static void on_finished(void *user, int64_t chat) {
  pm_gui_app *app = user;
  if (!app->window) return;
  on_listed(app);
  pm_gui_window_update(app);
  g_autoptr(pm_gui_chat) row = pm_gui_store_chat(app->store, chat, NULL);
  pm_gui_app_notify(app, "An answer is finished", row ? row->title : NULL);
}

static void on_prompt(void *user, double done) {
  pm_gui_app *app = user;
  if (!app->window) return;
  pm_gui_composer_progress(app->composer, done);
  pm_gui_window_update(app);
}

static void on_failed(void *user, const char *message) { pm_gui_app_toast(user, message); }

const pm_gui_session_events pm_gui_window_events = {on_opened, on_listed, on_grown, on_finished, on_prompt, on_failed};

// ---- what the views tell -----------------------------------------------------------------------------------------------------------

static void on_chosen(void *user, int64_t chat, int64_t message) {
  pm_gui_app *app = user;
  GError *error = NULL;
  if (message && !pm_gui_store_set_head(app->store, chat, message, &error)) {  // it may be on another branch
    pm_gui_app_toast(app, error->message);
    g_clear_error(&error);
  }
  pm_gui_session_open(app->session, chat);
  if (message) pm_gui_conversation_view_reveal(app->conversation, message);
}

static bool on_send(void *user, const char *text) { return pm_gui_session_send(((pm_gui_app *)user)->session, text); }

static void on_dropped(void *app, const char *path) { pm_gui_picker_open(app, path); }

static void on_destroy(GtkWidget *widget, gpointer user) {
  (void)widget;
  ((pm_gui_app *)user)->window = NULL;
}

// ---- its parts ---------------------------------------------------------------------------------------------------------------------

static GtkWidget *make_menu(void) {
  static const char *const rows[][2] = {{"Find in conversation", "win.find"},
                                        {"Conversation settings", "win.chat-settings"},
                                        {"Import conversation…", "win.import"},
                                        {"Export conversation…", "win.export-open"},
                                        {"Restart engine", "win.restart"},
                                        {"Engine log", "win.log"},
                                        {"Check the devices", "win.doctor"},
                                        {"Preferences", "win.preferences"},
                                        {"Keyboard shortcuts", "win.show-help-overlay"},
                                        {"About Pumice", "win.about"}};
  GMenu *menu = g_menu_new();
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) g_menu_append(menu, rows[i][0], rows[i][1]);
  GtkWidget *button = gtk_menu_button_new();
  gtk_menu_button_set_icon_name(GTK_MENU_BUTTON(button), "open-menu-symbolic");
  gtk_menu_button_set_menu_model(GTK_MENU_BUTTON(button), G_MENU_MODEL(menu));
  gtk_menu_button_set_primary(GTK_MENU_BUTTON(button), TRUE);
  gtk_widget_set_tooltip_text(button, "Main menu");
  pm_gui_set_label(button, "Main menu");
  g_object_unref(menu);
  return button;
}

static GtkWidget *make_head(window *w) {
  GtkWidget *head = adw_header_bar_new(), *sidebar = gtk_toggle_button_new();
  gtk_button_set_icon_name(GTK_BUTTON(sidebar), "sidebar-show-symbolic");
  gtk_widget_set_tooltip_text(sidebar, "Conversations");
  pm_gui_set_label(sidebar, "Show conversations");
  g_object_bind_property(w->flap, "reveal-flap", sidebar, "active", G_BINDING_BIDIRECTIONAL | G_BINDING_SYNC_CREATE);
  w->model = gtk_button_new_with_label("Pick a model");
  gtk_widget_set_tooltip_text(w->model, "Models");
  gtk_actionable_set_action_name(GTK_ACTIONABLE(w->model), "win.models");
  adw_header_bar_pack_start(ADW_HEADER_BAR(head), sidebar);
  adw_header_bar_set_title_widget(ADW_HEADER_BAR(head), w->model);
  adw_header_bar_pack_end(ADW_HEADER_BAR(head), make_menu());
  adw_header_bar_pack_end(ADW_HEADER_BAR(head), pm_gui_icon_button("emblem-system-symbolic", "Conversation settings", "win.chat-settings"));
  return head;
}

static void make_banner(window *w) {
  w->banner = gtk_info_bar_new();
  g_signal_connect(w->banner, "response", G_CALLBACK(on_noted), w);
  w->banner_text = pm_gui_text_label("", NULL);
  gtk_label_set_wrap(GTK_LABEL(w->banner_text), TRUE);
  gtk_label_set_selectable(GTK_LABEL(w->banner_text), TRUE);
  gtk_widget_set_hexpand(w->banner_text, TRUE);
  gtk_widget_set_margin_start(w->banner_text, 12);
  w->banner_button = gtk_button_new_with_label("");
  gtk_widget_set_valign(w->banner_button, GTK_ALIGN_CENTER);
  gtk_info_bar_add_child(GTK_INFO_BAR(w->banner), w->banner_text);
  gtk_info_bar_add_child(GTK_INFO_BAR(w->banner), w->banner_button);
  w->dismiss = gtk_info_bar_add_button(GTK_INFO_BAR(w->banner), "Dismiss", GTK_RESPONSE_CLOSE);
}

static void make_loading(window *w) {
  w->loading_bar = gtk_progress_bar_new();
  gtk_progress_bar_set_show_text(GTK_PROGRESS_BAR(w->loading_bar), TRUE);
  gtk_widget_set_hexpand(w->loading_bar, TRUE);
  pm_gui_set_label(w->loading_bar, "Loading the model");
  GtkWidget *cancel = gtk_button_new_with_label("Cancel");
  gtk_widget_set_tooltip_text(cancel, "Stop loading the model");
  gtk_actionable_set_action_name(GTK_ACTIONABLE(cancel), "win.unload");
  w->loading = pm_gui_box(GTK_ORIENTATION_HORIZONTAL, 12, w->loading_bar, cancel, NULL);
  gtk_widget_add_css_class(w->loading, "bottom");
}

static GtkWidget *make_content(window *w) {
  pm_gui_app *app = w->app;
  GtkWidget *head = make_head(w);
  make_banner(w);
  make_loading(w);
  app->conversation = pm_gui_conversation_view_new();
  app->toasts = adw_toast_overlay_new();
  adw_toast_overlay_set_child(ADW_TOAST_OVERLAY(app->toasts), app->conversation);
  gtk_widget_set_vexpand(app->toasts, TRUE);
  app->composer = pm_gui_composer_new(on_send, app);
  w->gauges = pm_gui_gauges_new();
  GtkWidget *clamp = adw_clamp_new(), *bottom = pm_gui_box(GTK_ORIENTATION_VERTICAL, 6, app->composer, w->gauges, NULL);
  gtk_widget_add_css_class(bottom, "bottom");
  adw_clamp_set_maximum_size(ADW_CLAMP(clamp), 820);
  adw_clamp_set_child(ADW_CLAMP(clamp), bottom);
  return pm_gui_box(GTK_ORIENTATION_VERTICAL, 0, head, w->banner, w->loading, app->toasts, clamp, NULL);
}

static GtkWidget *make_shortcuts(void) {
  GString *xml = g_string_new(
      "<interface><object class=\"GtkShortcutsWindow\" id=\"window\"><property name=\"modal\">1</property><child><object "
      "class=\"GtkShortcutsSection\">"
      "<property name=\"section-name\">all</property>");
  const char *group = NULL;
  for (const pm_gui_shortcut *s = pm_gui_shortcuts; s->action; s++) {
    if (!group || strcmp(group, s->group))
      g_string_append_printf(xml, "%s<child><object class=\"GtkShortcutsGroup\"><property name=\"title\">%s</property>",
                             group ? "</object></child>" : "", s->group);
    group = s->group;
    g_autofree char *row = g_markup_printf_escaped(
        "<child><object class=\"GtkShortcutsShortcut\"><property name=\"title\">%s</property><property "
        "name=\"accelerator\">%s</property></object></child>",
        s->title, s->keys);
    g_string_append(xml, row);
  }
  g_string_append(xml, "</object></child></object></child></object></interface>");
  GtkBuilder *builder = gtk_builder_new_from_string(xml->str, -1);
  GtkWidget *shortcuts = GTK_WIDGET(g_object_ref(gtk_builder_get_object(builder, "window")));
  g_object_unref(builder);
  g_string_free(xml, TRUE);
  return shortcuts;
}

void pm_gui_window_open(pm_gui_app *app) {
  GtkCssProvider *css = gtk_css_provider_new();
  gtk_css_provider_load_from_data(css, style, -1);
  gtk_style_context_add_provider_for_display(gdk_display_get_default(), GTK_STYLE_PROVIDER(css), GTK_STYLE_PROVIDER_PRIORITY_APPLICATION);
  g_object_unref(css);

  window *w = g_new0(window, 1);
  w->app = app;
  app->window = GTK_WINDOW(adw_application_window_new(GTK_APPLICATION(app->gtk)));
  gtk_window_set_title(app->window, "Pumice");
  gtk_window_set_default_size(app->window, 1080, 760);
  g_object_set_data_full(G_OBJECT(app->window), "window", w, g_free);
  g_signal_connect(app->window, "destroy", G_CALLBACK(on_destroy), app);
  app->sidebar = pm_gui_sidebar_new(app->store, on_chosen, app);
  w->flap = adw_flap_new();
  adw_flap_set_flap(ADW_FLAP(w->flap), app->sidebar);
  adw_flap_set_separator(ADW_FLAP(w->flap), gtk_separator_new(GTK_ORIENTATION_VERTICAL));
  adw_flap_set_content(ADW_FLAP(w->flap), make_content(w));
  adw_application_window_set_content(ADW_APPLICATION_WINDOW(app->window), w->flap);
  pm_gui_accept_files(GTK_WIDGET(app->window), on_dropped, app);
  pm_gui_actions_add(app);
  GPropertyAction *sidebar = g_property_action_new("sidebar", w->flap, "reveal-flap");
  g_action_map_add_action(G_ACTION_MAP(app->window), G_ACTION(sidebar));
  g_object_unref(sidebar);
  GtkWidget *shortcuts = make_shortcuts();
  gtk_application_window_set_help_overlay(GTK_APPLICATION_WINDOW(app->window), GTK_SHORTCUTS_WINDOW(shortcuts));
  g_object_unref(shortcuts);
}
