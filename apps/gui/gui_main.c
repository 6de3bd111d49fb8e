// pumice-gui: the desktop app.
#include <pumice.h>
#include <string.h>

#include "composer.h"
#include "gui_app.h"

#define APP_ID "io.pumice.Pumice"

static char *option_engine, *option_data;

void pm_gui_app_save(pm_gui_app *app) {
  static const AdwColorScheme schemes[] = {ADW_COLOR_SCHEME_DEFAULT, ADW_COLOR_SCHEME_FORCE_LIGHT, ADW_COLOR_SCHEME_FORCE_DARK};
  const pm_gui_engine_settings *s = &app->settings;
  g_autofree char *json = pm_gui_engine_settings_json(s);
  GError *error = NULL;
  if (!pm_gui_store_set(app->store, "settings", json, &error)) pm_gui_app_toast(app, error->message);
  g_clear_error(&error);
  adw_style_manager_set_color_scheme(adw_style_manager_get_default(), schemes[s->theme]);
  g_autofree char *css = g_strdup_printf(".conversation { font-size: %d%%; }", (int)s->font_percent);
  gtk_css_provider_load_from_data(app->font, css, -1);
  if (app->window) pm_gui_composer_set(app->composer, s->send_on_enter);
}

// pumice beside this program, or where the build puts it, or on the PATH.
static char *find_engine(void) {
  if (option_engine) return g_strdup(option_engine);
  g_autofree char *self = g_file_read_link("/proc/self/exe", NULL), *folder = g_path_get_dirname(self ? self : "."),
                  *above = g_path_get_dirname(folder);
  const char *const folders[] = {folder, above};
  for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
    char *path = g_build_filename(folders[i], "pumice", NULL);
    if (g_file_test(path, G_FILE_TEST_IS_EXECUTABLE) && !g_file_test(path, G_FILE_TEST_IS_DIR)) return path;
    g_free(path);
  }
  return g_strdup("pumice");
}

static pm_gui_store *open_store(const char *folder, GError **error) {
  g_mkdir_with_parents(folder, 0700);
  g_autofree char *path = g_build_filename(folder, "conversations.db", NULL);
  return pm_gui_store_open(path, error);
}

static void on_engine(void *user) {
  pm_gui_app *app = user;
  if (app->session) pm_gui_window_update(app);
}

static void on_downloads(void *app) { pm_gui_picker_update(app, NULL); }

static void on_whole(void *user, const char *name, const char *path) {
  pm_gui_app *app = user;
  g_autofree char *text = g_strdup_printf("%s has been downloaded", name);
  pm_gui_app_toast(app, text);
  pm_gui_picker_update(app, path);
  pm_gui_app_notify(app, "A model has been downloaded", name);
}

// The conversations cannot be kept: they are held in memory alone, and the user is told.
static char *start_up(pm_gui_app *app) {
  static const pm_gui_download_events downloads = {on_downloads, on_whole};
  GError *error = NULL;
  char *problem = NULL;
  app->folder = option_data ? g_strdup(option_data) : g_build_filename(g_get_user_data_dir(), "pumice", NULL);
  app->store = open_store(app->folder, &error);
  if (!app->store) {
    problem = g_strdup_printf("%s Nothing of this session will be kept.", error->message);
    g_error_free(error);
    app->store = pm_gui_store_open(NULL, NULL);
  }
  g_autofree char *json = pm_gui_store_get(app->store, "settings");
  app->program = find_engine();
  pm_gui_engine_settings_parse(&app->settings, json);
  if (!*app->settings.share_key) {
    g_free(app->settings.share_key);
    app->settings.share_key = g_uuid_string_random();
  }
  app->font = gtk_css_provider_new();
  gtk_style_context_add_provider_for_display(gdk_display_get_default(), GTK_STYLE_PROVIDER(app->font), GTK_STYLE_PROVIDER_PRIORITY_USER);
  app->engine = pm_gui_engine_create(app->program, on_engine, app);
  app->session = pm_gui_session_create(app->store, app->engine, &pm_gui_window_events, app);
  app->downloads = pm_gui_downloads_create(app->store, &downloads, app);
  return problem;
}

static void on_activate(GApplication *gtk, gpointer user) {
  (void)gtk;
  pm_gui_app *app = user;
  g_autofree char *problem = app->store ? NULL : start_up(app);
  if (!app->window) {
    pm_gui_window_open(app);
    pm_gui_app_save(app);
    pm_gui_session_open(app->session, 0);
    pm_gui_window_events.listed(app);
  }
  if (problem) pm_gui_app_toast(app, problem);
  gtk_window_present(app->window);
}

static void on_open(GApplication *gtk, GFile **files, int n, const char *hint, gpointer user) {
  (void)hint;
  pm_gui_app *app = user;
  on_activate(gtk, app);
  g_autofree char *path = n ? g_file_get_path(files[0]) : NULL;
  if (path) pm_gui_picker_open(app, path);
}

static void on_shutdown(GApplication *gtk, gpointer user) {
  (void)gtk;
  pm_gui_app *app = user;
  pm_gui_downloads_destroy(g_steal_pointer(&app->downloads));
  pm_gui_session_destroy(g_steal_pointer(&app->session));
  pm_gui_engine_destroy(g_steal_pointer(&app->engine));
  pm_gui_store_close(g_steal_pointer(&app->store));
  g_clear_object(&app->font);
  pm_gui_engine_settings_clear(&app->settings);
  g_free(app->folder);
  g_free(app->program);
}

static void on_quit(GSimpleAction *action, GVariant *target, gpointer user) {
  (void)action, (void)target;
  pm_gui_app *app = user;
  if (app->window) gtk_window_destroy(app->window);
  g_application_quit(G_APPLICATION(app->gtk));
}

int main(int argc, char **argv) {
  static const GOptionEntry options[] = {
      {"engine", 0, 0, G_OPTION_ARG_FILENAME, &option_engine, "the pumice program that runs models", "FILE"},
      {"data", 0, 0, G_OPTION_ARG_FILENAME, &option_data, "where conversations are kept", "FOLDER"},
      {NULL}};
  static const GActionEntry actions[] = {{.name = "quit", .activate = on_quit}};
  pm_gui_app app = {.gtk = adw_application_new(APP_ID, G_APPLICATION_HANDLES_OPEN)};
  g_application_add_main_option_entries(G_APPLICATION(app.gtk), options);
  g_action_map_add_action_entries(G_ACTION_MAP(app.gtk), actions, G_N_ELEMENTS(actions), &app);
  g_signal_connect(app.gtk, "activate", G_CALLBACK(on_activate), &app);
  g_signal_connect(app.gtk, "open", G_CALLBACK(on_open), &app);
  g_signal_connect(app.gtk, "shutdown", G_CALLBACK(on_shutdown), &app);
  gtk_window_set_default_icon_name(APP_ID);
  int code = g_application_run(G_APPLICATION(app.gtk), argc, argv);
  g_object_unref(app.gtk);
  return code;
}
