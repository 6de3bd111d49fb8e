#include <pumice.h>
#include <string.h>

#include "composer.h"
#include "conversation_view.h"
#include "gui_app.h"
#include "sidebar.h"
#include "widgets.h"

#define ACTION(name) static void name(GSimpleAction *action, GVariant *target, gpointer user)
#define UNUSED_TARGET (void)action, (void)target

static int64_t id_of(GVariant *target) { return g_variant_get_int64(target); }

static void failed(pm_gui_app *app, GError *error) {
  pm_gui_app_toast(app, error ? error->message : "That did not work.");
  g_clear_error(&error);
}

// ---- conversations -----------------------------------------------------------------------------------------------------------------

ACTION(new_chat) {
  UNUSED_TARGET;
  pm_gui_app *app = user;
  pm_gui_session_open(app->session, 0);
  pm_gui_window_events.listed(app);
  pm_gui_composer_focus(app->composer);
}

typedef struct rename_call {
  pm_gui_app *app;
  int64_t chat;
  GtkWidget *entry;
} rename_call;

static void on_rename(AdwMessageDialog *dialog, const char *response, gpointer data) {
  (void)dialog;
  rename_call *call = data;
  GError *error = NULL;
  const char *title = gtk_editable_get_text(GTK_EDITABLE(call->entry));
  if (!strcmp(response, "rename") && *title) {
    if (pm_gui_store_rename(call->app->store, call->chat, title, &error))
      pm_gui_window_events.listed(call->app);
    else
      failed(call->app, error);
  }
  g_free(call);
}

static void rename_chat(pm_gui_app *app, int64_t chat) {
  g_autoptr(pm_gui_chat) row = pm_gui_store_chat(app->store, chat, NULL);
  if (!row) return;
  rename_call *call = g_new(rename_call, 1);
  *call = (rename_call){app, chat, gtk_entry_new()};
  GtkWidget *dialog = adw_message_dialog_new(app->window, "Rename conversation", NULL);
  gtk_editable_set_text(GTK_EDITABLE(call->entry), row->title);
  gtk_entry_set_activates_default(GTK_ENTRY(call->entry), TRUE);
  pm_gui_set_label(call->entry, "Title");
  adw_message_dialog_set_extra_child(ADW_MESSAGE_DIALOG(dialog), call->entry);
  adw_message_dialog_add_responses(ADW_MESSAGE_DIALOG(dialog), "cancel", "_Cancel", "rename", "_Rename", NULL);
  adw_message_dialog_set_response_appearance(ADW_MESSAGE_DIALOG(dialog), "rename", ADW_RESPONSE_SUGGESTED);
  adw_message_dialog_set_default_response(ADW_MESSAGE_DIALOG(dialog), "rename");
  g_signal_connect(dialog, "response", G_CALLBACK(on_rename), call);
  gtk_window_present(GTK_WINDOW(dialog));
}

ACTION(rename_action) {
  (void)action;
  rename_chat(user, id_of(target));
}

ACTION(rename_open) {
  UNUSED_TARGET;
  rename_chat(user, pm_gui_session_chat(((pm_gui_app *)user)->session));
}

ACTION(clone_chat) {
  (void)action;
  pm_gui_app *app = user;
  GError *error = NULL;
  g_autoptr(pm_gui_chat) row = pm_gui_store_chat(app->store, id_of(target), &error);
  g_autofree char *title = row ? g_strdup_printf("%s (copy)", row->title) : NULL;
  int64_t copy = row ? pm_gui_store_clone(app->store, row->id, title, &error) : 0;
  if (!copy) {
    failed(app, error);
    return;
  }
  pm_gui_session_open(app->session, copy);
  pm_gui_window_events.listed(app);
}

static void delete_chat(pm_gui_app *app, int64_t chat) {
  GError *error = NULL;
  if (!chat) return;
  if (pm_gui_session_chat(app->session) == chat) {
    if (pm_gui_session_writing(app->session) == PM_GUI_HERE) pm_gui_session_stop(app->session);
    pm_gui_session_open(app->session, 0);
  }
  if (!pm_gui_store_delete(app->store, chat, true, &error)) {
    failed(app, error);
    return;
  }
  pm_gui_window_events.listed(app);
  AdwToast *toast = adw_toast_new("Conversation deleted");
  adw_toast_set_button_label(toast, "Undo");
  adw_toast_set_action_name(toast, "win.undo-delete");
  adw_toast_set_action_target_value(toast, g_variant_new_int64(chat));
  adw_toast_set_timeout(toast, 10);
  adw_toast_overlay_add_toast(ADW_TOAST_OVERLAY(app->toasts), toast);
}

ACTION(delete_action) {
  (void)action;
  delete_chat(user, id_of(target));
}

ACTION(delete_open) {
  UNUSED_TARGET;
  delete_chat(user, pm_gui_session_chat(((pm_gui_app *)user)->session));
}

