// Conversations on disk: an SQLite database. A conversation is a tree of messages; its head is the newest message of the branch that is
// shown. An answer in the making is kept piece by piece, so that a crash loses nothing that was shown.
//
// Functions that can fail set *error and return false, 0 or NULL. One thread uses a store.
#ifndef PM_CHAT_STORE_H
#define PM_CHAT_STORE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct pm_gui_store pm_gui_store;

// Figures of an answer; a negative value is not known.
typedef struct pm_gui_stats {
  int64_t n_prompt, n_cached, n_token;  // tokens read, of which were still in the cache; tokens written
  double first_s, thinking_s, prompt_rate, rate,
      joules;  // seconds to the first token, of thinking; tokens per second; energy of the answer
} pm_gui_stats;
#define PM_GUI_STATS_NONE ((pm_gui_stats){-1, -1, -1, -1, -1, -1, -1, -1})

typedef struct pm_gui_chat {
  int64_t id, head, updated;  // head: 0 while there is no message; seconds since 1970
  char *title, *settings;     // settings: JSON
} pm_gui_chat;

typedef struct pm_gui_message {
  int64_t id, parent;               // parent: 0 for a first message
  char *role, *content, *thinking;  // role: "user" or "assistant"
  char *finish;                     // "" in the making, "stop", "length", "stopped", "interrupted"
  char *model;                      // name of the model that answered
  uint32_t branch, n_branch;        // this is number `branch` (from 1) of the messages with this parent
  pm_gui_stats stats;
} pm_gui_message;

typedef struct pm_gui_hit {
  int64_t chat, message;  // message: 0 where the title was found
  char *title, *text;     // text: the message, or the title
} pm_gui_hit;

// Opens or creates a database; NULL: one in memory. Answers that a crash cut off become "interrupted"; conversations whose deletion can
// no longer be undone go for good.
pm_gui_store *pm_gui_store_open(const char *path, GError **error);
void pm_gui_store_close(pm_gui_store *store);

int64_t pm_gui_store_chat_create(pm_gui_store *store, const char *title, const char *settings, GError **error);
pm_gui_chat *pm_gui_store_chat(pm_gui_store *store, int64_t chat, GError **error);
GPtrArray *pm_gui_store_chats(pm_gui_store *store, uint32_t limit, GError **error);  // of pm_gui_chat, newest first
bool pm_gui_store_rename(pm_gui_store *store, int64_t chat, const char *title, GError **error);
bool pm_gui_store_set_settings(pm_gui_store *store, int64_t chat, const char *settings, GError **error);
bool pm_gui_store_delete(pm_gui_store *store, int64_t chat, bool deleted, GError **error);  // hides it, or brings it back
bool pm_gui_store_purge(pm_gui_store *store, GError **error);                               // what is hidden goes for good
int64_t pm_gui_store_clone(pm_gui_store *store, int64_t chat, const char *title, GError **error);

// The new message becomes the head. `finish`: "" if pieces are to follow.
int64_t pm_gui_store_message_add(pm_gui_store *store, int64_t chat, int64_t parent, const pm_gui_message *message, GError **error);
bool pm_gui_store_piece_add(pm_gui_store *store, int64_t message, const char *content, const char *thinking, GError **error);
bool pm_gui_store_message_finish(pm_gui_store *store, int64_t message, const char *finish, const pm_gui_stats *stats, GError **error);
bool pm_gui_store_message_reopen(pm_gui_store *store, int64_t message, GError **error);  // pieces follow again

GPtrArray *pm_gui_store_path(pm_gui_store *store, int64_t chat, GError **error);  // of pm_gui_message, first to head
GPtrArray *pm_gui_store_tree(pm_gui_store *store, int64_t chat, GError **error);  // all messages, parents first
// The head becomes the newest leaf of the `step`-th sibling before (negative) or after `message`.
bool pm_gui_store_branch(pm_gui_store *store, int64_t chat, int64_t message, int step, GError **error);
bool pm_gui_store_set_head(pm_gui_store *store, int64_t chat, int64_t message,
                           GError **error);  // any message of the chat; shows its newest leaf

// Titles and messages that contain every word, parts of words too: titles first, then the newest messages.
GPtrArray *pm_gui_store_search(pm_gui_store *store, const char *text, uint32_t limit, GError **error);  // of pm_gui_hit
// The text around the first of the words, as Pango markup with the words in bold.
char *pm_gui_excerpt(const char *text, const char *words, size_t max_chars);

// Tokens per second of the newest answers of a model, at most 50 of 16 tokens or more: how many there are, the slowest, the fastest.
uint32_t pm_gui_store_rates(pm_gui_store *store, const char *model, double *least, double *most);

char *pm_gui_store_get(pm_gui_store *store, const char *key);  // NULL if never set
bool pm_gui_store_set(pm_gui_store *store, const char *key, const char *value, GError **error);

// Several changes that happen together or not at all.
bool pm_gui_store_begin(pm_gui_store *store, GError **error);
bool pm_gui_store_end(pm_gui_store *store, bool keep, GError **error);

void pm_gui_chat_free(pm_gui_chat *chat);
void pm_gui_message_free(pm_gui_message *message);
void pm_gui_hit_free(pm_gui_hit *hit);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(pm_gui_chat, pm_gui_chat_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(pm_gui_message, pm_gui_message_free)

#endif
