#include "chat_export.h"

#include <jansson.h>
#include <stddef.h>
#include <string.h>

enum { MAX_MESSAGES = 100000 };

// Figures by name; those that are not known are left out.
static const struct {
  const char *name;
  size_t offset;
} int_rows[] = {{"prompt_tokens", offsetof(pm_gui_stats, n_prompt)},
                {"cached_tokens", offsetof(pm_gui_stats, n_cached)},
                {"tokens", offsetof(pm_gui_stats, n_token)}},
  real_rows[] = {{"seconds_to_first_token", offsetof(pm_gui_stats, first_s)},
                 {"thinking_seconds", offsetof(pm_gui_stats, thinking_s)},
                 {"prompt_tokens_per_second", offsetof(pm_gui_stats, prompt_rate)},
                 {"tokens_per_second", offsetof(pm_gui_stats, rate)},
                 {"joules", offsetof(pm_gui_stats, joules)}};

static json_t *stats_to_json(const pm_gui_stats *stats) {
  json_t *object = json_object();
  for (size_t i = 0; i < G_N_ELEMENTS(int_rows); i++) {
    int64_t value = *(const int64_t *)((const char *)stats + int_rows[i].offset);
    if (value >= 0) json_object_set_new(object, int_rows[i].name, json_integer(value));
  }
  for (size_t i = 0; i < G_N_ELEMENTS(real_rows); i++) {
    double value = *(const double *)((const char *)stats + real_rows[i].offset);
    if (value >= 0) json_object_set_new(object, real_rows[i].name, json_real(value));
  }
  return object;
}

static pm_gui_stats stats_from_json(const json_t *object) {
  pm_gui_stats stats = PM_GUI_STATS_NONE;
  for (size_t i = 0; i < G_N_ELEMENTS(int_rows); i++) {
    const json_t *value = json_object_get(object, int_rows[i].name);
    if (json_is_integer(value)) *(int64_t *)((char *)&stats + int_rows[i].offset) = json_integer_value(value);
  }
  for (size_t i = 0; i < G_N_ELEMENTS(real_rows); i++) {
    const json_t *value = json_object_get(object, real_rows[i].name);
    if (json_is_number(value)) *(double *)((char *)&stats + real_rows[i].offset) = json_number_value(value);
  }
  return stats;
}

char *pm_gui_export_markdown(pm_gui_store *store, int64_t chat, GError **error) {
  g_autoptr(pm_gui_chat) row = pm_gui_store_chat(store, chat, error);
  g_autoptr(GPtrArray) messages = row ? pm_gui_store_path(store, chat, error) : NULL;
  if (!messages) return NULL;
  GString *out = g_string_new(NULL);
  g_string_append_printf(out, "# %s\n", row->title);
  for (guint i = 0; i < messages->len; i++) {
    const pm_gui_message *m = messages->pdata[i];
    bool user = !strcmp(m->role, "user");
    g_string_append_printf(out, "\n## %s\n\n", user ? "You" : *m->model ? m->model : "Assistant");
    if (*m->thinking) {
      g_auto(GStrv) lines = g_strsplit(g_strstrip(m->thinking), "\n", -1);
      g_autofree char *quoted = g_strjoinv("\n> ", lines);
      g_string_append_printf(out, "> *Thinking*\n>\n> %s\n\n", quoted);
    }
    g_string_append_printf(out, "%s\n", m->content);
  }
  return g_string_free(out, FALSE);
}

char *pm_gui_export_json(pm_gui_store *store, int64_t chat, GError **error) {
  g_autoptr(pm_gui_chat) row = pm_gui_store_chat(store, chat, error);
  g_autoptr(GPtrArray) messages = row ? pm_gui_store_tree(store, chat, error) : NULL;
  if (!messages) return NULL;
  json_t *settings = json_loads(row->settings, 0, NULL), *list = json_array();
  for (guint i = 0; i < messages->len; i++) {
    const pm_gui_message *m = messages->pdata[i];
    json_array_append_new(list, json_pack("{s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:o}", "id", (json_int_t)m->id, "parent",
                                          (json_int_t)m->parent, "role", m->role, "content", m->content, "thinking", m->thinking, "finish",
                                          m->finish, "model", m->model, "stats", stats_to_json(&m->stats)));
  }
  json_t *root = json_pack("{s:s, s:i, s:s, s:I, s:o, s:o}", "format", "pumice-chat", "version", 1, "title", row->title, "head",
                           (json_int_t)row->head, "settings", settings ? settings : json_object(), "messages", list);
  char *text = json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER), *copy = g_strdup(text);
  json_decref(root);
  free(text);
  return copy;
}

