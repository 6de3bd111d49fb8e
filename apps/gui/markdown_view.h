// A Markdown text that grows: one widget per block, of which only the last is touched.
#ifndef PM_MARKDOWN_VIEW_H
#define PM_MARKDOWN_VIEW_H

#include <gtk/gtk.h>

GtkWidget *pm_gui_markdown_view_new(void);
void pm_gui_markdown_view_append(GtkWidget *view, const char *text);  // is shown within 40 ms
void pm_gui_markdown_view_flush(GtkWidget *view);                     // shows it now
void pm_gui_markdown_view_finish(GtkWidget *view);                    // no more text: all of it is shown

#endif
