#include "file_transfer.h"

#include <glib/gstdio.h>
#include <pumice.h>
#include <string.h>

enum { PIECE = 1 << 18, TIMEOUT_S = 30, TRIES = 6, FIRST_PAUSE_MS = 250 };

// The file that is on its way.
typedef struct part {
  const pm_gui_remote_file *file;
  char *path;
  uint64_t have;
  GChecksum *checksum;  // of what is there
} part;

SoupSession *pm_gui_hub_session(void) {
  g_autofree char *agent = g_strdup_printf("pumice/%s", pumice_version());
  return soup_session_new_with_options("timeout", TIMEOUT_S, "user-agent", agent, NULL);
}

bool pm_gui_hub_refused(SoupMessage *message, GError **error) {
  SoupStatus status = soup_message_get_status(message);
  const char *host = g_uri_get_host(soup_message_get_uri(message));
  if (status == SOUP_STATUS_OK || status == SOUP_STATUS_PARTIAL_CONTENT) return false;
  if (status == SOUP_STATUS_UNAUTHORIZED || status == SOUP_STATUS_FORBIDDEN)
    g_set_error(
        error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
        "%s does not give it to everybody. If it exists, its page tells what has to be agreed to; download it there and add the file.",
        host);
  else if (status == SOUP_STATUS_NOT_FOUND)
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "%s does not have it. Is the address right?", host);
  else
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s answered: %s (%d)", host, soup_status_get_phrase(status), (int)status);
  return true;
}

static void take(pm_gui_transfer *t, part *p, const void *data, gssize n) {
  g_checksum_update(p->checksum, data, n);
  p->have += (uint64_t)n;
  atomic_fetch_add(&t->done, (uint64_t)n);
}

static void forget(pm_gui_transfer *t, part *p) {
  g_checksum_reset(p->checksum);
  atomic_fetch_sub(&t->done, p->have);
  p->have = 0;
  g_unlink(p->path);
}

// What an earlier try has left.
static bool read_part(pm_gui_transfer *t, part *p, GError **error) {
  g_autoptr(GFile) file = g_file_new_for_path(p->path);
  if (!g_file_query_exists(file, NULL)) return true;
  g_autoptr(GFileInputStream) in = g_file_read(file, t->cancel, error);
  g_autofree char *piece = g_malloc(PIECE);
  gssize n = in ? 1 : -1;
  atomic_store(&t->checking, true);
  while (n > 0 && (n = g_input_stream_read(G_INPUT_STREAM(in), piece, PIECE, t->cancel, error)) > 0) take(t, p, piece, n);
  atomic_store(&t->checking, false);
  if (p->have > p->file->bytes) forget(t, p);
  return n == 0;
}

// Writes what comes, up to the file's size.
static bool write_body(pm_gui_transfer *t, part *p, GInputStream *in, GError **error) {
  g_autoptr(GFile) file = g_file_new_for_path(p->path);
  g_autoptr(GFileOutputStream) out = g_file_append_to(file, G_FILE_CREATE_NONE, t->cancel, error);
  if (!out) return false;
  g_autofree char *piece = g_malloc(PIECE);
  while (p->have < p->file->bytes) {
    gssize n = g_input_stream_read(in, piece, MIN(PIECE, p->file->bytes - p->have), t->cancel, error);
    if (n == 0) g_set_error(error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, "The connection broke.");
    if (n <= 0 || !g_output_stream_write_all(G_OUTPUT_STREAM(out), piece, (gsize)n, NULL, t->cancel, error)) return false;
    take(t, p, piece, n);
  }
  return g_output_stream_close(G_OUTPUT_STREAM(out), t->cancel, error);
}

// One connection, from where the last one ended.
static bool receive(pm_gui_transfer *t, SoupSession *session, part *p, GError **error) {
  g_autoptr(SoupMessage) message = soup_message_new(SOUP_METHOD_GET, p->file->url);
  if (!message) {
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "%s is not an address.", p->file->url);
    return false;
  }
  if (p->have) soup_message_headers_set_range(soup_message_get_request_headers(message), (goffset)p->have, -1);
  g_autoptr(GInputStream) in = soup_session_send(session, message, t->cancel, error);
  if (!in || pm_gui_hub_refused(message, error)) return false;
  goffset start = 0, end, total;
  bool partial = soup_message_get_status(message) == SOUP_STATUS_PARTIAL_CONTENT;
  if (partial && !soup_message_headers_get_content_range(soup_message_get_response_headers(message), &start, &end, &total)) start = -1;
  if (start != (goffset)p->have) forget(t, p);  // it does not go on where it was asked to
  if (start != (goffset)p->have) {
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_CONNECTION_CLOSED, "The hub sent another part of the file.");
    return false;
  }
  return write_body(t, p, in, error);
}

