#include "model_library.h"

#include <glib/gstdio.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "models"

char *pm_gui_model_name(const char *path) {
  char *name = g_path_get_basename(path), *dot = strrchr(name, '.');
  if (dot && dot > name) *dot = 0;
  size_t n = strlen(name);  // "-00001-of-00005"
  if (n > 15 && name[n - 15] == '-' && !strncmp(name + n - 9, "-of-", 4)) name[n - 15] = 0;
  return name;
}

static json_t *read_list(pm_gui_store *store) {
  g_autofree char *text = pm_gui_store_get(store, KEY);
  json_t *list = text ? json_loads(text, 0, NULL) : NULL;
  if (json_is_array(list)) return list;
  json_decref(list);
  return json_array();
}

static bool write_list(pm_gui_store *store, json_t *list, GError **error) {
  char *text = json_dumps(list, JSON_COMPACT);
  bool good = pm_gui_store_set(store, KEY, text, error);
  free(text);
  return good;
}

GPtrArray *pm_gui_library_list(pm_gui_store *store) {
  GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
  json_t *list = read_list(store), *path;
  size_t i;
  json_array_foreach(list, i, path) {
    if (json_is_string(path)) g_ptr_array_add(paths, g_strdup(json_string_value(path)));
  }
  json_decref(list);
  return paths;
}

// Where the number of its part stands in a path; NULL if it is not one of several.
static const char *part_number(const char *path) {
  size_t n = strlen(path);
  const char *at = n > 20 ? path + n - 19 : NULL;  // "00001-of-00005.gguf"
  if (!at || at[-1] != '-' || strncmp(at + 5, "-of-", 4) || strcmp(at + 14, ".gguf")) return NULL;
  for (int i = 0; i < 5; i++)
    if (!g_ascii_isdigit(at[i]) || !g_ascii_isdigit(at[9 + i])) return NULL;
  return at;
}

char *pm_gui_library_first_part(const char *path) {
  char *first = g_strdup(path);
  const char *number = part_number(path);
  if (number) memcpy(first + (number - path), "00001", 5);
  return first;
}

uint32_t pm_gui_library_parts(const char *path) {
  const char *number = part_number(path);
  return number ? (uint32_t)strtoul(number + 9, NULL, 10) : 1;
}

double pm_gui_library_bytes(const char *path) {
  const char *number = part_number(path);
  uint32_t n = MIN(pm_gui_library_parts(path), 9999);
  double bytes = 0;
  for (uint32_t i = 1; i <= n; i++) {
    g_autofree char *part = g_strdup(path);
    if (number) snprintf(part + (number - path), 6, "%05u", i), part[number - path + 5] = '-';
    GStatBuf info;
    if (g_stat(part, &info) != 0) return -1;
    bytes += (double)info.st_size;
  }
  return bytes;
}

static bool is_gguf(const char *path, GError **error) {
  char magic[4] = {0};
  FILE *file = g_fopen(path, "rb");
  bool read = file && fread(magic, 1, 4, file) == 4;
  if (file) fclose(file);
  if (!file)
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "%s cannot be opened. Is it still there, and may you read it?", path);
  else if (!read || memcmp(magic, "GGUF", 4))
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s is not a GGUF file.", path);
  return read && !memcmp(magic, "GGUF", 4);
}

static size_t find(const json_t *list, const char *path) {
  size_t i = 0;
  while (i < json_array_size(list) && g_strcmp0(json_string_value(json_array_get(list, i)), path)) i++;
  return i;
}

bool pm_gui_library_add(pm_gui_store *store, const char *path, GError **error) {
  g_autofree char *first = pm_gui_library_first_part(path);
  if (!is_gguf(first, error)) return false;
  json_t *list = read_list(store);
  bool good = true;
  if (find(list, first) == json_array_size(list)) {
    json_array_append_new(list, json_string(first));
    good = write_list(store, list, error);
  }
  json_decref(list);
  return good;
}

bool pm_gui_library_remove(pm_gui_store *store, const char *path, GError **error) {
  json_t *list = read_list(store);
  size_t i = find(list, path);
  if (i < json_array_size(list)) json_array_remove(list, i);
  bool good = write_list(store, list, error);
  json_decref(list);
  return good;
}
