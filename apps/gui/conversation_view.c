#include "conversation_view.h"

#include <string.h>

#include "clip_box.h"
#include "widgets.h"

enum { PAGE = 40 };  // messages shown at first, and more at a time

typedef struct conversation {
  GtkWidget *scroller, *box, *empty, *pick, *stack, *older, *bar, *entry, *count;
  GPtrArray *path;  // of copies of pm_gui_message
  guint first;      // the oldest that is shown
  bool at_bottom;
  int64_t found;  // the message that the search is at; 0: none
} conversation;

static conversation *get(GtkWidget *view) { return g_object_get_data(G_OBJECT(view), "conversation"); }

static void conversation_free(gpointer data) {
  conversation *c = data;
  g_ptr_array_unref(c->path);
  g_free(c);
}

// ---- messages ----------------------------------------------------------------------------------------------------------------------

static GtkWidget *find_view(conversation *c, int64_t id) {
  for (GtkWidget *w = gtk_widget_get_last_child(c->box); w; w = gtk_widget_get_prev_sibling(w))
    if (pm_gui_message_view_id(w) == id) return w;
  return NULL;
}

GtkWidget *pm_gui_conversation_view_message(GtkWidget *view, int64_t message) { return find_view(get(view), message); }

static void show_from(conversation *c, guint first) {
  while (c->first > first) {
    c->first--;
    gtk_box_prepend(GTK_BOX(c->box), pm_gui_message_view_new(c->path->pdata[c->first], c->first + 1 == c->path->len));
  }
  gtk_widget_set_visible(c->older, c->first > 0);
}

static void on_older(GtkButton *button, gpointer user) {
  (void)button;
  conversation *c = user;
  c->at_bottom = false;
  show_from(c, c->first > PAGE ? c->first - PAGE : 0);
}

static pm_gui_message *copy_message(const pm_gui_message *m) {
  pm_gui_message *copy = g_memdup2(m, sizeof *m);
  copy->role = g_strdup(m->role);
  copy->content = g_strdup(m->content);
  copy->thinking = g_strdup(m->thinking);
  copy->finish = g_strdup(m->finish);
  copy->model = g_strdup(m->model);
  return copy;
}

// Whether a message is shown as it is; the answer that is being written, and the newest of all, look different later.
static bool same(const pm_gui_message *a, const pm_gui_message *b) {
  return a->id == b->id && *a->finish && !strcmp(a->finish, b->finish) && a->branch == b->branch && a->n_branch == b->n_branch &&
         !strcmp(a->content, b->content);
}

// Whether all that has changed is that the newest message is whole now: its view is completed.
static bool finish_last(conversation *c, GPtrArray *path, guint kept) {
  const pm_gui_message *before = c->path->len ? c->path->pdata[c->path->len - 1] : NULL;
  const pm_gui_message *now = path->len ? path->pdata[path->len - 1] : NULL;
  if (!before || !now || kept + 1 != c->path->len || kept + 1 != path->len) return false;
  GtkWidget *shown = before->id == now->id && !*before->finish && *now->finish ? find_view(c, now->id) : NULL;
  if (!shown) return false;
  pm_gui_message_view_finish(shown, now, true);
  g_ptr_array_set_size(c->path, (gint)kept);
  g_ptr_array_add(c->path, copy_message(now));
  return true;
}

void pm_gui_conversation_view_show(GtkWidget *view, GPtrArray *path) {
  conversation *c = get(view);
  guint kept = 0;  // messages at the beginning that stay, as when an answer is added
  while (kept < path->len && kept + 1 < c->path->len && same(c->path->pdata[kept], path->pdata[kept])) kept++;
  if (finish_last(c, path, kept)) return;
  if (path->len > c->path->len) c->at_bottom = true;  // a question was asked
  bool another = kept <= c->first || kept == 0;
  if (another) kept = 0;
  while (c->path->len > kept) {
    GtkWidget *gone = find_view(c, ((pm_gui_message *)c->path->pdata[c->path->len - 1])->id);
    if (gone) gtk_box_remove(GTK_BOX(c->box), gone);
    g_ptr_array_set_size(c->path, (gint)c->path->len - 1);
  }
  for (guint i = kept; i < path->len; i++) g_ptr_array_add(c->path, copy_message(path->pdata[i]));
  if (another) {
    c->first = path->len;
    c->at_bottom = true;
    show_from(c, path->len > PAGE ? path->len - PAGE : 0);
  } else {
    for (guint i = kept; i < path->len; i++)
      gtk_box_append(GTK_BOX(c->box), pm_gui_message_view_new(c->path->pdata[i], i + 1 == path->len));
  }
  gtk_stack_set_visible_child(GTK_STACK(c->stack), path->len ? c->scroller : c->empty);
}

