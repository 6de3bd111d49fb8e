// Requests of the OpenAI API to prompts, through a file's own template; tool calls told from answers, however these are cut; templates
// that are not meant well.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chat_request.h"
#include "json.h"
#include "memory.h"
#include "meta_doc.h"
#include "rng.h"
#include "tool_calls.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

// ---- requests ------------------------------------------------------------------------------------------------------

static pm_tokenizer *tokenizer;

static void open_chat(pm_chat *c, const char *template) {
  meta_doc d = {0};
  meta_string(&d, "tokenizer.ggml.model", "gpt2");
  meta_string(&d, "tokenizer.ggml.pre", "deepseek-v3");
  meta_strings(&d, "tokenizer.ggml.tokens", (const char *[]){"[B]", "[E]", "<｜Assistant｜>"}, 3);
  meta_i32s(&d, "tokenizer.ggml.token_type", (int32_t[]){3, 3, 3}, 3);
  meta_strings(&d, "tokenizer.ggml.merges", NULL, 0);
  meta_u32(&d, "tokenizer.ggml.bos_token_id", 0);
  meta_u32(&d, "tokenizer.ggml.eos_token_id", 1);
  if (template) meta_string(&d, "tokenizer.chat_template", template);
  pm_model_file *file = meta_open(&d);
  if (pm_tokenizer_create(file, &tokenizer) || pm_chat_init(c, file, tokenizer)) fail_msg("%s", pm_fail_message());
  pm_model_file_close(file);
}

static void close_chat(pm_chat *c) {
  pm_chat_finish(c);
  pm_tokenizer_destroy(tokenizer);
}

static pm_status render(const pm_chat *c, const char *request, char out[4096]) {
  size_t n = 4096;
  pm_status status = pm_chat_render_request(c, request, strlen(request), out, &n);
  if (status == PM_OK) assert_int_equal(n, strlen(out));
  return status;
}

static void test_requests(void **state) {
  (void)state;
  static const struct {
    const char *template, *request, *expected;  // NULL: it fails
  } cases[] = {
      {"{{ bos_token }}{% for m in messages %}{{ m.role }}={{ m.content }};{% endfor %}{{ eos_token }}{{ add_generation_prompt }}",
       "{\"messages\":[{\"role\":\"developer\",\"content\":\"S\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
       "{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"assistant\"}]}",
       "[B]system=S;user=a\nb;assistant=;[E]True"},
      {"{{ tools is none }}{{ documents is none }}{{ enable_thinking is defined }}{{ x is defined }}",
       "{\"messages\":[{\"role\":\"user\"}]}", "TrueTrueFalseFalse"},
      {"{{ tools[0].function.name }}{{ enable_thinking }}{{ thinking }}{{ x }}{{ add_generation_prompt }}",
       "{\"messages\":[{\"role\":\"user\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"enable_thinking\":false,"
       "\"chat_template_kwargs\":{\"x\":[1]},\"add_generation_prompt\":false}",
       "fFalseFalse[1]False"},
      // Arguments are an object for templates that want one, and the client's text for those that want that.
      {"{% for c in messages[0].tool_calls %}{{ c.function.arguments | tojson }} {{ '' + c.function.arguments }} {{ c.function.arguments "
       "}} "
       "{{ c.function.arguments.a }} {{ c.function.arguments is string }} {{ c.type }}{% endfor %}{{ messages[0].content }}",
       "{\"messages\":[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}"
       "\"}}]}]}",
       "{\"a\": 1} {\"a\":1} {\"a\":1} 1 False functionNone"},
      // A template that takes any content for a text.
      {"{% for m in messages %}{{ m.role + ':' + m.content }}{% endfor %}",
       "{\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]}]}", "assistant:"},
      {"{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}{% if add_generation_prompt %}<a>{% endif %}",
       "{\"messages\":[{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"assistant\",\"content\":\"The "
       "\"}],\"continue_final_message\":true}",
       "<user>u</user><assistant>The"},
      {"{{ messages[0].tool_calls is none }}{{ messages[1].tool_calls is none }}{{ messages[2].tool_calls is defined }}",
       "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[]},{\"role\":\"assistant\",\"tool_calls\":null},{\"role\":\"user\"}]}",
       "TrueTrueFalse"},
      {"{{ raise_exception('no system') }}", "{\"messages\":[{\"role\":\"user\"}]}", NULL},
      {"", "{\"messages\":[{\"role\":\"user\",\"content\":\"u\"}]}", "[B]<｜User｜>u<｜Assistant｜>"},
      {"", "{\"messages\":[{\"role\":\"user\",\"content\":\"u\"}],\"tools\":[{}]}", NULL},
      {"{% bad %}", "{\"messages\":[{\"role\":\"user\",\"content\":\"u\"}]}", NULL},
      {"x", "{\"messages\":[]}", NULL},
      {"x", "{\"messages\":{}}", NULL},
      {"x", "{\"messages\":[{\"content\":\"u\"}]}", NULL},
      {"x", "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}", NULL},
      {"x", "{\"messages\":[{\"role\":\"user\",\"content\":7}]}", NULL},
      {"x", "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{}]}]}", NULL},
      {"x", "{\"messages\":[", NULL},
      {"x", "[]", NULL},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    pm_chat c;
    char out[4096];
    open_chat(&c, cases[i].template);
    pm_status status = render(&c, cases[i].request, out);
    if (!cases[i].expected) {
      assert_true(status != PM_OK && *pm_fail_message());
    } else {
      if (status) fail_msg("request %zu: %s", i, pm_fail_message());
      assert_string_equal(out, cases[i].expected);
    }
    close_chat(&c);
  }
}