ACTION(undo_delete) {
  (void)action;
  pm_gui_app *app = user;
  GError *error = NULL;
  if (!pm_gui_store_delete(app->store, id_of(target), false, &error)) failed(app, error);
  pm_gui_session_open(app->session, id_of(target));
  pm_gui_window_events.listed(app);
}

ACTION(export_markdown) {
  (void)action;
  pm_gui_export_dialog(user, id_of(target), true);
}

ACTION(export_json) {
  (void)action;
  pm_gui_export_dialog(user, id_of(target), false);
}

ACTION(export_open) {
  UNUSED_TARGET;
  pm_gui_export_dialog(user, pm_gui_session_chat(((pm_gui_app *)user)->session), true);
}

ACTION(import_chat) {
  UNUSED_TARGET;
  pm_gui_import_dialog(user);
}

// ---- messages ----------------------------------------------------------------------------------------------------------------------

static void copy_message(pm_gui_app *app, const pm_gui_message *m) {
  if (!m) return;
  gdk_clipboard_set_text(gtk_widget_get_clipboard(GTK_WIDGET(app->window)), m->content);
  pm_gui_app_toast(app, "Copied");
}

static pm_gui_message *last_answer(pm_gui_app *app) {
  GPtrArray *path = pm_gui_session_path(app->session);
  for (guint i = path->len; i-- > 0;)
    if (!strcmp(((pm_gui_message *)path->pdata[i])->role, "assistant")) return path->pdata[i];
  return NULL;
}

ACTION(copy_action) {
  (void)action;
  copy_message(user, pm_gui_session_message(((pm_gui_app *)user)->session, id_of(target)));
}

ACTION(copy_last) {
  UNUSED_TARGET;
  copy_message(user, last_answer(user));
}

ACTION(regenerate) {
  (void)action;
  pm_gui_session_regenerate(((pm_gui_app *)user)->session, id_of(target));
}

ACTION(regenerate_last) {
  UNUSED_TARGET;
  const pm_gui_message *m = last_answer(user);
  if (m) pm_gui_session_regenerate(((pm_gui_app *)user)->session, m->id);
}

ACTION(resume) {
  (void)action;
  pm_gui_session_resume(((pm_gui_app *)user)->session, id_of(target));
}

static void on_edited(void *user, int64_t message, const char *text) {
  pm_gui_app *app = user;
  if (text && *text) pm_gui_session_edit(app->session, message, text);
}

ACTION(edit) {
  (void)action;
  pm_gui_app *app = user;
  const pm_gui_message *m = pm_gui_session_message(app->session, id_of(target));
  GtkWidget *view = m ? pm_gui_conversation_view_message(app->conversation, m->id) : NULL;
  if (view) pm_gui_message_view_edit(view, m->content, on_edited, app);
}

ACTION(previous_branch) {
  (void)action;
  pm_gui_session_branch(((pm_gui_app *)user)->session, id_of(target), -1);
}

ACTION(next_branch) {
  (void)action;
  pm_gui_session_branch(((pm_gui_app *)user)->session, id_of(target), 1);
}

ACTION(stop) {
  UNUSED_TARGET;
  pm_gui_session_stop(((pm_gui_app *)user)->session);
}

ACTION(answer_now) {
  UNUSED_TARGET;
  pm_gui_session_answer_now(((pm_gui_app *)user)->session);
}

// ---- the window --------------------------------------------------------------------------------------------------------------------

ACTION(compose) {
  UNUSED_TARGET;
  pm_gui_composer_focus(((pm_gui_app *)user)->composer);
}

ACTION(find) {
  UNUSED_TARGET;
  pm_gui_conversation_view_find(((pm_gui_app *)user)->conversation);
}

ACTION(search) {
  UNUSED_TARGET;
  pm_gui_sidebar_search(((pm_gui_app *)user)->sidebar);
}

ACTION(open_models) {
  UNUSED_TARGET;
  pm_gui_picker_open(user, NULL);
}

ACTION(restart_engine) {
  UNUSED_TARGET;
  pm_gui_app *app = user;
  pm_gui_engine_restart(app->engine, &app->settings);
}

ACTION(unload) {
  UNUSED_TARGET;
  pm_gui_engine_unload(((pm_gui_app *)user)->engine);
}

ACTION(preferences) {
  UNUSED_TARGET;
  pm_gui_preferences_open(user);
}

ACTION(chat_settings) {
  UNUSED_TARGET;
  pm_gui_chat_dialog_open(user);
}

ACTION(engine_log) {
  UNUSED_TARGET;
  pm_gui_log_open(user);
}

ACTION(doctor) {
  UNUSED_TARGET;
  pm_gui_doctor_open(user);
}

ACTION(about) {
  UNUSED_TARGET;
  pm_gui_app *app = user;
  adw_show_about_window(app->window, "application-name", "Pumice", "application-icon", "io.pumice.Pumice", "version", pumice_version(),
                        "comments", "Runs large Mixture-of-Experts language models on small graphics cards and on CPUs.", "license-type",
                        GTK_LICENSE_MIT_X11, NULL);
}

