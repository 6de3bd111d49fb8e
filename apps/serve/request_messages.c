// Conversations and tools of a body.
#include <stdio.h>
#include <string.h>

#include "request.h"
#include "text_buffer.h"

static const struct {
  const char *name, *means;  // the role that templates know it as
} roles[] = {{"system", "system"},       {"developer", "system"}, {"user", "user"},
             {"assistant", "assistant"}, {"tool", "tool"},        {"function", "tool"}};

static bool set_role(json_t *message, size_t at, char why[256]) {
  const char *role = json_string_value(json_object_get(message, "role"));
  for (size_t i = 0; role && i < sizeof roles / sizeof *roles; i++) {
    if (strcmp(roles[i].name, role)) continue;
    json_object_set_new(message, "role", json_string(roles[i].means));
    return true;
  }
  snprintf(why, 256, "messages[%zu].role takes \"system\", \"developer\", \"user\", \"assistant\" or \"tool\"", at);
  return false;
}

// Parts of type "text", a line each.
static bool join_parts(json_t *message, json_t *parts, size_t at, char why[256]) {
  pm_text text = {0};
  pm_text_clear(&text);
  bool good = true;
  for (size_t i = 0; good && i < json_array_size(parts); i++) {
    json_t *part = json_array_get(parts, i), *words = json_object_get(part, "text");
    const char *type = json_string_value(json_object_get(part, "type"));
    good = json_is_string(words) && type && !strcmp(type, "text");
    if (!good)
      snprintf(why, 256, "messages[%zu].content[%zu] is of type \"%.40s\": only text is supported, no images, sound or files", at, i,
               type ? type : "?");
    if (i && good) pm_text_append(&text, "\n", 1);
    if (good) pm_text_append(&text, json_string_value(words), json_string_length(words));
  }
  if (good) json_object_set_new(message, "content", json_stringn(text.data, text.n));
  pm_text_free(&text);
  return good;
}

static bool set_content(json_t *message, size_t at, char why[256]) {
  json_t *content = json_object_get(message, "content"), *images = json_object_get(message, "images");
  if (json_is_array(images) && json_array_size(images)) {
    snprintf(why, 256, "messages[%zu].images: only text is supported", at);
    return false;
  }
  if (json_is_array(content)) return join_parts(message, content, at, why);
  if (json_is_string(content)) return true;
  bool calls = json_is_array(json_object_get(message, "tool_calls"));
  if ((!content || json_is_null(content)) && (calls || json_is_string(json_object_get(message, "reasoning_content"))))
    return json_object_set_new(message, "content", json_string("")) == 0;
  snprintf(why, 256, "messages[%zu].content takes a string or an array of parts of type \"text\"", at);
  return false;
}

static bool check_calls(json_t *message, size_t at, char why[256]) {
  json_t *calls = json_object_get(message, "tool_calls");
  bool good = !calls || json_is_null(calls) || json_is_array(calls);
  for (size_t i = 0; good && i < json_array_size(calls); i++)
    good = json_is_string(json_object_get(json_object_get(json_array_get(calls, i), "function"), "name"));
  if (!good) snprintf(why, 256, "messages[%zu].tool_calls takes an array of {\"function\": {\"name\": ..., \"arguments\": ...}}", at);
  return good;
}

// Ollama calls the thinking of earlier answers "thinking".
static void rename_thinking(json_t *message) {
  json_t *thinking = json_object_get(message, "thinking");
  if (json_is_string(thinking) && !json_object_get(message, "reasoning_content")) json_object_set(message, "reasoning_content", thinking);
}

static bool check_tools(const pm_request *r, char why[256]) {
  if (!json_is_array(r->tools)) {
    snprintf(why, 256, "the field 'tools' takes an array");
    return false;
  }
  for (size_t i = 0; i < json_array_size(r->tools); i++) {
    json_t *tool = json_array_get(r->tools, i), *function = json_object_get(tool, "function");
    const char *type = json_string_value(json_object_get(tool, "type"));
    if (type && !strcmp(type, "function") && json_is_string(json_object_get(function, "name"))) continue;
    snprintf(why, 256, "tools[%zu] takes {\"type\": \"function\", \"function\": {\"name\": ...}}", i);
    return false;
  }
  return true;
}

bool pm_request_check_messages(pm_request *r, char why[256]) {
  if (r->messages && (!json_is_array(r->messages) || json_array_size(r->messages) == 0)) {
    snprintf(why, 256, "the field 'messages' takes an array of at least one message");
    return false;
  }
  for (size_t i = 0; i < json_array_size(r->messages); i++) {
    json_t *message = json_array_get(r->messages, i);
    rename_thinking(message);
    if (!set_role(message, i, why) || !set_content(message, i, why) || !check_calls(message, i, why)) return false;
  }
  if (r->tools && !check_tools(r, why)) return false;
  bool none = r->tool_choice && !strcmp(r->tool_choice, "none");
  if (r->tools && (none || json_array_size(r->tools) == 0)) r->tools = NULL;
  return true;
}
