// Chat formats against templates of released models as Jinja renders them, and the splitting of thoughts from answers.
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chat.h"
#include "meta_doc.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

// A tokenizer of BOS and EOS alone, and the format of a template.
static pm_tokenizer *open_vocabulary(const char *template, const char *model, const char *const *tokens, size_t n,
                                     const pm_chat_format **format) {
  meta_doc d = {0};
  meta_string(&d, "general.name", model);
  meta_string(&d, "tokenizer.ggml.model", "gpt2");
  meta_string(&d, "tokenizer.ggml.pre", "deepseek-v3");
  meta_strings(&d, "tokenizer.ggml.tokens", tokens, n);
  meta_i32s(&d, "tokenizer.ggml.token_type", (int32_t[]){3, 3, 3}, n);
  meta_strings(&d, "tokenizer.ggml.merges", NULL, 0);
  meta_u32(&d, "tokenizer.ggml.bos_token_id", 0);
  meta_u32(&d, "tokenizer.ggml.eos_token_id", 1);
  if (template) meta_string(&d, "tokenizer.chat_template", template);
  pm_model_file *file = meta_open(&d);
  pm_tokenizer *t;
  if (pm_tokenizer_create(file, &t)) fail_msg("%s", pm_fail_message());
  *format = pm_chat_format_detect(file, t);
  pm_model_file_close(file);
  return t;
}

static pm_tokenizer *open_template(const char *template, const char *bos, const char *eos, const pm_chat_format **format) {
  return open_vocabulary(template, "R1", (const char *[]){bos, eos}, 2, format);
}

static void expect_prompt(const pm_chat_format *f, const pm_tokenizer *t, const pm_message *messages, size_t n_message, bool add_prompt,
                          bool thinking, const char *expected) {
  char out[4096];
  size_t n = sizeof out;
  assert_int_equal(pm_chat_render(f, t, messages, n_message, add_prompt, thinking, out, &n), PM_OK);
  assert_int_equal(n, strlen(out));
  assert_string_equal(out, expected);
}

// ---- golden --------------------------------------------------------------------------------------------------------

static const char *text_of(const json_t *object, const char *key) { return json_string_value(json_object_get(object, key)); }

static void test_golden(void **state) {
  (void)state;
  static const char *const expected_names[][2] = {{"deepseek-v3", "deepseek-v3"}, {"llama-3", "llama-3"}, {"pebble", "deepseek-v3"}};
  json_error_t error;
  json_t *templates = json_load_file(PM_TEST_DATA "/golden/chat.json", 0, &error);
  if (!templates) fail_msg("chat.json:%d: %s", error.line, error.text);
  size_t i, k, m, n_same = 0, n_refused = 0;
  json_t *entry, *item, *message;
  json_array_foreach(templates, i, entry) {
    const pm_chat_format *f;
    pm_tokenizer *t = open_template(text_of(entry, "template"), text_of(entry, "bos_token"), text_of(entry, "eos_token"), &f);
    assert_string_equal(text_of(entry, "name"), expected_names[i][0]);
    assert_non_null(f);
    assert_string_equal(pm_chat_format_name(f), expected_names[i][1]);
    json_array_foreach(json_object_get(entry, "cases"), k, item) {
      pm_message messages[8];
      json_array_foreach(json_object_get(item, "messages"), m, message)
          messages[m] = (pm_message){text_of(message, "role"), text_of(message, "content")};
      bool add_prompt = json_is_true(json_object_get(item, "add_generation_prompt")), tools = false;
      for (size_t r = 0; r < m; r++) tools |= strcmp(messages[r].role, "tool") == 0;
      char out[4096];
      size_t n = sizeof out;
      pm_status status = pm_chat_render(f, t, messages, m, add_prompt, false, out, &n);
      if (tools) {  // there are no tool calls in pm_message
        assert_int_equal(status, PM_ERR_ARGUMENT);
        n_refused++;
      } else {
        assert_int_equal(status, PM_OK);
        assert_string_equal(out, text_of(item, "rendered"));
        n_same++;
      }
    }
    pm_tokenizer_destroy(t);
  }
  assert_int_equal(n_same, 30);
  assert_int_equal(n_refused, 6);
  json_decref(templates);
}

