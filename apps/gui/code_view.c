#include "code_view.h"

#include <gtksourceview/gtksource.h>
#include <string.h>

#include "widgets.h"

// While it grows, code stands in labels of so many lines: only the last is drawn anew.
enum { LINES = 24 };

typedef struct code {
  GtkWidget *language, *body, *tail;  // tail: the label that grows
  char *text;
  size_t done;  // bytes in labels before the tail
} code;

static void code_free(gpointer data) {
  g_free(((code *)data)->text);
  g_free(data);
}

static code *get(GtkWidget *view) { return g_object_get_data(G_OBJECT(view), "code"); }

static void on_copy(GtkButton *button, gpointer view) {
  gdk_clipboard_set_text(gtk_widget_get_clipboard(GTK_WIDGET(button)), get(view)->text);
  gtk_button_set_icon_name(button, "object-select-symbolic");
}

GtkWidget *pm_gui_code_view_new(void) {
  code *c = g_new0(code, 1);
  c->text = g_strdup("");
  c->language = pm_gui_text_label("", "dim-label");
  gtk_widget_set_hexpand(c->language, TRUE);
  GtkWidget *copy = pm_gui_icon_button("edit-copy-symbolic", "Copy code", NULL);
  GtkWidget *head = pm_gui_box(GTK_ORIENTATION_HORIZONTAL, 6, c->language, copy, NULL);
  gtk_widget_add_css_class(head, "code-head");
  c->body = gtk_box_new(GTK_ORIENTATION_VERTICAL, 0);
  gtk_widget_add_css_class(c->body, "code-body");
  GtkWidget *scroller = gtk_scrolled_window_new();
  gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(scroller), GTK_POLICY_AUTOMATIC, GTK_POLICY_NEVER);
  gtk_scrolled_window_set_child(GTK_SCROLLED_WINDOW(scroller), c->body);
  GtkWidget *view = pm_gui_box(GTK_ORIENTATION_VERTICAL, 0, head, scroller, NULL);
  gtk_widget_set_direction(scroller, GTK_TEXT_DIR_LTR);  // code runs so, whatever the language of the app
  gtk_widget_add_css_class(view, "code");
  gtk_widget_set_overflow(view, GTK_OVERFLOW_HIDDEN);
  g_object_set_data_full(G_OBJECT(view), "code", c, code_free);
  g_signal_connect(copy, "clicked", G_CALLBACK(on_copy), view);
  return view;
}

static void add_tail(code *c) {
  c->tail = pm_gui_text_label("", "monospace");
  gtk_label_set_selectable(GTK_LABEL(c->tail), TRUE);
  gtk_widget_set_direction(c->tail, GTK_TEXT_DIR_LTR);
  gtk_box_append(GTK_BOX(c->body), c->tail);
}

static void grow(code *c) {
  if (!c->tail) add_tail(c);
  for (;;) {
    const char *from = c->text + c->done, *at = from;
    int lines = 0;
    while (lines < LINES && (at = strchr(at, '\n'))) at++, lines++;
    if (lines < LINES || !*at) break;
    g_autofree char *part = g_strndup(from, (size_t)(at - 1 - from));
    gtk_label_set_text(GTK_LABEL(c->tail), part);
    c->done = (size_t)(at - c->text);
    add_tail(c);
  }
  gtk_label_set_text(GTK_LABEL(c->tail), c->text + c->done);
}

// ---- coloured ----------------------------------------------------------------------------------------------------------------------

static void update_scheme(AdwStyleManager *style, GParamSpec *spec, gpointer buffer) {
  (void)spec;
  const char *name = adw_style_manager_get_dark(style) ? "Adwaita-dark" : "Adwaita";
  gtk_source_buffer_set_style_scheme(buffer,
                                     gtk_source_style_scheme_manager_get_scheme(gtk_source_style_scheme_manager_get_default(), name));
}

// Names after a fence that are none of GtkSourceView's.
static GtkSourceLanguage *find_language(const char *name) {
  static const char *const rows[][2] = {{"py", "python3"}, {"python", "python3"}, {"bash", "sh"},       {"shell", "sh"},
                                        {"zsh", "sh"},     {"javascript", "js"},  {"ts", "typescript"}, {"c++", "cpp"},
                                        {"rs", "rust"},    {"yml", "yaml"},       {"md", "markdown"},   {"golang", "go"}};
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
    if (!g_ascii_strcasecmp(name, rows[i][0])) name = rows[i][1];
  g_autofree char *lower = g_ascii_strdown(name, -1);
  return gtk_source_language_manager_get_language(gtk_source_language_manager_get_default(), lower);
}

static void colour(code *c, const char *language) {
  GtkSourceLanguage *found = *language ? find_language(language) : NULL;
  if (!found) return;  // the labels are as good
  GtkSourceBuffer *buffer = gtk_source_buffer_new_with_language(found);
  gtk_text_buffer_set_text(GTK_TEXT_BUFFER(buffer), c->text, -1);
  AdwStyleManager *style = adw_style_manager_get_default();
  g_signal_connect_object(style, "notify::dark", G_CALLBACK(update_scheme), buffer, 0);
  update_scheme(style, NULL, buffer);
  GtkWidget *view = gtk_source_view_new_with_buffer(buffer);
  g_object_unref(buffer);
  gtk_widget_set_direction(view, GTK_TEXT_DIR_LTR);
  gtk_text_view_set_editable(GTK_TEXT_VIEW(view), FALSE);
  gtk_text_view_set_cursor_visible(GTK_TEXT_VIEW(view), FALSE);
  gtk_text_view_set_monospace(GTK_TEXT_VIEW(view), TRUE);
  gtk_text_view_set_accepts_tab(GTK_TEXT_VIEW(view), FALSE);
  g_autofree char *label = g_strdup_printf("Code, %s", gtk_source_language_get_name(found));
  pm_gui_set_label(view, label);
  pm_gui_clear_box(c->body);
  c->tail = NULL;
  gtk_box_append(GTK_BOX(c->body), view);
}

void pm_gui_code_view_set(GtkWidget *view, const char *language, const char *text, bool whole) {
  code *c = get(view);
  g_free(c->text);
  c->text = g_strdup(text);
  gtk_label_set_text(GTK_LABEL(c->language), *language ? language : "text");
  grow(c);
  if (whole) colour(c, language);
}
