#include "model_fit.h"
#include "widgets.h"

static const struct {
  const char *name;
  GdkRGBA colour;
} parts_rows[PM_GUI_PARTS] = {[PM_GUI_WEIGHTS] = {"weights", {0.21f, 0.52f, 0.89f, 1}},
                              [PM_GUI_CACHE] = {"cache", {0.20f, 0.65f, 0.42f, 1}},
                              [PM_GUI_SCRATCH] = {"scratch", {0.57f, 0.25f, 0.67f, 1}},
                              [PM_GUI_EXPERTS] = {"experts", {0.90f, 0.55f, 0.10f, 1}}};

typedef struct bar {
  double parts[PM_GUI_PARTS], whole;
} bar;

static void draw(GtkDrawingArea *area, cairo_t *cr, int width, int height, gpointer user) {
  (void)area;
  const bar *b = user;
  double x = 0;
  cairo_set_source_rgba(cr, 0.5, 0.5, 0.5, 0.25);
  cairo_rectangle(cr, 0, 0, width, height);
  cairo_fill(cr);
  for (int i = 0; i < PM_GUI_PARTS; i++) {
    double w = b->whole > 0 ? width * b->parts[i] / b->whole : 0;
    gdk_cairo_set_source_rgba(cr, &parts_rows[i].colour);
    cairo_rectangle(cr, x, 0, w, height);
    cairo_fill(cr);
    x += w;
  }
}

static GtkWidget *legend_item(const char *name, const GdkRGBA *colour, double bytes) {
  g_autofree char *size = pm_gui_bytes(bytes), *hex = g_strdup_printf("#%02x%02x%02x", (unsigned)(255 * colour->red),
                                                                      (unsigned)(255 * colour->green), (unsigned)(255 * colour->blue));
  g_autofree char *markup = g_strdup_printf("<span color=\"%s\">■</span> %s %s", hex, name, size);
  GtkWidget *label = pm_gui_text_label(NULL, "caption");
  gtk_label_set_markup(GTK_LABEL(label), markup);
  return label;
}

GtkWidget *pm_gui_fit_bar_new(const char *title, const double parts[PM_GUI_PARTS], double budget) {
  bar *b = g_new0(bar, 1);
  double used = 0;
  GtkWidget *legend = gtk_flow_box_new();
  gtk_flow_box_set_selection_mode(GTK_FLOW_BOX(legend), GTK_SELECTION_NONE);
  gtk_flow_box_set_max_children_per_line(GTK_FLOW_BOX(legend), 5);
  for (int i = 0; i < PM_GUI_PARTS; i++) {
    b->parts[i] = parts[i];
    used += parts[i];
    if (parts[i] > 0) gtk_flow_box_append(GTK_FLOW_BOX(legend), legend_item(parts_rows[i].name, &parts_rows[i].colour, parts[i]));
  }
  b->whole = MAX(budget, used);
  static const GdkRGBA grey = {0.6f, 0.6f, 0.6f, 1};
  gtk_flow_box_append(GTK_FLOW_BOX(legend), legend_item("free", &grey, b->whole - used));
  GtkWidget *area = gtk_drawing_area_new();
  gtk_drawing_area_set_content_height(GTK_DRAWING_AREA(area), 14);
  gtk_drawing_area_set_draw_func(GTK_DRAWING_AREA(area), draw, b, g_free);
  gtk_widget_add_css_class(area, "fit-bar");
  gtk_widget_set_overflow(area, GTK_OVERFLOW_HIDDEN);
  g_autofree char *has = pm_gui_bytes(used), *of = pm_gui_bytes(b->whole), *text = g_strdup_printf("%s: %s of %s", title, has, of);
  pm_gui_set_label(area, text);
  return pm_gui_box(GTK_ORIENTATION_VERTICAL, 4, pm_gui_text_label(text, NULL), area, legend, NULL);
}