static void test_demo_model(void **state) {
  (void)state;
  pm_model_file *file;
  pm_tokenizer *t = NULL;
  if (pm_model_file_open(PM_DEMO_MODEL, &(pm_model_file_desc){.header_only = true}, &file) || pm_tokenizer_create(file, &t))
    fail_msg("%s", pm_fail_message());
  const pm_chat_format *f = pm_chat_format_detect(file, t);
  assert_non_null(f);
  assert_string_equal(pm_chat_format_name(f), "deepseek-v3");
  const pm_message messages[] = {{"user", "What is 37 + 58?"}, {"assistant", "<think>37 + 58 = 95</think>\n95"}, {"user", "And 1 + 1?"}};
  expect_prompt(f, t, messages, 1, true, true, "<｜begin▁of▁sentence｜><｜User｜>What is 37 + 58?<｜Assistant｜>");
  expect_prompt(
      f, t, messages, 3, true, false,
      "<｜begin▁of▁sentence｜><｜User｜>What is 37 + 58?<｜Assistant｜>95<｜end▁of▁sentence｜><｜User｜>And 1 + 1?<｜Assistant｜>");

  int32_t ids[64];
  size_t n = COUNT(ids);
  const char *prompt = "<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜>";
  assert_int_equal(pm_tokenize(t, prompt, strlen(prompt), (pm_tokenize_flags){true, true}, ids, &n), PM_OK);
  assert_int_equal(ids[0], pm_tokenizer_bos(t));
  assert_int_equal(ids[1], pm_token_find(t, "<｜User｜>"));
  assert_int_equal(ids[n - 1], pm_token_find(t, "<｜Assistant｜>"));
  pm_tokenizer_destroy(t);
  pm_model_file_close(file);
}

// ---- formats -------------------------------------------------------------------------------------------------------

static const pm_message talk[] = {{"system", "S"}, {"user", " U1 "}, {"assistant", "<think>\nT\n</think>\n\nA1 "}, {"user", "U2"}};

