#include "chat_store.h"

#include <stdlib.h>

#include "store_sql.h"

// ---- conversations -----------------------------------------------------------------------------------------------------------------

void pm_gui_chat_free(pm_gui_chat *chat) {
  if (!chat) return;
  g_free(chat->title);
  g_free(chat->settings);
  g_free(chat);
}

static int64_t now(void) { return g_get_real_time() / G_USEC_PER_SEC; }

int64_t pm_gui_store_chat_create(pm_gui_store *store, const char *title, const char *settings, GError **error) {
  if (!pm_gui_sql_run(store, error, "INSERT INTO chat (title, settings, updated) VALUES (?, ?, ?)", "tti", title, settings, now()))
    return 0;
  return sqlite3_last_insert_rowid(store->db);
}

#define CHAT_COLUMNS "SELECT id, head, updated, title, settings FROM chat WHERE "

static pm_gui_chat *read_chat(sqlite3_stmt *s) {
  pm_gui_chat *chat = g_new0(pm_gui_chat, 1);
  chat->id = sqlite3_column_int64(s, 0);
  chat->head = sqlite3_column_int64(s, 1);
  chat->updated = sqlite3_column_int64(s, 2);
  chat->title = pm_gui_sql_text(s, 3);
  chat->settings = pm_gui_sql_text(s, 4);
  return chat;
}

pm_gui_chat *pm_gui_store_chat(pm_gui_store *store, int64_t chat, GError **error) {
  sqlite3_stmt *s = pm_gui_sql(store, error, CHAT_COLUMNS "id = ?", "i", chat);
  pm_gui_chat *found = pm_gui_sql_next(store, &s, error) ? read_chat(s) : NULL;
  sqlite3_finalize(s);
  return found;
}

GPtrArray *pm_gui_store_chats(pm_gui_store *store, uint32_t limit, GError **error) {
  GPtrArray *chats = g_ptr_array_new_with_free_func((GDestroyNotify)pm_gui_chat_free);
  sqlite3_stmt *s = pm_gui_sql(store, error, CHAT_COLUMNS "deleted = 0 ORDER BY updated DESC, id DESC LIMIT ?", "i", (int64_t)limit);
  while (pm_gui_sql_next(store, &s, error)) g_ptr_array_add(chats, read_chat(s));
  return chats;
}

bool pm_gui_store_rename(pm_gui_store *store, int64_t chat, const char *title, GError **error) {
  return pm_gui_sql_run(store, error, "UPDATE chat SET title = ? WHERE id = ?", "ti", title, chat);
}

bool pm_gui_store_set_settings(pm_gui_store *store, int64_t chat, const char *settings, GError **error) {
  return pm_gui_sql_run(store, error, "UPDATE chat SET settings = ? WHERE id = ?", "ti", settings, chat);
}

bool pm_gui_store_delete(pm_gui_store *store, int64_t chat, bool deleted, GError **error) {
  return pm_gui_sql_run(store, error, "UPDATE chat SET deleted = ? WHERE id = ?", "ii", (int64_t)deleted, chat);
}

bool pm_gui_store_purge(pm_gui_store *store, GError **error) { return pm_gui_sql_run(store, error, "DELETE FROM chat WHERE deleted", ""); }

int64_t pm_gui_store_clone(pm_gui_store *store, int64_t chat, const char *title, GError **error) {
  g_autoptr(pm_gui_chat) from = pm_gui_store_chat(store, chat, error);
  g_autoptr(GPtrArray) messages = from ? pm_gui_store_tree(store, chat, error) : NULL;
  if (!messages || !pm_gui_store_begin(store, error)) return 0;
  g_autoptr(GHashTable) copies = g_hash_table_new(g_int64_hash, g_int64_equal);  // id of a message to that of its copy
  g_autoptr(GArray) ids = g_array_sized_new(FALSE, FALSE, sizeof(int64_t), messages->len);
  int64_t copy = pm_gui_store_chat_create(store, title, from->settings, error);
  bool good = copy > 0;
  for (guint i = 0; good && i < messages->len; i++) {
    pm_gui_message *m = messages->pdata[i];
    const int64_t *parent = g_hash_table_lookup(copies, &m->parent);
    if (!*m->finish) g_free(m->finish), m->finish = g_strdup("stopped");  // the answer goes on in the other one
    int64_t id = pm_gui_store_message_add(store, copy, parent ? *parent : 0, m, error);
    good = id > 0;
    g_array_append_val(ids, id);
    g_hash_table_insert(copies, &m->id, &g_array_index(ids, int64_t, i));
  }
  const int64_t *head = g_hash_table_lookup(copies, &from->head);
  good = good && (!head || pm_gui_sql_run(store, error, "UPDATE chat SET head = ? WHERE id = ?", "ii", *head, copy));
  return pm_gui_store_end(store, good, error) ? copy : 0;
}

