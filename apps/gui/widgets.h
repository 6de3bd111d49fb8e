// What many views make in the same way.
#ifndef PM_WIDGETS_H
#define PM_WIDGETS_H

#include <adwaita.h>
#include <stdbool.h>
#include <stdint.h>

// A flat button with a picture; `label` is what a screen reader says and what is shown when the pointer rests.
GtkWidget *pm_gui_icon_button(const char *icon, const char *label, const char *action);
void pm_gui_set_label(GtkWidget *widget, const char *label);            // for screen readers
GtkWidget *pm_gui_text_label(const char *text, const char *css_class);  // left-aligned
GtkWidget *pm_gui_box(GtkOrientation orientation, int spacing, ...);    // with the widgets up to NULL
GtkWidget *pm_gui_spin_row(const char *title, const char *subtitle, double least, double most, double step, uint32_t digits, double value,
                           GtkWidget **spin);
GtkWidget *pm_gui_switch_row(const char *title, const char *subtitle, bool value, GtkWidget **button);
GtkWidget *pm_gui_combo_row(const char *title, const char *const *choices, guint chosen);
void pm_gui_clear_box(GtkWidget *box);
char *pm_gui_bytes(double bytes);  // "1.2 GiB"

#endif
