// Conversations in the database: branches, answers in the making, deletion and its undo, search.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
// cmocka wants the four above
#include <cmocka.h>
#include <glib/gstdio.h>

#include "chat_store.h"

static int64_t add(pm_gui_store *store, int64_t chat, int64_t parent, const char *role, const char *content) {
  pm_gui_message m = {.role = (char *)role, .content = (char *)content, .finish = (char *)"stop", .stats = PM_GUI_STATS_NONE};
  int64_t id = pm_gui_store_message_add(store, chat, parent, &m, NULL);
  assert_true(id > 0);
  return id;
}

static char *path_text(pm_gui_store *store, int64_t chat) {
  g_autoptr(GPtrArray) path = pm_gui_store_path(store, chat, NULL);
  GString *text = g_string_new(NULL);
  for (guint i = 0; i < path->len; i++) {
    pm_gui_message *m = path->pdata[i];
    g_string_append_printf(text, "%s%s %u/%u", i ? ", " : "", m->content, m->branch, m->n_branch);
  }
  return g_string_free(text, FALSE);
}

static void assert_path(pm_gui_store *store, int64_t chat, const char *expected) {
  g_autofree char *text = path_text(store, chat);
  assert_string_equal(text, expected);
}

static pm_gui_store *open_memory(void) {
  pm_gui_store *store = pm_gui_store_open(NULL, NULL);
  assert_non_null(store);
  return store;
}

static void test_branches(void **state) {
  (void)state;
  pm_gui_store *store = open_memory();
  int64_t chat = pm_gui_store_chat_create(store, "sums", "{}", NULL);
  assert_path(store, chat, "");
  int64_t question = add(store, chat, 0, "user", "q1");
  int64_t first = add(store, chat, question, "assistant", "a1");
  add(store, chat, first, "user", "q2");
  add(store, chat, question, "assistant", "a1 again");
  assert_path(store, chat, "q1 1/1, a1 again 2/2");
  assert_true(pm_gui_store_branch(store, chat, first, 0, NULL));  // shows the newest leaf below
  assert_path(store, chat, "q1 1/1, a1 1/2, q2 1/1");
  assert_true(pm_gui_store_branch(store, chat, first, 1, NULL));
  assert_path(store, chat, "q1 1/1, a1 again 2/2");
  int64_t edited = add(store, chat, 0, "user", "q1 edited");
  assert_path(store, chat, "q1 edited 2/2");
  assert_true(pm_gui_store_branch(store, chat, edited, -1, NULL));
  assert_path(store, chat, "q1 1/2, a1 again 2/2");
  assert_true(pm_gui_store_branch(store, chat, edited, 5, NULL));  // there is no more
  assert_path(store, chat, "q1 edited 2/2");

  int64_t copy = pm_gui_store_clone(store, chat, "copy", NULL);
  assert_true(copy > 0 && copy != chat);
  assert_path(store, copy, "q1 edited 2/2");
  g_autoptr(GPtrArray) all = pm_gui_store_tree(store, copy, NULL);
  assert_int_equal(all->len, 5);
  assert_true(pm_gui_store_set_head(store, copy, question, NULL));  // a message of the other one: nothing happens
  assert_path(store, copy, "q1 edited 2/2");
  pm_gui_store_close(store);
}

static void test_answer_in_pieces(void **state) {
  (void)state;
  pm_gui_store *store = open_memory();
  int64_t chat = pm_gui_store_chat_create(store, "", "{}", NULL), question = add(store, chat, 0, "user", "q");
  pm_gui_message m = {.role = (char *)"assistant", .finish = (char *)"", .model = (char *)"Pebble", .stats = PM_GUI_STATS_NONE};
  int64_t answer = pm_gui_store_message_add(store, chat, question, &m, NULL);
  for (int i = 0; i < 100; i++) {
    char text[16];
    g_snprintf(text, sizeof text, "%d ", i);
    assert_true(pm_gui_store_piece_add(store, answer, i < 50 ? "" : text, i < 50 ? text : "", NULL));
  }
  g_autoptr(GPtrArray) half = pm_gui_store_path(store, chat, NULL);
  pm_gui_message *seen = half->pdata[1];
  assert_true(g_str_has_prefix(seen->thinking, "0 1 2 ") && g_str_has_suffix(seen->thinking, "48 49 "));
  assert_true(g_str_has_prefix(seen->content, "50 51 ") && g_str_has_suffix(seen->content, "98 99 "));
  assert_string_equal(seen->finish, "");
  pm_gui_stats stats = PM_GUI_STATS_NONE;
  stats.n_token = 100, stats.rate = 12.5;
  assert_true(pm_gui_store_message_finish(store, answer, "length", &stats, NULL));
  assert_true(pm_gui_store_message_reopen(store, answer, NULL));  // and goes on
  assert_true(pm_gui_store_piece_add(store, answer, "end", "", NULL));
  assert_true(pm_gui_store_message_finish(store, answer, "stop", &stats, NULL));
  g_autoptr(GPtrArray) whole = pm_gui_store_path(store, chat, NULL);
  seen = whole->pdata[1];
  assert_true(g_str_has_suffix(seen->content, "98 99 end"));
  assert_string_equal(seen->finish, "stop");
  assert_string_equal(seen->model, "Pebble");
  assert_int_equal(seen->stats.n_token, 100);
  assert_true(seen->stats.rate > 12.4 && seen->stats.joules < 0 && seen->stats.n_prompt == -1);
  pm_gui_store_close(store);
}