// Templates in the manner of DeepSeek's releases render as the formats do that are recognised from them.
#define SYSTEM_FIRST                                                                                                       \
  "{% set ns = namespace(system='', user=false) %}{% for m in messages if m.role == 'system' %}"                           \
  "{% set ns.system = ns.system ~ ('' if loop.first else '\n\n') ~ m.content %}{% endfor %}{{ bos_token }}{{ ns.system }}" \
  "{% for m in messages %}{% if m['role'] == 'user' %}{% set ns.user = true %}{{ '<｜User｜>' + m['content'] }}{% endif %}"
#define END "<｜end▁of▁sentence｜>"

static void test_formats_equal_templates(void **state) {
  (void)state;
  static const char *const templates[][2] = {
      {"deepseek-v3",
       SYSTEM_FIRST "{% if m['role'] == 'assistant' %}{{ '<｜Assistant｜>' + m['content'] + '" END "' }}{% endif %}{% endfor %}"
                    "{% if add_generation_prompt %}{{ '<｜Assistant｜>' }}{% endif %}"},
      {"deepseek-r1", SYSTEM_FIRST "{% if m['role'] == 'assistant' %}{% set content = m['content'] %}{% if '</think>' in content %}"
                                   "{% set content = content.split('</think>')[-1] %}{% endif %}{{ '<｜Assistant｜>' + content + '" END
                                   "' }}{% endif %}{% endfor %}"
                                   "{% if add_generation_prompt %}{{'<｜Assistant｜><think>\\n'}}{% endif %}"},
      {"deepseek-v3.1", SYSTEM_FIRST
       "{% if m['role'] == 'assistant' %}{% if ns.user %}{{ '<｜Assistant｜></think>' }}{% endif %}{% set ns.user = false %}"
       "{% set content = m['content'] %}{% if '</think>' in content %}{% set content = content.split('</think>', 1)[1] %}{% endif %}"
       "{{ content + '" END "' }}{% endif %}{% endfor %}"
       "{% if add_generation_prompt and ns.user %}{{ '<｜Assistant｜>' }}{{ '<think>' if thinking else '</think>' }}{% endif %}"},
  };
  static const pm_message talk[] = {{"system", "S"}, {"user", " u\n"},  {"assistant", "<think>t</think>x</think>\n\na"},
                                    {"user", "再"},  {"assistant", ""}, {"assistant", "b"},
                                    {"system", "T"}, {"user", "v"}};
  for (size_t i = 0; i < COUNT(templates); i++) {
    pm_chat c;
    open_chat(&c, templates[i][1]);
    assert_non_null(c.format);
    assert_string_equal(pm_chat_format_name(c.format), templates[i][0]);
    for (size_t from = 0; from < COUNT(talk); from++)
      for (size_t n_message = 1; from + n_message <= COUNT(talk); n_message++)
        for (int how = 0; how < 4; how++) {
          char by_template[1024], by_format[1024];
          size_t n = sizeof by_template, m = sizeof by_format;
          assert_int_equal(pm_chat_render_messages(&c, talk + from, n_message, how & 1, how & 2, by_template, &n), PM_OK);
          assert_int_equal(pm_chat_render(c.format, tokenizer, talk + from, n_message, how & 1, how & 2, by_format, &m), PM_OK);
          assert_string_equal(by_template, by_format);
        }
    close_chat(&c);
  }
}

