// One message: who it is from, its thoughts, its text, its figures, and what can be done with it.
#ifndef PM_MESSAGE_VIEW_H
#define PM_MESSAGE_VIEW_H

#include <gtk/gtk.h>
#include <stdbool.h>

#include "chat_store.h"

// Buttons have the actions win.copy, win.regenerate, win.edit, win.resume with the message's id, and win.previous and win.next for its
// branches. `last`: it is the newest of the conversation.
GtkWidget *pm_gui_message_view_new(const pm_gui_message *message, bool last);
int64_t pm_gui_message_view_id(GtkWidget *view);
void pm_gui_message_view_grow(GtkWidget *view, const char *content, const char *thinking);
void pm_gui_message_view_finish(GtkWidget *view, const pm_gui_message *message, bool last);  // it has been written
// Instead of the text, an entry with it. `done`: with the new text, or NULL if nothing is to change.
typedef void pm_gui_edited_fn(void *user, int64_t message, const char *text);
void pm_gui_message_view_edit(GtkWidget *view, const char *text, pm_gui_edited_fn *done, void *user);

#endif
