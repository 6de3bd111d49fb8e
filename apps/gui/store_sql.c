#include "store_sql.h"

#include <stdarg.h>

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE IF NOT EXISTS setting (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS chat (id INTEGER PRIMARY KEY, title TEXT NOT NULL, settings TEXT NOT NULL,"
    "  head INTEGER NOT NULL DEFAULT 0, updated INTEGER NOT NULL, deleted INTEGER NOT NULL DEFAULT 0);"
    // A parent is older than its children: a walk to the root ends, whatever the file holds.
    "CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, chat INTEGER NOT NULL REFERENCES chat (id) ON DELETE CASCADE,"
    "  parent INTEGER NOT NULL CHECK (parent < id), role TEXT NOT NULL, content TEXT NOT NULL, thinking TEXT NOT NULL, finish TEXT NOT "
    "NULL,"
    "  model TEXT NOT NULL, n_prompt INTEGER, n_cached INTEGER, n_token INTEGER, first_s REAL, thinking_s REAL, prompt_rate REAL, rate "
    "REAL,"
    "  joules REAL);"
    "CREATE INDEX IF NOT EXISTS message_parent ON message (chat, parent);"
    "CREATE TABLE IF NOT EXISTS piece (id INTEGER PRIMARY KEY, message INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,"
    "  content TEXT NOT NULL, thinking TEXT NOT NULL);"
    "CREATE INDEX IF NOT EXISTS piece_message ON piece (message);"
    // The trigram tokenizer finds parts of words, and words of languages that put no spaces between them.
    "CREATE VIRTUAL TABLE IF NOT EXISTS title_text USING fts5 (title, content = 'chat', content_rowid = 'id', tokenize = 'trigram');"
    "CREATE VIRTUAL TABLE IF NOT EXISTS message_text USING fts5 (content, content = 'message', content_rowid = 'id', tokenize = 'trigram');"
    "CREATE TRIGGER IF NOT EXISTS chat_in AFTER INSERT ON chat BEGIN"
    "  INSERT INTO title_text (rowid, title) VALUES (new.id, new.title); END;"
    "CREATE TRIGGER IF NOT EXISTS chat_out AFTER DELETE ON chat BEGIN"
    "  INSERT INTO title_text (title_text, rowid, title) VALUES ('delete', old.id, old.title); END;"
    "CREATE TRIGGER IF NOT EXISTS chat_change AFTER UPDATE OF title ON chat BEGIN"
    "  INSERT INTO title_text (title_text, rowid, title) VALUES ('delete', old.id, old.title);"
    "  INSERT INTO title_text (rowid, title) VALUES (new.id, new.title); END;"
    "CREATE TRIGGER IF NOT EXISTS message_in AFTER INSERT ON message BEGIN"
    "  INSERT INTO message_text (rowid, content) VALUES (new.id, new.content); END;"
    "CREATE TRIGGER IF NOT EXISTS message_out AFTER DELETE ON message BEGIN"
    "  INSERT INTO message_text (message_text, rowid, content) VALUES ('delete', old.id, old.content); END;"
    "CREATE TRIGGER IF NOT EXISTS message_change AFTER UPDATE OF content ON message BEGIN"
    "  INSERT INTO message_text (message_text, rowid, content) VALUES ('delete', old.id, old.content);"
    "  INSERT INTO message_text (rowid, content) VALUES (new.id, new.content); END;"
    "PRAGMA user_version = 1;"
    "COMMIT;";

bool pm_gui_sql_fail(pm_gui_store *store, GError **error) {
  g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "The conversations cannot be read or written: %s. Is the disk full or read-only?",
              sqlite3_errmsg(store->db));
  return false;
}

static sqlite3_stmt *prepare(pm_gui_store *store, GError **error, const char *sql, const char *types, va_list values) {
  sqlite3_stmt *statement = NULL;
  int rc = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
  for (int i = 1; rc == SQLITE_OK && types[i - 1]; i++) {
    switch (types[i - 1]) {
      case 'i': rc = sqlite3_bind_int64(statement, i, va_arg(values, int64_t)); break;
      case 'r': {
        double value = va_arg(values, double);
        rc = value < 0 ? sqlite3_bind_null(statement, i) : sqlite3_bind_double(statement, i, value);
        break;
      }
      default: {
        const char *text = va_arg(values, const char *);
        rc = sqlite3_bind_text(statement, i, text ? text : "", -1, SQLITE_TRANSIENT);
      }
    }
  }
  if (rc == SQLITE_OK) return statement;
  pm_gui_sql_fail(store, error);
  sqlite3_finalize(statement);
  return NULL;
}

sqlite3_stmt *pm_gui_sql(pm_gui_store *store, GError **error, const char *sql, const char *types, ...) {
  va_list values;
  va_start(values, types);
  sqlite3_stmt *statement = prepare(store, error, sql, types, values);
  va_end(values);
  return statement;
}

bool pm_gui_sql_next(pm_gui_store *store, sqlite3_stmt **statement, GError **error) {
  if (!*statement) return false;
  int rc = sqlite3_step(*statement);
  if (rc == SQLITE_ROW) return true;
  if (rc != SQLITE_DONE) pm_gui_sql_fail(store, error);
  sqlite3_finalize(*statement);
  *statement = NULL;
  return false;
}

static bool run(pm_gui_store *store, sqlite3_stmt *statement, GError **error) {
  int rc = sqlite3_step(statement);
  bool good = rc == SQLITE_DONE || rc == SQLITE_ROW || pm_gui_sql_fail(store, error);
  sqlite3_finalize(statement);
  return good;
}

bool pm_gui_sql_run(pm_gui_store *store, GError **error, const char *sql, const char *types, ...) {
  va_list values;
  va_start(values, types);
  sqlite3_stmt *statement = prepare(store, error, sql, types, values);
  va_end(values);
  return statement && run(store, statement, error);
}

int64_t pm_gui_sql_int(pm_gui_store *store, GError **error, const char *sql, const char *types, ...) {
  va_list values;
  va_start(values, types);
  sqlite3_stmt *statement = prepare(store, error, sql, types, values);
  va_end(values);
  int64_t value = pm_gui_sql_next(store, &statement, error) ? sqlite3_column_int64(statement, 0) : 0;
  sqlite3_finalize(statement);
  return value;
}

char *pm_gui_sql_text(sqlite3_stmt *statement, int column) {
  const char *text = (const char *)sqlite3_column_text(statement, column);
  return g_strdup(text ? text : "");
}

// ---- the store as a whole ----------------------------------------------------------------------------------------------------------

static bool exec(pm_gui_store *store, const char *sql, GError **error) {
  return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK || pm_gui_sql_fail(store, error);
}

static bool recover(pm_gui_store *store, GError **error) {
  int64_t cut;
  while ((cut = pm_gui_sql_int(store, error, "SELECT id FROM message WHERE finish = '' LIMIT 1", "")))
    if (!pm_gui_store_message_finish(store, cut, "interrupted", NULL, error)) return false;
  return pm_gui_store_purge(store, error);
}

pm_gui_store *pm_gui_store_open(const char *path, GError **error) {
  pm_gui_store *store = g_new0(pm_gui_store, 1);
  bool good = sqlite3_open(path ? path : ":memory:", &store->db) == SQLITE_OK || pm_gui_sql_fail(store, error);
  sqlite3_busy_timeout(store->db, 2000);
  // A crash of the program loses nothing; one of the machine at most the newest pieces.
  good = good && exec(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;", error);
  if (good && pm_gui_sql_int(store, error, "PRAGMA user_version", "") > 1) {
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s was written by a newer version of Pumice. Please update this one.", path);
    good = false;
  }
  good = good && exec(store, schema, error) && recover(store, error);
  if (good) return store;
  pm_gui_store_close(store);
  return NULL;
}

void pm_gui_store_close(pm_gui_store *store) {
  if (!store) return;
  sqlite3_close(store->db);
  g_free(store);
}

bool pm_gui_store_begin(pm_gui_store *store, GError **error) { return exec(store, "BEGIN IMMEDIATE", error); }

bool pm_gui_store_end(pm_gui_store *store, bool keep, GError **error) {
  if (keep && exec(store, "COMMIT", error)) return true;
  sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
  return false;
}

char *pm_gui_store_get(pm_gui_store *store, const char *key) {
  sqlite3_stmt *statement = pm_gui_sql(store, NULL, "SELECT value FROM setting WHERE key = ?", "t", key);
  char *value = pm_gui_sql_next(store, &statement, NULL) ? pm_gui_sql_text(statement, 0) : NULL;
  sqlite3_finalize(statement);
  return value;
}

bool pm_gui_store_set(pm_gui_store *store, const char *key, const char *value, GError **error) {
  return pm_gui_sql_run(store, error, "INSERT INTO setting VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", "tt", key,
                        value);
}
