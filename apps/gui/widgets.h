// What many views make in the same way.
#ifndef PM_WIDGETS_H
#define PM_WIDGETS_H

#include <adwaita.h>
#include <stdbool.h>
#include <stdint.h>

// A flat button with a picture; `label` is what a screen reader says and what is shown when the pointer rests.
GtkWidget *pm_gui_icon_button(const char *icon, const char *label, const char *action);
GtkWidget *pm_gui_round_button(const char *icon, const char *label, const char *css_class, const char *action);  // not flat
void pm_gui_set_label(GtkWidget *widget, const char *label);                                                     // for screen readers
GtkWidget *pm_gui_text_label(const char *text, const char *css_class);                                           // left-aligned
void pm_gui_follow_text(GtkWidget *widget, const char *text);         // its direction becomes that of the first letter
GtkWidget *pm_gui_box(GtkOrientation orientation, int spacing, ...);  // with the widgets up to NULL
GtkWidget *pm_gui_spin_row(const char *title, const char *subtitle, double least, double most, double step, uint32_t digits, double value,
                           GtkWidget **spin);
GtkWidget *pm_gui_switch_row(const char *title, const char *subtitle, bool value, GtkWidget **button);
GtkWidget *pm_gui_combo_row(const char *title, const char *const *choices, guint chosen);
void pm_gui_clear_box(GtkWidget *box);
// A modal window that scrolls and that Escape closes, to be presented; `head`: a header bar, or NULL for a plain one.
GtkWidget *pm_gui_dialog_new(GtkWindow *parent, const char *title, GtkWidget *head, GtkWidget *content);
void pm_gui_close_on_escape(GtkWidget *window);
typedef void pm_gui_file_fn(void *user, const char *path);
void pm_gui_accept_files(GtkWidget *widget, pm_gui_file_fn *dropped, void *user);  // that are dropped on it, one by one
char *pm_gui_bytes(double bytes);                                                  // "1.2 GiB"
char *pm_gui_rate(double rate);                                                    // "12.5 tokens/s"
char *pm_gui_duration(double seconds);                                             // "2.5 s", "3 min 20 s"
double pm_gui_machine_memory(void);                                                // bytes; 0: not known

#endif
