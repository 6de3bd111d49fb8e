// Where questions are typed: a text, a button that sends it, or one that stops the answer.
#ifndef PM_COMPOSER_H
#define PM_COMPOSER_H

#include <gtk/gtk.h>
#include <stdbool.h>

// `send`: true if the text was taken.
typedef bool pm_gui_send_fn(void *user, const char *text);
GtkWidget *pm_gui_composer_new(pm_gui_send_fn *send, void *user);
void pm_gui_composer_set(GtkWidget *composer, bool send_on_enter);
// What the buttons offer: an answer may be asked for; one is being written here, and whether it is still thought about.
void pm_gui_composer_update(GtkWidget *composer, bool may_send, bool writing, bool thinking);
void pm_gui_composer_progress(GtkWidget *composer, double done);  // of reading the prompt, in [0, 1]; negative: nothing is shown
void pm_gui_composer_focus(GtkWidget *composer);

#endif
