#include "chat_request.h"

#include <stdio.h>
#include <string.h>

#include "json.h"
#include "memory.h"
#include "tool_calls.h"

pm_status pm_chat_init(pm_chat *c, const pm_model_file *file, const pm_tokenizer *t) {
  *c = (pm_chat){.tokenizer = t, .format = pm_chat_format_detect(file, t)};
  pm_span text = {"", 0};
  if (pm_meta_string(file, "tokenizer.chat_template", 0, &text.at, &text.n) != PM_OK || text.n == 0) {
    snprintf(c->reason, sizeof c->reason, "the file has no chat template");
    return PM_OK;
  }
  c->tool_formats = pm_tool_formats_of(text);
  pm_status status = pm_jinja_parse(text.at, text.n, &c->template);
  if (status == PM_ERR_MEMORY) return status;
  if (status != PM_OK) snprintf(c->reason, sizeof c->reason, "%s", pm_fail_message());
  return PM_OK;
}

void pm_chat_finish(pm_chat *c) { pm_jinja_destroy(c->template); }

// ---- messages as templates expect them -----------------------------------------------------------------------------

typedef struct request {
  pm_heap *heap;
  pm_value context;   // the variables of the template
  pm_value messages;  // a list of dicts
  bool tools;         // something needs more than plain messages
  bool go_on;         // continue_final_message
} request;

static pm_status set(request *r, pm_value dict, const char *key, pm_value v) {
  return pm_dict_set(r->heap, dict.dict, pm_value_text(pm_span_of(key)), v);
}

static const pm_value *get(pm_value dict, const char *key, pm_kind kind) {
  const pm_value *v = pm_dict_find_text(dict.dict, key);
  return v && v->kind == kind ? v : NULL;
}

// Parts of type text become one text, a line each: most templates know nothing else.
static pm_status join_parts(request *r, size_t i, const pm_list *parts, pm_value *out) {
  pm_buffer text = {0};
  pm_status status = PM_OK;
  for (size_t k = 0; k < parts->n && status == PM_OK; k++) {
    pm_value part = parts->items[k];
    const pm_value *type = part.kind == PM_DICT ? get(part, "type", PM_STRING) : NULL;
    const pm_value *words = part.kind == PM_DICT ? get(part, "text", PM_STRING) : NULL;
    pm_span kind = type ? type->text : PM_SPAN("unknown");
    if (part.kind == PM_STRING) words = &part;
    if (!words)
      status = pm_fail(PM_ERR_UNSUPPORTED, "message %zu: a content part of type \"%.*s\"; only text is understood", i,
                       (int)(kind.n < 40 ? kind.n : 40), kind.at);
    else if (k)
      pm_buffer_puts(&text, "\n");
    if (words) pm_buffer_put(&text, words->text.at, words->text.n);
  }
  if (status == PM_OK) status = text.status;
  if (status == PM_OK) status = pm_value_copy_text(r->heap, text.at ? text.at : "", text.n, out);
  pm_buffer_finish(&text);
  return status;
}

// Arguments come as JSON text. Some templates want them so and some as an object: what they get is both.
static pm_status open_arguments(request *r, pm_value *arguments) {
  pm_value parsed;
  if (arguments->kind != PM_STRING || arguments->text.n == 0) return PM_OK;
  pm_status status = pm_json_parse(r->heap, arguments->text.at, arguments->text.n, &parsed);
  if (status == PM_ERR_MEMORY) return status;
  if (status != PM_OK || parsed.kind != PM_DICT) return PM_OK;  // it stays a text
  parsed.dict->source = arguments->text;
  *arguments = parsed;
  return PM_OK;
}

