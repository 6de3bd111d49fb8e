// A block of code: its language, a button that copies it, and the text; coloured once it is whole.
#ifndef PM_CODE_VIEW_H
#define PM_CODE_VIEW_H

#include <gtk/gtk.h>
#include <stdbool.h>

GtkWidget *pm_gui_code_view_new(void);
// `text`: all of it so far. Lines that were there before stay as they are.
void pm_gui_code_view_set(GtkWidget *view, const char *language, const char *text, bool whole);

#endif