// ---- import ------------------------------------------------------------------------------------------------------------------------

static bool refuse(GError **error, const char *why) {
  g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "This is not a conversation that can be imported: %s.", why);
  return false;
}

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

// The new id of a message's parent. Messages without a "parent" follow the one before them; a parent must have come before.
static bool find_parent(const json_t *object, GHashTable *ids, int64_t before, int64_t *parent) {
  const json_t *value = json_object_get(object, "parent");
  *parent = before;
  if (!value) return true;
  int64_t key = json_integer_value(value);
  const int64_t *found = g_hash_table_lookup(ids, &key);
  *parent = found ? *found : 0;
  return found || key == 0;
}

static bool import_message(pm_gui_store *store, int64_t chat, const json_t *object, GHashTable *ids, int64_t *before, GError **error) {
  const char *role = text_of(object, "role");
  if (strcmp(role, "user") && strcmp(role, "assistant")) return refuse(error, "a message is neither from \"user\" nor from \"assistant\"");
  if (!json_is_string(json_object_get(object, "content"))) return refuse(error, "a message has no text in \"content\"");
  int64_t parent, id = json_integer_value(json_object_get(object, "id"));
  if (!find_parent(object, ids, *before, &parent)) return refuse(error, "a message comes before its parent");
  const char *finish = text_of(object, "finish");
  pm_gui_message m = {.role = (char *)role,
                      .content = (char *)text_of(object, "content"),
                      .thinking = (char *)text_of(object, "thinking"),
                      .finish = (char *)(*finish ? finish : "stop"),
                      .model = (char *)text_of(object, "model"),
                      .stats = stats_from_json(json_object_get(object, "stats"))};
  *before = pm_gui_store_message_add(store, chat, parent, &m, error);
  if (*before && id) g_hash_table_replace(ids, g_memdup2(&id, sizeof id), g_memdup2(before, sizeof *before));
  return *before != 0;
}

static bool import_messages(pm_gui_store *store, int64_t chat, const json_t *root, GError **error) {
  g_autoptr(GHashTable) ids = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);  // "id" to the new one
  int64_t before = 0;
  size_t i, first = 0;
  const json_t *messages = json_object_get(root, "messages"), *message;
  if (!strcmp(text_of(json_array_get(messages, 0), "role"), "system")) first = 1;  // became the settings' system prompt
  json_array_foreach(messages, i, message) {
    if (i >= first && !import_message(store, chat, message, ids, &before, error)) return false;
  }
  int64_t head = json_integer_value(json_object_get(root, "head"));
  const int64_t *found = g_hash_table_lookup(ids, &head);
  return !found || pm_gui_store_set_head(store, chat, *found, error);
}

static char *settings_of(const json_t *root) {
  const json_t *first = json_array_get(json_object_get(root, "messages"), 0), *settings = json_object_get(root, "settings");
  json_t *copy = json_is_object(settings) ? json_deep_copy(settings) : json_object();
  if (!strcmp(text_of(first, "role"), "system")) json_object_set_new(copy, "system", json_string(text_of(first, "content")));
  char *text = json_dumps(copy, JSON_COMPACT), *result = g_strdup(text);
  free(text);
  json_decref(copy);
  return result;
}

int64_t pm_gui_import_json(pm_gui_store *store, const char *text, size_t bytes, GError **error) {
  json_error_t wrong;
  json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &wrong);
  const json_t *messages = json_object_get(root, "messages");
  int64_t chat = 0;
  if (!root) {
    g_autofree char *why = g_strdup_printf("line %d: %s", wrong.line, wrong.text);
    refuse(error, why);
  } else if (!json_is_array(messages)) {
    refuse(error, "there is no list \"messages\"");
  } else if (json_array_size(messages) > MAX_MESSAGES) {
    refuse(error, "it has more than 100000 messages");
  } else if (pm_gui_store_begin(store, error)) {
    g_autofree char *settings = settings_of(root);
    const char *title = text_of(root, "title");
    chat = pm_gui_store_chat_create(store, *title ? title : "Imported", settings, error);
    bool good = chat && import_messages(store, chat, root, error);
    if (!pm_gui_store_end(store, good, error)) chat = 0;
  }
  json_decref(root);
  return chat;
}