// Recognised by these pieces of the real templates. Expected: `talk` with a prompt, without and with thinking; its second message alone.
static const struct format_case {
  const char *name, *template, *plain, *thinking, *alone;
} format_cases[] = {
    {"deepseek-v2", "{{ 'Assistant: ' + message['content'] + eos_token }}",
     "[B]S\n\nUser:  U1 \n\nAssistant: <think>\nT\n</think>\n\nA1 [E]User: U2\n\nAssistant:",
     "[B]S\n\nUser:  U1 \n\nAssistant: <think>\nT\n</think>\n\nA1 [E]User: U2\n\nAssistant:", "[B]User:  U1 \n\nAssistant:"},
    {"deepseek-v3", "'<｜User｜>' + message['content'] '<｜Assistant｜>' + message['content'] + '<｜end▁of▁sentence｜>'",
     "[B]S<｜User｜> U1 <｜Assistant｜><think>\nT\n</think>\n\nA1 <｜end▁of▁sentence｜><｜User｜>U2<｜Assistant｜>",
     "[B]S<｜User｜> U1 <｜Assistant｜><think>\nT\n</think>\n\nA1 <｜end▁of▁sentence｜><｜User｜>U2<｜Assistant｜>",
     "[B]<｜User｜> U1 <｜Assistant｜>"},
    {"deepseek-r1", "{{'<｜User｜>' + message['content']}}{% set content = content.split('</think>')[-1] %}{{'<｜Assistant｜><think>\\n'}}",
     "[B]S<｜User｜> U1 <｜Assistant｜>\n\nA1 <｜end▁of▁sentence｜><｜User｜>U2<｜Assistant｜><think>\n",
     "[B]S<｜User｜> U1 <｜Assistant｜>\n\nA1 <｜end▁of▁sentence｜><｜User｜>U2<｜Assistant｜><think>\n",
     "[B]<｜User｜> U1 <｜Assistant｜><think>\n"},
    {"deepseek-r1", "{{'<｜User｜>' + message['content']}}{% set content = content.split('</think>')[-1] %}{{'<｜Assistant｜>'}}",
     "[B]S<｜User｜> U1 <｜Assistant｜>\n\nA1 <｜end▁of▁sentence｜><｜User｜>U2<｜Assistant｜>",
     "[B]S<｜User｜> U1 <｜Assistant｜>\n\nA1 <｜end▁of▁sentence｜><｜User｜>U2<｜Assistant｜>", "[B]<｜User｜> U1 <｜Assistant｜>"},
    {"deepseek-v3.1",
     "{% if not thinking is defined %}{% set thinking = false %}{% endif %}'<｜User｜>' '<｜Assistant｜>' '<think>' '</think>'",
     "[B]S<｜User｜> U1 <｜Assistant｜></think>\n\nA1 <｜end▁of▁sentence｜><｜User｜>U2<｜Assistant｜></think>",
     "[B]S<｜User｜> U1 <｜Assistant｜></think>\n\nA1 <｜end▁of▁sentence｜><｜User｜>U2<｜Assistant｜><think>",
     "[B]<｜User｜> U1 <｜Assistant｜></think>"},
    {"deepseek-v3.1", "{% if not thinking is defined %}'<｜User｜>' '<｜Assistant｜>' '<think></think>'",
     "[B]S<｜User｜> U1 <｜Assistant｜><think></think>\n\nA1 <｜end▁of▁sentence｜><｜User｜>U2<｜Assistant｜><think></think>",
     "[B]S<｜User｜> U1 <｜Assistant｜><think></think>\n\nA1 <｜end▁of▁sentence｜><｜User｜>U2<｜Assistant｜><think>",
     "[B]<｜User｜> U1 <｜Assistant｜><think></think>"},
    {"chatml", "{{ '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}",
     "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n U1 <|im_end|>\n<|im_start|>assistant\n<think>\nT\n</think>\n\nA1 <|im_end|>\n"
     "<|im_start|>user\nU2<|im_end|>\n<|im_start|>assistant\n",
     "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n U1 <|im_end|>\n<|im_start|>assistant\n<think>\nT\n</think>\n\nA1 <|im_end|>\n"
     "<|im_start|>user\nU2<|im_end|>\n<|im_start|>assistant\n",
     "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
     "<|im_start|>user\n U1 <|im_end|>\n<|im_start|>assistant\n"},
    {"chatml", "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}",
     "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n U1 <|im_end|>\n<|im_start|>assistant\n<think>\nT\n</think>\n\nA1 <|im_end|>\n"
     "<|im_start|>user\nU2<|im_end|>\n<|im_start|>assistant\n",
     "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n U1 <|im_end|>\n<|im_start|>assistant\n<think>\nT\n</think>\n\nA1 <|im_end|>\n"
     "<|im_start|>user\nU2<|im_end|>\n<|im_start|>assistant\n",
     "<|im_start|>user\n U1 <|im_end|>\n<|im_start|>assistant\n"},
    {"llama-3", "<|start_header_id|> <|end_header_id|> \"Cutting Knowledge Date: December 2023\\n\" add_generation_prompt",
     "[B]<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\nS<|eot_id|>"
     "<|start_header_id|>user<|end_header_id|>\n\nU1<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n<think>\nT\n</think>\n\nA1"
     "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nU2<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
     "[B]<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\nS<|eot_id|>"
     "<|start_header_id|>user<|end_header_id|>\n\nU1<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n<think>\nT\n</think>\n\nA1"
     "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nU2<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
     "[B]<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|>"
     "<|start_header_id|>user<|end_header_id|>\n\nU1<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"},
    {"glm-4", "[gMASK]<sop>{{ '</think>' if (enable_thinking is defined and not enable_thinking) else '<think>' }}",
     "[gMASK]<sop><|system|>S<|user|> U1 <|assistant|></think>A1<|user|>U2<|assistant|></think>",
     "[gMASK]<sop><|system|>S<|user|> U1 <|assistant|></think>A1<|user|>U2<|assistant|><think>",
     "[gMASK]<sop><|user|> U1 <|assistant|></think>"},
    {"glm-4", "[gMASK]<sop>{% for item in messages %}<|{{ item['role'] }}|>\\n{{ item['content'] }}",
     "[gMASK]<sop><|system|>\nS<|user|>\n U1 <|assistant|>\n<think>\nT\n</think>\n\nA1 <|user|>\nU2<|assistant|>",
     "[gMASK]<sop><|system|>\nS<|user|>\n U1 <|assistant|>\n<think>\nT\n</think>\n\nA1 <|user|>\nU2<|assistant|>",
     "[gMASK]<sop><|user|>\n U1 <|assistant|>"},
    {"kimi-k2", "You are Kimi, an AI assistant created by Moonshot AI.<|im_end|> <|im_assistant|>assistant<|im_middle|>",
     "<|im_system|>system<|im_middle|>S<|im_end|><|im_user|>user<|im_middle|> U1 <|im_end|><|im_assistant|>assistant<|im_middle|>"
     "<think>\nT\n</think>\n\nA1 <|im_end|><|im_user|>user<|im_middle|>U2<|im_end|><|im_assistant|>assistant<|im_middle|>",
     "<|im_system|>system<|im_middle|>S<|im_end|><|im_user|>user<|im_middle|> U1 <|im_end|><|im_assistant|>assistant<|im_middle|>"
     "<think>\nT\n</think>\n\nA1 <|im_end|><|im_user|>user<|im_middle|>U2<|im_end|><|im_assistant|>assistant<|im_middle|>",
     "<|im_system|>system<|im_middle|>You are Kimi, an AI assistant created by Moonshot AI.<|im_end|>"
     "<|im_user|>user<|im_middle|> U1 <|im_end|><|im_assistant|>assistant<|im_middle|>"},
    {"kimi-k2", "<think></think>{{render_content(message)}} <|im_assistant|>assistant<|im_middle|>",
     "<|im_system|>system<|im_middle|>S<|im_end|><|im_user|>user<|im_middle|> U1 <|im_end|><|im_assistant|>assistant<|im_middle|>"
     "<think></think>\n\nA1 <|im_end|><|im_user|>user<|im_middle|>U2<|im_end|><|im_assistant|>assistant<|im_middle|>",
     "<|im_system|>system<|im_middle|>S<|im_end|><|im_user|>user<|im_middle|> U1 <|im_end|><|im_assistant|>assistant<|im_middle|>"
     "<think></think>\n\nA1 <|im_end|><|im_user|>user<|im_middle|>U2<|im_end|><|im_assistant|>assistant<|im_middle|>",
     "<|im_system|>system<|im_middle|>You are Kimi, an AI assistant created by Moonshot AI.<|im_end|>"
     "<|im_user|>user<|im_middle|> U1 <|im_end|><|im_assistant|>assistant<|im_middle|>"},
};

