// Answers as the OpenAI API has them: chats and plain completions, streamed as server-sent events or whole.
#include <string.h>

#include "reply_parts.h"

// ---- what all have -----------------------------------------------------------------------------------------------------------------

static double per(double a, double b) { return b > 0 ? a / b : 0; }

json_t *pm_reply_timings(const pm_outcome *o, uint64_t n_answer, double answer_seconds) {
  double n_new = (double)(o->n_prompt - o->n_cached), prompt_ms = 1e3 * o->prompt_seconds, answer_ms = 1e3 * answer_seconds;
  double n = (double)n_answer;
  return json_pack("{s:I, s:I, s:f, s:f, s:f, s:I, s:f, s:f, s:f}", "cache_n", (json_int_t)o->n_cached, "prompt_n",
                   (json_int_t)(o->n_prompt - o->n_cached), "prompt_ms", prompt_ms, "prompt_per_token_ms", per(prompt_ms, n_new),
                   "prompt_per_second", per(1e3 * n_new, prompt_ms), "predicted_n", (json_int_t)n_answer, "predicted_ms", answer_ms,
                   "predicted_per_token_ms", per(answer_ms, n), "predicted_per_second", per(1e3 * n, answer_ms));
}

// Of all choices: they have one prompt and are made side by side.
static pm_outcome sum(const pm_reply *r) {
  pm_outcome all = *r->choices->outcome;
  for (uint32_t i = 1; i < r->request->n_choice; i++) {
    const pm_outcome *o = r->choices[i].outcome;
    all.n_answer += o->n_answer;
    if (o->answer_seconds > all.answer_seconds) all.answer_seconds = o->answer_seconds;
  }
  return all;
}

static void add_timings(json_t *piece, const pm_outcome *o) {
  json_object_set_new(piece, "timings", pm_reply_timings(o, o->n_answer, o->answer_seconds));
}

static void add_usage(json_t *piece, const pm_outcome *o) {
  json_t *usage = json_pack("{s:I, s:I, s:I, s:{s:I}}", "completion_tokens", (json_int_t)o->n_answer, "prompt_tokens",
                            (json_int_t)o->n_prompt, "total_tokens", (json_int_t)(o->n_prompt + o->n_answer), "prompt_tokens_details",
                            "cached_tokens", (json_int_t)o->n_cached);
  json_object_set_new(piece, "usage", usage);
}

static const char *finish_reason(const pm_outcome *o) {
  return o->calls_tools ? "tool_calls" : o->stop == PUMICE_STOP_LENGTH ? "length" : "stop";
}

// What the client has not been told yet of log-probabilities; null if it did not ask.
static json_t *take_probs(pm_choice *c) {
  json_t *content = c->probs;
  c->probs = NULL;
  return content ? json_pack("{s:o}", "content", content) : json_null();
}

json_t *pm_reply_take_tokens(pm_choice *c) {
  json_t *tokens = c->tokens;
  c->tokens = NULL;
  return tokens ? tokens : json_array();
}

// Takes the choices, an array.
static json_t *envelope(const pm_reply *r, const char *object, json_t *choices) {
  return json_pack("{s:o, s:I, s:s, s:o, s:o, s:s}", "choices", choices, "created", (json_int_t)r->created, "id", r->id, "model",
                   pm_json_words(r->model), "system_fingerprint", json_sprintf("pumice-%s", pumice_version()), "object", object);
}

void pm_reply_inline(pm_choice *c, bool thinking, const char *text, size_t n, pm_text *out) {
  static const char open[] = "<think>\n", close[] = "\n</think>\n\n";
  bool opened_by_prompt = c->outcome->prompt_thinks && c->reply->request->dialect != PM_DIALECT_CHAT && !c->said_anything;
  if (thinking && !c->in_thinking && !opened_by_prompt) pm_text_append(out, open, sizeof open - 1);
  if (!thinking && c->in_thinking) pm_text_append(out, close, sizeof close - 1);
  c->in_thinking = thinking;
  c->said_anything = true;
  pm_text_append(out, text, n);
}

static json_t *inline_text(pm_choice *c, bool thinking, const char *bytes, size_t n) {
  pm_text text = {0};
  pm_reply_inline(c, thinking, bytes, n, &text);
  json_t *value = pm_json_lossy(text.data, text.n);
  pm_text_free(&text);
  return value;
}