// ---- messages ----------------------------------------------------------------------------------------------------------------------

void pm_gui_message_free(pm_gui_message *m) {
  if (!m) return;
  g_free(m->role);
  g_free(m->content);
  g_free(m->thinking);
  g_free(m->finish);
  g_free(m->model);
  g_free(m);
}

int64_t pm_gui_store_message_add(pm_gui_store *store, int64_t chat, int64_t parent, const pm_gui_message *m, GError **error) {
  const pm_gui_stats *s = &m->stats;
  if (!pm_gui_sql_run(
          store, error,
          "INSERT INTO message (chat, parent, role, content, thinking, finish, model, n_prompt, n_cached, n_token, first_s, thinking_s, "
          "prompt_rate, rate, joules) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
          "iitttttiiirrrrr", chat, parent, m->role, m->content, m->thinking, m->finish, m->model, s->n_prompt, s->n_cached, s->n_token,
          s->first_s, s->thinking_s, s->prompt_rate, s->rate, s->joules))
    return 0;
  int64_t id = sqlite3_last_insert_rowid(store->db);
  return pm_gui_sql_run(store, error, "UPDATE chat SET head = ?, updated = ? WHERE id = ?", "iii", id, now(), chat) ? id : 0;
}

bool pm_gui_store_piece_add(pm_gui_store *store, int64_t message, const char *content, const char *thinking, GError **error) {
  return pm_gui_sql_run(store, error, "INSERT INTO piece (message, content, thinking) VALUES (?, ?, ?)", "itt", message, content, thinking);
}

// What a message has and its pieces, in order.
#define JOINED(column)                                                          \
  column " || ifnull((SELECT group_concat(" column ", '') FROM (SELECT " column \
         " FROM piece WHERE message = "                                         \
         "message.id ORDER BY id)), '')"

bool pm_gui_store_message_finish(pm_gui_store *store, int64_t message, const char *finish, const pm_gui_stats *stats, GError **error) {
  if (!pm_gui_store_begin(store, error)) return false;
  bool good = pm_gui_sql_run(
                  store, error,
                  "UPDATE message SET content = " JOINED("content") ", thinking = " JOINED("thinking") ", finish = ? WHERE id = ?", "ti",
                  finish, message) &&
              pm_gui_sql_run(store, error, "DELETE FROM piece WHERE message = ?", "i", message);
  if (good && stats)
    good = pm_gui_sql_run(
        store, error,
        "UPDATE message SET n_prompt = ?, n_cached = ?, n_token = ?, first_s = ?, thinking_s = ?, prompt_rate = ?, rate = ?, "
        "joules = ? WHERE id = ?",
        "iiirrrrri", stats->n_prompt, stats->n_cached, stats->n_token, stats->first_s, stats->thinking_s, stats->prompt_rate, stats->rate,
        stats->joules, message);
  return pm_gui_store_end(store, good, error);
}

bool pm_gui_store_message_reopen(pm_gui_store *store, int64_t message, GError **error) {
  return pm_gui_sql_run(store, error, "UPDATE message SET finish = '' WHERE id = ?", "i", message);
}

#define MESSAGE_COLUMNS \
  "message.id, message.parent, role, " JOINED("content") ", " JOINED("thinking") ", finish, model, n_prompt, n_cached, " \
  "n_token, first_s, thinking_s, prompt_rate, rate, joules, "                                                            \
  "(SELECT count(*) FROM message b WHERE b.chat = message.chat AND b.parent = message.parent AND b.id <= message.id), "  \
  "(SELECT count(*) FROM message b WHERE b.chat = message.chat AND b.parent = message.parent)"