static void test_format(void **state) {
  const struct format_case *c = *state;
  const pm_chat_format *f;
  pm_tokenizer *t = open_template(c->template, "[B]", "[E]", &f);
  assert_non_null(f);
  assert_string_equal(pm_chat_format_name(f), c->name);
  expect_prompt(f, t, talk, COUNT(talk), true, false, c->plain);
  expect_prompt(f, t, talk, COUNT(talk), true, true, c->thinking);
  expect_prompt(f, t, talk + 1, 1, true, false, c->alone);
  pm_tokenizer_destroy(t);
}

static void test_default_systems(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"You are a helpful assistant provided by Moonshot-AI.<|im_end|> <|im_assistant|>assistant<|im_middle|>",
       "<|im_system|>system<|im_middle|>You are a helpful assistant provided by Moonshot-AI.<|im_end|>"
       "<|im_user|>user<|im_middle|>x<|im_end|>"},
      {"You are a helpful assistant<|im_end|> <|im_assistant|>assistant<|im_middle|>",
       "<|im_system|>system<|im_middle|>You are a helpful assistant<|im_end|><|im_user|>user<|im_middle|>x<|im_end|>"},
      {"<|im_assistant|>assistant<|im_middle|>", "<|im_user|>user<|im_middle|>x<|im_end|>"},
      {"<|im_start|>system\\nYou are a helpful assistant.<|im_end|>",
       "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nx<|im_end|>\n"},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    const pm_chat_format *f;
    pm_tokenizer *t = open_template(cases[i][0], "[B]", "[E]", &f);
    assert_non_null(f);
    expect_prompt(f, t, &(pm_message){"user", "x"}, 1, false, false, cases[i][1]);
    pm_tokenizer_destroy(t);
  }
}