static void test_room(void **state) {
  (void)state;
  static const char request[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"u\"}]}";
  pm_chat c;
  char out[8];
  size_t n = 3;
  open_chat(&c, "four");
  assert_int_equal(pm_chat_render_request(&c, request, sizeof request - 1, out, &n), PM_ERR_ARGUMENT);
  assert_int_equal(n, 5);
  assert_int_equal(pm_chat_render_request(&c, request, sizeof request - 1, out, &n), PM_OK);
  assert_int_equal(n, 4);
  assert_string_equal(out, "four");
  n = 100;
  assert_int_equal(pm_chat_render_request(&c, "{", 1, out, &n), PM_ERR_FORMAT);
  assert_int_equal(n, 0);
  close_chat(&c);
}

// The k-th allocation fails, for every k: an error, and nothing is lost.
static void test_short_memory(void **state) {
  (void)state;
  static const char request[] =
      "{\"messages\":[{\"role\":\"user\",\"content\":\"u\"},{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
      "\"arguments\":"
      "\"{}\"}}]}],\"chat_template_kwargs\":{\"x\":1}}";
  pm_chat c;
  char out[4096];
  open_chat(&c, "{% set s %}{% for m in messages %}{{ m | tojson(sort_keys=true) }}{% endfor %}{% endset %}{{ (s * 9000) | length }}");
  pm_status status = PM_ERR_MEMORY;
  uint64_t k = 0;
  while (status == PM_ERR_MEMORY) {
    size_t n = sizeof out;
    pm_alloc_fail_at(++k);
    status = pm_chat_render_request(&c, request, sizeof request - 1, out, &n);
    pm_alloc_fail_at(0);
    assert_true(k < 1000);
  }
  assert_int_equal(status, PM_OK);
  assert_true(k > 5);
  for (k = 1, status = PM_ERR_MEMORY; status == PM_ERR_MEMORY; k++) {
    pm_buffer calls = {0};
    pm_alloc_fail_at(k);
    status = pm_tool_calls(0, 1, PM_SPAN("a <tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>"), &calls);
    pm_alloc_fail_at(0);
    pm_buffer_finish(&calls);
    assert_true(k < 1000);
  }
  assert_int_equal(status, PM_OK);
  close_chat(&c);
}

// ---- templates that are not meant well -----------------------------------------------------------------------------

static void test_hostile_templates(void **state) {
  (void)state;
  static const char *const templates[] = {
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}",
      "{% set ns = namespace(s='xxxxxxxxxxxxxxxx') %}{% for a in range(99999) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
      "{% for a in range(99999) %}{{ 'x' * 100000 }}{% endfor %}",
      "{{ ('x' * 60000000) | replace('x', 'yyyy') }}",
      "{{ [0] * 999999999 }}",
      "{% set ns = namespace() %}{% set ns.ns = ns %}{{ ns }}",
      "{% set ns = namespace(x=[]) %}{% for a in range(9999) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
      "{% set ns = namespace(x=[]) %}{% for a in range(9999) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}",
      "{{ 9223372036854775807 + 1 }}",
      "{{ -9223372036854775807 - 2 }}",
      "{{ 2 ** 9999999999 }}",
      "{{ (-9223372036854775807 - 1) // -1 }}",
      "{{ range(9223372036854775807) }}",
      "{{ 99999999999999999999 }}",
      "{{ 'a' | indent(999999999) }}",
      "{{ '%99999999d' % 1 ~ '%.999f' % 1 ~ '%*d' % 1 }}",
      "{% for x in xs recursive %}{% endfor %}",
      "{{ 'abc'.__class__() }}",
  };
  for (size_t i = 0; i < COUNT(templates); i++) {
    pm_heap heap = {.limit = (size_t)64 << 20};
    pm_buffer out = {.limit = (size_t)16 << 20};
    pm_value context;
    pm_jinja *t;
    assert_int_equal(pm_dict_create(&heap, &context), PM_OK);
    pm_status status = pm_jinja_parse(templates[i], strlen(templates[i]), &t);
    if (status == PM_OK) {
      status = pm_jinja_render(t, &heap, context, 1, &out);
      pm_jinja_destroy(t);
    }
    if (status == PM_OK) fail_msg("%s: nothing was wrong with it", templates[i]);
    assert_non_null(strstr(pm_fail_message(), "line 1"));
    pm_buffer_finish(&out);
    pm_heap_finish(&heap);
  }
}

