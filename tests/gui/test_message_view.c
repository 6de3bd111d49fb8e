// What a streamed answer costs: 24,000 characters in pieces of 40, each shown before the next comes, drawing included.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
// cmocka wants the four above
#include <cmocka.h>
#include <gtk/gtk.h>

#include "markdown_view.h"
#include "widgets.h"

enum { N_CHAR = 24000, PIECE = 40, N_PIECE = N_CHAR / PIECE };

static double cpu_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void on_frame(GdkFrameClock *clock, gpointer frames) {
  (void)clock;
  ++*(int *)frames;
}

static void wait_for_frame(GtkWidget *widget, const int *frames) {
  int before = *frames;
  gdk_frame_clock_request_phase(gtk_widget_get_frame_clock(widget), GDK_FRAME_CLOCK_PHASE_PAINT);
  while (*frames == before) g_main_context_iteration(NULL, TRUE);
}

static char *make_text(void) {
  GString *text = g_string_new(NULL);
  for (int i = 1; text->len < N_CHAR; i++)
    g_string_append_printf(
        text,
        "## Part %d\n\nA paragraph with **bold** words, `code` and more to read, as answers of models have them. It goes on for a "
        "while, and then for a while longer.\n\n- one item\n- another item with *stress*\n\n```python\nfor i in range(%d):\n    "
        "print(i)\n```\n\n",
        i, i);
  g_string_truncate(text, N_CHAR);
  return g_string_free(text, FALSE);
}

static int by_value(const void *a, const void *b) {
  return *(const double *)a < *(const double *)b ? -1 : *(const double *)a > *(const double *)b;
}

static double median(const double *values, size_t n) {
  g_autofree double *sorted = g_memdup2(values, n * sizeof *values);
  qsort(sorted, n, sizeof *sorted, by_value);
  return sorted[n / 2];
}

static void test_cost_of_a_piece(void **state) {
  (void)state;
  if (!gtk_init_check()) {
    print_message("skip: no display\n");
    skip();
  }
  adw_init();
  GtkWidget *window = gtk_window_new(), *view = pm_gui_markdown_view_new(), *scroller = gtk_scrolled_window_new();
  gtk_scrolled_window_set_child(GTK_SCROLLED_WINDOW(scroller), view);
  gtk_window_set_child(GTK_WINDOW(window), scroller);
  gtk_window_set_default_size(GTK_WINDOW(window), 820, 700);
  gtk_window_present(GTK_WINDOW(window));
  while (!gtk_widget_get_mapped(view)) g_main_context_iteration(NULL, TRUE);
  int frames = 0;
  g_signal_connect(gtk_widget_get_frame_clock(view), "after-paint", G_CALLBACK(on_frame), &frames);
  GtkAdjustment *adjustment = gtk_scrolled_window_get_vadjustment(GTK_SCROLLED_WINDOW(scroller));

  g_autofree char *text = make_text();
  static double update[N_PIECE], frame[N_PIECE];
  for (int i = 0; i < N_PIECE; i++) {
    g_autofree char *piece = g_strndup(text + (size_t)i * PIECE, PIECE);
    double start = cpu_ms();
    pm_gui_markdown_view_append(view, piece);
    pm_gui_markdown_view_flush(view);
    update[i] = cpu_ms() - start;
    gtk_adjustment_set_value(adjustment, gtk_adjustment_get_upper(adjustment));
    wait_for_frame(view, &frames);
    frame[i] = cpu_ms() - start;
  }
  enum { TENTH = N_PIECE / 10 };
  for (int i = 0; i < 10; i += 3)
    print_message("# from character %5d: an update costs %.2f ms, with what it draws %.2f ms\n", i * TENTH * PIECE,
                  median(update + i * TENTH, TENTH), median(frame + i * TENTH, TENTH));
  double last = median(update + N_PIECE - TENTH, TENTH);
  assert_true(last < 2);
  gtk_window_destroy(GTK_WINDOW(window));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_cost_of_a_piece)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
