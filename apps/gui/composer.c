#include "composer.h"

#include <string.h>

#include "widgets.h"

typedef struct composer {
  GtkWidget *text, *hint, *send, *stop, *now, *progress;
  pm_gui_send_fn *on_send;
  void *user;
  bool send_on_enter, may_send;
} composer;

static composer *get(GtkWidget *widget) { return g_object_get_data(G_OBJECT(widget), "composer"); }

static char *text_of(composer *c) {
  char *text = NULL;
  g_object_get(gtk_text_view_get_buffer(GTK_TEXT_VIEW(c->text)), "text", &text, NULL);
  return text;
}

static void update(composer *c) {
  g_autofree char *text = text_of(c);
  gtk_widget_set_visible(c->hint, !*text);
  gtk_widget_set_sensitive(c->send, c->may_send && *g_strstrip(text));
}

static void send(composer *c) {
  g_autofree char *text = text_of(c);
  if (!c->may_send || !*g_strstrip(text)) return;
  if (c->on_send(c->user, text)) gtk_text_buffer_set_text(gtk_text_view_get_buffer(GTK_TEXT_VIEW(c->text)), "", 0);
}

static void on_clicked(GtkButton *button, gpointer user) {
  (void)button;
  send(user);
}

static void on_changed(GtkTextBuffer *buffer, gpointer user) {
  (void)buffer;
  update(user);
}

// Enter sends and Shift+Enter begins a line; or Enter begins a line and Ctrl+Enter sends.
static gboolean on_key(GtkEventControllerKey *keys, guint key, guint code, GdkModifierType held, gpointer user) {
  (void)keys;
  (void)code;
  composer *c = user;
  if (key != GDK_KEY_Return && key != GDK_KEY_KP_Enter) return GDK_EVENT_PROPAGATE;
  bool control = held & GDK_CONTROL_MASK, shift = held & GDK_SHIFT_MASK;
  if (!control && (!c->send_on_enter || shift)) return GDK_EVENT_PROPAGATE;
  send(c);
  return GDK_EVENT_STOP;
}

void pm_gui_composer_set(GtkWidget *widget, bool send_on_enter) { get(widget)->send_on_enter = send_on_enter; }

void pm_gui_composer_update(GtkWidget *widget, bool may_send, bool writing, bool thinking) {
  composer *c = get(widget);
  c->may_send = may_send;
  gtk_widget_set_visible(c->send, !writing);
  gtk_widget_set_visible(c->stop, writing);
  gtk_widget_set_visible(c->now, thinking);
  update(c);
}

void pm_gui_composer_progress(GtkWidget *widget, double done) {
  composer *c = get(widget);
  gtk_widget_set_visible(c->progress, done >= 0);
  if (done >= 0) gtk_progress_bar_set_fraction(GTK_PROGRESS_BAR(c->progress), CLAMP(done, 0, 1));
}

void pm_gui_composer_focus(GtkWidget *widget) { gtk_widget_grab_focus(get(widget)->text); }

GtkWidget *pm_gui_composer_new(pm_gui_send_fn *on_send, void *user) {
  composer *c = g_new0(composer, 1);
  *c = (composer){.on_send = on_send, .user = user, .send_on_enter = true};
  c->text = gtk_text_view_new();
  gtk_text_view_set_wrap_mode(GTK_TEXT_VIEW(c->text), GTK_WRAP_WORD_CHAR);
  gtk_text_view_set_accepts_tab(GTK_TEXT_VIEW(c->text), FALSE);
  pm_gui_set_label(c->text, "Message");
  GtkEventController *keys = gtk_event_controller_key_new();
  gtk_event_controller_set_propagation_phase(keys, GTK_PHASE_CAPTURE);
  g_signal_connect(keys, "key-pressed", G_CALLBACK(on_key), c);
  gtk_widget_add_controller(c->text, keys);
  g_signal_connect(gtk_text_view_get_buffer(GTK_TEXT_VIEW(c->text)), "changed", G_CALLBACK(on_changed), c);
  GtkWidget *scroller = gtk_scrolled_window_new();
  gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(scroller), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
  gtk_scrolled_window_set_propagate_natural_height(GTK_SCROLLED_WINDOW(scroller), TRUE);
  gtk_scrolled_window_set_max_content_height(GTK_SCROLLED_WINDOW(scroller), 180);
  gtk_scrolled_window_set_child(GTK_SCROLLED_WINDOW(scroller), c->text);
  c->hint = pm_gui_text_label("Ask something", "dim-label");
  gtk_widget_set_can_target(c->hint, FALSE);
  gtk_widget_set_valign(c->hint, GTK_ALIGN_START);
  gtk_widget_add_css_class(c->hint, "composer-hint");
  GtkWidget *overlay = gtk_overlay_new();
  gtk_overlay_set_child(GTK_OVERLAY(overlay), scroller);
  gtk_overlay_add_overlay(GTK_OVERLAY(overlay), c->hint);
  gtk_widget_set_hexpand(overlay, TRUE);
  c->send = pm_gui_round_button("go-up-symbolic", "Send", "suggested-action", NULL);
  g_signal_connect(c->send, "clicked", G_CALLBACK(on_clicked), c);
  c->stop = pm_gui_round_button("media-playback-stop-symbolic", "Stop", "destructive-action", "win.stop");
  c->now = gtk_button_new_with_label("Answer now");
  gtk_widget_set_tooltip_text(c->now, "Stop thinking and answer");
  gtk_actionable_set_action_name(GTK_ACTIONABLE(c->now), "win.answer-now");
  GtkWidget *buttons[] = {c->send, c->stop, c->now};
  for (size_t i = 0; i < G_N_ELEMENTS(buttons); i++) gtk_widget_set_valign(buttons[i], GTK_ALIGN_END);
  GtkWidget *line = pm_gui_box(GTK_ORIENTATION_HORIZONTAL, 6, overlay, c->now, c->send, c->stop, NULL);
  gtk_widget_add_css_class(line, "composer");
  c->progress = gtk_progress_bar_new();
  gtk_progress_bar_set_text(GTK_PROGRESS_BAR(c->progress), "Reading the prompt");
  gtk_progress_bar_set_show_text(GTK_PROGRESS_BAR(c->progress), TRUE);
  pm_gui_set_label(c->progress, "Reading the prompt");
  GtkWidget *widget = pm_gui_box(GTK_ORIENTATION_VERTICAL, 6, c->progress, line, NULL);
  g_object_set_data_full(G_OBJECT(widget), "composer", c, g_free);
  pm_gui_composer_update(widget, false, false, false);
  pm_gui_composer_progress(widget, -1);
  return widget;
}