// Brackets, blocks and chains as deep as a file could have them.
static void test_depth(void **state) {
  (void)state;
  static const char *const pieces[] = {"{{ ((",    "{{ [[",  "{{ -",   "{{ not ",    "{% if x %}",    "{{ a.b",
                                       "{{ x if ", "{{ a|b", "{{ {1:", "{{ a is b(", "{% call f() %}"};
  for (size_t i = 0; i < COUNT(pieces); i++) {
    pm_buffer text = {0};
    pm_jinja *t;
    pm_buffer_puts(&text, pieces[i]);
    for (int k = 0; k < 50000; k++) pm_buffer_puts(&text, pieces[i] + (pieces[i][1] == '{' ? 3 : 0));
    if (pm_jinja_parse(text.at, text.n, &t) == PM_OK) pm_jinja_destroy(t);
    pm_buffer_finish(&text);
  }
  pm_buffer sum = {0};
  pm_heap heap = {.limit = (size_t)64 << 20};
  pm_buffer out = {.limit = (size_t)16 << 20};
  pm_value context;
  pm_jinja *t;
  pm_buffer_puts(&sum, "{{ 0");
  for (int k = 0; k < 100000; k++) pm_buffer_puts(&sum, "+1");
  pm_buffer_puts(&sum, " }}");
  assert_int_equal(pm_dict_create(&heap, &context), PM_OK);
  assert_int_equal(pm_jinja_parse(sum.at, sum.n, &t), PM_OK);
  assert_int_equal(pm_jinja_render(t, &heap, context, 1, &out), PM_ERR_FORMAT);
  pm_jinja_destroy(t);
  pm_buffer_finish(&sum);
  pm_buffer_finish(&out);
  pm_heap_finish(&heap);
}

// ---- tool calls ----------------------------------------------------------------------------------------------------

#define V3_CALL(name, json) "<｜tool▁call▁begin｜>function<｜tool▁sep｜>" name "\n```json\n" json "\n```<｜tool▁call▁end｜>"
#define V31_CALL(name, json) "<｜tool▁call▁begin｜>" name "<｜tool▁sep｜>" json "<｜tool▁call▁end｜>"
#define CALLS_BEGIN "<｜tool▁calls▁begin｜>"
#define CALLS_END "<｜tool▁calls▁end｜>"

