// Conversations as files: Markdown for people, JSON to move them.
#ifndef PM_CHAT_EXPORT_H
#define PM_CHAT_EXPORT_H

#include "chat_store.h"

char *pm_gui_export_markdown(pm_gui_store *store, int64_t chat, GError **error);  // the branch that is shown
char *pm_gui_export_json(pm_gui_store *store, int64_t chat, GError **error);      // all branches, settings and figures

// What pm_gui_export_json wrote, or {"messages": [{"role", "content"}]} as the OpenAI API has it. Returns the new conversation, or 0.
int64_t pm_gui_import_json(pm_gui_store *store, const char *text, size_t bytes, GError **error);

#endif
