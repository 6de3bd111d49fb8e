#include "model_download.h"

#include <glib/gstdio.h>
#include <jansson.h>
#include <stdlib.h>

#include "file_transfer.h"
#include "model_library.h"

enum { TICK_MS = 500, MAX_LIST = 16 << 20 };
#define KEY "downloads"

struct pm_gui_download {    // counted: its thread holds one
  pm_gui_downloads *owner;  // NULL once it is discarded, or the program ends
  pm_gui_remote_model model;
  pm_gui_transfer transfer;
  bool running, discarded;
  char *message;
  uint64_t seen;  // bytes that were there at the last tick
  gint64 tick;    // when that was
  double rate;
};

struct pm_gui_downloads {
  pm_gui_store *store;
  pm_gui_download_events events;
  void *user;
  GPtrArray *list;
  guint timer;  // while one of them runs
};

static void download_clear(gpointer data) {
  pm_gui_download *d = data;
  g_free(d->model.name);
  g_ptr_array_unref(d->model.files);
  g_free(d->transfer.folder);
  g_clear_object(&d->transfer.cancel);
  g_free(d->message);
}

static void download_release(gpointer download) { g_rc_box_release_full(download, download_clear); }

static pm_gui_download *download_new(pm_gui_downloads *owner, const char *name, GPtrArray *files, const char *folder) {
  pm_gui_download *d = g_rc_box_new0(pm_gui_download);
  d->owner = owner;
  d->model.name = g_strdup(name);
  d->model.files = g_ptr_array_ref(files);
  for (guint i = 0; i < files->len; i++) d->model.bytes += ((pm_gui_remote_file *)files->pdata[i])->bytes;
  d->transfer.files = d->model.files;
  d->transfer.folder = g_strdup(folder);
  return d;
}

// ---- kept in the store -------------------------------------------------------------------------------------------------------------

static void free_file(gpointer file) { pm_gui_remote_file_free(file); }

static json_t *download_json(const pm_gui_download *d) {
  json_t *files = json_array();
  for (guint i = 0; i < d->model.files->len; i++) {
    const pm_gui_remote_file *f = d->model.files->pdata[i];
    json_array_append_new(
        files, json_pack("{s:s, s:s, s:s?, s:I}", "url", f->url, "name", f->name, "sha256", f->sha256, "bytes", (json_int_t)f->bytes));
  }
  return json_pack("{s:s, s:s, s:o}", "name", d->model.name, "folder", d->transfer.folder, "files", files);
}

static void save(pm_gui_downloads *ds) {
  json_t *list = json_array();
  for (guint i = 0; i < ds->list->len; i++) json_array_append_new(list, download_json(ds->list->pdata[i]));
  char *text = json_dumps(list, JSON_COMPACT);
  pm_gui_store_set(ds->store, KEY, text, NULL);
  free(text);
  json_decref(list);
}

static void restore_one(pm_gui_downloads *ds, json_t *row) {
  const char *name, *folder;
  json_t *list, *file;
  size_t i;
  if (json_unpack(row, "{s:s, s:s, s:o}", "name", &name, "folder", &folder, "files", &list)) return;
  g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(free_file);
  json_array_foreach(list, i, file) {
    const char *url, *file_name, *sha256 = json_string_value(json_object_get(file, "sha256"));
    json_int_t bytes;
    if (json_unpack(file, "{s:s, s:s, s:I}", "url", &url, "name", &file_name, "bytes", &bytes)) return;
    g_ptr_array_add(files, pm_gui_remote_file_new(url, file_name, sha256, (uint64_t)bytes));
  }
  pm_gui_download *d = files->len ? download_new(ds, name, files, folder) : NULL;
  if (d) g_ptr_array_add(ds->list, d);
}

pm_gui_downloads *pm_gui_downloads_create(pm_gui_store *store, const pm_gui_download_events *events, void *user) {
  pm_gui_downloads *ds = g_new0(pm_gui_downloads, 1);
  *ds = (pm_gui_downloads){store, *events, user, g_ptr_array_new_with_free_func(download_release), 0};
  g_autofree char *text = pm_gui_store_get(store, KEY);
  json_t *list = text ? json_loads(text, 0, NULL) : NULL, *row;
  size_t i;
  json_array_foreach(list, i, row) restore_one(ds, row);
  json_decref(list);
  return ds;
}