// The whole answer with its thinking inside.
json_t *pm_reply_inline_whole(pm_choice *c) {
  pm_text text = {0};
  pm_text_clear(&text);
  if (c->thinking.n) pm_reply_inline(c, true, c->thinking.data, c->thinking.n, &text);
  if (c->text.n || c->in_thinking) pm_reply_inline(c, false, c->text.data, c->text.n, &text);
  json_t *value = pm_json_lossy(text.data, text.n);
  pm_text_free(&text);
  return value;
}

static json_t *wrap_error(json_t *error) { return json_pack("{s:o}", "error", error); }

static void add_timings_so_far(const pm_choice *c, json_t *piece, const pm_event *event) {
  if (c->reply->request->timings_per_token)
    json_object_set_new(piece, "timings", pm_reply_timings(c->outcome, event->n_answer, event->answer_seconds));
}

static json_t *usage_chunk(pm_reply *r, const char *object) {
  if (!r->request->include_usage) return NULL;
  pm_outcome all = sum(r);
  json_t *piece = envelope(r, object, json_array());
  add_usage(piece, &all);
  add_timings(piece, &all);
  return piece;
}

static json_t *whole_of(pm_reply *r, const char *object, json_t *(*one)(pm_choice *c)) {
  pm_outcome all = sum(r);
  json_t *choices = json_array();
  for (uint32_t i = 0; i < r->request->n_choice; i++) json_array_append_new(choices, one(&r->choices[i]));
  json_t *whole = envelope(r, object, choices);
  add_usage(whole, &all);
  add_timings(whole, &all);
  return whole;
}

// ---- chats -------------------------------------------------------------------------------------------------------------------------

static json_t *chat_chunk(pm_choice *c, json_t *delta, const char *finish) {
  json_t *choice = json_pack("{s:s?, s:i, s:o}", "finish_reason", finish, "index", (int)c->index, "delta", delta);
  if (c->probs) json_object_set_new(choice, "logprobs", take_probs(c));
  return envelope(c->reply, "chat.completion.chunk", json_pack("[o]", choice));
}

// The role comes as soon as there is a slot, or with the first token where there is something to be told of each.
static json_t *chat_begin(pm_choice *c, const pm_event *event) {
  const pm_request *r = c->reply->request;
  if (event->kind == PM_EVENT_STARTED && !r->return_progress && (r->want_probs || r->timings_per_token)) return NULL;
  json_t *piece = chat_chunk(c, json_pack("{s:s, s:n}", "role", "assistant", "content"), NULL);
  if (event->kind != PM_EVENT_STARTED) add_timings_so_far(c, piece, event);
  return piece;
}

static json_t *chat_delta(pm_choice *c, const pm_event *event) {
  bool thinking = event->kind == PM_EVENT_THINKING;
  pm_thinking_format format = c->reply->request->thinking_format;
  json_t *delta = json_object();
  if (thinking && format != PM_THINKING_INLINE) json_object_set_new(delta, "reasoning_content", pm_json_lossy(event->text, event->n));
  if (format != PM_THINKING_APART)
    json_object_set_new(delta, "content", inline_text(c, thinking, event->text, event->n));
  else if (!thinking)
    json_object_set_new(delta, "content", pm_json_lossy(event->text, event->n));
  return delta;
}

static json_t *chat_piece(pm_choice *c, const pm_event *event) {
  json_t *piece;
  if (event->kind == PM_EVENT_PROMPT) {
    piece = chat_chunk(c, json_object(), NULL);
    json_object_set(piece, "prompt_progress", event->json);
    return piece;
  }
  bool calls = event->kind == PM_EVENT_TOOLS;
  piece = chat_chunk(c, calls ? json_pack("{s:O}", "tool_calls", event->json) : chat_delta(c, event), NULL);
  add_timings_so_far(c, piece, event);
  return piece;
}

static json_t *chat_end(pm_choice *c) {
  json_t *piece = chat_chunk(c, json_object(), finish_reason(c->outcome));
  if (!c->reply->request->include_usage) add_timings(piece, c->outcome);
  return piece;
}

