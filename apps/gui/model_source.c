#include "model_source.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "model_library.h"

#define HUB "https://huggingface.co"

void pm_gui_source_free(pm_gui_source *s) {
  if (!s) return;
  g_free(s->hub);
  g_free(s->repo);
  g_free(s->revision);
  g_free(s->path);
  g_free(s->tag);
  g_free(s);
}

pm_gui_remote_file *pm_gui_remote_file_new(const char *url, const char *name, const char *sha256, uint64_t bytes) {
  pm_gui_remote_file *f = g_new(pm_gui_remote_file, 1);
  *f = (pm_gui_remote_file){g_strdup(url), g_strdup(name), g_strdup(sha256), bytes};
  return f;
}

void pm_gui_remote_file_free(pm_gui_remote_file *f) {
  g_free(f->url);
  g_free(f->name);
  g_free(f->sha256);
  g_free(f);
}

void pm_gui_remote_model_free(pm_gui_remote_model *m) {
  g_free(m->name);
  g_ptr_array_unref(m->files);
  g_free(m);
}

// ---- addresses ---------------------------------------------------------------------------------------------------------------------

static bool is_name(const char *text) {
  size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
  return n > 0 && n < 128 && !text[n] && *text != '.';
}

// Splits an address into its hub, or that of Hugging Face where it has none, and its path, unescaped. False: it is none.
static bool split_address(const char *address, char **hub, char **path) {
  g_autofree char *text = g_strstrip(g_strdup(address)), *whole = NULL;
  if (g_str_has_prefix(text, "huggingface.co/") || g_str_has_prefix(text, "hf.co/"))
    whole = g_strconcat("https://", text, NULL);
  else
    whole = strstr(text, "://") ? g_strdup(text) : g_strconcat(HUB "/", text, NULL);
  g_autoptr(GUri) uri = g_uri_parse(whole, G_URI_FLAGS_NONE, NULL);
  const char *scheme = uri ? g_uri_get_scheme(uri) : "", *host = uri ? g_uri_get_host(uri) : NULL;
  if (!host || !*host || (strcmp(scheme, "https") && strcmp(scheme, "http"))) return false;
  if (!strcmp(host, "hf.co") || !strcmp(host, "www.huggingface.co")) host = "huggingface.co";
  *hub = g_uri_join(G_URI_FLAGS_NONE, scheme, NULL, host, g_uri_get_port(uri), "", NULL, NULL);
  *path = g_strdup(g_uri_get_path(uri));
  return true;
}

pm_gui_source *pm_gui_source_parse(const char *address, GError **error) {
  g_autofree char *hub = NULL, *path = NULL;
  g_auto(GStrv) parts = split_address(address, &hub, &path) ? g_strsplit(path + (*path == '/'), "/", 5) : g_new0(char *, 1);
  guint n = g_strv_length(parts);
  while (n && !*parts[n - 1]) g_clear_pointer(&parts[--n], g_free);  // a slash at the end
  char *tag = n == 2 ? strchr(parts[1], ':') : NULL;
  if (tag) *tag++ = 0;
  bool file = n == 5 && (!strcmp(parts[2], "blob") || !strcmp(parts[2], "resolve"));
  bool folder = n >= 4 && !strcmp(parts[2], "tree");
  if (!(n == 2 || file || folder) || !is_name(parts[0]) || !is_name(parts[1]) || (n > 3 && !is_name(parts[3])) || (tag && !is_name(tag))) {
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                "This is not the address of a model. One looks like " HUB "/OWNER/NAME, and OWNER/NAME is enough.");
    return NULL;
  }
  pm_gui_source *s = g_new(pm_gui_source, 1);
  *s = (pm_gui_source){g_steal_pointer(&hub), g_strdup_printf("%s/%s", parts[0], parts[1]), g_strdup(n > 3 ? parts[3] : "main"),
                       g_strdup(n == 5 ? parts[4] : NULL), g_strdup(tag)};
  return s;
}

char *pm_gui_source_list_url(const pm_gui_source *s) {
  return g_strdup_printf("%s/api/models/%s/tree/%s?recursive=true", s->hub, s->repo, s->revision);
}

// ---- lists -------------------------------------------------------------------------------------------------------------------------