static pm_status prepare_call(request *r, size_t i, pm_value call) {
  if (call.kind != PM_DICT) PM_FAIL(PM_ERR_ARGUMENT, "message %zu: its tool_calls are not objects", i);
  if (!pm_dict_find_text(call.dict, "type")) PM_TRY(set(r, call, "type", pm_value_text(PM_SPAN("function"))));
  const pm_value *function = get(call, "function", PM_DICT);
  if (!function || !get(*function, "name", PM_STRING)) PM_FAIL(PM_ERR_ARGUMENT, "message %zu: a tool call without function.name", i);
  const pm_value *given = pm_dict_find_text(function->dict, "arguments");
  pm_value arguments = given ? *given : pm_value_text(PM_SPAN("{}"));
  PM_TRY(open_arguments(r, &arguments));
  return set(r, *function, "arguments", arguments);
}

static pm_status prepare_message(request *r, size_t i, pm_value m) {
  const pm_value *role = m.kind == PM_DICT ? get(m, "role", PM_STRING) : NULL;
  if (!role) PM_FAIL(PM_ERR_ARGUMENT, "message %zu has no role", i);
  if (pm_span_is(role->text, "developer")) PM_TRY(set(r, m, "role", pm_value_text(PM_SPAN("system"))));
  const pm_value *content = pm_dict_find_text(m.dict, "content"), *calls = get(m, "tool_calls", PM_LIST);
  pm_value text = content ? *content : pm_value_none();
  if (text.kind == PM_LIST) PM_TRY(join_parts(r, i, text.list, &text));
  if (text.kind != PM_STRING && text.kind != PM_NONE)
    PM_FAIL(PM_ERR_ARGUMENT, "message %zu: its content is a %s, expected a string", i, pm_value_type(text));
  if (calls ? calls->list->n == 0 : pm_dict_find_text(m.dict, "tool_calls") != NULL) {  // none, which is what templates ask for
    PM_TRY(set(r, m, "tool_calls", pm_value_none()));
    calls = NULL;
  }
  r->tools |= pm_span_is(role->text, "tool") || calls;
  if (calls) {  // those alone: what says so in templates is a content of none
    if (text.kind == PM_STRING && text.text.n == 0) text = pm_value_none();
    for (size_t k = 0; k < calls->list->n; k++) PM_TRY(prepare_call(r, i, calls->list->items[k]));
  } else if (text.kind == PM_NONE) {
    text = pm_value_text(PM_SPAN(""));
  }
  return set(r, m, "content", text);
}

static pm_status set_token(request *r, const pm_tokenizer *t, const char *key, int32_t id) {
  size_t n = 0;
  const char *text = id < 0 ? "" : pm_token_bytes(t, id, true, &n);
  return set(r, r->context, key, pm_value_text((pm_span){text, n}));
}

static pm_status set_thinking(request *r, bool thinking) {
  PM_TRY(set(r, r->context, "enable_thinking", pm_value_bool(thinking)));
  return set(r, r->context, "thinking", pm_value_bool(thinking));
}

// What every template may look at.
static pm_status begin(request *r, const pm_chat *c) {
  PM_TRY(pm_dict_create(r->heap, &r->context));
  PM_TRY(set_token(r, c->tokenizer, "bos_token", pm_tokenizer_bos(c->tokenizer)));
  PM_TRY(set_token(r, c->tokenizer, "eos_token", pm_tokenizer_eos(c->tokenizer)));
  PM_TRY(set(r, r->context, "tools", pm_value_none()));
  PM_TRY(set(r, r->context, "documents", pm_value_none()));
  return set(r, r->context, "add_generation_prompt", pm_value_bool(true));
}

