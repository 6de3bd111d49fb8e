#include "message_view.h"

#include <string.h>

#include "markdown_view.h"
#include "widgets.h"

typedef struct message {
  int64_t id;
  bool has_thinking, has_content;
  GtkWidget *box, *thoughts, *fold, *content, *footer, *editor;  // fold: of the thoughts; editor: NULL unless it is being edited
  pm_gui_edited_fn *edited;
  void *edited_user;
} message;

static message *get(GtkWidget *view) { return g_object_get_data(G_OBJECT(view), "message"); }

int64_t pm_gui_message_view_id(GtkWidget *view) { return get(view)->id; }

// ---- thoughts ----------------------------------------------------------------------------------------------------------------------

static void show_thoughts(message *m, const pm_gui_stats *stats, bool under_way) {
  gtk_widget_set_visible(m->fold, m->has_thinking);
  g_autofree char *length = pm_gui_duration(stats->thinking_s);
  g_autofree char *title = under_way                ? g_strdup("Thinking…")
                           : stats->thinking_s >= 0 ? g_strdup_printf("Thought for %s", length)
                                                    : g_strdup("Thoughts");
  gtk_expander_set_label(GTK_EXPANDER(m->fold), title);
  pm_gui_set_label(m->fold, title);
}

// ---- below the text ----------------------------------------------------------------------------------------------------------------

static char *figures(const pm_gui_message *row) {
  const pm_gui_stats *s = &row->stats;
  GString *text = g_string_new(NULL);
  if (s->n_token > 0) g_string_append_printf(text, "%" G_GINT64_FORMAT " tokens", s->n_token);
  g_autofree char *rate = pm_gui_rate(s->rate), *first = pm_gui_duration(s->first_s);
  if (s->rate > 0) g_string_append_printf(text, " · %s", rate);
  if (s->first_s >= 0) g_string_append_printf(text, " · first after %s", first);
  if (s->n_prompt > 0) g_string_append_printf(text, " · prompt %" G_GINT64_FORMAT, s->n_prompt);
  if (s->n_cached > 0) g_string_append_printf(text, " (%" G_GINT64_FORMAT " cached)", s->n_cached);
  if (s->joules > 0 && s->n_token > 0) g_string_append_printf(text, " · %.2f J/token", s->joules / (double)s->n_token);
  static const char *const ends[][2] = {{"length", "no room for more"}, {"stopped", "stopped"}, {"interrupted", "interrupted"}};
  for (size_t i = 0; i < G_N_ELEMENTS(ends); i++)
    if (!strcmp(row->finish, ends[i][0])) g_string_append_printf(text, "%s%s", text->len ? " · " : "", ends[i][1]);
  return g_string_free(text, FALSE);
}

static void add_button(message *m, const char *icon, const char *label, const char *action) {
  GtkWidget *button = pm_gui_icon_button(icon, label, action);
  gtk_actionable_set_action_target(GTK_ACTIONABLE(button), "x", m->id);
  gtk_box_append(GTK_BOX(m->footer), button);
}

static void add_figures(message *m, const pm_gui_message *row) {
  g_autofree char *text = figures(row);
  GtkWidget *label = pm_gui_text_label(text, "caption");
  gtk_widget_add_css_class(label, "dim-label");
  gtk_label_set_ellipsize(GTK_LABEL(label), PANGO_ELLIPSIZE_END);
  gtk_widget_set_tooltip_text(label, *text ? text : NULL);
  gtk_widget_set_hexpand(label, TRUE);
  gtk_box_append(GTK_BOX(m->footer), label);
}

static void fill_footer(message *m, const pm_gui_message *row, bool last) {
  bool user = !strcmp(row->role, "user");
  if (!user) add_figures(m, row);
  if (row->n_branch > 1) {
    g_autofree char *which = g_strdup_printf("%u/%u", row->branch, row->n_branch);
    add_button(m, "go-previous-symbolic", "Previous version", "win.previous");
    gtk_box_append(GTK_BOX(m->footer), pm_gui_text_label(which, "caption"));
    add_button(m, "go-next-symbolic", "Next version", "win.next");
  }
  add_button(m, "edit-copy-symbolic", "Copy message", "win.copy");
  if (user) {
    add_button(m, "document-edit-symbolic", "Edit message", "win.edit");
  } else {
    add_button(m, "view-refresh-symbolic", "Regenerate answer", "win.regenerate");
    if (last && strcmp(row->finish, "stop")) add_button(m, "media-playback-start-symbolic", "Continue answer", "win.resume");
  }
}

// ---- the whole ---------------------------------------------------------------------------------------------------------------------

void pm_gui_message_view_finish(GtkWidget *view, const pm_gui_message *row, bool last) {
  message *m = get(view);
  pm_gui_markdown_view_finish(m->thoughts);
  pm_gui_markdown_view_finish(m->content);
  show_thoughts(m, &row->stats, false);
  fill_footer(m, row, last);
  gtk_accessible_update_state(GTK_ACCESSIBLE(m->box), GTK_ACCESSIBLE_STATE_BUSY, FALSE, -1);
}

