#include "sidebar.h"

#include "widgets.h"

enum { PAGE = 100, MAX_HITS = 100, EXCERPT = 90 };

typedef struct sidebar {
  pm_gui_store *store;
  pm_gui_chosen_fn *chosen;
  void *user;
  GtkWidget *entry, *list, *more, *nothing;
  int64_t open;
  uint32_t limit;
} sidebar;

static sidebar *get(GtkWidget *widget) { return g_object_get_data(G_OBJECT(widget), "sidebar"); }

static void set_id(GtkWidget *row, const char *key, int64_t id) {
  int64_t *value = g_new(int64_t, 1);
  *value = id;
  g_object_set_data_full(G_OBJECT(row), key, value, g_free);
}

static int64_t get_id(GtkListBoxRow *row, const char *key) {
  const int64_t *id = row ? g_object_get_data(G_OBJECT(row), key) : NULL;
  return id ? *id : 0;
}

// ---- rows --------------------------------------------------------------------------------------------------------------------------

static GtkWidget *make_menu(int64_t chat) {
  static const char *const rows[][2] = {{"Rename…", "win.rename"},
                                        {"Clone", "win.clone"},
                                        {"Export as Markdown…", "win.export-markdown"},
                                        {"Export as JSON…", "win.export-json"},
                                        {"Delete", "win.delete"}};
  GMenu *menu = g_menu_new();
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    GMenuItem *item = g_menu_item_new(rows[i][0], NULL);
    g_menu_item_set_action_and_target(item, rows[i][1], "x", chat);
    g_menu_append_item(menu, item);
    g_object_unref(item);
  }
  GtkWidget *button = gtk_menu_button_new();
  gtk_menu_button_set_icon_name(GTK_MENU_BUTTON(button), "view-more-symbolic");
  gtk_menu_button_set_menu_model(GTK_MENU_BUTTON(button), G_MENU_MODEL(menu));
  gtk_widget_add_css_class(button, "flat");
  gtk_widget_set_valign(button, GTK_ALIGN_CENTER);
  gtk_widget_set_tooltip_text(button, "Conversation menu");
  pm_gui_set_label(button, "Conversation menu");
  g_object_unref(menu);
  return button;
}

static void add_row(sidebar *s, int64_t chat, int64_t message, const char *title, const char *excerpt) {
  GtkWidget *name = pm_gui_text_label(title, NULL);
  gtk_label_set_ellipsize(GTK_LABEL(name), PANGO_ELLIPSIZE_END);
  GtkWidget *texts = pm_gui_box(GTK_ORIENTATION_VERTICAL, 2, name, NULL);
  gtk_widget_set_hexpand(texts, TRUE);
  gtk_widget_set_valign(texts, GTK_ALIGN_CENTER);
  if (excerpt) {
    GtkWidget *label = pm_gui_text_label(NULL, "caption");
    gtk_label_set_markup(GTK_LABEL(label), excerpt);
    gtk_label_set_wrap(GTK_LABEL(label), TRUE);
    gtk_label_set_lines(GTK_LABEL(label), 2);
    gtk_label_set_ellipsize(GTK_LABEL(label), PANGO_ELLIPSIZE_END);
    gtk_box_append(GTK_BOX(texts), label);
  }
  GtkWidget *line = pm_gui_box(GTK_ORIENTATION_HORIZONTAL, 4, texts, excerpt ? NULL : make_menu(chat), NULL);
  GtkWidget *row = gtk_list_box_row_new();
  gtk_list_box_row_set_child(GTK_LIST_BOX_ROW(row), line);
  set_id(row, "chat", chat);
  set_id(row, "message", message);
  pm_gui_set_label(row, title);
  gtk_list_box_append(GTK_LIST_BOX(s->list), row);
  if (chat == s->open && !excerpt) gtk_list_box_select_row(GTK_LIST_BOX(s->list), GTK_LIST_BOX_ROW(row));
}

