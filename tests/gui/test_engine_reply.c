// What the engine sends: events in pieces, figures, health, metrics; settings and requests as JSON.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above
#include <cmocka.h>

#include "engine_reply.h"
#include "gui_settings.h"
#include "sse_reader.h"

static void on_event(void *user, const char *data) { g_string_append_printf(user, "[%s]", data); }

static void test_events_in_pieces(void **state) {
  (void)state;
  static const char text[] = ": hello\n\ndata: {\"a\":1}\n\nevent: x\r\ndata:two\r\ndata: lines\r\n\r\ndata: [DONE]\n\nid: 7\n\ndata: half";
  for (size_t step = 1; step < sizeof text; step++) {
    pm_gui_sse sse;
    pm_gui_sse_init(&sse);
    GString *seen = g_string_new(NULL);
    for (size_t at = 0; at < sizeof text - 1; at += step)
      assert_true(pm_gui_sse_push(&sse, text + at, MIN(step, sizeof text - 1 - at), on_event, seen));
    assert_string_equal(seen->str, "[{\"a\":1}][two\nlines][[DONE]]");
    g_string_free(seen, TRUE);
    pm_gui_sse_finish(&sse);
  }
}

static void test_endless_event(void **state) {
  (void)state;
  pm_gui_sse sse;
  pm_gui_sse_init(&sse);
  g_autofree char *block = g_strnfill(1 << 20, 'x');
  bool good = true;
  int n = 0;
  while (good && n++ < 100) good = pm_gui_sse_push(&sse, block, 1 << 20, on_event, NULL);
  assert_false(good);
  assert_true(n <= 17);
  pm_gui_sse_finish(&sse);
}

static void test_chunks(void **state) {
  (void)state;
  pm_gui_chunk c;
  assert_true(pm_gui_chunk_parse("{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null}}]}", &c));
  assert_null(c.content);
  pm_gui_chunk_clear(&c);
  assert_true(
      pm_gui_chunk_parse("{\"choices\":[{\"delta\":{\"content\":\"a\",\"reasoning_content\":\"b\"},\"finish_reason\":\"stop\"}]}", &c));
  assert_string_equal(c.content, "a");
  assert_string_equal(c.thinking, "b");
  assert_string_equal(c.finish, "stop");
  pm_gui_chunk_clear(&c);
  assert_true(pm_gui_chunk_parse(
      "{\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4,\"prompt_tokens_details\":{\"cached_tokens\":7}},"
      "\"timings\":{\"predicted_per_second\":12.5,\"prompt_per_second\":80}}",
      &c));
  assert_int_equal(c.stats.n_prompt, 9);
  assert_int_equal(c.stats.n_cached, 7);
  assert_int_equal(c.stats.n_token, 4);
  assert_true(c.stats.rate == 12.5 && c.stats.joules < 0);
  pm_gui_chunk_clear(&c);
  assert_true(pm_gui_chunk_parse("{\"prompt_progress\":{\"total\":100,\"cache\":10,\"processed\":40}}", &c));
  assert_true(c.has_prompt && c.prompt_done == 40);
  pm_gui_chunk_clear(&c);
  assert_true(pm_gui_chunk_parse("{\"error\":{\"code\":500,\"message\":\"device lost\"}}", &c));
  assert_string_equal(c.error, "device lost");
  pm_gui_chunk_clear(&c);
  static const char *const odd[] = {
      "", "[]", "{", "7", "{\"choices\":{}}", "{\"choices\":[{\"delta\":7}],\"usage\":[],\"timings\":\"x\",\"prompt_progress\":1}"};
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
    pm_gui_chunk_parse(odd[i], &c);
    assert_null(c.content);
    pm_gui_chunk_clear(&c);
  }
}