// What a stream gives, as text: "text[name(arguments)]text".
static const struct answer {
  const char *template;  // a mark of it, which tells the formats
  const char *text, *expected;
} answers[] = {
    {CALLS_BEGIN, "Let me see.\n\n" CALLS_BEGIN V3_CALL("get_weather", "{\"city\": \"Oslo\"}") "\n" V3_CALL("add", "{\"a\":1}") CALLS_END,
     "Let me see.\n\n[get_weather({\"city\": \"Oslo\"})][add({\"a\":1})]"},
    {CALLS_BEGIN, "a " CALLS_BEGIN V31_CALL("f", "{\"x\":\"`` ```\\n```\"}") V31_CALL("g", "{}") CALLS_END " b",
     "a [f({\"x\":\"`` ```\\n```\"})][g({})]b"},
    {CALLS_BEGIN, CALLS_BEGIN "<｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"x\":1}", "[f({\"x\":1})]"},  // cut off by the end of the answer
    {CALLS_BEGIN, V31_CALL("f", "{}"), "[f({})]"},
    {CALLS_BEGIN, CALLS_BEGIN V31_CALL("f", "{bad}") CALLS_END, V31_CALL("f", "{bad}") CALLS_END},
    {CALLS_BEGIN, CALLS_BEGIN V31_CALL("bad name", "{}"), V31_CALL("bad name", "{}")},
    {CALLS_BEGIN, "<tool_call>{\"name\":\"f\"}</tool_call> < <｜tool <｜tool▁calls",
     "<tool_call>{\"name\":\"f\"}</tool_call> < <｜tool <｜tool▁calls"},
    {CALLS_BEGIN, "{\"name\":\"f\",\"arguments\":{}}", "{\"name\":\"f\",\"arguments\":{}}"},
    {"<tool_call>",
     "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [1, "
     "2]}}\n</tool_call>\n<tool_call>{\"arguments\":\"{\\\"b\\\":2}\",\"name\":\"g\"}</tool_call>",
     "[f({\"a\": [1, 2]})][g({\"b\":2})]"},
    {"<tool_call>", "x <tool_call> is a mark </tool_call> y", "x <tool_call> is a mark </tool_call> y"},
    {"<tool_call>", "<tool_call>f<arg_key>a</arg_key><arg_value>Oslo</arg_value>\n<arg_key>n</arg_key><arg_value>3</arg_value></tool_call>",
     "[f({\"a\": \"Oslo\", \"n\": 3})]"},
    {"<tool_call>", "<tool_call>now</tool_call>", "[now({})]"},
    {"<tool_call>", "<tool_call>{\"name\":\"f\"}</tool_call>", "[f({})]"},
    {"<tool_call>", "<tool_call>{\"name\":\"f\",\"arguments\":7}</tool_call>", "<tool_call>{\"name\":\"f\",\"arguments\":7}</tool_call>"},
    {"<tool_call>", "a<tool_call", "a<tool_call"},
    {"<|tool_calls_section_begin|>",
     "Hm.<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{\"a\": 1}<|tool_call_end|>"
     "<|tool_call_begin|>functions.g.h:12<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>",
     "Hm.[functions.f:0:f({\"a\": 1})][functions.g.h:12:g.h({})]"},
    {"", "  {\"name\": \"f\", \"parameters\": {\"a\": 1}} ", "[f({\"a\": 1})]"},
    {"", "[{\"name\": \"f\", \"arguments\": {}}, {\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]",
     "[f({})][g({})]"},
    {"", "{\"name\": \"Bob\", \"age\": 7}", "{\"name\": \"Bob\", \"age\": 7}"},
    {"", "[{\"name\": \"f\", \"arguments\": {}}, 1]", "[{\"name\": \"f\", \"arguments\": {}}, 1]"},
    {"", "{\"answer\": 1}", "{\"answer\": 1}"},
    {"", "[]", "[]"},
    {"", "", ""},
    {"", " <tool_call>{\"name\":\"f\"}</tool_call>", " [f({})]"},
};

static bool see_text(void *user, const char *text, size_t bytes) {
  pm_buffer_put(user, text, bytes);
  return true;
}

static bool see_call(void *user, uint32_t index, const char *id, pm_span name, pm_span arguments) {
  (void)index;
  pm_buffer *seen = user;
  pm_buffer_puts(seen, "[");
  if (strncmp(id, "call_", 5) != 0) pm_buffer_printf(seen, "%s:", id);
  pm_buffer_put(seen, name.at, name.n);
  pm_buffer_puts(seen, "(");
  pm_buffer_put(seen, arguments.at, arguments.n);
  pm_buffer_puts(seen, ")]");
  return true;
}

// In pieces of up to `most` bytes, or all at once.
static void stream(const char *template, const char *text, size_t n, size_t most, pm_rng *rng, pm_buffer *seen) {
  pm_tool_stream s;
  const pm_tool_sink sink = {see_text, see_call, seen};
  pm_tool_stream_begin(&s, pm_tool_formats_of(pm_span_of(template)), 1);
  for (size_t i = 0, k; i < n; i += k) {
    k = most ? 1 + (size_t)(pm_rng_uniform(rng) * (double)most) : n;
    if (k > n - i) k = n - i;
    assert_int_equal(pm_tool_stream_push(&s, text + i, k, false, &sink), PM_OK);
  }
  assert_int_equal(pm_tool_stream_push(&s, "", 0, true, &sink), PM_OK);
  pm_tool_stream_finish(&s);
  pm_buffer_put(seen, "", 0);
}

static void test_tool_calls(void **state) {
  (void)state;
  pm_rng rng = pm_rng_seed(7);
  for (size_t i = 0; i < COUNT(answers); i++)
    for (size_t most = 0; most < 40; most++) {
      pm_buffer seen = {0};
      stream(answers[i].template, answers[i].text, strlen(answers[i].text), most, &rng, &seen);
      assert_string_equal(seen.at, answers[i].expected);
      pm_buffer_finish(&seen);
    }
}