static int64_t column_int(sqlite3_stmt *s, int column) {
  return sqlite3_column_type(s, column) == SQLITE_NULL ? -1 : sqlite3_column_int64(s, column);
}

static double column_real(sqlite3_stmt *s, int column) {
  return sqlite3_column_type(s, column) == SQLITE_NULL ? -1 : sqlite3_column_double(s, column);
}

static GPtrArray *read_messages(pm_gui_store *store, sqlite3_stmt *s, GError **error) {
  GPtrArray *messages = g_ptr_array_new_with_free_func((GDestroyNotify)pm_gui_message_free);
  while (pm_gui_sql_next(store, &s, error)) {
    pm_gui_message *m = g_new0(pm_gui_message, 1);
    g_ptr_array_add(messages, m);
    m->id = sqlite3_column_int64(s, 0);
    m->parent = sqlite3_column_int64(s, 1);
    char **texts[] = {&m->role, &m->content, &m->thinking, &m->finish, &m->model};
    for (int i = 0; i < 5; i++) *texts[i] = pm_gui_sql_text(s, 2 + i);
    m->stats = (pm_gui_stats){column_int(s, 7),   column_int(s, 8),   column_int(s, 9),   column_real(s, 10),
                              column_real(s, 11), column_real(s, 12), column_real(s, 13), column_real(s, 14)};
    m->branch = (uint32_t)sqlite3_column_int64(s, 15);
    m->n_branch = (uint32_t)sqlite3_column_int64(s, 16);
  }
  return messages;
}

GPtrArray *pm_gui_store_path(pm_gui_store *store, int64_t chat, GError **error) {
  return read_messages(
      store,
      pm_gui_sql(store, error,
                 "WITH RECURSIVE path (id) AS (SELECT head FROM chat WHERE id = ? UNION ALL SELECT m.parent FROM message m "
                 "JOIN path ON m.id = path.id) SELECT " MESSAGE_COLUMNS
                 " FROM message JOIN path ON message.id = path.id ORDER BY message.id",
                 "i", chat),
      error);
}

GPtrArray *pm_gui_store_tree(pm_gui_store *store, int64_t chat, GError **error) {
  return read_messages(
      store, pm_gui_sql(store, error, "SELECT " MESSAGE_COLUMNS " FROM message WHERE chat = ? ORDER BY message.id", "i", chat), error);
}

bool pm_gui_store_set_head(pm_gui_store *store, int64_t chat, int64_t message, GError **error) {
  return pm_gui_sql_run(
      store, error,
      "UPDATE chat SET head = (WITH RECURSIVE below (id) AS (SELECT id FROM message WHERE id = ? AND chat = chat.id UNION ALL "
      "SELECT m.id FROM message m JOIN below ON m.parent = below.id AND m.chat = chat.id) SELECT max(id) FROM below) "
      "WHERE id = ? AND EXISTS (SELECT 1 FROM message WHERE id = ? AND chat = chat.id)",
      "iii", message, chat, message);
}

bool pm_gui_store_branch(pm_gui_store *store, int64_t chat, int64_t message, int step, GError **error) {
  static const char *const sql[] = {
      "SELECT id FROM message WHERE chat = ? AND parent = (SELECT parent FROM message WHERE id = ?) AND id > ? ORDER BY id LIMIT 1",
      "SELECT id FROM message WHERE chat = ? AND parent = (SELECT parent FROM message WHERE id = ?) AND id < ? ORDER BY id DESC LIMIT 1"};
  for (int i = 0; i < abs(step); i++) {
    int64_t next = pm_gui_sql_int(store, error, sql[step < 0], "iii", chat, message, message);
    if (!next) break;
    message = next;
  }
  return pm_gui_store_set_head(store, chat, message, error);
}

uint32_t pm_gui_store_rates(pm_gui_store *store, const char *model, double *least, double *most) {
  uint32_t n = 0;
  sqlite3_stmt *s = pm_gui_sql(
      store, NULL, "SELECT rate FROM message WHERE model = ? AND rate > 0 AND n_token >= 16 ORDER BY id DESC LIMIT 50", "t", model);
  for (; pm_gui_sql_next(store, &s, NULL); n++) {
    double rate = sqlite3_column_double(s, 0);
    if (!n || rate < *least) *least = rate;
    if (!n || rate > *most) *most = rate;
  }
  return n;
}
