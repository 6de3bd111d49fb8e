// The messages of a conversation, newest at the bottom; older ones come when asked for.
#ifndef PM_CONVERSATION_VIEW_H
#define PM_CONVERSATION_VIEW_H

#include <gtk/gtk.h>

#include "message_view.h"

GtkWidget *pm_gui_conversation_view_new(void);
void pm_gui_conversation_view_show(GtkWidget *view, GPtrArray *path);           // of pm_gui_message; it need not live on
GtkWidget *pm_gui_conversation_view_message(GtkWidget *view, int64_t message);  // its message view, or NULL
void pm_gui_conversation_view_grow(GtkWidget *view, int64_t message, const char *content, const char *thinking);
void pm_gui_conversation_view_reveal(GtkWidget *view, int64_t message);  // scrolls there, also to what was not shown yet
void pm_gui_conversation_view_invite(GtkWidget *view, bool model);       // what an empty one says; `model`: there is one to talk to
void pm_gui_conversation_view_find(GtkWidget *view);                     // asks for a text to look for

#endif
