// Widgets on a display: what a streamed answer costs, 24,000 characters in pieces of 40, each shown before the next comes, drawing
// included; where things stand in languages that run from right to left; files that are dropped. And the meter of energy.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
// cmocka wants the four above
#include <cmocka.h>
#include <glib/gstdio.h>
#include <gtk/gtk.h>

#include "energy_meter.h"
#include "markdown_view.h"
#include "message_view.h"
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

static void need_display(void) {
  if (!gtk_init_check()) {
    print_message("skip: no display\n");
    skip();
  }
  adw_init();
}

// ---- right to left -----------------------------------------------------------------------------------------------------------------

// The first widget of a type below one whose text begins with `text`.
static GtkWidget *find(GtkWidget *widget, GType type, const char *text) {
  if (G_TYPE_CHECK_INSTANCE_TYPE(widget, type) && (!text || g_str_has_prefix(gtk_label_get_text(GTK_LABEL(widget)), text))) return widget;
  GtkWidget *found = NULL;
  for (GtkWidget *child = gtk_widget_get_first_child(widget); child && !found; child = gtk_widget_get_next_sibling(child))
    found = find(child, type, text);
  return found;
}

// Where the letters of a label are in the window, in pixels.
static void ink_of(GtkWidget *label, GtkWidget *window, double *left, double *right) {
  PangoRectangle ink;
  int x, y;
  double x0, y0;
  pango_layout_get_pixel_extents(gtk_label_get_layout(GTK_LABEL(label)), &ink, NULL);
  gtk_label_get_layout_offsets(GTK_LABEL(label), &x, &y);
  assert_true(gtk_widget_translate_coordinates(label, window, x + ink.x, y, &x0, &y0));
  *left = x0;
  *right = x0 + ink.width;
}

// Paragraphs stand where their own language begins, whatever the app's language is; code stands at the left.
static void check_directions(GtkTextDirection direction) {
  static const char text[] = "\u0645\u0631\u062d\u0628\u0627\n\n- \u0648\u0627\u062d\u062f\n\n```\nint x;\n```\n\nleft\n";
  pm_gui_message row = {.id = 1,
                        .role = (char *)"assistant",
                        .content = (char *)text,
                        .thinking = (char *)"",
                        .finish = (char *)"stop",
                        .model = (char *)"m",
                        .stats = PM_GUI_STATS_NONE};
  gtk_widget_set_default_direction(direction);
  GtkWidget *window = gtk_window_new(), *view = pm_gui_message_view_new(&row, true);
  gtk_window_set_child(GTK_WINDOW(window), view);
  gtk_window_set_default_size(GTK_WINDOW(window), 600, 400);
  gtk_window_present(GTK_WINDOW(window));
  while (!gtk_widget_get_mapped(view) || !gtk_widget_get_width(view)) g_main_context_iteration(NULL, TRUE);
  double left, right, marker, end;
  ink_of(find(view, GTK_TYPE_LABEL, "\u0645"), window, &left, &right);
  assert_true(left > 400 && right > 580);
  ink_of(find(view, GTK_TYPE_LABEL, "\u0648"), window, &left, &right);
  ink_of(find(view, GTK_TYPE_LABEL, "•"), window, &marker, &end);
  assert_true(marker > right && left > 400);
  ink_of(find(view, GTK_TYPE_LABEL, "int x;"), window, &left, &right);
  assert_true(right < 60);
  ink_of(find(view, GTK_TYPE_LABEL, "left"), window, &left, &right);
  assert_true(right < 60);
  gtk_window_destroy(GTK_WINDOW(window));
}

static void test_right_to_left(void **state) {
  (void)state;
  need_display();
  check_directions(GTK_TEXT_DIR_LTR);
  check_directions(GTK_TEXT_DIR_RTL);
  gtk_widget_set_default_direction(GTK_TEXT_DIR_LTR);
}

// ---- files that are dropped --------------------------------------------------------------------------------------------------------

static void on_path(void *user, const char *path) { g_string_append_printf(user, "[%s]", path); }

static bool drop(GtkDropTarget *target, GFile **files, gsize n) {
  GValue value = G_VALUE_INIT;
  gboolean taken = FALSE;
  g_value_init(&value, GDK_TYPE_FILE_LIST);
  g_value_take_boxed(&value, gdk_file_list_new_from_array(files, n));
  g_signal_emit_by_name(target, "drop", &value, 1.0, 1.0, &taken);
  g_value_unset(&value);
  return taken;
}

