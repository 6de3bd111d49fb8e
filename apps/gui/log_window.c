#include "gui_app.h"

// ---- texts of programs, to be read and copied --------------------------------------------------------------------------------------

static void on_copy(GtkButton *button, gpointer view) {
  g_autofree char *text = NULL;
  g_object_get(gtk_text_view_get_buffer(view), "text", &text, NULL);
  gdk_clipboard_set_text(gtk_widget_get_clipboard(GTK_WIDGET(button)), text);
}

GtkWidget *pm_gui_text_window(GtkWindow *parent, const char *title, GtkWidget *head, GtkWidget **text) {
  GtkWidget *window = adw_window_new(), *scroller = gtk_scrolled_window_new(), *view = *text = gtk_text_view_new();
  g_autofree char *copy_label = g_strdup_printf("Copy: %s", title);
  GtkWidget *copy = pm_gui_icon_button("edit-copy-symbolic", copy_label, NULL);
  gtk_window_set_title(GTK_WINDOW(window), title);
  gtk_window_set_transient_for(GTK_WINDOW(window), parent);
  gtk_window_set_default_size(GTK_WINDOW(window), 760, 480);
  adw_header_bar_pack_end(ADW_HEADER_BAR(head), copy);
  g_signal_connect(copy, "clicked", G_CALLBACK(on_copy), view);
  gtk_text_view_set_editable(GTK_TEXT_VIEW(view), FALSE);
  gtk_text_view_set_monospace(GTK_TEXT_VIEW(view), TRUE);
  gtk_text_view_set_wrap_mode(GTK_TEXT_VIEW(view), GTK_WRAP_WORD_CHAR);
  gtk_widget_set_direction(view, GTK_TEXT_DIR_LTR);
  gtk_widget_add_css_class(view, "log");
  pm_gui_set_label(view, title);
  gtk_scrolled_window_set_child(GTK_SCROLLED_WINDOW(scroller), view);
  gtk_widget_set_vexpand(scroller, TRUE);
  adw_window_set_content(ADW_WINDOW(window), pm_gui_box(GTK_ORIENTATION_VERTICAL, 0, head, scroller, NULL));
  pm_gui_close_on_escape(window);
  return window;
}

// ---- the engine's ------------------------------------------------------------------------------------------------------------------

static void on_refresh(GtkButton *button, gpointer app) {
  GtkTextBuffer *buffer = g_object_get_data(G_OBJECT(button), "buffer");
  gtk_text_buffer_set_text(buffer, pm_gui_engine_log(((pm_gui_app *)app)->engine), -1);
}

void pm_gui_log_open(pm_gui_app *app) {
  GtkWidget *view, *head = adw_header_bar_new(), *window = pm_gui_text_window(app->window, "Engine log", head, &view);
  GtkWidget *refresh = pm_gui_icon_button("view-refresh-symbolic", "Read the log again", NULL);
  adw_header_bar_pack_start(ADW_HEADER_BAR(head), refresh);
  g_signal_connect(refresh, "clicked", G_CALLBACK(on_refresh), app);
  g_object_set_data(G_OBJECT(refresh), "buffer", gtk_text_view_get_buffer(GTK_TEXT_VIEW(view)));
  on_refresh(GTK_BUTTON(refresh), app);
  gtk_window_present(GTK_WINDOW(window));
}