// A process that is killed while an answer comes loses none of the pieces that it had stored.
static void test_killed(void **state) {
  (void)state;
  g_autofree char *folder = g_dir_make_tmp("pumice-XXXXXX", NULL), *path = g_build_filename(folder, "chats.db", NULL);
  int ready[2];
  assert_int_equal(pipe(ready), 0);
  pid_t child = fork();
  if (child == 0) {
    pm_gui_store *store = pm_gui_store_open(path, NULL);
    int64_t chat = pm_gui_store_chat_create(store, "t", "{}", NULL);
    pm_gui_message m = {.role = (char *)"assistant", .finish = (char *)"", .stats = PM_GUI_STATS_NONE};
    int64_t answer = pm_gui_store_message_add(store, chat, 0, &m, NULL);
    for (int i = 0; i < 200; i++) pm_gui_store_piece_add(store, answer, "piece ", "", NULL);
    _exit(write(ready[1], "x", 1) == 1 && pause());
  }
  char byte;
  assert_int_equal(read(ready[0], &byte, 1), 1);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  pm_gui_store *store = pm_gui_store_open(path, NULL);
  assert_non_null(store);
  g_autoptr(GPtrArray) messages = pm_gui_store_path(store, 1, NULL);
  assert_int_equal(messages->len, 1);
  pm_gui_message *m = messages->pdata[0];
  assert_string_equal(m->finish, "interrupted");
  assert_int_equal(strlen(m->content), 200 * strlen("piece "));
  pm_gui_store_close(store);
  g_unlink(path);
  g_rmdir(folder);
  close(ready[0]);
  close(ready[1]);
}

static void test_delete_and_undo(void **state) {
  (void)state;
  g_autofree char *folder = g_dir_make_tmp("pumice-XXXXXX", NULL), *path = g_build_filename(folder, "chats.db", NULL);
  pm_gui_store *store = pm_gui_store_open(path, NULL);
  int64_t kept = pm_gui_store_chat_create(store, "kept", "{}", NULL), gone = pm_gui_store_chat_create(store, "gone", "{}", NULL);
  add(store, gone, 0, "user", "volcano");
  assert_true(pm_gui_store_delete(store, gone, true, NULL));
  g_autoptr(GPtrArray) left = pm_gui_store_chats(store, 10, NULL), none = pm_gui_store_search(store, "volcano", 10, NULL);
  assert_int_equal(left->len, 1);
  assert_int_equal(none->len, 0);
  assert_true(pm_gui_store_delete(store, gone, false, NULL));
  g_autoptr(GPtrArray) both = pm_gui_store_chats(store, 10, NULL), found = pm_gui_store_search(store, "volcano", 10, NULL);
  assert_int_equal(both->len, 2);
  assert_int_equal(found->len, 1);
  assert_true(pm_gui_store_delete(store, gone, true, NULL));
  pm_gui_store_close(store);
  store = pm_gui_store_open(path, NULL);  // too late for an undo
  assert_null(pm_gui_store_chat(store, gone, NULL));
  g_autoptr(pm_gui_chat) still = pm_gui_store_chat(store, kept, NULL);
  assert_non_null(still);
  g_autoptr(GPtrArray) messages = pm_gui_store_tree(store, gone, NULL);
  assert_int_equal(messages->len, 0);
  pm_gui_store_close(store);
  g_unlink(path);
  g_rmdir(folder);
}