GtkWidget *pm_gui_message_view_new(const pm_gui_message *row, bool last) {
  message *m = g_new0(message, 1);
  bool user = !strcmp(row->role, "user");
  m->id = row->id;
  GtkWidget *name = pm_gui_text_label(user ? "You" : *row->model ? row->model : "Assistant", "heading");
  m->thoughts = pm_gui_markdown_view_new();
  gtk_widget_add_css_class(m->thoughts, "thoughts");
  m->fold = gtk_expander_new(NULL);
  gtk_expander_set_child(GTK_EXPANDER(m->fold), m->thoughts);
  gtk_widget_add_css_class(m->fold, "fold");
  m->footer = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 2);
  gtk_widget_add_css_class(m->footer, "message-buttons");
  if (user) {
    m->content = pm_gui_text_label(row->content, NULL);
    gtk_label_set_wrap(GTK_LABEL(m->content), TRUE);
    gtk_label_set_wrap_mode(GTK_LABEL(m->content), PANGO_WRAP_WORD_CHAR);
    gtk_label_set_selectable(GTK_LABEL(m->content), TRUE);
    pm_gui_follow_text(m->content, row->content);
  } else {
    m->content = pm_gui_markdown_view_new();
  }
  gtk_widget_set_hexpand(name, TRUE);
  GtkWidget *head = user ? pm_gui_box(GTK_ORIENTATION_HORIZONTAL, 6, name, m->footer, NULL) : name;
  m->box = pm_gui_box(GTK_ORIENTATION_VERTICAL, user ? 2 : 6, head, m->fold, m->content, user ? NULL : m->footer, NULL);
  gtk_widget_add_css_class(m->box, "message");
  gtk_widget_add_css_class(m->box, user ? "from-user" : "from-model");
  g_object_set_data_full(G_OBJECT(m->box), "message", m, g_free);
  gtk_accessible_update_state(GTK_ACCESSIBLE(m->box), GTK_ACCESSIBLE_STATE_BUSY, !*row->finish, -1);
  if (!user) pm_gui_message_view_grow(m->box, row->content, row->thinking);
  if (user) gtk_widget_set_visible(m->fold, FALSE);
  if (user)
    fill_footer(m, row, last);
  else if (*row->finish)
    pm_gui_message_view_finish(m->box, row, last);
  else
    show_thoughts(m, &row->stats, !m->has_content);
  return m->box;
}

void pm_gui_message_view_grow(GtkWidget *view, const char *content, const char *thinking) {
  message *m = get(view);
  static const pm_gui_stats none = PM_GUI_STATS_NONE;
  if (*thinking) {
    pm_gui_markdown_view_append(m->thoughts, thinking);
    if (!m->has_thinking) {
      m->has_thinking = true;
      show_thoughts(m, &none, true);
    }
  }
  if (*content) {
    pm_gui_markdown_view_append(m->content, content);
    if (!m->has_content) {
      m->has_content = true;
      show_thoughts(m, &none, false);
    }
  }
}

// ---- editing -----------------------------------------------------------------------------------------------------------------------

static void end_edit(message *m, bool keep) {
  GtkWidget *text_view = g_object_get_data(G_OBJECT(m->editor), "text");
  GtkTextBuffer *buffer = gtk_text_view_get_buffer(GTK_TEXT_VIEW(text_view));
  g_autofree char *text = NULL;
  if (keep) g_object_get(buffer, "text", &text, NULL);
  gtk_widget_activate_action(m->box, "win.compose", NULL);  // away from what is about to go
  gtk_box_remove(GTK_BOX(m->box), m->editor);
  m->editor = NULL;
  gtk_widget_set_visible(m->content, TRUE);
  gtk_widget_set_visible(m->footer, TRUE);
  m->edited(m->edited_user, m->id, text);  // may remove the view
}

static void on_cancel(GtkButton *button, gpointer view) {
  (void)button;
  end_edit(get(view), false);
}

static void on_send(GtkButton *button, gpointer view) {
  (void)button;
  end_edit(get(view), true);
}

void pm_gui_message_view_edit(GtkWidget *view, const char *text, pm_gui_edited_fn *done, void *user) {
  message *m = get(view);
  if (m->editor) return;
  m->edited = done;
  m->edited_user = user;
  GtkWidget *entry = gtk_text_view_new(), *cancel = gtk_button_new_with_label("Cancel"),
            *send = gtk_button_new_with_label("Send edited message");
  gtk_text_view_set_wrap_mode(GTK_TEXT_VIEW(entry), GTK_WRAP_WORD_CHAR);
  gtk_text_buffer_set_text(gtk_text_view_get_buffer(GTK_TEXT_VIEW(entry)), text, -1);
  gtk_widget_add_css_class(entry, "editor");
  pm_gui_set_label(entry, "Edited message");
  gtk_widget_add_css_class(send, "suggested-action");
  GtkWidget *buttons = pm_gui_box(GTK_ORIENTATION_HORIZONTAL, 6, cancel, send, NULL);
  gtk_widget_set_halign(buttons, GTK_ALIGN_END);
  m->editor = pm_gui_box(GTK_ORIENTATION_VERTICAL, 6, entry, buttons, NULL);
  g_object_set_data(G_OBJECT(m->editor), "text", entry);
  g_signal_connect(cancel, "clicked", G_CALLBACK(on_cancel), view);
  g_signal_connect(send, "clicked", G_CALLBACK(on_send), view);
  gtk_box_append(GTK_BOX(m->box), m->editor);
  gtk_widget_set_visible(m->content, FALSE);
  gtk_widget_set_visible(m->footer, FALSE);
  gtk_widget_grab_focus(entry);
}