static bool may_pass(const GError *error) {  // to try again may help
  static const GIOErrorEnum lasting[] = {G_IO_ERROR_CANCELLED,        G_IO_ERROR_NO_SPACE,  G_IO_ERROR_PERMISSION_DENIED,
                                         G_IO_ERROR_INVALID_ARGUMENT, G_IO_ERROR_NOT_FOUND, G_IO_ERROR_READ_ONLY};
  for (size_t i = 0; i < G_N_ELEMENTS(lasting); i++)
    if (g_error_matches(error, G_IO_ERROR, (int)lasting[i])) return false;
  return true;
}

static void pause_for(pm_gui_transfer *t, int ms) {
  for (; ms > 0 && !g_cancellable_is_cancelled(t->cancel); ms -= 50) g_usleep(50000);
}

static bool receive_all(pm_gui_transfer *t, SoupSession *session, part *p, GError **error) {
  int tries = 0;
  while (p->have < p->file->bytes) {
    GError *problem = NULL;
    uint64_t before = p->have;
    if (receive(t, session, p, &problem)) break;
    tries = p->have > before ? 1 : tries + 1;
    if (tries == TRIES || !may_pass(problem)) {
      g_propagate_error(error, problem);
      return false;
    }
    g_error_free(problem);
    pause_for(t, FIRST_PAUSE_MS << (tries - 1));
  }
  return !g_cancellable_set_error_if_cancelled(t->cancel, error);
}

static bool bring_part(pm_gui_transfer *t, SoupSession *session, part *p, const char *whole, GError **error) {
  if (!read_part(t, p, error) || !receive_all(t, session, p, error)) return false;
  if (p->file->sha256 && strcmp(g_checksum_get_string(p->checksum), p->file->sha256)) {
    g_checksum_reset(p->checksum);
    forget(t, p);
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s came with errors and has been deleted. Resume to fetch it again.",
                p->file->name);
    return false;
  }
  if (!g_rename(p->path, whole)) return true;
  g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s cannot be renamed.", p->path);
  return false;
}

static char *path_of(const pm_gui_transfer *t, guint i) {
  return g_build_filename(t->folder, ((pm_gui_remote_file *)t->files->pdata[i])->name, NULL);
}

static uint64_t bytes_of(const char *path) {
  GStatBuf info;
  return g_stat(path, &info) ? 0 : (uint64_t)info.st_size;
}

// Whether the folder's disk has room for what is missing.
static bool has_room(const pm_gui_transfer *t, GError **error) {
  g_autoptr(GFile) folder = g_file_new_for_path(t->folder);
  g_autoptr(GFileInfo) info = g_file_query_filesystem_info(folder, G_FILE_ATTRIBUTE_FILESYSTEM_FREE, t->cancel, NULL);
  uint64_t missing = 0, room = info ? g_file_info_get_attribute_uint64(info, G_FILE_ATTRIBUTE_FILESYSTEM_FREE) : UINT64_MAX;
  for (guint i = 0; i < t->files->len; i++) {
    g_autofree char *whole = path_of(t, i), *half = g_strconcat(whole, PM_GUI_PART, NULL);
    uint64_t bytes = ((pm_gui_remote_file *)t->files->pdata[i])->bytes;
    missing += bytes - MIN(bytes, MAX(bytes_of(whole), bytes_of(half)));
  }
  if (missing <= room) return true;
  g_autofree char *needs = g_format_size_full(missing, G_FORMAT_SIZE_IEC_UNITS), *has = g_format_size_full(room, G_FORMAT_SIZE_IEC_UNITS);
  g_set_error(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE, "%s more are needed in %s, and %s are free.", needs, t->folder, has);
  return false;
}

bool pm_gui_transfer_run(pm_gui_transfer *t, GError **error) {
  atomic_store(&t->done, 0);
  if (!has_room(t, error)) return false;
  g_autoptr(SoupSession) session = pm_gui_hub_session();
  for (guint i = 0; i < t->files->len; i++) {
    g_autofree char *whole = path_of(t, i);
    part p = {.file = t->files->pdata[i], .path = g_strconcat(whole, PM_GUI_PART, NULL), .checksum = g_checksum_new(G_CHECKSUM_SHA256)};
    bool good = bytes_of(whole) == p.file->bytes;
    if (good)
      atomic_fetch_add(&t->done, p.file->bytes);
    else if (g_file_test(whole, G_FILE_TEST_EXISTS))
      g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS, "There is another file with this name already: %s", whole);
    else
      good = bring_part(t, session, &p, whole, error);
    g_free(p.path);
    g_checksum_free(p.checksum);
    if (!good) return false;
  }
  return true;
}