static void test_not_recognised(void **state) {
  (void)state;
  static const char *const templates[] = {NULL,
                                          "",
                                          "{{ messages }}",
                                          "<|im_start|>user<|im_sep|>",
                                          "[gMASK]<sop>{{ '/nothink' if not enable_thinking else '' }}</think>",
                                          "<｜User｜>"};
  for (size_t i = 0; i < COUNT(templates); i++) {
    const pm_chat_format *f;
    pm_tokenizer *t = open_template(templates[i], "[B]", "[E]", &f);
    assert_null(f);
    pm_tokenizer_destroy(t);
  }
}

// A file without a template: its vocabulary and its name tell.
static void test_vocabularies(void **state) {
  (void)state;
  static const struct {
    const char *token, *model, *format;
  } cases[] = {{"<｜Assistant｜>", "DeepSeek R1", "deepseek-r1"},
               {"<｜Assistant｜>", "DeepSeek-V3.1", "deepseek-v3.1"},
               {"<｜Assistant｜>", "anything", "deepseek-v3"},
               {"<|im_assistant|>", "", "kimi-k2"},
               {"[gMASK]", "GLM-4.7-Flash", "glm-4"},
               {"<|start_header_id|>", "", "llama-3"},
               {"<|im_start|>", "", "chatml"},
               {"other", "R1", NULL}};
  for (size_t i = 0; i < COUNT(cases); i++) {
    const pm_chat_format *f;
    pm_tokenizer *t = open_vocabulary(NULL, cases[i].model, (const char *[]){"[B]", "[E]", cases[i].token}, 3, &f);
    if (!cases[i].format) assert_null(f);
    if (cases[i].format) assert_string_equal(pm_chat_format_name(f), cases[i].format);
    pm_tokenizer_destroy(t);
  }
}

// Systems anywhere, answers in a row, an answer last.
static void test_unusual_orders(void **state) {
  (void)state;
  const pm_chat_format *f;
  pm_tokenizer *t = open_template(format_cases[1].template, "[B]", "[E]", &f);
  const pm_message late[] = {{"user", "u"}, {"system", "S1"}, {"assistant", "a"}, {"system", "S2"}};
  expect_prompt(f, t, late, 4, false, false, "[B]S1\n\nS2<｜User｜>u<｜Assistant｜>a<｜end▁of▁sentence｜>");
  pm_tokenizer_destroy(t);

  t = open_template(format_cases[4].template, "[B]", "[E]", &f);
  const pm_message row[] = {{"user", "u"}, {"assistant", "a</think>b</think>c"}, {"assistant", "d"}};
  expect_prompt(f, t, row, 3, true, true, "[B]<｜User｜>u<｜Assistant｜></think>b</think>c<｜end▁of▁sentence｜>d<｜end▁of▁sentence｜>");
  pm_tokenizer_destroy(t);

  t = open_template(format_cases[9].template, "[B]", "[E]", &f);
  const pm_message last[] = {
      {"user", "u"}, {"assistant", "<think> t </think> a"}, {"user", "v"}, {"assistant", "<think>\nw\n</think>\nb "}};
  expect_prompt(f, t, last, 4, false, true, "[gMASK]<sop><|user|>u<|assistant|></think>a<|user|>v<|assistant|><think>w</think>b");
  expect_prompt(f, t, &(pm_message){"assistant", "t</think>a"}, 1, false, false, "[gMASK]<sop><|assistant|><think>t</think>a");
  expect_prompt(f, t, &(pm_message){"assistant", "<think></think>a"}, 1, false, false, "[gMASK]<sop><|assistant|></think>a");
  pm_tokenizer_destroy(t);

  t = open_template("<|start_header_id|> <|end_header_id|> add_generation_prompt", "[B]", "[E]", &f);
  const pm_message wide[] = {{"user", "\u3000\u00a0 x y\t\u2003\n"}, {"assistant", " \n "}};
  expect_prompt(f, t, wide, 2, false, false,
                "[B]<|start_header_id|>user<|end_header_id|>\n\nx y<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n<|eot_id|>");
  pm_tokenizer_destroy(t);
}

