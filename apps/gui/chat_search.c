#include <string.h>

#include "chat_store.h"
#include "store_sql.h"

void pm_gui_hit_free(pm_gui_hit *hit) {
  if (!hit) return;
  g_free(hit->title);
  g_free(hit->text);
  g_free(hit);
}

static char **words_of(const char *text) {
  g_autofree char *valid = g_utf8_make_valid(text, -1);
  return g_strsplit_set(g_strstrip(valid), " \t\n", -1);
}

// The condition that `column` of the full-text table `table` has all words. Trigrams cannot tell words of one or two characters: those
// are looked for in the text itself.
static char *condition(const char *table, const char *column, char **words) {
  g_autoptr(GString) match = g_string_new(NULL);
  GString *where = g_string_new("1");
  for (; *words; words++) {
    if (!**words) continue;
    g_auto(GStrv) parts = g_strsplit(*words, "\"", -1);
    g_autofree char *quoted = g_strjoinv("\"\"", parts);
    if (g_utf8_strlen(*words, -1) >= 3) {
      g_string_append_printf(match, "%s\"%s\"", match->len ? " AND " : "", quoted);
    } else {
      char *like = sqlite3_mprintf(" AND instr(lower(%s), lower(%Q)) > 0", column, *words);
      g_string_append(where, like);
      sqlite3_free(like);
    }
  }
  if (match->len) {
    char *sql = sqlite3_mprintf(" AND %s MATCH %Q", table, match->str);
    g_string_append(where, sql);
    sqlite3_free(sql);
  }
  return g_string_free(where, FALSE);
}

static void add_hits(pm_gui_store *store, GPtrArray *hits, const char *sql, uint32_t limit, GError **error) {
  sqlite3_stmt *s = pm_gui_sql(store, error, sql, "i", (int64_t)limit - hits->len);
  while (pm_gui_sql_next(store, &s, error)) {
    pm_gui_hit *hit = g_new0(pm_gui_hit, 1);
    *hit = (pm_gui_hit){sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1), pm_gui_sql_text(s, 2), pm_gui_sql_text(s, 3)};
    g_ptr_array_add(hits, hit);
  }
}

GPtrArray *pm_gui_store_search(pm_gui_store *store, const char *text, uint32_t limit, GError **error) {
  GPtrArray *hits = g_ptr_array_new_with_free_func((GDestroyNotify)pm_gui_hit_free);
  g_auto(GStrv) words = words_of(text);
  if (!*words || !**words) return hits;
  g_autofree char *in_title = condition("title_text", "chat.title", words), *in_text = condition("message_text", "message.content", words);
  g_autofree char *titles = g_strdup_printf(
      "SELECT chat.id, 0, chat.title, chat.title FROM title_text JOIN chat ON chat.id = title_text.rowid WHERE deleted = 0 AND %s ORDER BY "
      "updated DESC LIMIT ?",
      in_title);
  g_autofree char *messages = g_strdup_printf(
      "SELECT chat.id, message.id, chat.title, message.content FROM message_text JOIN message ON message.id = message_text.rowid JOIN chat "
      "ON chat.id = message.chat WHERE deleted = 0 AND %s ORDER BY message.id DESC LIMIT ?",
      in_text);
  add_hits(store, hits, titles, limit, error);
  add_hits(store, hits, messages, limit, error);
  return hits;
}

// ---- excerpts ----------------------------------------------------------------------------------------------------------------------

// Bytes of `text` that are `word` in any case; 0 if it does not begin with it.
static size_t match_length(const char *text, const char *word) {
  const char *t = text;
  for (; *word; word = g_utf8_next_char(word), t = g_utf8_next_char(t))
    if (!*t || g_unichar_tolower(g_utf8_get_char(t)) != g_unichar_tolower(g_utf8_get_char(word))) return 0;
  return (size_t)(t - text);
}

static size_t match_any(const char *text, char **words) {
  size_t best = 0;
  for (; *words; words++) {
    size_t n = **words ? match_length(text, *words) : 0;
    if (n > best) best = n;
  }
  return best;
}

static void append_char(GString *out, const char *at) {
  gunichar c = g_utf8_get_char(at);
  g_autofree char *escaped = g_unichar_isspace(c) ? g_strdup(" ") : g_markup_escape_text(at, g_utf8_next_char(at) - at);
  g_string_append(out, escaped);
}

char *pm_gui_excerpt(const char *text, const char *words, size_t max_chars) {
  g_autofree char *valid = g_utf8_make_valid(text, -1);
  g_auto(GStrv) list = words_of(words);
  const char *first = valid;
  while (*first && !match_any(first, list)) first = g_utf8_next_char(first);
  if (!*first) first = valid;
  const char *at = first;
  for (size_t back = max_chars / 4; back && at > valid; back--) at = g_utf8_prev_char(at);

  GString *out = g_string_new(at > valid ? "…" : "");
  for (size_t shown = 0; *at && shown < max_chars;) {
    size_t n = match_any(at, list);
    const char *end = n ? at + n : g_utf8_next_char(at);
    if (n) g_string_append(out, "<b>");
    for (; at < end; at = g_utf8_next_char(at), shown++) append_char(out, at);
    if (n) g_string_append(out, "</b>");
  }
  if (*at) g_string_append(out, "…");
  return g_string_free(out, FALSE);
}