static void test_health(void **state) {
  (void)state;
  double progress;
  char *message;
  assert_int_equal(pm_gui_health_parse("{\"status\":\"ok\"}", &progress, &message), PM_GUI_READY);
  assert_int_equal(
      pm_gui_health_parse("{\"error\":{\"code\":503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"},\"progress\":0.25}",
                          &progress, &message),
      PM_GUI_LOADING);
  assert_true(progress == 0.25);
  assert_null(message);
  assert_int_equal(pm_gui_health_parse("{\"error\":{\"code\":503,\"message\":\"The device is lost\"}}", &progress, &message),
                   PM_GUI_BROKEN);
  assert_string_equal(message, "The device is lost");
  g_free(message);
  assert_int_equal(pm_gui_health_parse("{\"status\":\"ok\",\"phase\":\"degraded\",\"reason\":\"running on the CPU\"}", &progress, &message),
                   PM_GUI_READY);
  assert_string_equal(message, "running on the CPU");
  g_free(message);
}

static void test_metrics(void **state) {
  (void)state;
  pm_gui_gauges g = PM_GUI_GAUGES_NONE;
  pm_gui_metrics_parse(
      "# HELP pumice_expert_hits_total x\npumice_expert_hits_total{layer=\"1\"} 10\npumice_expert_hits_total{layer=\"2\"} 20\n"
      "pumice_expert_hits 7\npumice_expert_misses_total 10\nbroken{ 1\nother 5\n",
      &g);
  assert_true(g.hits == 30 && g.misses == 10);
}

static void test_settings(void **state) {
  (void)state;
  pm_gui_chat_settings s, t;
  pm_gui_chat_settings_parse(&s, NULL);
  assert_string_equal(s.system, "");
  assert_true(s.temperature == 0.8 && s.top_k == 40 && s.thinking);
  assert_int_equal(pm_gui_preset_find(&s), 0);
  for (size_t i = 0; pm_gui_preset_name(i); i++) {
    pm_gui_preset_apply(i, &s);
    assert_int_equal(pm_gui_preset_find(&s), i);
  }
  s.seed = 77, s.thinking = false;
  g_autofree char *json = pm_gui_chat_settings_json(&s);
  pm_gui_chat_settings_parse(&t, json);
  assert_true(t.seed == 77 && !t.thinking && t.temperature == s.temperature && t.top_k == s.top_k);
  pm_gui_chat_settings_clear(&s);
  pm_gui_chat_settings_clear(&t);
  pm_gui_chat_settings_parse(&s, "{\"temperature\":1e9,\"top_k\":-4,\"system\":[],\"thinking\":\"no\"}");  // out of range: as if not there
  assert_true(s.temperature == 0.8 && s.top_k == 40 && s.thinking && !*s.system);
  pm_gui_chat_settings_clear(&s);
}

static void test_request(void **state) {
  (void)state;
  pm_gui_chat_settings s;
  pm_gui_chat_settings_parse(&s, "{\"system\":\"Be brief.\",\"temperature\":0}");
  g_autoptr(GPtrArray) messages = g_ptr_array_new();
  pm_gui_message question = {.role = (char *)"user", .content = (char *)"a \"b\"", .thinking = (char *)""};
  pm_gui_message answer = {.role = (char *)"assistant", .content = (char *)"c", .thinking = (char *)"d"};
  g_ptr_array_add(messages, &question);
  g_ptr_array_add(messages, &answer);
  g_autofree char *body = pm_gui_request(&s, messages, true, false);
  assert_non_null(strstr(body, "{\"role\": \"system\", \"content\": \"Be brief.\"}")
                      ?: strstr(body, "{\"role\":\"system\",\"content\":\"Be brief.\"}"));
  assert_non_null(strstr(body, "a \\\"b\\\""));
  assert_non_null(strstr(body, "\"reasoning_content\":\"d\""));
  assert_non_null(strstr(body, "\"continue_final_message\":true"));
  assert_non_null(strstr(body, "\"enable_thinking\":false"));
  assert_null(strstr(body, "max_tokens"));
  pm_gui_chat_settings_clear(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_events_in_pieces), cmocka_unit_test(test_endless_event),
                                     cmocka_unit_test(test_chunks),           cmocka_unit_test(test_health),
                                     cmocka_unit_test(test_metrics),          cmocka_unit_test(test_settings),
                                     cmocka_unit_test(test_request)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