// Texts made of pieces of calls: the same is seen however they are cut, and whatever it is it ends.
static void test_tool_calls_any_text(void **state) {
  (void)state;
  static const char *const pieces[] = {CALLS_BEGIN,
                                       CALLS_END,
                                       "<｜tool▁call▁begin｜>",
                                       "<｜tool▁call▁end｜>",
                                       "<｜tool▁sep｜>",
                                       "<tool_call>",
                                       "</tool_call>",
                                       "<|tool_calls_section_begin|>",
                                       "<|tool_call_begin|>",
                                       "<|tool_call_argument_begin|>",
                                       "<|tool_call_end|>",
                                       "<|tool_calls_section_end|>",
                                       "f",
                                       "functions.f:0",
                                       "{\"a\":1}",
                                       "{\"name\":\"f\",\"arguments\":{}}",
                                       "\n",
                                       "```json\n",
                                       "```",
                                       "<arg_key>",
                                       "</arg_key>",
                                       "<arg_value>",
                                       "</arg_value>",
                                       "<",
                                       "\xff",
                                       "{",
                                       "["};
  static const char *const templates[] = {CALLS_BEGIN, "<tool_call>", "<|tool_calls_section_begin|>", "", CALLS_BEGIN "<tool_call>"};
  pm_rng rng = pm_rng_seed(11);
  for (int round = 0; round < 3000; round++) {
    pm_buffer text = {0}, whole = {0}, cut = {0};
    int n = 1 + (int)(pm_rng_uniform(&rng) * 14);
    for (int i = 0; i < n; i++) pm_buffer_puts(&text, pieces[(size_t)(pm_rng_uniform(&rng) * COUNT(pieces))]);
    const char *template = templates[round % (int)COUNT(templates)];
    stream(template, text.at, text.n, 0, &rng, &whole);
    stream(template, text.at, text.n, 1 + (size_t)round % 20, &rng, &cut);
    if (strcmp(whole.at, cut.at) != 0) fail_msg("'%s' is '%s' at once and '%s' in pieces", text.at, whole.at, cut.at);
    pm_buffer_finish(&text);
    pm_buffer_finish(&whole);
    pm_buffer_finish(&cut);
  }
}

// Plain text is never held back longer than it may become a mark.
static void test_text_passes_at_once(void **state) {
  (void)state;
  pm_buffer seen = {0};
  pm_tool_stream s;
  const pm_tool_sink sink = {see_text, see_call, &seen};
  pm_tool_stream_begin(&s, pm_tool_formats_of(pm_span_of("<tool_call>")), 1);
  static const char *const steps[][2] = {
      {"Hello", "Hello"}, {" 1 <", "Hello 1 "}, {"tool", "Hello 1 "}, {"s>", "Hello 1 <tools>"}, {"{", "Hello 1 <tools>{"}};
  for (size_t i = 0; i < COUNT(steps); i++) {
    assert_int_equal(pm_tool_stream_push(&s, steps[i][0], strlen(steps[i][0]), false, &sink), PM_OK);
    assert_string_equal(seen.at, steps[i][1]);
  }
  pm_tool_stream_finish(&s);
  pm_buffer_finish(&seen);
}

static void test_whole_answer(void **state) {
  (void)state;
  pm_buffer out = {0};
  assert_int_equal(pm_tool_calls(0, 1, PM_SPAN("Hm.\n<tool_call>{\"name\":\"f\",\"arguments\":{\"q\":\"\\\"\"}}</tool_call>"), &out),
                   PM_OK);
  assert_string_equal(
      out.at,
      "{\"content\":\"Hm.\",\"tool_calls\":[{\"id\":\"call_910a2dec89025cc1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
      "\"arguments\":\"{\\\"q\\\": \\\"\\\\\\\"\\\"}\"}}]}");
  pm_buffer_finish(&out);
  assert_int_equal(pm_tool_calls(0, 1, PM_SPAN("plain"), &out), PM_OK);
  assert_string_equal(out.at, "{\"content\":\"plain\",\"tool_calls\":[]}");
  pm_buffer_finish(&out);
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_formats_equal_templates),
      cmocka_unit_test(test_requests),
      cmocka_unit_test(test_room),
      cmocka_unit_test(test_short_memory),
      cmocka_unit_test(test_hostile_templates),
      cmocka_unit_test(test_depth),
      cmocka_unit_test(test_tool_calls),
      cmocka_unit_test(test_tool_calls_any_text),
      cmocka_unit_test(test_text_passes_at_once),
      cmocka_unit_test(test_whole_answer),
  };
  return cmocka_run_group_tests_name("chat_request", tests, NULL, NULL);
}