static void assert_hits(pm_gui_store *store, const char *text, guint n) {
  GError *error = NULL;
  g_autoptr(GPtrArray) hits = pm_gui_store_search(store, text, 20, &error);
  if (error) fail_msg("%s: %s", text, error->message);
  if (hits->len != n) fail_msg("'%s': %u hits, expected %u", text, hits->len, n);
}

static void test_search(void **state) {
  (void)state;
  pm_gui_store *store = open_memory();
  int64_t chat = pm_gui_store_chat_create(store, "Volcanoes of Iceland", "{}", NULL);
  int64_t message = add(store, chat, 0, "user", "How hot is LAVA? \"Very\", 100% sure; 熔岩有多热");
  add(store, chat, message, "assistant", "About 1200 degrees.");
  assert_hits(store, "volcano", 1);
  assert_hits(store, "lava", 1);
  assert_hits(store, "ery\"", 1);
  assert_hits(store, "lava degrees", 0);  // every word, in one message
  assert_hits(store, "hot lava", 1);
  assert_hits(store, "熔岩有", 1);
  assert_hits(store, "多热", 1);  // shorter than a trigram
  assert_hits(store, "0%", 1);
  assert_hits(store, "%", 1);
  assert_hits(store, "of", 1);
  assert_hits(store, "", 0);
  assert_hits(store, "  ", 0);
  assert_hits(store, "' OR 1 -- AND ( NEAR * ^", 0);
  assert_hits(store, "\xff\xfe", 0);
  assert_true(pm_gui_store_rename(store, chat, "Geysers", NULL));
  assert_hits(store, "volcano", 0);
  assert_hits(store, "geyser", 1);
  pm_gui_store_close(store);
}

static void test_excerpt(void **state) {
  (void)state;
  g_autofree char *bold = pm_gui_excerpt("a <b> & Lava lamp", "lava", 40), *far = pm_gui_excerpt("0123456789 0123456789 lava", "LAVA", 16);
  assert_string_equal(bold, "a &lt;b&gt; &amp; <b>Lava</b> lamp");
  assert_string_equal(far, "…789 <b>lava</b>");
  g_autofree char *none = pm_gui_excerpt("abc", "", 2);
  assert_string_equal(none, "ab…");
}

static void test_settings_and_damage(void **state) {
  (void)state;
  g_autofree char *folder = g_dir_make_tmp("pumice-XXXXXX", NULL), *path = g_build_filename(folder, "chats.db", NULL);
  pm_gui_store *store = pm_gui_store_open(path, NULL);
  assert_null(pm_gui_store_get(store, "x"));
  assert_true(pm_gui_store_set(store, "x", "1", NULL) && pm_gui_store_set(store, "x", "2", NULL));
  g_autofree char *value = pm_gui_store_get(store, "x");
  assert_string_equal(value, "2");
  pm_gui_store_close(store);
  assert_true(g_file_set_contents(path, "this is no database, whatever its name says; it is long enough to have a header of its own....",
                                  -1, NULL));
  GError *error = NULL;
  assert_null(pm_gui_store_open(path, &error));
  assert_non_null(error);
  g_error_free(error);
  g_unlink(path);
  g_rmdir(folder);
}

static void test_rates(void **state) {
  (void)state;
  pm_gui_store *store = pm_gui_store_open(NULL, NULL);
  int64_t chat = pm_gui_store_chat_create(store, "a", "{}", NULL);
  static const struct {
    const char *model;
    int64_t n_token;
    double rate;
  } rows[] = {{"x", 100, 20}, {"x", 40, 31.5}, {"x", 3, 900}, {"y", 50, 7}, {"x", 60, -1}};
  for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
    pm_gui_message m = {.role = (char *)"assistant", .finish = (char *)"stop", .model = (char *)rows[i].model, .stats = PM_GUI_STATS_NONE};
    m.stats.n_token = rows[i].n_token;
    m.stats.rate = rows[i].rate;
    assert_true(pm_gui_store_message_add(store, chat, 0, &m, NULL) > 0);
  }
  double least = 0, most = 0;
  assert_int_equal(pm_gui_store_rates(store, "x", &least, &most), 2);
  assert_true(least == 20 && most == 31.5);
  assert_int_equal(pm_gui_store_rates(store, "z", &least, &most), 0);
  pm_gui_store_close(store);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_branches),
                                     cmocka_unit_test(test_answer_in_pieces),
                                     cmocka_unit_test(test_killed),
                                     cmocka_unit_test(test_delete_and_undo),
                                     cmocka_unit_test(test_search),
                                     cmocka_unit_test(test_excerpt),
                                     cmocka_unit_test(test_settings_and_damage),
                                     cmocka_unit_test(test_rates)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
