#include "clip_box.h"

#include <stdbool.h>

struct _pm_gui_clip_box {
  GtkBox parent;
  GtkAdjustment *scrolled;  // of the scrolled window around it, while it is mapped
};

G_DECLARE_FINAL_TYPE(pm_gui_clip_box, pm_gui_clip_box, PM_GUI, CLIP_BOX, GtkBox)
G_DEFINE_TYPE(pm_gui_clip_box, pm_gui_clip_box, GTK_TYPE_BOX)

static void snapshot(GtkWidget *widget, GtkSnapshot *to) {
  GtkWidget *scroller = gtk_widget_get_ancestor(widget, GTK_TYPE_SCROLLED_WINDOW);
  graphene_rect_t seen, bounds;
  bool clipped = scroller && gtk_widget_compute_bounds(scroller, widget, &seen);
  for (GtkWidget *child = gtk_widget_get_first_child(widget); child; child = gtk_widget_get_next_sibling(child)) {
    bool hidden = clipped && gtk_widget_compute_bounds(child, widget, &bounds) && !graphene_rect_intersection(&seen, &bounds, NULL);
    if (!hidden) gtk_widget_snapshot_child(widget, child, to);
  }
}

// Scrolling moves what is drawn already; here other children come into sight.
static void map(GtkWidget *widget) {
  GtkWidget *scroller = gtk_widget_get_ancestor(widget, GTK_TYPE_SCROLLED_WINDOW);
  GTK_WIDGET_CLASS(pm_gui_clip_box_parent_class)->map(widget);
  if (!scroller) return;
  GtkAdjustment *scrolled = gtk_scrolled_window_get_vadjustment(GTK_SCROLLED_WINDOW(scroller));
  g_signal_connect_swapped(scrolled, "value-changed", G_CALLBACK(gtk_widget_queue_draw), widget);
  g_signal_connect_swapped(scrolled, "changed", G_CALLBACK(gtk_widget_queue_draw), widget);
  PM_GUI_CLIP_BOX(widget)->scrolled = g_object_ref(scrolled);
}

static void unmap(GtkWidget *widget) {
  pm_gui_clip_box *box = PM_GUI_CLIP_BOX(widget);
  if (box->scrolled) g_signal_handlers_disconnect_by_data(box->scrolled, widget);
  g_clear_object(&box->scrolled);
  GTK_WIDGET_CLASS(pm_gui_clip_box_parent_class)->unmap(widget);
}

static void pm_gui_clip_box_class_init(pm_gui_clip_boxClass *class) {
  GtkWidgetClass *widget = GTK_WIDGET_CLASS(class);
  widget->snapshot = snapshot;
  widget->map = map;
  widget->unmap = unmap;
}

static void pm_gui_clip_box_init(pm_gui_clip_box *box) { (void)box; }

GtkWidget *pm_gui_clip_box_new(int spacing) {
  return g_object_new(pm_gui_clip_box_get_type(), "orientation", GTK_ORIENTATION_VERTICAL, "spacing", spacing, NULL);
}