static void test_room_and_wrong_messages(void **state) {
  (void)state;
  const pm_chat_format *f;
  pm_tokenizer *t = open_template(format_cases[0].template, "[B]", "[E]", &f);
  const pm_message hello = {"user", "hello"};
  const char *expected = "[B]User: hello\n\nAssistant:";
  size_t needed = strlen(expected) + 1;
  for (size_t room = 0; room <= needed; room++) {
    char out[64];
    memset(out, '#', sizeof out);
    size_t n = room;
    pm_status status = pm_chat_render(f, t, &hello, 1, true, false, room ? out : NULL, &n);
    assert_int_equal(status, room < needed ? PM_ERR_ARGUMENT : PM_OK);
    assert_int_equal(n, room < needed ? needed : needed - 1);
    for (size_t i = room; i < sizeof out; i++) assert_int_equal(out[i], '#');
    if (status == PM_OK) assert_string_equal(out, expected);
  }
  const pm_message wrong[] = {{"tool", "x"}, {"", "x"}, {NULL, "x"}, {"user", NULL}, {"User", "x"}};
  for (size_t i = 0; i < COUNT(wrong); i++) {
    size_t n = 7;
    char out[8];
    assert_int_equal(pm_chat_render(f, t, &wrong[i], 1, true, false, out, &n), PM_ERR_ARGUMENT);
    assert_int_equal(n, 7);
    assert_non_null(strstr(pm_fail_message(), "message 0"));
  }
  size_t n = 7;
  assert_int_equal(pm_chat_render(f, t, NULL, 0, true, false, NULL, &n), PM_ERR_ARGUMENT);
  pm_tokenizer_destroy(t);
}

// ---- thinking ------------------------------------------------------------------------------------------------------

typedef struct parts {
  char thought[512], answer[512];
  size_t n_thought, n_answer;
  int calls_left;
} parts;

static bool collect(void *user, bool thinking, const char *text, size_t bytes) {
  parts *p = user;
  assert_true(bytes > 0);
  memcpy((thinking ? p->thought : p->answer) + (thinking ? p->n_thought : p->n_answer), text, bytes);
  *(thinking ? &p->n_thought : &p->n_answer) += bytes;
  return --p->calls_left != 0;
}

#define TEN "          "

static const struct stream_case {
  bool open;
  const char *in, *thought, *answer;
} stream_cases[] = {
    {false, "Hello <b> world ", "", "Hello <b> world "},
    {false, "", "", ""},
    {false, "  \n", "", "  \n"},
    {false, "  x", "", "  x"},
    {false, "<think>t</think>a", "t", "a"},
    {false, "\n<think>\nt1\n\nt2\n</think>\n\na \n", "t1\n\nt2", "a \n"},
    {true, "\nt</think> a", "t", "a"},
    {true, "t", "t", ""},
    {true, "t \n", "t \n", ""},
    {true, "</think>a", "", "a"},
    {true, "<think>t</think>a", "t", "a"},  // the model may repeat the mark that the prompt ended with
    {false, "</think>a", "", "a"},
    {false, "<think></think>", "", ""},
    {false, "a <think> is a tag, </think> too", "", "a <think> is a tag, </think> too"},
    {false, "<think>is <think> a tag?</think>yes: <think>", "is <think> a tag?", "yes: <think>"},
    {false, "<think>t</think>\n<think>u</think>a", "tu", "a"},
    {false, "<<think>", "", "<<think>"},
    {false, "<thin", "", "<thin"},
    {false, "<think>x </thin k></think>é", "x </thin k>", "é"},
    {false, "<think> é </ 中</think>\u3000", "é </ 中", "\u3000"},
    {false, "<think>t <</think>a", "t <", "a"},
    {true, "t" TEN TEN TEN TEN TEN "     </think>a", "t", "a"},                              // 55 spaces are dropped
    {true, "t" TEN TEN TEN TEN TEN TEN "</think>a", "t" TEN TEN TEN TEN TEN "      ", "a"},  // of 60 the first 56 were too many to hold
};