static pm_status read_request(request *r, const char *json, size_t bytes) {
  pm_value q;
  PM_TRY(pm_json_parse(r->heap, json, bytes, &q));
  const pm_value *messages = q.kind == PM_DICT ? get(q, "messages", PM_LIST) : NULL, *v;
  if (!messages) PM_FAIL(PM_ERR_ARGUMENT, "the request has no list of messages");
  r->messages = *messages;
  for (size_t i = 0; i < messages->list->n; i++) PM_TRY(prepare_message(r, i, messages->list->items[i]));
  if ((v = get(q, "tools", PM_LIST)) && v->list->n) {
    r->tools = true;
    PM_TRY(set(r, r->context, "tools", *v));
  }
  if ((v = get(q, "continue_final_message", PM_BOOL))) r->go_on = v->truth;
  if ((v = get(q, "add_generation_prompt", PM_BOOL)) || r->go_on)
    PM_TRY(set(r, r->context, "add_generation_prompt", pm_value_bool(v && v->truth && !r->go_on)));
  if ((v = get(q, "enable_thinking", PM_BOOL))) PM_TRY(set_thinking(r, v->truth));
  if ((v = get(q, "chat_template_kwargs", PM_DICT)))
    for (size_t i = 0; i < v->dict->n; i++)
      PM_TRY(pm_dict_set(r->heap, r->context.dict, v->dict->entries[i].key, v->dict->entries[i].value));
  return PM_OK;
}

static pm_status read_messages(request *r, const pm_message *messages, size_t n) {
  PM_TRY(pm_list_create(r->heap, n, &r->messages));
  for (size_t i = 0; i < n; i++) {
    pm_value m;
    if (!messages[i].role) PM_FAIL(PM_ERR_ARGUMENT, "message %zu has no role", i);
    if (!messages[i].content) PM_FAIL(PM_ERR_ARGUMENT, "message %zu of role %s has no content", i, messages[i].role);
    PM_TRY(pm_dict_create(r->heap, &m));
    PM_TRY(set(r, m, "role", pm_value_text(pm_span_of(messages[i].role))));
    PM_TRY(set(r, m, "content", pm_value_text(pm_span_of(messages[i].content))));
    PM_TRY(pm_list_append(r->heap, r->messages.list, m));
  }
  return PM_OK;
}

// ---- rendering -----------------------------------------------------------------------------------------------------

static pm_status render_template(request *r, const pm_chat *c, pm_buffer *out) {
  PM_TRY(set(r, r->context, "messages", r->messages));
  pm_status status = pm_jinja_render(c->template, r->heap, r->context, 0, out);
  if (status != PM_ERR_FORMAT || !r->tools) return status;
  // Some templates take a content of none for what it is not: a text.
  bool changed = false;
  for (size_t i = 0; i < r->messages.list->n; i++) {
    pm_value m = r->messages.list->items[i];
    if (pm_dict_find_text(m.dict, "content")->kind != PM_NONE) continue;
    PM_TRY(set(r, m, "content", pm_value_text(PM_SPAN(""))));
    changed = true;
  }
  if (!changed) return status;
  pm_buffer_finish(out);
  return pm_jinja_render(c->template, r->heap, r->context, 0, out);
}

// The format's own renderer takes plain messages.
static pm_status render_format(request *r, const pm_chat *c, pm_buffer *out) {
  size_t n_message = r->messages.list->n, n = 0;
  if (!c->format) PM_FAIL(PM_ERR_UNSUPPORTED, "%s, and its vocabulary is none of a known chat format; use plain completion", c->reason);
  if (r->tools) PM_FAIL(PM_ERR_UNSUPPORTED, "%s; tools need one", c->reason);
  pm_message *messages = pm_heap_alloc(r->heap, n_message * sizeof *messages);
  if (!messages) PM_FAIL(PM_ERR_MEMORY, "a conversation of %zu messages", n_message);
  for (size_t i = 0; i < n_message; i++) {
    pm_value m = r->messages.list->items[i], role, content;  // terminated copies
    pm_span text = pm_dict_find_text(m.dict, "content")->text, name = pm_dict_find_text(m.dict, "role")->text;
    if (memchr(text.at, 0, text.n)) PM_FAIL(PM_ERR_ARGUMENT, "message %zu has a zero byte", i);
    PM_TRY(pm_value_copy_text(r->heap, name.at, name.n, &role));
    PM_TRY(pm_value_copy_text(r->heap, text.at, text.n, &content));
    messages[i] = (pm_message){role.text.at, content.text.at};
  }
  bool prompt = pm_value_truth(*pm_dict_find_text(r->context.dict, "add_generation_prompt"));
  const pm_value *thinking = pm_dict_find_text(r->context.dict, "thinking");
  bool think = thinking && pm_value_truth(*thinking);
  pm_status status = pm_chat_render(c->format, c->tokenizer, messages, n_message, prompt, think, NULL, &n);
  if (status != PM_ERR_ARGUMENT || n == 0) return status;  // it told how much room it needs
  char *text = pm_heap_alloc(r->heap, n);
  if (!text) PM_FAIL(PM_ERR_MEMORY, "a prompt of %zu bytes", n);
  PM_TRY(pm_chat_render(c->format, c->tokenizer, messages, n_message, prompt, think, text, &n));
  pm_buffer_put(out, text, n);
  return out->status;
}

