#include "prompt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "tool_prompt.h"

// An answer at the end is gone on with, unless the client wants neither a new turn nor that.
static bool continues(const pm_request *r, json_t *messages) {
  size_t n = json_array_size(messages);
  json_t *last = json_array_get(messages, n - 1);
  const char *role = json_string_value(json_object_get(last, "role"));
  bool answer = n > 1 && role && !strcmp(role, "assistant") && !json_object_get(last, "tool_calls");
  return answer && (r->continue_final_message || r->add_generation_prompt);
}

// /api/generate has a prompt and perhaps a system text.
static json_t *conversation(const pm_request *r) {
  if (r->messages) return json_copy(r->messages);
  json_t *messages = json_array();
  if (r->system && *r->system) json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "system", "content", r->system));
  json_array_append_new(messages, json_pack("{s:s, s:O}", "role", "user", "content", r->prompt));
  return messages;
}

static pumice_status render(const pumice_model *model, const char *request, pm_text *text) {
  size_t room = 2 * strlen(request) + 4096;
  for (;;) {
    text->capacity = room + 1;
    text->data = pm_resize(text->data, text->capacity, 1);
    text->n = room;
    pumice_status status = pumice_chat_render_json(model, request, text->data, &text->n);
    if (status != PUMICE_ERR_ARGUMENT || text->n <= room) return status;
    room = text->n + 1;
  }
}

bool pm_prompt_render(const pumice_model *model, const pm_request *r, pm_text *text, char why[512]) {
  json_t *messages = conversation(r), *tools = r->tools;
  bool goes_on = continues(r, messages);
  if (pm_tools_matter(messages, tools) && !pm_tools_known(model)) {
    json_t *plain = pm_tools_spell_out(messages, tools);
    json_decref(messages);
    messages = plain, tools = NULL;
  }
  json_t *request = json_pack("{s:o, s:b, s:b}", "messages", messages, "add_generation_prompt", r->add_generation_prompt && !goes_on,
                              "continue_final_message", goes_on);
  if (tools) json_object_set(request, "tools", tools);
  if (r->think >= 0) json_object_set_new(request, "enable_thinking", json_boolean(r->think));
  json_t *values = r->template_values ? json_copy(r->template_values) : json_object();
  if (r->effort) json_object_set_new(values, "reasoning_effort", json_string(r->effort));
  json_object_set_new(request, "chat_template_kwargs", values);
  char *line = pm_json_line(request);
  pumice_status status = render(model, line, text);
  free(line);
  if (status != PUMICE_OK) snprintf(why, 512, "%s", pumice_error());
  return status == PUMICE_OK;
}

static bool copy_tokens(const pumice_model *model, json_t *from, pm_prompt *out, char why[512]) {
  pumice_model_info info = PUMICE_INIT(pumice_model_info);
  pumice_model_get_info(model, &info);
  out->n = json_array_size(from);
  out->tokens = pm_resize(NULL, out->n, sizeof *out->tokens);
  for (size_t i = 0; i < out->n; i++) {
    json_int_t token = json_integer_value(json_array_get(from, i));
    if (token < 0 || token >= (json_int_t)info.n_vocab) {
      snprintf(why, 512, "prompt[%zu] is no token: the vocabulary has %u", i, info.n_vocab);
      free(out->tokens);
      return false;
    }
    out->tokens[i] = (int32_t)token;
  }
  return true;
}

// Whether the text, but for white space, ends with the mark that opens thinking.
static bool opens_thinking(const char *text, size_t n) {
  static const char mark[] = "<think>";
  while (n && (text[n - 1] == '\n' || text[n - 1] == ' ')) n--;
  return n >= sizeof mark - 1 && !memcmp(text + n - (sizeof mark - 1), mark, sizeof mark - 1);
}

bool pm_prompt_make(const pumice_model *model, const pm_request *r, pm_prompt *out, char why[512]) {
  *out = (pm_prompt){0};
  bool chat = r->messages || (r->dialect == PM_DIALECT_OLLAMA_GENERATE && !r->raw);
  if (!chat && json_is_array(r->prompt)) return copy_tokens(model, r->prompt, out, why);
  pm_text text = {0};
  if (chat && !pm_prompt_render(model, r, &text, why)) {
    pm_text_free(&text);
    return false;
  }
  if (!chat) pm_text_append(&text, json_string_value(r->prompt), json_string_length(r->prompt));
  uint32_t flags = PUMICE_PARSE_SPECIAL | (chat ? 0 : PUMICE_ADD_BOS);
  out->thinks = opens_thinking(text.data, text.n);
  pumice_status status = pm_tokens(model, text.data, text.n, flags, &out->tokens, &out->n);
  pm_text_free(&text);
  if (status != PUMICE_OK) snprintf(why, 512, "%s", pumice_error());
  return status == PUMICE_OK;
}
