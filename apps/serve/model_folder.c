#include "model_folder.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "json_value.h"
#include "model_options.h"
#include "text_buffer.h"

enum { MAX_DEPTH = 3, MAX_ENTRY = 4096 };

typedef struct list {
  pm_model_entry *entries;
  size_t n;
} list;

static bool ends_with(const char *text, const char *end) {
  size_t n = strlen(text), k = strlen(end);
  return n >= k && !strcmp(text + n - k, end);
}

// "x-00002-of-00005.gguf" belongs to the file of part 1.
static bool is_later_part(const char *name) {
  size_t n = strlen(name);
  unsigned part, of;
  return n > 20 && sscanf(name + n - 20, "-%5u-of-%5u.gguf", &part, &of) == 2 && part > 1;
}

// Ids are part of JSON and of addresses: names that are no UTF-8 are left out.
static bool is_text(const char *name) {
  json_t *text = json_string(name);
  json_decref(text);
  return text != NULL;
}

static void add_file(list *l, const char *path, const char *id, const struct stat *st) {
  pm_model_entry e = {.bytes = (uint64_t)st->st_size, .changed = (int64_t)st->st_mtime};
  if (l->n == MAX_ENTRY || strlen(path) >= sizeof e.path || strlen(id) >= sizeof e.id) return;
  strcpy(e.path, path);
  strcpy(e.id, id);
  if (ends_with(e.id, ".gguf")) e.id[strlen(e.id) - 5] = 0;
  l->entries = pm_resize(l->entries, l->n + 1, sizeof *l->entries);
  l->entries[l->n++] = e;
}

static void scan(list *l, const char *folder, const char *prefix, int depth) {
  DIR *dir = opendir(folder);
  for (struct dirent *d; dir && (d = readdir(dir));) {
    char path[1280], id[512];
    struct stat st;
    if (d->d_name[0] == '.' || !is_text(d->d_name)) continue;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, d->d_name) >= sizeof path) continue;
    if ((size_t)snprintf(id, sizeof id, "%s%s", prefix, d->d_name) >= sizeof id - 1 || stat(path, &st)) continue;
    if (S_ISDIR(st.st_mode) && pm_model_is_checkpoint(path)) {
      add_file(l, path, id, &st);
    } else if (S_ISDIR(st.st_mode) && depth < MAX_DEPTH) {
      strcat(id, "/");
      scan(l, path, id, depth + 1);
    } else if (S_ISREG(st.st_mode) && ends_with(d->d_name, ".gguf") && !is_later_part(d->d_name)) {
      add_file(l, path, id, &st);
    }
  }
  if (dir) closedir(dir);
}

static int by_id(const void *a, const void *b) { return strcmp(((const pm_model_entry *)a)->id, ((const pm_model_entry *)b)->id); }

pm_model_entry *pm_model_folder_list(const pm_model_folder *f, size_t *n) {
  list l = {0};
  struct stat st;
  if (f->is_folder) {
    scan(&l, f->path, "", 0);
  } else if (stat(f->path, &st) == 0) {
    const char *slash = strrchr(f->path, '/');
    add_file(&l, f->path, f->alias ? f->alias : slash ? slash + 1 : f->path, &st);
  }
  if (l.n) qsort(l.entries, l.n, sizeof *l.entries, by_id);
  *n = l.n;
  return l.entries;
}

bool pm_model_folder_find(const pm_model_folder *f, const char *id, pm_model_entry *entry) {
  size_t n, length = strlen(id);
  pm_model_entry *entries = pm_model_folder_list(f, &n);
  static const char *const ends[] = {"", ".gguf", ":latest"};
  bool found = false;
  for (size_t i = 0; i < n * 3 && !found; i++) {
    const pm_model_entry *e = &entries[i / 3];
    size_t k = strlen(e->id);
    found = length == k + strlen(ends[i % 3]) && !strncmp(e->id, id, k) && !strcmp(id + k, ends[i % 3]);
    if (found) *entry = *e;
  }
  free(entries);
  return found;
}
