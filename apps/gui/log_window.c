#include "gui_app.h"
#include "widgets.h"

static void on_copy(GtkButton *button, gpointer app) {
  gdk_clipboard_set_text(gtk_widget_get_clipboard(GTK_WIDGET(button)), pm_gui_engine_log(((pm_gui_app *)app)->engine));
}

static void on_refresh(GtkButton *button, gpointer app) {
  GtkTextBuffer *buffer = g_object_get_data(G_OBJECT(button), "buffer");
  gtk_text_buffer_set_text(buffer, pm_gui_engine_log(((pm_gui_app *)app)->engine), -1);
}

void pm_gui_log_open(pm_gui_app *app) {
  GtkWidget *window = adw_window_new(), *head = adw_header_bar_new(), *scroller = gtk_scrolled_window_new(), *view = gtk_text_view_new();
  gtk_window_set_title(GTK_WINDOW(window), "Engine log");
  gtk_window_set_transient_for(GTK_WINDOW(window), app->window);
  gtk_window_set_default_size(GTK_WINDOW(window), 760, 480);
  GtkWidget *copy = pm_gui_icon_button("edit-copy-symbolic", "Copy log", NULL),
            *refresh = pm_gui_icon_button("view-refresh-symbolic", "Read the log again", NULL);
  adw_header_bar_pack_start(ADW_HEADER_BAR(head), copy);
  adw_header_bar_pack_start(ADW_HEADER_BAR(head), refresh);
  g_signal_connect(copy, "clicked", G_CALLBACK(on_copy), app);
  g_signal_connect(refresh, "clicked", G_CALLBACK(on_refresh), app);
  gtk_text_view_set_editable(GTK_TEXT_VIEW(view), FALSE);
  gtk_text_view_set_monospace(GTK_TEXT_VIEW(view), TRUE);
  gtk_text_view_set_wrap_mode(GTK_TEXT_VIEW(view), GTK_WRAP_WORD_CHAR);
  gtk_widget_set_direction(view, GTK_TEXT_DIR_LTR);
  gtk_widget_add_css_class(view, "log");
  pm_gui_set_label(view, "Engine log");
  g_object_set_data(G_OBJECT(refresh), "buffer", gtk_text_view_get_buffer(GTK_TEXT_VIEW(view)));
  on_refresh(GTK_BUTTON(refresh), app);
  gtk_scrolled_window_set_child(GTK_SCROLLED_WINDOW(scroller), view);
  gtk_widget_set_vexpand(scroller, TRUE);
  adw_window_set_content(ADW_WINDOW(window), pm_gui_box(GTK_ORIENTATION_VERTICAL, 0, head, scroller, NULL));
  gtk_window_present(GTK_WINDOW(window));
}