static bool is_wanted(const pm_gui_source *s, const char *path) {
  g_autofree char *name = g_path_get_basename(path), *lower = g_ascii_strdown(name, -1);
  if (!g_str_has_suffix(lower, ".gguf") || *name == '.' || strstr(lower, "mmproj") || strstr(lower, "imatrix")) return false;
  for (const char *at = name; *at; at++)
    if (g_ascii_iscntrl(*at)) return false;
  g_autofree char *tag = s->tag ? g_ascii_strdown(s->tag, -1) : NULL;
  if (tag && !strstr(lower, tag)) return false;
  if (!s->path) return true;
  g_autofree char *first = pm_gui_library_first_part(path), *meant = pm_gui_library_first_part(s->path);
  size_t n = strlen(meant);
  return !strcmp(first, meant) || (!strncmp(first, meant, n) && first[n] == '/');  // the file, or one of the folder
}

static pm_gui_remote_file *read_file(const pm_gui_source *s, const json_t *row) {
  const json_t *lfs = json_object_get(row, "lfs");
  const char *path = json_string_value(json_object_get(row, "path")), *sha256 = json_string_value(json_object_get(lfs, "oid"));
  json_int_t bytes = json_integer_value(json_object_get(row, "size"));
  if (!path || bytes <= 0 || !is_wanted(s, path)) return NULL;
  if (sha256 && (strlen(sha256) != 64 || strspn(sha256, "0123456789abcdef") != 64)) sha256 = NULL;
  g_autofree char *escaped = g_uri_escape_string(path, "/", FALSE), *name = g_path_get_basename(path),
                  *url = g_strdup_printf("%s/%s/resolve/%s/%s", s->hub, s->repo, s->revision, escaped);
  return pm_gui_remote_file_new(url, name, sha256, (uint64_t)bytes);
}

static void free_model(gpointer model) { pm_gui_remote_model_free(model); }
static void free_file(gpointer file) { pm_gui_remote_file_free(file); }

static int by_bytes(const void *a, const void *b) {
  const pm_gui_remote_model *x = *(pm_gui_remote_model *const *)a, *y = *(pm_gui_remote_model *const *)b;
  return x->bytes != y->bytes ? (x->bytes < y->bytes ? -1 : 1) : strcmp(x->name, y->name);
}

static int by_url(const void *a, const void *b) {
  return strcmp((*(pm_gui_remote_file *const *)a)->url, (*(pm_gui_remote_file *const *)b)->url);
}

// Adds a file to the model that its name belongs to.
static void add_file(GHashTable *models, pm_gui_remote_file *file) {
  char *first = pm_gui_library_first_part(file->url);
  pm_gui_remote_model *m = g_hash_table_lookup(models, first);
  if (!m) {
    m = g_new(pm_gui_remote_model, 1);
    *m = (pm_gui_remote_model){pm_gui_model_name(file->name), g_ptr_array_new_with_free_func(free_file), 0};
    g_hash_table_insert(models, first, m);
  } else {
    g_free(first);
  }
  g_ptr_array_add(m->files, file);
  m->bytes += file->bytes;
}

GPtrArray *pm_gui_source_models(const pm_gui_source *s, const char *json, size_t bytes, GError **error) {
  json_t *list = json_loadb(json, bytes, 0, NULL), *row;
  g_autoptr(GHashTable) models = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
  size_t i;
  json_array_foreach(list, i, row) {
    pm_gui_remote_file *file = read_file(s, row);
    if (file) add_file(models, file);
  }
  json_decref(list);
  GPtrArray *found = g_ptr_array_new_with_free_func(free_model);
  GHashTableIter iter;
  gpointer model;
  g_hash_table_iter_init(&iter, models);
  while (g_hash_table_iter_next(&iter, NULL, &model)) {
    pm_gui_remote_model *m = model;
    g_ptr_array_sort(m->files, by_url);
    bool whole = m->files->len == pm_gui_library_parts(((pm_gui_remote_file *)m->files->pdata[0])->name);
    whole ? g_ptr_array_add(found, m) : pm_gui_remote_model_free(m);
  }
  g_ptr_array_sort(found, by_bytes);
  if (found->len) return found;
  g_ptr_array_unref(found);
  g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "There are no %s files in %s. Look for a repository with GGUF in its name.",
              s->tag ? s->tag : "GGUF", s->repo);
  return NULL;
}
