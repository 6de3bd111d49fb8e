// Export and import: what goes out comes in again; hostile files are refused whole.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above
#include <cmocka.h>

#include "chat_export.h"

static int64_t make_chat(pm_gui_store *store) {
  int64_t chat = pm_gui_store_chat_create(store, "Sums", "{\"temperature\":0.5}", NULL);
  pm_gui_message question = {.role = (char *)"user", .content = (char *)"2 + 3?", .finish = (char *)"stop", .stats = PM_GUI_STATS_NONE};
  pm_gui_message answer = {.role = (char *)"assistant",
                           .content = (char *)"**5**",
                           .thinking = (char *)"two\nthree",
                           .finish = (char *)"stop",
                           .model = (char *)"Pebble",
                           .stats = {12, 4, 9, 0.25, 1.5, 100, 20.5, -1}};
  int64_t id = pm_gui_store_message_add(store, chat, 0, &question, NULL);
  assert_true(pm_gui_store_message_add(store, chat, id, &answer, NULL) > 0);
  answer.content = (char *)"five";
  assert_true(pm_gui_store_message_add(store, chat, id, &answer, NULL) > 0);
  return chat;
}

static void test_markdown(void **state) {
  (void)state;
  pm_gui_store *store = pm_gui_store_open(NULL, NULL);
  g_autofree char *text = pm_gui_export_markdown(store, make_chat(store), NULL);
  assert_string_equal(text, "# Sums\n\n## You\n\n2 + 3?\n\n## Pebble\n\n> *Thinking*\n>\n> two\n> three\n\nfive\n");
  pm_gui_store_close(store);
}

static void test_round_trip(void **state) {
  (void)state;
  pm_gui_store *store = pm_gui_store_open(NULL, NULL);
  int64_t chat = make_chat(store);
  g_autofree char *text = pm_gui_export_json(store, chat, NULL);
  int64_t copy = pm_gui_import_json(store, text, strlen(text), NULL);
  assert_true(copy > chat);
  g_autoptr(pm_gui_chat) row = pm_gui_store_chat(store, copy, NULL);
  assert_string_equal(row->title, "Sums");
  assert_non_null(strstr(row->settings, "0.5"));
  g_autoptr(GPtrArray) path = pm_gui_store_path(store, copy, NULL);
  assert_int_equal(path->len, 2);
  const pm_gui_message *m = path->pdata[1];
  assert_string_equal(m->content, "five");
  assert_string_equal(m->thinking, "two\nthree");
  assert_int_equal(m->branch, 2);
  assert_int_equal(m->stats.n_cached, 4);
  assert_true(m->stats.rate == 20.5 && m->stats.joules < 0);
  pm_gui_store_close(store);
}

static void test_openai_messages(void **state) {
  (void)state;
  pm_gui_store *store = pm_gui_store_open(NULL, NULL);
  const char *text =
      "{\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"Hi\"},"
      "{\"role\":\"assistant\",\"content\":\"Hello\"}]}";
  int64_t chat = pm_gui_import_json(store, text, strlen(text), NULL);
  assert_true(chat > 0);
  g_autoptr(pm_gui_chat) row = pm_gui_store_chat(store, chat, NULL);
  assert_non_null(strstr(row->settings, "Be brief."));
  g_autoptr(GPtrArray) path = pm_gui_store_path(store, chat, NULL);
  assert_int_equal(path->len, 2);
  pm_gui_store_close(store);
}

static void test_refused(void **state) {
  (void)state;
  static const char *const texts[] = {
      "",
      "[]",
      "{\"messages\":7}",
      "{\"messages\":[{\"role\":\"user\"}]}",
      "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"tool\",\"content\":\"x\"}]}",
      "{\"messages\":[{\"role\":\"user\",\"content\":\"x\",\"id\":1,\"parent\":1}]}",
      "{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}",
      "{\"messages\":[{\"role\":\"user\",\"content\":[[[[[[[[",
  };
  pm_gui_store *store = pm_gui_store_open(NULL, NULL);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    GError *error = NULL;
    assert_int_equal(pm_gui_import_json(store, texts[i], strlen(texts[i]), &error), 0);
    assert_non_null(error);
    assert_non_null(strstr(error->message, "not a conversation"));
    g_error_free(error);
  }
  g_autofree char *deep = g_strnfill(1 << 20, '[');
  assert_int_equal(pm_gui_import_json(store, deep, 1 << 20, NULL), 0);
  g_autoptr(GPtrArray) chats = pm_gui_store_chats(store, 10, NULL);
  assert_int_equal(chats->len, 0);  // nothing half imported
  pm_gui_store_close(store);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_markdown), cmocka_unit_test(test_round_trip),
                                     cmocka_unit_test(test_openai_messages), cmocka_unit_test(test_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
