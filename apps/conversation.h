// The messages of a chat, and a file of them.
#ifndef PM_CONVERSATION_H
#define PM_CONVERSATION_H

#include <stdbool.h>
#include <stddef.h>

#include "pumice.h"

typedef struct pm_conversation {
  pumice_message *messages;  // contents are owned; a system message is the first
  size_t n, capacity;
} pm_conversation;

void pm_conversation_add(pm_conversation *c, const char *role, const char *content);  // role: "system", "user" or "assistant"
void pm_conversation_truncate(pm_conversation *c, size_t n);
void pm_conversation_set_system(pm_conversation *c, const char *content);  // "" takes it away
bool pm_conversation_last_is(const pm_conversation *c, const char *role);
size_t pm_conversation_find_last(const pm_conversation *c, const char *role);  // index; c->n if there is none
void pm_conversation_free(pm_conversation *c);

// Text files: a first line, then for each message a line "role bytes" and the content. Saving replaces the file at once, at the end.
// Both give false with errno set; EINVAL for a file of another kind, and then the conversation is as before.
bool pm_conversation_save(const pm_conversation *c, const char *path);
bool pm_conversation_load(pm_conversation *c, const char *path);

#endif