static void expect_parts(const struct stream_case *c, const parts *p) {
  if (p->n_thought != strlen(c->thought) || memcmp(p->thought, c->thought, p->n_thought) != 0 || p->n_answer != strlen(c->answer) ||
      memcmp(p->answer, c->answer, p->n_answer) != 0)
    fail_msg("\"%s\": thought \"%.*s\", answer \"%.*s\"", c->in, (int)p->n_thought, p->thought, (int)p->n_answer, p->answer);
}

// Cut into two at every place, into single bytes, and not at all.
static void test_think_every_cut(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT(stream_cases); i++) {
    const struct stream_case *c = &stream_cases[i];
    size_t n = strlen(c->in);
    for (size_t cut = 0; cut <= n; cut++) {
      for (int ends = 0; ends < 2; ends++) {  // the end comes with the last bytes, or after them
        pm_think_stream s;
        pm_think_stream_init(&s, c->open);
        parts p = {0};
        assert_true(pm_think_stream_push(&s, c->in, cut, false, collect, &p));
        assert_true(pm_think_stream_push(&s, c->in + cut, n - cut, ends, collect, &p));
        if (!ends) assert_true(pm_think_stream_push(&s, "", 0, true, collect, &p));
        expect_parts(c, &p);
      }
    }
    pm_think_stream s;
    pm_think_stream_init(&s, c->open);
    parts p = {0};
    for (size_t k = 0; k < n; k++) assert_true(pm_think_stream_push(&s, c->in + k, 1, false, collect, &p));
    assert_true(pm_think_stream_push(&s, "", 0, true, collect, &p));
    expect_parts(c, &p);
  }
}

static void test_think_stops(void **state) {
  (void)state;
  const char *in = "<think>a b </think>\nc <d";
  for (int calls = 1; calls <= 4; calls++) {
    pm_think_stream s;
    pm_think_stream_init(&s, false);
    parts p = {.calls_left = calls};
    bool more = true;
    for (size_t k = 0; k < strlen(in) && more; k++) more = pm_think_stream_push(&s, in + k, 1, false, collect, &p);
    assert_false(more);
    assert_int_equal(p.calls_left, 0);
  }
}

static bool whole_characters(void *user, bool thinking, const char *text, size_t bytes) {
  (void)thinking;
  assert_true(((unsigned char)text[0] & 0xc0) != 0x80);
  *(size_t *)user += bytes;
  return true;
}

static void test_think_keeps_characters_whole(void **state) {
  (void)state;
  static const char *const chunks[] = {"<think>é", " 中文", " ", "€", "\n</", "é", "</think>", " 日", "本 é"};
  pm_think_stream s;
  pm_think_stream_init(&s, false);
  size_t total = 0;
  for (size_t i = 0; i < COUNT(chunks); i++)
    assert_true(pm_think_stream_push(&s, chunks[i], strlen(chunks[i]), i + 1 == COUNT(chunks), whole_characters, &total));
  assert_int_equal(total, strlen("é 中文 €\n</é日本 é"));
}

int main(void) {
  static const struct CMUnitTest others[] = {
      cmocka_unit_test(test_golden),
      cmocka_unit_test(test_demo_model),
      cmocka_unit_test(test_default_systems),
      cmocka_unit_test(test_not_recognised),
      cmocka_unit_test(test_vocabularies),
      cmocka_unit_test(test_unusual_orders),
      cmocka_unit_test(test_room_and_wrong_messages),
      cmocka_unit_test(test_think_every_cut),
      cmocka_unit_test(test_think_stops),
      cmocka_unit_test(test_think_keeps_characters_whole),
  };
  struct CMUnitTest tests[COUNT(others) + COUNT(format_cases)];
  memcpy(tests, others, sizeof others);
  for (size_t i = 0; i < COUNT(format_cases); i++)
    tests[COUNT(others) + i] = (struct CMUnitTest){
        .name = format_cases[i].name, .test_func = test_format, .initial_state = (void *)&format_cases[i]};
  return cmocka_run_group_tests_name("chat", tests, NULL, NULL);
}