// The prompt ends where the last message's text does, for the model to go on with it.
static pm_status cut_behind_last(const request *r, pm_buffer *out) {
  size_t n = r->messages.list->n;
  const pm_value *content = n ? pm_dict_find_text(r->messages.list->items[n - 1].dict, "content") : NULL;
  if (!content || content->kind != PM_STRING || content->text.n == 0)
    PM_FAIL(PM_ERR_ARGUMENT, "continue_final_message: the last message has no text to go on with");
  pm_span text = content->text;
  while (text.n && strchr(" \t\r\n", text.at[text.n - 1])) text.n--;
  for (size_t end = out->n; text.n && end >= text.n; end--) {
    if (memcmp(out->at + end - text.n, text.at, text.n) != 0) continue;
    out->n = end;
    return PM_OK;
  }
  PM_FAIL(PM_ERR_UNSUPPORTED, "continue_final_message: the chat template changes the last message's text");
}

static pm_status render(request *r, const pm_chat *c, pm_buffer *out) {
  if (r->messages.list->n == 0) PM_FAIL(PM_ERR_ARGUMENT, "a conversation without messages");
  PM_TRY(c->template ? render_template(r, c, out) : render_format(r, c, out));
  return r->go_on ? cut_behind_last(r, out) : PM_OK;
}

// A request takes some multiple of its own size; templates join texts, and every step makes a new one.
static size_t heap_limit(size_t bytes) { return ((size_t)256 << 20) + (bytes < SIZE_MAX / 128 ? 64 * bytes : 0); }

static pm_status finish(request *r, const pm_chat *c, pm_status status, char *buf, size_t *n) {
  pm_buffer text = {.limit = (size_t)64 << 20};
  if (status == PM_OK) status = render(r, c, &text);
  if (status == PM_OK)
    status = pm_buffer_copy_out(&text, buf, n);
  else
    *n = 0;
  pm_buffer_finish(&text);
  pm_heap_finish(r->heap);
  return status;
}

pm_status pm_chat_render_request(const pm_chat *c, const char *json, size_t bytes, char *buf, size_t *n) {
  pm_heap heap = {.limit = heap_limit(bytes)};
  request r = {.heap = &heap};
  pm_status status = begin(&r, c);
  if (status == PM_OK) status = read_request(&r, json, bytes);
  return finish(&r, c, status, buf, n);
}

pm_status pm_chat_render_messages(const pm_chat *c, const pm_message *messages, size_t n_message, bool add_generation_prompt, bool thinking,
                                  char *buf, size_t *n) {
  pm_heap heap = {.limit = heap_limit(0)};
  request r = {.heap = &heap};
  pm_status status = begin(&r, c);
  if (status == PM_OK) status = set(&r, r.context, "add_generation_prompt", pm_value_bool(add_generation_prompt));
  if (status == PM_OK) status = set_thinking(&r, thinking);
  if (status == PM_OK) status = read_messages(&r, messages, n_message);
  return finish(&r, c, status, buf, n);
}
