#include "widgets.h"

#include <stdarg.h>

void pm_gui_set_label(GtkWidget *widget, const char *label) {
  gtk_accessible_update_property(GTK_ACCESSIBLE(widget), GTK_ACCESSIBLE_PROPERTY_LABEL, label, -1);
}

GtkWidget *pm_gui_icon_button(const char *icon, const char *label, const char *action) {
  GtkWidget *button = gtk_button_new_from_icon_name(icon);
  gtk_widget_add_css_class(button, "flat");
  gtk_widget_set_tooltip_text(button, label);
  pm_gui_set_label(button, label);
  if (action) gtk_actionable_set_action_name(GTK_ACTIONABLE(button), action);
  return button;
}

GtkWidget *pm_gui_text_label(const char *text, const char *css_class) {
  GtkWidget *label = gtk_label_new(text);
  gtk_label_set_xalign(GTK_LABEL(label), 0);
  if (css_class) gtk_widget_add_css_class(label, css_class);
  return label;
}

GtkWidget *pm_gui_box(GtkOrientation orientation, int spacing, ...) {
  GtkWidget *box = gtk_box_new(orientation, spacing), *child;
  va_list children;
  va_start(children, spacing);
  while ((child = va_arg(children, GtkWidget *))) gtk_box_append(GTK_BOX(box), child);
  va_end(children);
  return box;
}

static GtkWidget *row_with(const char *title, const char *subtitle, GtkWidget *control) {
  GtkWidget *row = adw_action_row_new();
  adw_preferences_row_set_title(ADW_PREFERENCES_ROW(row), title);
  if (subtitle) adw_action_row_set_subtitle(ADW_ACTION_ROW(row), subtitle);
  gtk_widget_set_valign(control, GTK_ALIGN_CENTER);
  pm_gui_set_label(control, title);
  adw_action_row_add_suffix(ADW_ACTION_ROW(row), control);
  adw_action_row_set_activatable_widget(ADW_ACTION_ROW(row), control);
  return row;
}

GtkWidget *pm_gui_spin_row(const char *title, const char *subtitle, double least, double most, double step, uint32_t digits, double value,
                           GtkWidget **spin) {
  *spin = gtk_spin_button_new_with_range(least, most, step);
  gtk_spin_button_set_digits(GTK_SPIN_BUTTON(*spin), digits);
  gtk_spin_button_set_value(GTK_SPIN_BUTTON(*spin), value);
  return row_with(title, subtitle, *spin);
}

GtkWidget *pm_gui_switch_row(const char *title, const char *subtitle, bool value, GtkWidget **button) {
  *button = gtk_switch_new();
  gtk_switch_set_active(GTK_SWITCH(*button), value);
  return row_with(title, subtitle, *button);
}

GtkWidget *pm_gui_combo_row(const char *title, const char *const *choices, guint chosen) {
  GtkWidget *row = adw_combo_row_new();
  GtkStringList *list = gtk_string_list_new(choices);
  adw_preferences_row_set_title(ADW_PREFERENCES_ROW(row), title);
  adw_combo_row_set_model(ADW_COMBO_ROW(row), G_LIST_MODEL(list));
  adw_combo_row_set_selected(ADW_COMBO_ROW(row), chosen);
  g_object_unref(list);
  return row;
}

void pm_gui_clear_box(GtkWidget *box) {
  GtkWidget *child;
  while ((child = gtk_widget_get_first_child(box))) gtk_box_remove(GTK_BOX(box), child);
}

char *pm_gui_bytes(double bytes) { return g_format_size_full(bytes > 0 ? (guint64)bytes : 0, G_FORMAT_SIZE_IEC_UNITS); }
