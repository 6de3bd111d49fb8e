// The database behind chat_store.h: statements with their values.
#ifndef PM_STORE_SQL_H
#define PM_STORE_SQL_H

#include <sqlite3.h>

#include "chat_store.h"

struct pm_gui_store {
  sqlite3 *db;
};

// A statement with its values bound. A letter of `types` for each: i int64_t, t const char * (NULL is ""), r double (negative is NULL).
// NULL after a failure.
sqlite3_stmt *pm_gui_sql(pm_gui_store *store, GError **error, const char *sql, const char *types, ...);
// The next row; at the end, or after a failure, the statement is gone.
bool pm_gui_sql_next(pm_gui_store *store, sqlite3_stmt **statement, GError **error);
// Runs a statement that gives no rows.
bool pm_gui_sql_run(pm_gui_store *store, GError **error, const char *sql, const char *types, ...);
// The first value of the first row, or 0.
int64_t pm_gui_sql_int(pm_gui_store *store, GError **error, const char *sql, const char *types, ...);
char *pm_gui_sql_text(sqlite3_stmt *statement, int column);  // a copy, never NULL
bool pm_gui_sql_fail(pm_gui_store *store, GError **error);   // false

#endif