void pm_gui_conversation_view_grow(GtkWidget *view, int64_t message, const char *content, const char *thinking) {
  GtkWidget *shown = find_view(get(view), message);
  if (shown) pm_gui_message_view_grow(shown, content, thinking);
}

void pm_gui_conversation_view_invite(GtkWidget *view, bool model) {
  conversation *c = get(view);
  adw_status_page_set_title(ADW_STATUS_PAGE(c->empty), model ? "A new conversation" : "It begins with a model");
  gtk_widget_set_visible(c->pick, !model);
}

// ---- scrolling ---------------------------------------------------------------------------------------------------------------------

static void on_scrolled(GtkAdjustment *a, gpointer user) {
  conversation *c = user;
  c->at_bottom = gtk_adjustment_get_value(a) + gtk_adjustment_get_page_size(a) >= gtk_adjustment_get_upper(a) - 24;
}

static void on_resized(GtkAdjustment *a, gpointer user) {
  conversation *c = user;
  if (c->at_bottom) gtk_adjustment_set_value(a, gtk_adjustment_get_upper(a) - gtk_adjustment_get_page_size(a));
}

static gboolean scroll_to(gpointer widget) {
  double x, y;
  GtkWidget *scroller = gtk_widget_get_ancestor(widget, GTK_TYPE_SCROLLED_WINDOW), *box = gtk_widget_get_parent(widget);
  if (scroller && gtk_widget_translate_coordinates(widget, box, 0, 0, &x, &y))
    gtk_adjustment_set_value(gtk_scrolled_window_get_vadjustment(GTK_SCROLLED_WINDOW(scroller)), y);
  g_object_unref(widget);
  return G_SOURCE_REMOVE;
}

void pm_gui_conversation_view_reveal(GtkWidget *view, int64_t message) {
  conversation *c = get(view);
  for (guint i = 0; i < c->first; i++)
    if (((pm_gui_message *)c->path->pdata[i])->id == message) show_from(c, i);
  GtkWidget *old = c->found ? find_view(c, c->found) : NULL, *shown = find_view(c, message);
  if (old) gtk_widget_remove_css_class(old, "found");
  c->found = message;
  if (!shown) return;
  gtk_widget_add_css_class(shown, "found");
  c->at_bottom = false;
  g_timeout_add(60, scroll_to, g_object_ref(shown));  // once it has its place
}

// ---- looking for a text ------------------------------------------------------------------------------------------------------------

static bool contains(const pm_gui_message *m, const char *folded) {
  g_autofree char *text = g_utf8_casefold(m->content, -1);
  return strstr(text, folded) != NULL;
}

// The next message with the text, from the one that was found last; `step` is 1 or -1, 0 for the newest.
static void look(conversation *c, int step) {
  g_autofree char *folded = g_utf8_casefold(gtk_editable_get_text(GTK_EDITABLE(c->entry)), -1);
  g_autoptr(GPtrArray) hits = g_ptr_array_new();
  int at = -1;
  for (guint i = 0; *folded && i < c->path->len; i++) {
    pm_gui_message *m = c->path->pdata[i];
    if (!contains(m, folded)) continue;
    if (m->id == c->found) at = (int)hits->len;
    g_ptr_array_add(hits, m);
  }
  int n = (int)hits->len;
  at = at < 0 || step == 0 ? n - 1 : (at + step + n) % n;
  g_autofree char *text = !*folded ? g_strdup("") : n ? g_strdup_printf("%d of %d", at + 1, n) : g_strdup("not found");
  gtk_label_set_text(GTK_LABEL(c->count), text);
  GtkWidget *view = gtk_widget_get_parent(c->bar);
  pm_gui_conversation_view_reveal(view, n ? ((pm_gui_message *)hits->pdata[at])->id : 0);
}

static void on_look(GtkEditable *entry, gpointer user) {
  (void)entry;
  look(user, 0);
}

static void on_look_next(GtkWidget *widget, gpointer user) {
  (void)widget;
  look(user, 1);
}

static void on_look_previous(GtkWidget *widget, gpointer user) {
  (void)widget;
  look(user, -1);
}

