// Models on their way, in the picker: how far each is, and what can be done with it.
#include "gui_app.h"

typedef struct row {
  pm_gui_download *download;
  GtkWidget *row, *bar, *text, *toggle;
} row;

static void on_toggle(GtkButton *button, gpointer user) {
  (void)button;
  const row *r = user;
  bool paused = pm_gui_download_get(r->download).state == PM_GUI_DOWNLOAD_PAUSED;
  (paused ? pm_gui_download_start : pm_gui_download_pause)(r->download);
}

static void on_discard(GtkButton *button, gpointer user) {
  (void)button;
  pm_gui_download_discard(((row *)user)->download);
}

static char *describe(const pm_gui_download_view *v) {
  g_autofree char *done = pm_gui_bytes(v->done), *total = pm_gui_bytes(v->total), *rate = pm_gui_bytes(v->rate),
                  *left = pm_gui_duration(v->rate > 0 ? (v->total - v->done) / v->rate : 0);
  if (v->state == PM_GUI_DOWNLOAD_CHECKING) return g_strdup_printf("Checking what is there: %s of %s", done, total);
  if (v->state == PM_GUI_DOWNLOAD_RUNNING && v->rate > 0) return g_strdup_printf("%s of %s · %s/s · %s left", done, total, rate, left);
  if (v->state == PM_GUI_DOWNLOAD_PAUSED) return g_strdup_printf("%s · %s of %s", v->message ? v->message : "Paused", done, total);
  return g_strdup_printf("%s of %s", done, total);
}

static void update_row(row *r) {
  pm_gui_download_view v = pm_gui_download_get(r->download);
  bool paused = v.state == PM_GUI_DOWNLOAD_PAUSED;
  g_autofree char *text = describe(&v);
  gtk_label_set_text(GTK_LABEL(r->text), text);
  gtk_progress_bar_set_fraction(GTK_PROGRESS_BAR(r->bar), v.total > 0 ? CLAMP(v.done / v.total, 0, 1) : 0);
  gtk_button_set_icon_name(GTK_BUTTON(r->toggle), paused ? "media-playback-start-symbolic" : "media-playback-pause-symbolic");
  gtk_widget_set_tooltip_text(r->toggle, paused ? "Resume download" : "Pause download");
  pm_gui_set_label(r->toggle, paused ? "Resume download" : "Pause download");
  gtk_widget_set_sensitive(r->toggle, v.state != PM_GUI_DOWNLOAD_STOPPING);
}

static row *add_row(GtkWidget *list, pm_gui_download *download) {
  row *r = g_new0(row, 1);
  const char *title = pm_gui_download_get(download).name;
  r->download = download;
  r->bar = gtk_progress_bar_new();
  pm_gui_set_label(r->bar, title);
  r->text = pm_gui_text_label("", "caption");
  gtk_label_set_wrap(GTK_LABEL(r->text), TRUE);
  GtkWidget *name = pm_gui_text_label(title, NULL), *texts = pm_gui_box(GTK_ORIENTATION_VERTICAL, 6, name, r->bar, r->text, NULL),
            *discard = pm_gui_icon_button("user-trash-symbolic", "Discard download", NULL);
  gtk_label_set_ellipsize(GTK_LABEL(name), PANGO_ELLIPSIZE_MIDDLE);
  gtk_widget_set_hexpand(texts, TRUE);
  r->toggle = pm_gui_icon_button("media-playback-pause-symbolic", "Pause download", NULL);
  gtk_widget_set_valign(r->toggle, GTK_ALIGN_CENTER);
  gtk_widget_set_valign(discard, GTK_ALIGN_CENTER);
  g_signal_connect(r->toggle, "clicked", G_CALLBACK(on_toggle), r);
  g_signal_connect(discard, "clicked", G_CALLBACK(on_discard), r);
  GtkWidget *line = pm_gui_box(GTK_ORIENTATION_HORIZONTAL, 6, texts, r->toggle, discard, NULL);
  gtk_widget_add_css_class(line, "download");
  r->row = gtk_list_box_row_new();
  gtk_list_box_row_set_child(GTK_LIST_BOX_ROW(r->row), line);
  gtk_list_box_row_set_activatable(GTK_LIST_BOX_ROW(r->row), FALSE);
  pm_gui_set_label(r->row, title);
  g_object_set_data_full(G_OBJECT(r->row), "row", r, g_free);
  gtk_list_box_append(GTK_LIST_BOX(list), r->row);
  return r;
}

static row *row_at(GtkWidget *list, int i) {
  GtkListBoxRow *widget = gtk_list_box_get_row_at_index(GTK_LIST_BOX(list), i);
  return widget ? g_object_get_data(G_OBJECT(widget), "row") : NULL;
}

GtkWidget *pm_gui_download_list_new(void) {
  GtkWidget *list = gtk_list_box_new();
  gtk_widget_add_css_class(list, "boxed-list");
  gtk_list_box_set_selection_mode(GTK_LIST_BOX(list), GTK_SELECTION_NONE);
  pm_gui_set_label(list, "Downloads");
  return list;
}

void pm_gui_download_list_update(GtkWidget *list, pm_gui_downloads *downloads) {
  GPtrArray *now = pm_gui_downloads_list(downloads);
  row *r;
  for (guint i = 0; i < now->len; i++) {
    while ((r = row_at(list, (int)i)) && r->download != now->pdata[i]) gtk_list_box_remove(GTK_LIST_BOX(list), r->row);
    update_row(r ? r : add_row(list, now->pdata[i]));
  }
  while ((r = row_at(list, (int)now->len))) gtk_list_box_remove(GTK_LIST_BOX(list), r->row);
  gtk_widget_set_visible(list, now->len > 0);
}
