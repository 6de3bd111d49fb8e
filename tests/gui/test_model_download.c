// Downloads from a hub in this process: whole, paused, resumed in another run of the program, cut off, damaged, refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above
#include <cmocka.h>
#include <glib/gstdio.h>
#include <libsoup/soup.h>

#include "model_download.h"
#include "model_library.h"

enum { BYTES = 1 << 20, HALF = BYTES / 2, N_PART = 2 };
static const char *const names[N_PART] = {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"};

typedef struct bench {
  SoupServer *server;
  bool cut, stall, no_ranges;  // what the hub does to the next request
  guint n_request;
  goffset newest_start;  // where the newest request asked to begin
  char *contents[N_PART], *folder, *url;
  pm_gui_store *store;
  pm_gui_downloads *downloads;
  char *whole;  // what has been told
} bench;

// ---- the hub -----------------------------------------------------------------------------------------------------------------------

static void on_half(SoupServerMessage *message, gpointer user) {
  (void)user;
  g_socket_close(soup_server_message_get_socket(message), NULL);
}

static void on_request(SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query, gpointer user) {
  (void)server, (void)query;
  bench *b = user;
  SoupMessageHeaders *asked = soup_server_message_get_request_headers(message), *told = soup_server_message_get_response_headers(message);
  SoupRange *ranges;
  int n;
  b->n_request++;
  b->newest_start = 0;
  if (soup_message_headers_get_ranges(asked, BYTES, &ranges, &n)) {
    b->newest_start = ranges->start;
    soup_message_headers_free_ranges(asked, ranges);
  }
  const char *content = g_str_has_suffix(path, names[0]) ? b->contents[0] : g_str_has_suffix(path, names[1]) ? b->contents[1] : NULL;
  soup_server_message_set_status(message, content ? SOUP_STATUS_OK : SOUP_STATUS_NOT_FOUND, NULL);
  if (!content) return;
  if (b->no_ranges || b->cut || b->stall) soup_message_headers_remove(asked, "Range");
  if (b->cut || b->stall) {
    soup_message_headers_set_content_length(told, BYTES);
    soup_message_body_append(soup_server_message_get_response_body(message), SOUP_MEMORY_STATIC, content, HALF);
    if (b->cut) g_signal_connect(message, "wrote-chunk", G_CALLBACK(on_half), NULL);
    b->cut = b->stall = false;
  } else {
    soup_server_message_set_response(message, "application/octet-stream", SOUP_MEMORY_COPY, content, BYTES);
  }
}

// ---- the bench ---------------------------------------------------------------------------------------------------------------------

static void on_changed(void *user) { (void)user; }

static void on_whole(void *user, const char *name, const char *path) {
  bench *b = user;
  g_free(b->whole);
  b->whole = g_strdup_printf("%s at %s", name, path);
}

static void open_downloads(bench *b) {
  static const pm_gui_download_events events = {on_changed, on_whole};
  b->downloads = pm_gui_downloads_create(b->store, &events, b);
}

static bench *bench_new(void) {
  bench *b = g_new0(bench, 1);
  for (int i = 0; i < N_PART; i++) {
    b->contents[i] = g_malloc(BYTES);
    for (size_t k = 0; k < BYTES; k++) b->contents[i][k] = (char)(k * 31 + (k >> 11) + (size_t)i);
    memcpy(b->contents[i], "GGUF", 4);
  }
  b->server = soup_server_new(NULL, NULL);
  soup_server_add_handler(b->server, NULL, on_request, b, NULL);
  assert_true(soup_server_listen_local(b->server, 0, SOUP_SERVER_LISTEN_IPV4_ONLY, NULL));
  GSList *uris = soup_server_get_uris(b->server);
  b->url = g_uri_to_string(uris->data);
  g_slist_free_full(uris, (GDestroyNotify)g_uri_unref);
  b->folder = g_dir_make_tmp("pm_download_XXXXXX", NULL);
  b->store = pm_gui_store_open(NULL, NULL);
  open_downloads(b);
  return b;
}

static char *path_of(const bench *b, int i, const char *ending) { return g_strconcat(b->folder, "/", names[i], ending, NULL); }

static void bench_free(bench *b) {
  pm_gui_downloads_destroy(b->downloads);
  pm_gui_store_close(b->store);
  for (int i = 0; i < N_PART; i++) {
    g_autofree char *whole = path_of(b, i, ""), *half = path_of(b, i, ".part");
    g_unlink(whole);
    g_unlink(half);
    g_free(b->contents[i]);
  }
  assert_int_equal(g_rmdir(b->folder), 0);  // nothing else is there
  soup_server_disconnect(b->server);
  g_object_unref(b->server);
  g_free(b->folder);
  g_free(b->url);
  g_free(b->whole);
  g_free(b);
}

static void free_file(gpointer file) { pm_gui_remote_file_free(file); }

static pm_gui_download *add(bench *b, const char *path, uint64_t bytes) {
  pm_gui_remote_model m = {(char *)"m", g_ptr_array_new_with_free_func(free_file), 0};
  for (int i = 0; i < N_PART; i++) {
    g_autofree char *url = g_strconcat(b->url, path, names[i], NULL),
                    *sha256 = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (guchar *)b->contents[i], BYTES);
    g_ptr_array_add(m.files, pm_gui_remote_file_new(url, names[i], sha256, bytes));
  }
  pm_gui_download *d = pm_gui_downloads_add(b->downloads, &m, b->folder, NULL);
  g_ptr_array_unref(m.files);
  return d;
}

