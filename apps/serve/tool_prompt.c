#include "tool_prompt.h"

#include <stdlib.h>
#include <string.h>

#include "text_buffer.h"

static bool has_role(const json_t *message, const char *role) {
  const char *its = json_string_value(json_object_get(message, "role"));
  return its && !strcmp(its, role);
}

static json_t *calls_of(const json_t *message) {
  json_t *calls = json_object_get(message, "tool_calls");
  return json_array_size(calls) ? calls : NULL;
}

bool pm_tools_matter(const json_t *messages, const json_t *tools) {
  bool matter = json_array_size(tools) > 0;
  for (size_t i = 0; i < json_array_size(messages); i++)
    matter |= has_role(json_array_get(messages, i), "tool") || calls_of(json_array_get(messages, i));
  return matter;
}

// One that shows tools has the name of one in what it makes of a conversation.
bool pm_tools_known(const pumice_model *model) {
  static const char probe[] =
      "{\"messages\": [{\"role\": \"user\", \"content\": \"?\"}], \"tools\": [{\"type\": \"function\", \"function\": {\"name\": "
      "\"find_the_probe\", \"description\": \"?\", \"parameters\": {\"type\": \"object\", \"properties\": {}}}}]}";
  enum { ROOM = 64 << 10 };
  char *text = pm_resize(NULL, ROOM, 1);
  size_t n = ROOM;
  bool known = pumice_chat_render_json(model, probe, text, &n) == PUMICE_OK && strstr(text, "find_the_probe");
  free(text);
  return known;
}

// ---- plain messages ----------------------------------------------------------------------------------------------------------------

static void append(pm_text *text, const char *words) { pm_text_append(text, words, strlen(words)); }

static void append_json(pm_text *text, json_t *value) {
  char *line = pm_json_line(value);
  append(text, line);
  free(line);
}

static void append_content(pm_text *text, const json_t *message) {
  json_t *content = json_object_get(message, "content");
  pm_text_append(text, json_is_string(content) ? json_string_value(content) : "", json_string_length(content));
}

static json_t *plain(const char *role, pm_text *content) {
  json_t *message = json_pack("{s:s, s:o}", "role", role, "content", json_stringn(content->data, content->n));
  pm_text_free(content);
  return message;
}

static json_t *explain(const json_t *system, const json_t *tools) {
  pm_text text = {0};
  pm_text_clear(&text);
  append_content(&text, system);
  if (text.n) append(&text, "\n\n");
  append(&text, "You can call these functions:\n");
  for (size_t i = 0; i < json_array_size(tools); i++) {
    append_json(&text, json_incref(json_object_get(json_array_get(tools, i), "function")));
    append(&text, "\n");
  }
  append(&text,
         "To call one, answer with nothing but JSON: {\"name\": NAME, \"arguments\": {...}}. Its result comes with the next message.");
  return plain("system", &text);
}

static json_t *call_object(const json_t *call) {
  json_t *function = json_object_get(call, "function"), *arguments = json_object_get(function, "arguments");
  const char *text = json_string_value(arguments);
  json_t *parsed = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
  if (!parsed) parsed = arguments ? json_incref(arguments) : json_object();
  return json_pack("{s:O?, s:o}", "name", json_object_get(function, "name"), "arguments", parsed);
}

static json_t *spell_calls(const json_t *message) {
  json_t *calls = calls_of(message);
  pm_text text = {0};
  pm_text_clear(&text);
  append_content(&text, message);
  for (size_t i = 0; i < json_array_size(calls); i++) {
    if (text.n) append(&text, "\n");
    append_json(&text, call_object(json_array_get(calls, i)));
  }
  return plain("assistant", &text);
}

// The name of the function that message `at` is the result of.
static const char *result_name(const json_t *messages, size_t at) {
  json_t *message = json_array_get(messages, at);
  const char *name = json_string_value(json_object_get(message, "name")), *id = json_string_value(json_object_get(message, "tool_call_id"));
  while (!name && id && at-- > 0) {
    json_t *calls = calls_of(json_array_get(messages, at));
    for (size_t i = 0; i < json_array_size(calls); i++) {
      json_t *call = json_array_get(calls, i);
      const char *its = json_string_value(json_object_get(call, "id"));
      if (its && !strcmp(its, id)) name = json_string_value(json_object_get(json_object_get(call, "function"), "name"));
    }
  }
  return name ? name : "the function";
}

// Results of calls that were made together are one message: some templates want the two sides to take turns. *at becomes the last one's.
static json_t *spell_results(const json_t *messages, size_t *at) {
  pm_text text = {0};
  for (;; ++*at) {
    append(&text, "Result of ");
    append(&text, result_name(messages, *at));
    append(&text, ": ");
    append_content(&text, json_array_get(messages, *at));
    if (!has_role(json_array_get(messages, *at + 1), "tool")) return plain("user", &text);
    append(&text, "\n");
  }
}

json_t *pm_tools_spell_out(const json_t *messages, json_t *tools) {
  json_t *out = json_array(), *first = json_array_get(messages, 0);
  size_t i = 0;
  if (json_array_size(tools)) {
    bool system = has_role(first, "system");
    json_array_append_new(out, explain(system ? first : NULL, tools));
    i = system;
  }
  for (; i < json_array_size(messages); i++) {
    json_t *message = json_array_get(messages, i);
    if (has_role(message, "tool"))
      json_array_append_new(out, spell_results(messages, &i));
    else
      json_array_append_new(out, calls_of(message) ? spell_calls(message) : json_incref(message));
  }
  return out;
}