void pm_gui_downloads_destroy(pm_gui_downloads *ds) {
  if (!ds) return;
  for (guint i = 0; i < ds->list->len; i++) {
    pm_gui_download *d = ds->list->pdata[i];
    d->owner = NULL;
    pm_gui_download_pause(d);
  }
  if (ds->timer) g_source_remove(ds->timer);
  g_ptr_array_unref(ds->list);
  g_free(ds);
}

GPtrArray *pm_gui_downloads_list(pm_gui_downloads *ds) { return ds->list; }

// ---- one download ------------------------------------------------------------------------------------------------------------------

static uint64_t bytes_there(const pm_gui_download *d) {
  uint64_t bytes = 0;
  for (guint i = 0; i < d->model.files->len; i++) {
    g_autofree char *whole = g_build_filename(d->transfer.folder, ((pm_gui_remote_file *)d->model.files->pdata[i])->name, NULL),
                    *half = g_strconcat(whole, PM_GUI_PART, NULL);
    GStatBuf info;
    if (!g_stat(whole, &info) || !g_stat(half, &info)) bytes += (uint64_t)info.st_size;
  }
  return bytes;
}

pm_gui_download_view pm_gui_download_get(const pm_gui_download *d) {
  bool stopping = d->running && g_cancellable_is_cancelled(d->transfer.cancel);
  pm_gui_download_view view = {.name = d->model.name, .folder = d->transfer.folder, .message = d->message, .rate = d->rate};
  view.state = !d->running                          ? PM_GUI_DOWNLOAD_PAUSED
               : stopping                           ? PM_GUI_DOWNLOAD_STOPPING
               : atomic_load(&d->transfer.checking) ? PM_GUI_DOWNLOAD_CHECKING
                                                    : PM_GUI_DOWNLOAD_RUNNING;
  view.done = (double)(d->running ? atomic_load(&d->transfer.done) : bytes_there(d));
  view.total = (double)d->model.bytes;
  return view;
}

static void changed(pm_gui_downloads *ds) { ds->events.changed(ds->user); }

static void remove_parts(const pm_gui_download *d) {
  for (guint i = 0; i < d->model.files->len; i++) {
    g_autofree char *half = g_strconcat(d->transfer.folder, "/", ((pm_gui_remote_file *)d->model.files->pdata[i])->name, PM_GUI_PART, NULL);
    g_unlink(half);
  }
}

static void finish(pm_gui_download *d) {
  pm_gui_downloads *ds = d->owner;
  g_autofree char *path = g_build_filename(d->transfer.folder, ((pm_gui_remote_file *)d->model.files->pdata[0])->name, NULL),
                  *name = g_strdup(d->model.name);
  GError *error = NULL;
  if (!pm_gui_library_add(ds->store, path, &error)) {
    d->message = g_strdup(error->message);
    g_error_free(error);
    changed(ds);
    return;
  }
  g_ptr_array_remove(ds->list, d);
  save(ds);
  changed(ds);
  ds->events.whole(ds->user, name, path);
}

static void on_end(GObject *source, GAsyncResult *result, gpointer user) {
  (void)source;
  pm_gui_download *d = user;
  GError *error = NULL;
  bool good = g_task_propagate_boolean(G_TASK(result), &error), cancelled = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  d->running = false;
  if (d->discarded) {
    remove_parts(d);
  } else if (d->owner && good) {
    finish(d);
  } else if (d->owner) {
    if (!cancelled) d->message = g_strdup(error->message);
    changed(d->owner);
  }
  g_clear_error(&error);
  download_release(d);
}

static void run(GTask *task, gpointer source, gpointer data, GCancellable *cancel) {
  (void)source, (void)cancel;
  GError *error = NULL;
  if (pm_gui_transfer_run(&((pm_gui_download *)data)->transfer, &error))
    g_task_return_boolean(task, TRUE);
  else
    g_task_return_error(task, error);
}

// How fast it is, over the last seconds.
static void measure(pm_gui_download *d, gint64 now) {
  uint64_t done = atomic_load(&d->transfer.done);
  bool came = done > d->seen && now > d->tick && !atomic_load(&d->transfer.checking);
  double rate = came ? (double)(done - d->seen) * G_USEC_PER_SEC / (double)(now - d->tick) : 0;
  d->rate = d->rate > 0 ? 0.9 * d->rate + 0.1 * rate : rate;
  d->seen = done;
  d->tick = now;
}