void pm_gui_conversation_view_find(GtkWidget *view) {
  conversation *c = get(view);
  gtk_search_bar_set_search_mode(GTK_SEARCH_BAR(c->bar), TRUE);
  gtk_widget_grab_focus(c->entry);
}

static GtkWidget *make_search_bar(conversation *c) {
  c->entry = gtk_search_entry_new();
  pm_gui_set_label(c->entry, "Find in this conversation");
  gtk_widget_set_hexpand(c->entry, TRUE);
  c->count = pm_gui_text_label("", "dim-label");
  GtkWidget *up = pm_gui_icon_button("go-up-symbolic", "Previous match", NULL),
            *down = pm_gui_icon_button("go-down-symbolic", "Next match", NULL);
  GtkWidget *bar = gtk_search_bar_new();
  gtk_search_bar_set_child(GTK_SEARCH_BAR(bar), pm_gui_box(GTK_ORIENTATION_HORIZONTAL, 6, c->entry, c->count, up, down, NULL));
  gtk_search_bar_connect_entry(GTK_SEARCH_BAR(bar), GTK_EDITABLE(c->entry));
  g_signal_connect(c->entry, "search-changed", G_CALLBACK(on_look), c);
  g_signal_connect(c->entry, "activate", G_CALLBACK(on_look_previous), c);
  g_signal_connect(c->entry, "next-match", G_CALLBACK(on_look_next), c);
  g_signal_connect(c->entry, "previous-match", G_CALLBACK(on_look_previous), c);
  g_signal_connect(up, "clicked", G_CALLBACK(on_look_previous), c);
  g_signal_connect(down, "clicked", G_CALLBACK(on_look_next), c);
  return bar;
}

// ---- the whole ---------------------------------------------------------------------------------------------------------------------

GtkWidget *pm_gui_conversation_view_new(void) {
  conversation *c = g_new0(conversation, 1);
  c->path = g_ptr_array_new_with_free_func((GDestroyNotify)pm_gui_message_free);
  c->at_bottom = true;
  c->box = pm_gui_clip_box_new(18);
  gtk_widget_add_css_class(c->box, "conversation");
  c->older = gtk_button_new_with_label("Show earlier messages");
  gtk_widget_set_halign(c->older, GTK_ALIGN_CENTER);
  gtk_widget_set_visible(c->older, FALSE);
  g_signal_connect(c->older, "clicked", G_CALLBACK(on_older), c);
  GtkWidget *clamp = adw_clamp_new();
  adw_clamp_set_maximum_size(ADW_CLAMP(clamp), 820);
  adw_clamp_set_child(ADW_CLAMP(clamp), pm_gui_box(GTK_ORIENTATION_VERTICAL, 12, c->older, c->box, NULL));
  c->scroller = gtk_scrolled_window_new();
  gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(c->scroller), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
  gtk_scrolled_window_set_child(GTK_SCROLLED_WINDOW(c->scroller), clamp);
  GtkAdjustment *adjustment = gtk_scrolled_window_get_vadjustment(GTK_SCROLLED_WINDOW(c->scroller));
  g_signal_connect(adjustment, "value-changed", G_CALLBACK(on_scrolled), c);
  g_signal_connect(adjustment, "changed", G_CALLBACK(on_resized), c);
  c->empty = adw_status_page_new();
  adw_status_page_set_icon_name(ADW_STATUS_PAGE(c->empty), "io.pumice.Pumice");
  adw_status_page_set_description(ADW_STATUS_PAGE(c->empty), "What is said here stays on this computer.");
  c->pick = gtk_button_new_with_label("Choose a Model");
  gtk_actionable_set_action_name(GTK_ACTIONABLE(c->pick), "win.models");
  gtk_widget_set_halign(c->pick, GTK_ALIGN_CENTER);
  gtk_widget_add_css_class(c->pick, "pill");
  gtk_widget_add_css_class(c->pick, "suggested-action");
  adw_status_page_set_child(ADW_STATUS_PAGE(c->empty), c->pick);
  c->stack = gtk_stack_new();
  gtk_stack_add_child(GTK_STACK(c->stack), c->empty);
  gtk_stack_add_child(GTK_STACK(c->stack), c->scroller);
  gtk_widget_set_vexpand(c->stack, TRUE);
  c->bar = make_search_bar(c);
  GtkWidget *view = pm_gui_box(GTK_ORIENTATION_VERTICAL, 0, c->bar, c->stack, NULL);
  g_object_set_data_full(G_OBJECT(view), "conversation", c, conversation_free);
  pm_gui_conversation_view_invite(view, false);
  return view;
}