static void fill(sidebar *s) {
  GtkWidget *row;
  while ((row = gtk_widget_get_first_child(s->list))) gtk_list_box_remove(GTK_LIST_BOX(s->list), row);
  const char *words = gtk_editable_get_text(GTK_EDITABLE(s->entry));
  guint n = 0;
  if (*words) {
    g_autoptr(GPtrArray) hits = pm_gui_store_search(s->store, words, MAX_HITS, NULL);
    for (n = 0; n < hits->len; n++) {
      const pm_gui_hit *hit = hits->pdata[n];
      g_autofree char *excerpt = pm_gui_excerpt(hit->text, words, EXCERPT);
      add_row(s, hit->chat, hit->message, hit->title, excerpt);
    }
    gtk_widget_set_visible(s->more, FALSE);
  } else {
    g_autoptr(GPtrArray) chats = pm_gui_store_chats(s->store, s->limit, NULL);
    for (n = 0; n < chats->len; n++) {
      const pm_gui_chat *chat = chats->pdata[n];
      add_row(s, chat->id, 0, chat->title, NULL);
    }
    gtk_widget_set_visible(s->more, n == s->limit);
  }
  gtk_label_set_text(GTK_LABEL(s->nothing), *words ? "Nothing found" : "No conversations yet");
  gtk_widget_set_visible(s->nothing, n == 0);
}

// ---- what the user does ------------------------------------------------------------------------------------------------------------

static void on_activated(GtkListBox *list, GtkListBoxRow *row, gpointer user) {
  (void)list;
  sidebar *s = user;
  s->chosen(s->user, get_id(row, "chat"), get_id(row, "message"));
}

static void on_search(GtkEditable *entry, gpointer user) {
  (void)entry;
  fill(user);
}

static void on_stop_search(GtkSearchEntry *entry, gpointer user) {
  (void)user;
  gtk_editable_set_text(GTK_EDITABLE(entry), "");
}

static void on_more(GtkButton *button, gpointer user) {
  (void)button;
  sidebar *s = user;
  s->limit += PAGE;
  fill(s);
}

void pm_gui_sidebar_refresh(GtkWidget *widget, int64_t open) {
  sidebar *s = get(widget);
  s->open = open;
  fill(s);
}

void pm_gui_sidebar_search(GtkWidget *widget) { gtk_widget_grab_focus(get(widget)->entry); }

GtkWidget *pm_gui_sidebar_new(pm_gui_store *store, pm_gui_chosen_fn *chosen, void *user) {
  sidebar *s = g_new0(sidebar, 1);
  *s = (sidebar){.store = store, .chosen = chosen, .user = user, .limit = PAGE};
  GtkWidget *head = adw_header_bar_new(), *title = adw_window_title_new("Conversations", NULL);
  adw_header_bar_set_title_widget(ADW_HEADER_BAR(head), title);
  adw_header_bar_set_show_end_title_buttons(ADW_HEADER_BAR(head), FALSE);
  adw_header_bar_pack_start(ADW_HEADER_BAR(head), pm_gui_icon_button("list-add-symbolic", "New conversation", "win.new-chat"));
  s->entry = gtk_search_entry_new();
  g_object_set(s->entry, "placeholder-text", "Search conversations", NULL);
  pm_gui_set_label(s->entry, "Search conversations");
  gtk_widget_add_css_class(s->entry, "sidebar-entry");
  g_signal_connect(s->entry, "search-changed", G_CALLBACK(on_search), s);
  g_signal_connect(s->entry, "stop-search", G_CALLBACK(on_stop_search), s);
  s->list = gtk_list_box_new();
  gtk_widget_add_css_class(s->list, "navigation-sidebar");
  pm_gui_set_label(s->list, "Conversations");
  g_signal_connect(s->list, "row-activated", G_CALLBACK(on_activated), s);
  s->nothing = gtk_label_new("");
  gtk_widget_add_css_class(s->nothing, "dim-label");
  s->more = gtk_button_new_with_label("Show more");
  gtk_widget_add_css_class(s->more, "flat");
  g_signal_connect(s->more, "clicked", G_CALLBACK(on_more), s);
  GtkWidget *scroller = gtk_scrolled_window_new();
  gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(scroller), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
  gtk_scrolled_window_set_child(GTK_SCROLLED_WINDOW(scroller), pm_gui_box(GTK_ORIENTATION_VERTICAL, 6, s->nothing, s->list, s->more, NULL));
  gtk_widget_set_vexpand(scroller, TRUE);
  GtkWidget *widget = pm_gui_box(GTK_ORIENTATION_VERTICAL, 0, head, s->entry, scroller, NULL);
  gtk_widget_add_css_class(widget, "background");
  gtk_widget_set_size_request(widget, 270, -1);
  g_object_set_data_full(G_OBJECT(widget), "sidebar", s, g_free);
  return widget;
}