static gboolean on_tick(gpointer user) {
  pm_gui_downloads *ds = user;
  bool any = false;
  for (guint i = 0; i < ds->list->len; i++) {
    pm_gui_download *d = ds->list->pdata[i];
    any |= d->running;
    if (d->running) measure(d, g_get_monotonic_time());
  }
  changed(ds);
  if (!any) ds->timer = 0;
  return any ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

void pm_gui_download_start(pm_gui_download *d) {
  if (d->running || !d->owner) return;
  d->running = true;
  d->rate = 0;
  d->seen = UINT64_MAX;
  d->tick = g_get_monotonic_time();
  g_clear_pointer(&d->message, g_free);
  g_clear_object(&d->transfer.cancel);
  d->transfer.cancel = g_cancellable_new();
  GTask *task = g_task_new(NULL, NULL, on_end, g_rc_box_acquire(d));
  g_task_set_task_data(task, d, NULL);
  g_task_run_in_thread(task, run);
  g_object_unref(task);
  if (!d->owner->timer) d->owner->timer = g_timeout_add(TICK_MS, on_tick, d->owner);
  changed(d->owner);
}

void pm_gui_download_pause(pm_gui_download *d) {
  if (!d->running) return;
  g_cancellable_cancel(d->transfer.cancel);
  if (d->owner) changed(d->owner);
}

void pm_gui_download_discard(pm_gui_download *d) {
  pm_gui_downloads *ds = d->owner;
  d->owner = NULL;
  d->discarded = true;
  if (d->running)
    g_cancellable_cancel(d->transfer.cancel);  // its thread is to end first
  else
    remove_parts(d);
  g_ptr_array_remove(ds->list, d);
  save(ds);
  changed(ds);
}

pm_gui_download *pm_gui_downloads_add(pm_gui_downloads *ds, const pm_gui_remote_model *model, const char *folder, GError **error) {
  for (guint i = 0; i < ds->list->len; i++) {
    const pm_gui_download *d = ds->list->pdata[i];
    if (g_strcmp0(d->model.name, model->name) || g_strcmp0(d->transfer.folder, folder)) continue;
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS, "%s is on its way to this folder already.", model->name);
    return NULL;
  }
  if (g_mkdir_with_parents(folder, 0755)) {
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s cannot be made. Choose another folder.", folder);
    return NULL;
  }
  pm_gui_download *d = download_new(ds, model->name, model->files, folder);
  g_ptr_array_add(ds->list, d);
  save(ds);
  pm_gui_download_start(d);
  return d;
}

// ---- what a source has -------------------------------------------------------------------------------------------------------------

typedef struct list_call {
  pm_gui_source *source;
  SoupMessage *message;
  GCancellable *cancel;
  pm_gui_models_fn *done;
  void *user;
  char *body;
} list_call;

static void end_list(list_call *call, GPtrArray *models, GError *error) {
  if (!g_cancellable_is_cancelled(call->cancel)) call->done(call->user, models, error ? error->message : NULL);
  g_clear_error(&error);
  g_clear_pointer(&models, g_ptr_array_unref);
  pm_gui_source_free(call->source);
  g_object_unref(call->message);
  g_object_unref(call->cancel);
  g_free(call->body);
  g_free(call);
}

static void on_body(GObject *stream, GAsyncResult *result, gpointer data) {
  list_call *call = data;
  GError *error = NULL;
  GPtrArray *models = NULL;
  gsize n = 0;
  if (g_input_stream_read_all_finish(G_INPUT_STREAM(stream), result, &n, &error))
    models = pm_gui_source_models(call->source, call->body, n, &error);
  end_list(call, models, error);
}

static void on_head(GObject *session, GAsyncResult *result, gpointer data) {
  list_call *call = data;
  GError *error = NULL;
  g_autoptr(GInputStream) in = soup_session_send_finish(SOUP_SESSION(session), result, &error);
  if (!in || pm_gui_hub_refused(call->message, &error)) {
    end_list(call, NULL, error);
    return;
  }
  call->body = g_malloc(MAX_LIST);
  g_input_stream_read_all_async(in, call->body, MAX_LIST, G_PRIORITY_DEFAULT, call->cancel, on_body, call);
}

void pm_gui_source_list(pm_gui_source *source, GCancellable *cancel, pm_gui_models_fn *done, void *user) {
  list_call *call = g_new(list_call, 1);
  g_autofree char *url = pm_gui_source_list_url(source);
  *call = (list_call){source, soup_message_new(SOUP_METHOD_GET, url), g_object_ref(cancel), done, user, NULL};
  g_autoptr(SoupSession) session = pm_gui_hub_session();
  soup_session_send_async(session, call->message, G_PRIORITY_DEFAULT, cancel, on_head, call);
}