static json_t *chat_usage(pm_reply *r) { return usage_chunk(r, "chat.completion.chunk"); }

static json_t *chat_choice(pm_choice *c) {
  pm_thinking_format format = c->reply->request->thinking_format;
  json_t *content = format == PM_THINKING_APART ? pm_json_lossy(c->text.data, c->text.n) : pm_reply_inline_whole(c);
  json_t *message = json_pack("{s:s, s:o}", "role", "assistant", "content", content);
  if (c->thinking.n && format != PM_THINKING_INLINE)
    json_object_set_new(message, "reasoning_content", pm_json_lossy(c->thinking.data, c->thinking.n));
  if (c->tools) {
    json_object_set(message, "tool_calls", c->tools);
    if (!c->text.n) json_object_set_new(message, "content", json_null());
  }
  return json_pack("{s:s, s:i, s:o, s:o}", "finish_reason", finish_reason(c->outcome), "index", (int)c->index, "message", message,
                   "logprobs", take_probs(c));
}

static json_t *chat_whole(pm_reply *r) { return whole_of(r, "chat.completion", chat_choice); }

// ---- plain completions -------------------------------------------------------------------------------------------------------------

static json_t *text_choice(pm_choice *c, json_t *text, const char *finish) {
  return json_pack("{s:o, s:i, s:o, s:s?}", "text", text, "index", (int)c->index, "logprobs", take_probs(c), "finish_reason", finish);
}

static json_t *text_chunk(pm_choice *c, json_t *text, const char *finish) {
  return envelope(c->reply, "text_completion", json_pack("[o]", text_choice(c, text, finish)));
}

// The prompt, if it is to be part of the text; NULL if not.
static const char *echo_of(const pm_reply *r) { return r->request->echo ? json_string_value(r->request->prompt) : NULL; }

static json_t *text_begin(pm_choice *c, const pm_event *event) {
  (void)event;
  const char *echo = echo_of(c->reply);
  return echo ? text_chunk(c, json_string(echo), NULL) : NULL;
}

static json_t *text_piece(pm_choice *c, const pm_event *event) {
  if (event->kind == PM_EVENT_PROMPT) {
    json_t *progress = text_chunk(c, json_string(""), NULL);
    json_object_set(progress, "prompt_progress", event->json);
    return progress;
  }
  json_t *piece = text_chunk(c, inline_text(c, event->kind == PM_EVENT_THINKING, event->text, event->n), NULL);
  add_timings_so_far(c, piece, event);
  return piece;
}

static json_t *text_end(pm_choice *c) {
  json_t *piece = text_chunk(c, json_string(""), finish_reason(c->outcome));
  if (c->reply->request->include_usage) return piece;
  if (c->reply->request->n_choice == 1) add_usage(piece, c->outcome);  // as llama.cpp has it
  add_timings(piece, c->outcome);
  return piece;
}

static json_t *text_usage(pm_reply *r) { return usage_chunk(r, "text_completion"); }

static json_t *text_whole_choice(pm_choice *c) {
  json_t *text = pm_reply_inline_whole(c);
  const char *echo = echo_of(c->reply);
  if (echo) {
    json_t *both = json_sprintf("%s%s", echo, json_string_value(text));
    json_decref(text);
    text = both;
  }
  return text_choice(c, text, finish_reason(c->outcome));
}

static json_t *text_whole(pm_reply *r) { return whole_of(r, "text_completion", text_whole_choice); }

#define EVENTS .type = "text/event-stream", .before = "data: ", .after = "\n\n"

const pm_reply_format pm_reply_chat = {.dialect = PM_DIALECT_CHAT,
                                       EVENTS,
                                       .last = "data: [DONE]\n\n",
                                       .begin = chat_begin,
                                       .piece = chat_piece,
                                       .end = chat_end,
                                       .usage = chat_usage,
                                       .whole = chat_whole,
                                       .error = wrap_error};

const pm_reply_format pm_reply_text = {.dialect = PM_DIALECT_TEXT,
                                       EVENTS,
                                       .last = "data: [DONE]\n\n",
                                       .begin = text_begin,
                                       .piece = text_piece,
                                       .end = text_end,
                                       .usage = text_usage,
                                       .whole = text_whole,
                                       .error = wrap_error};