static gboolean on_late(gpointer late) {
  *(bool *)late = true;
  return G_SOURCE_REMOVE;
}

// Runs the main loop until a condition holds.
#define WAIT_FOR(condition)                                             \
  do {                                                                  \
    bool late = false;                                                  \
    guint timer = g_timeout_add(60000, on_late, &late);                 \
    while (!(condition) && !late) g_main_context_iteration(NULL, TRUE); \
    assert_false(late);                                                 \
    g_source_remove(timer);                                             \
  } while (0)

static bool paused(pm_gui_download *d) { return pm_gui_download_get(d).state == PM_GUI_DOWNLOAD_PAUSED; }

static void check_whole(bench *b) {
  g_autofree char *first = path_of(b, 0, ""), *said = g_strdup_printf("m at %s", first);
  WAIT_FOR(b->whole);
  assert_string_equal(b->whole, said);
  for (int i = 0; i < N_PART; i++) {
    g_autofree char *path = path_of(b, i, ""), *half = path_of(b, i, ".part"), *content = NULL;
    gsize n = 0;
    assert_true(g_file_get_contents(path, &content, &n, NULL));
    assert_int_equal(n, BYTES);
    assert_memory_equal(content, b->contents[i], BYTES);
    assert_false(g_file_test(half, G_FILE_TEST_EXISTS));
  }
  assert_int_equal(pm_gui_downloads_list(b->downloads)->len, 0);
  g_autoptr(GPtrArray) library = pm_gui_library_list(b->store);
  assert_int_equal(library->len, 1);
  assert_string_equal(library->pdata[0], first);
}

// ---- tests -------------------------------------------------------------------------------------------------------------------------

static void test_whole(void **state) {
  (void)state;
  bench *b = bench_new();
  assert_non_null(add(b, "", BYTES));
  assert_null(add(b, "", BYTES));  // it is on its way
  check_whole(b);
  assert_int_equal(b->n_request, N_PART);
  bench_free(b);
}

static void test_connection_breaks(void **state) {
  (void)state;
  bench *b = bench_new();
  b->cut = true;
  add(b, "", BYTES);
  WAIT_FOR(b->n_request == 2);
  assert_int_equal(b->newest_start, HALF);
  check_whole(b);
  assert_int_equal(b->n_request, N_PART + 1);
  bench_free(b);
}

// Begins a download, and pauses it when half of a file is there.
static pm_gui_download *pause_at_half(bench *b) {
  b->stall = true;
  pm_gui_download *d = add(b, "", BYTES);
  WAIT_FOR((size_t)pm_gui_download_get(d).done == HALF);
  pm_gui_download_pause(d);
  assert_int_equal(pm_gui_download_get(d).state, PM_GUI_DOWNLOAD_STOPPING);
  pm_gui_download_start(d);  // not before it has stopped
  WAIT_FOR(paused(d));
  assert_null(pm_gui_download_get(d).message);
  assert_int_equal((size_t)pm_gui_download_get(d).done, HALF);
  return d;
}