static void test_dropped_files(void **state) {
  (void)state;
  need_display();
  g_autoptr(GString) seen = g_string_new(NULL);
  GtkWidget *widget = g_object_ref_sink(gtk_label_new(NULL));
  pm_gui_accept_files(widget, on_path, seen);
  g_autoptr(GListModel) controllers = gtk_widget_observe_controllers(widget);
  GtkDropTarget *target = NULL;  // the widget keeps it
  for (guint i = 0; i < g_list_model_get_n_items(controllers) && !target; i++) {
    g_autoptr(GObject) controller = g_list_model_get_item(controllers, i);
    if (GTK_IS_DROP_TARGET(controller)) target = GTK_DROP_TARGET(controller);
  }
  assert_non_null(target);
  GdkContentFormats *formats = gtk_drop_target_get_formats(target);
  g_autoptr(GdkContentFormats) types = gdk_content_formats_union_deserialize_mime_types(gdk_content_formats_ref(formats));
  assert_true(gdk_content_formats_contain_mime_type(types, "text/uri-list"));  // what file managers offer
  g_autoptr(GFile) a = g_file_new_for_path("/m/a.gguf"), b = g_file_new_for_path("/m/b 2.gguf"),
                   far = g_file_new_for_uri("https://h/c.gguf");
  assert_true(drop(target, (GFile *[]){a, far, b}, 3));
  assert_string_equal(seen->str, "[/m/a.gguf][/m/b 2.gguf]");
  assert_false(drop(target, &far, 1));
  g_object_unref(widget);
}

// ---- energy ------------------------------------------------------------------------------------------------------------------------

static void put(const char *root, const char *name, const char *text) {
  g_autofree char *path = g_build_filename(root, "class/powercap/intel-rapl:0", name, NULL);
  assert_true(g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}

static void test_meter(void **state) {
  (void)state;
  g_autofree char *root = g_dir_make_tmp("pm_meter_XXXXXX", NULL), *folder = g_build_filename(root, "class/powercap/intel-rapl:0", NULL);
  pm_gui_meter *none = pm_gui_meter_open(root);
  assert_true(pm_gui_meter_joules(none) < 0 && pm_gui_meter_watts(none) < 0);
  assert_string_equal(pm_gui_meter_reason(none), "no sensor");
  pm_gui_meter_close(none);
  assert_true(pm_gui_meter_joules(NULL) < 0 && pm_gui_meter_watts(NULL) < 0);

  assert_int_equal(g_mkdir_with_parents(folder, 0700), 0);
  put(root, "name", "package-0\n");
  put(root, "energy_uj", "1000000\n");
  put(root, "max_energy_range_uj", "262143328850\n");
  pm_gui_meter *meter = pm_gui_meter_open(root);
  assert_true(pm_gui_meter_joules(meter) == 0);
  put(root, "energy_uj", "31000000\n");
  for (int i = 0; i < 50 && pm_gui_meter_joules(meter) < 30; i++) g_usleep(100000);  // it samples ten times a second
  assert_true(pm_gui_meter_joules(meter) == 30);
  assert_true(pm_gui_meter_watts(meter) < 0);  // a second has to pass
  g_usleep(1100000);
  double watts = pm_gui_meter_watts(meter);
  assert_true(watts > 0 && watts < 30);
  pm_gui_meter_close(meter);
  static const char *const gone[] = {"class/powercap/intel-rapl:0/name",
                                     "class/powercap/intel-rapl:0/energy_uj",
                                     "class/powercap/intel-rapl:0/max_energy_range_uj",
                                     "class/powercap/intel-rapl:0",
                                     "class/powercap",
                                     "class",
                                     ""};
  for (size_t i = 0; i < G_N_ELEMENTS(gone); i++) {
    g_autofree char *path = g_build_filename(root, gone[i], NULL);
    assert_int_equal(g_remove(path), 0);
  }
}

// ---- cost --------------------------------------------------------------------------------------------------------------------------

static void test_cost_of_a_piece(void **state) {
  (void)state;
  need_display();
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
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_right_to_left), cmocka_unit_test(test_dropped_files),
                                     cmocka_unit_test(test_meter), cmocka_unit_test(test_cost_of_a_piece)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
