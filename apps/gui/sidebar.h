// The list of conversations, and of what a search finds in them.
#ifndef PM_SIDEBAR_H
#define PM_SIDEBAR_H

#include <gtk/gtk.h>

#include "chat_store.h"

// `chosen`: a conversation, and one of its messages or 0.
typedef void pm_gui_chosen_fn(void *user, int64_t chat, int64_t message);
GtkWidget *pm_gui_sidebar_new(pm_gui_store *store, pm_gui_chosen_fn *chosen, void *user);
void pm_gui_sidebar_refresh(GtkWidget *sidebar, int64_t open);  // `open`: the conversation that is shown
void pm_gui_sidebar_search(GtkWidget *sidebar);                 // puts the cursor where one types what to look for

#endif