static void test_another_run_resumes(void **state) {
  (void)state;
  bench *b = bench_new();
  pause_at_half(b);
  pm_gui_downloads_destroy(b->downloads);
  open_downloads(b);
  assert_int_equal(pm_gui_downloads_list(b->downloads)->len, 1);
  pm_gui_download *d = pm_gui_downloads_list(b->downloads)->pdata[0];
  pm_gui_download_view v = pm_gui_download_get(d);
  assert_true(paused(d) && v.done == HALF && v.total == 2 * BYTES);
  assert_string_equal(v.name, "m");
  pm_gui_download_start(d);
  WAIT_FOR(b->n_request == 2);
  assert_int_equal(b->newest_start, HALF);
  check_whole(b);
  bench_free(b);
}

static void test_hub_without_ranges(void **state) {
  (void)state;
  bench *b = bench_new();
  pm_gui_download *d = pause_at_half(b);
  b->no_ranges = true;
  pm_gui_download_start(d);
  check_whole(b);
  bench_free(b);
}

static void test_discarded(void **state) {
  (void)state;
  bench *b = bench_new();
  g_autofree char *half = path_of(b, 0, ".part");
  pm_gui_download *d = pause_at_half(b);
  assert_true(g_file_test(half, G_FILE_TEST_EXISTS));
  pm_gui_download_discard(d);
  assert_false(g_file_test(half, G_FILE_TEST_EXISTS));
  assert_int_equal(pm_gui_downloads_list(b->downloads)->len, 0);
  b->stall = true;
  d = add(b, "", BYTES);
  WAIT_FOR((size_t)pm_gui_download_get(d).done == HALF);
  pm_gui_download_discard(d);  // while it runs
  WAIT_FOR(!g_file_test(half, G_FILE_TEST_EXISTS));
  pm_gui_downloads_destroy(b->downloads);
  open_downloads(b);
  assert_int_equal(pm_gui_downloads_list(b->downloads)->len, 0);
  bench_free(b);
}

static void test_damaged(void **state) {
  (void)state;
  bench *b = bench_new();
  g_autofree char *half = path_of(b, 0, ".part");
  pm_gui_download *d = pause_at_half(b);
  g_autofree char *wrong = g_malloc0(HALF);
  assert_true(g_file_set_contents(half, wrong, HALF, NULL));
  pm_gui_download_start(d);
  WAIT_FOR(paused(d));
  assert_string_equal(pm_gui_download_get(d).message,
                      "m-00001-of-00002.gguf came with errors and has been deleted. Resume to fetch it again.");
  assert_false(g_file_test(half, G_FILE_TEST_EXISTS));
  pm_gui_download_start(d);
  check_whole(b);
  bench_free(b);
}

static void check_refused(const char *path, uint64_t bytes, const char *words) {
  bench *b = bench_new();
  pm_gui_download *d = add(b, path, bytes);
  WAIT_FOR(paused(d));
  if (!strstr(pm_gui_download_get(d).message, words)) fail_msg("'%s' is not in '%s'", words, pm_gui_download_get(d).message);
  assert_null(b->whole);
  bench_free(b);
}

static void test_refused(void **state) {
  (void)state;
  check_refused("none?x=", BYTES, "127.0.0.1 does not have it");
  check_refused("", UINT64_C(1) << 50, "more are needed in");
}

static void test_another_file(void **state) {
  (void)state;
  bench *b = bench_new();
  g_autofree char *path = path_of(b, 1, ""), *kept = NULL;
  assert_true(g_file_set_contents(path, "mine", -1, NULL));
  pm_gui_download *d = add(b, "", BYTES);
  WAIT_FOR(paused(d));
  assert_non_null(strstr(pm_gui_download_get(d).message, "another file with this name"));
  assert_true(g_file_get_contents(path, &kept, NULL, NULL));
  assert_string_equal(kept, "mine");
  bench_free(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_whole),     cmocka_unit_test(test_connection_breaks),  cmocka_unit_test(test_another_run_resumes),
      cmocka_unit_test(test_discarded), cmocka_unit_test(test_hub_without_ranges), cmocka_unit_test(test_damaged),
      cmocka_unit_test(test_refused),   cmocka_unit_test(test_another_file)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
