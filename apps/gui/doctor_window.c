// What `pumice doctor` finds: its devices, what their drivers are known for, and whether each kernel computes what it should. It runs in a
// process of its own, as the engine does.
#include "gui_app.h"

typedef struct doctor {
  char *program;
  GtkWidget *text, *again, *spinner;
  GSubprocess *process;  // NULL while none runs
  GDataInputStream *lines;
  GCancellable *cancel;  // of the lines that are read
} doctor;

static void end_process(doctor *d) {
  g_cancellable_cancel(d->cancel);
  if (d->process) g_subprocess_force_exit(d->process);
  g_clear_object(&d->process);
  g_clear_object(&d->lines);
  g_clear_object(&d->cancel);
}

static void doctor_free(gpointer data) {
  end_process(data);
  g_free(((doctor *)data)->program);
  g_free(data);
}

static void add_text(doctor *d, const char *text) {
  GtkTextBuffer *buffer = gtk_text_view_get_buffer(GTK_TEXT_VIEW(d->text));
  GtkTextIter end;
  gtk_text_buffer_get_end_iter(buffer, &end);
  gtk_text_buffer_insert(buffer, &end, text, -1);
  gtk_text_buffer_insert(buffer, &end, "\n", 1);
}

static void show_running(doctor *d, bool runs) {
  gtk_widget_set_sensitive(d->again, !runs);
  gtk_widget_set_visible(d->spinner, runs);
  gtk_spinner_set_spinning(GTK_SPINNER(d->spinner), runs);
}

// Its output has ended, so it has, too: a driver may have taken it along.
static void show_end(doctor *d) {
  g_subprocess_wait(d->process, NULL, NULL);
  if (!g_subprocess_get_if_signaled(d->process)) return;
  int number = g_subprocess_get_term_sig(d->process);
  g_autofree char *text = g_strdup_printf("The check was ended by signal %d (%s).", number, g_strsignal(number));
  add_text(d, text);
}

static void on_line(GObject *stream, GAsyncResult *result, gpointer user) {
  GError *error = NULL;
  g_autofree char *line = g_data_input_stream_read_line_finish_utf8(G_DATA_INPUT_STREAM(stream), result, NULL, &error);
  bool closed = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_clear_error(&error);
  if (closed) return;
  doctor *d = user;
  if (line) {
    add_text(d, line);
    g_data_input_stream_read_line_async(d->lines, G_PRIORITY_DEFAULT, d->cancel, on_line, d);
  } else {
    show_end(d);
    end_process(d);
    show_running(d, false);
  }
}

static void on_again(GtkButton *button, gpointer user) {
  (void)button;
  doctor *d = user;
  GError *error = NULL;
  gtk_text_buffer_set_text(gtk_text_view_get_buffer(GTK_TEXT_VIEW(d->text)), "", 0);
  d->process = g_subprocess_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE, &error, d->program, "doctor", NULL);
  show_running(d, d->process != NULL);
  if (!d->process) {
    add_text(d, error->message);
    g_error_free(error);
    return;
  }
  d->cancel = g_cancellable_new();
  d->lines = g_data_input_stream_new(g_subprocess_get_stdout_pipe(d->process));
  g_data_input_stream_read_line_async(d->lines, G_PRIORITY_DEFAULT, d->cancel, on_line, d);
}

void pm_gui_doctor_open(pm_gui_app *app) {
  doctor *d = g_new0(doctor, 1);
  d->program = g_strdup(app->program);
  GtkWidget *head = adw_header_bar_new(), *window = pm_gui_text_window(app->window, "Devices", head, &d->text);
  d->again = pm_gui_icon_button("view-refresh-symbolic", "Check again", NULL);
  d->spinner = gtk_spinner_new();
  pm_gui_set_label(d->spinner, "Checking");
  adw_header_bar_pack_start(ADW_HEADER_BAR(head), d->again);
  adw_header_bar_pack_start(ADW_HEADER_BAR(head), d->spinner);
  g_signal_connect(d->again, "clicked", G_CALLBACK(on_again), d);
  g_object_set_data_full(G_OBJECT(window), "doctor", d, doctor_free);
  on_again(NULL, d);
  gtk_window_present(GTK_WINDOW(window));
}