static const GActionEntry entries[] = {
    {.name = "new-chat", .activate = new_chat},
    {.name = "rename", .activate = rename_action, .parameter_type = "x"},
    {.name = "rename-open", .activate = rename_open},
    {.name = "clone", .activate = clone_chat, .parameter_type = "x"},
    {.name = "delete", .activate = delete_action, .parameter_type = "x"},
    {.name = "delete-open", .activate = delete_open},
    {.name = "undo-delete", .activate = undo_delete, .parameter_type = "x"},
    {.name = "export-markdown", .activate = export_markdown, .parameter_type = "x"},
    {.name = "export-json", .activate = export_json, .parameter_type = "x"},
    {.name = "export-open", .activate = export_open},
    {.name = "import", .activate = import_chat},
    {.name = "copy", .activate = copy_action, .parameter_type = "x"},
    {.name = "copy-last", .activate = copy_last},
    {.name = "regenerate", .activate = regenerate, .parameter_type = "x"},
    {.name = "regenerate-last", .activate = regenerate_last},
    {.name = "resume", .activate = resume, .parameter_type = "x"},
    {.name = "edit", .activate = edit, .parameter_type = "x"},
    {.name = "previous", .activate = previous_branch, .parameter_type = "x"},
    {.name = "next", .activate = next_branch, .parameter_type = "x"},
    {.name = "stop", .activate = stop},
    {.name = "answer-now", .activate = answer_now},
    {.name = "compose", .activate = compose},
    {.name = "find", .activate = find},
    {.name = "search", .activate = search},
    {.name = "models", .activate = open_models},
    {.name = "restart", .activate = restart_engine},
    {.name = "unload", .activate = unload},
    {.name = "preferences", .activate = preferences},
    {.name = "chat-settings", .activate = chat_settings},
    {.name = "log", .activate = engine_log},
    {.name = "doctor", .activate = doctor},
    {.name = "about", .activate = about},
};

const pm_gui_shortcut pm_gui_shortcuts[] = {{"Conversations", "New conversation", "win.new-chat", "<Control>n"},
                                            {"Conversations", "Search all conversations", "win.search", "<Control>k"},
                                            {"Conversations", "Find in the conversation", "win.find", "<Control>f"},
                                            {"Conversations", "Rename", "win.rename-open", "F2"},
                                            {"Conversations", "Export", "win.export-open", "<Control>e"},
                                            {"Conversations", "Delete", "win.delete-open", "<Control><Shift>d"},
                                            {"Answers", "Write a message", "win.compose", "<Control>l"},
                                            {"Answers", "Stop", "win.stop", "Escape"},
                                            {"Answers", "Regenerate the newest", "win.regenerate-last", "<Control>r"},
                                            {"Answers", "Copy the newest", "win.copy-last", "<Control><Shift>c"},
                                            {"Program", "Models", "win.models", "<Control>m"},
                                            {"Program", "Conversation settings", "win.chat-settings", "<Control>period"},
                                            {"Program", "Preferences", "win.preferences", "<Control>comma"},
                                            {"Program", "Show or hide the conversations", "win.sidebar", "F9"},
                                            {"Program", "Keyboard shortcuts", "win.show-help-overlay", "<Control>question"},
                                            {"Program", "Quit", "app.quit", "<Control>q"},
                                            {NULL, NULL, NULL, NULL}};

void pm_gui_actions_add(pm_gui_app *app) {
  g_action_map_add_action_entries(G_ACTION_MAP(app->window), entries, G_N_ELEMENTS(entries), app);
  for (const pm_gui_shortcut *s = pm_gui_shortcuts; s->action; s++)
    gtk_application_set_accels_for_action(GTK_APPLICATION(app->gtk), s->action, (const char *const[]){s->keys, NULL});
}

static void enable(pm_gui_app *app, const char *name, bool enabled) {
  g_simple_action_set_enabled(G_SIMPLE_ACTION(g_action_map_lookup_action(G_ACTION_MAP(app->window), name)), enabled);
}

void pm_gui_actions_update(pm_gui_app *app) {
  bool chat = pm_gui_session_chat(app->session) != 0, idle = pm_gui_session_writing(app->session) == PM_GUI_IDLE;
  const pm_gui_engine_view *engine = pm_gui_engine_get(app->engine);
  static const char *const of_chat[] = {"rename-open", "export-open", "delete-open", "copy-last"};
  for (size_t i = 0; i < G_N_ELEMENTS(of_chat); i++) enable(app, of_chat[i], chat);
  static const char *const of_engine[] = {"regenerate", "regenerate-last", "resume", "edit"};
  for (size_t i = 0; i < G_N_ELEMENTS(of_engine); i++) enable(app, of_engine[i], idle && engine->state == PM_GUI_ENGINE_READY);
  enable(app, "stop", !idle);
  enable(app, "answer-now", pm_gui_session_is_thinking(app->session));
  enable(app, "restart", engine->path != NULL);
}
