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

static json_t *usage_of(const pm_outcome *o) {
  return json_pack("{s:I, s:I, s:I, s:{s:I}}", "completion_tokens", (json_int_t)o->n_answer, "prompt_tokens", (json_int_t)o->n_prompt,
                   "total_tokens", (json_int_t)(o->n_prompt + o->n_answer), "prompt_tokens_details", "cached_tokens",
                   (json_int_t)o->n_cached);
}

static const char *finish_reason(const pm_outcome *o) {
  return o->calls_tools ? "tool_calls" : o->stop == PUMICE_STOP_LENGTH ? "length" : "stop";
}

// What the client has not been told yet of log-probabilities; null if it did not ask.
static json_t *take_probs(pm_reply *r) {
  json_t *content = r->probs;
  r->probs = NULL;
  return content ? json_pack("{s:o}", "content", content) : json_null();
}

json_t *pm_reply_take_tokens(pm_reply *r) {
  json_t *tokens = r->tokens;
  r->tokens = NULL;
  return tokens ? tokens : json_array();
}

// An object with one choice. Takes the choice.
static json_t *envelope(const pm_reply *r, const char *object, json_t *choice) {
  return json_pack("{s:[o], s:I, s:s, s:o, s:o, s:s}", "choices", choice, "created", (json_int_t)r->created, "id", r->id, "model",
                   pm_json_words(r->model), "system_fingerprint", json_sprintf("pumice-%s", pumice_version()), "object", object);
}

void pm_reply_inline(pm_reply *r, bool thinking, const char *text, size_t n, pm_text *out) {
  static const char open[] = "<think>\n", close[] = "\n</think>\n\n";
  bool opened_by_prompt = r->outcome->prompt_thinks && r->request->dialect != PM_DIALECT_CHAT && !r->said_anything;
  if (thinking && !r->in_thinking && !opened_by_prompt) pm_text_append(out, open, sizeof open - 1);
  if (!thinking && r->in_thinking) pm_text_append(out, close, sizeof close - 1);
  r->in_thinking = thinking;
  r->said_anything = true;
  pm_text_append(out, text, n);
}

static json_t *inline_text(pm_reply *r, bool thinking, const char *bytes, size_t n) {
  pm_text text = {0};
  pm_reply_inline(r, thinking, bytes, n, &text);
  json_t *value = pm_json_lossy(text.data, text.n);
  pm_text_free(&text);
  return value;
}

// The whole answer with its thinking inside.
json_t *pm_reply_inline_whole(pm_reply *r) {
  pm_text text = {0};
  pm_text_clear(&text);
  if (r->thinking.n) pm_reply_inline(r, true, r->thinking.data, r->thinking.n, &text);
  if (r->text.n || r->in_thinking) pm_reply_inline(r, false, r->text.data, r->text.n, &text);
  json_t *value = pm_json_lossy(text.data, text.n);
  pm_text_free(&text);
  return value;
}

static json_t *wrap_error(json_t *error) { return json_pack("{s:o}", "error", error); }

static void add_timings(pm_reply *r, json_t *piece, const pm_event *event) {
  if (r->request->timings_per_token)
    json_object_set_new(piece, "timings", pm_reply_timings(r->outcome, event->n_answer, event->answer_seconds));
}

// ---- chats -------------------------------------------------------------------------------------------------------------------------

static json_t *chat_chunk(pm_reply *r, json_t *delta, const char *finish) {
  json_t *choice = json_pack("{s:s?, s:i, s:o}", "finish_reason", finish, "index", 0, "delta", delta);
  if (r->probs) json_object_set_new(choice, "logprobs", take_probs(r));
  return envelope(r, "chat.completion.chunk", choice);
}

static json_t *chat_begin(pm_reply *r) { return chat_chunk(r, json_pack("{s:s, s:n}", "role", "assistant", "content"), NULL); }

static json_t *chat_delta(pm_reply *r, const pm_event *event) {
  bool thinking = event->kind == PM_EVENT_THINKING;
  pm_thinking_format format = r->request->thinking_format;
  json_t *delta = json_object();
  if (thinking && format != PM_THINKING_INLINE) json_object_set_new(delta, "reasoning_content", pm_json_lossy(event->text, event->n));
  if (format != PM_THINKING_APART)
    json_object_set_new(delta, "content", inline_text(r, thinking, event->text, event->n));
  else if (!thinking)
    json_object_set_new(delta, "content", pm_json_lossy(event->text, event->n));
  return delta;
}

static json_t *chat_piece(pm_reply *r, const pm_event *event) {
  json_t *piece;
  if (event->kind == PM_EVENT_PROMPT) {
    piece = chat_chunk(r, json_object(), NULL);
    json_object_set(piece, "prompt_progress", event->json);
    return piece;
  }
  if (event->kind == PM_EVENT_TOOLS)
    piece = chat_chunk(r, json_pack("{s:O}", "tool_calls", event->json), NULL);
  else
    piece = chat_chunk(r, chat_delta(r, event), NULL);
  add_timings(r, piece, event);
  return piece;
}

static void add_end(pm_reply *r, json_t *piece) {
  json_object_set_new(piece, "timings", pm_reply_timings(r->outcome, r->outcome->n_answer, r->outcome->answer_seconds));
}

static json_t *chat_end(pm_reply *r) {
  json_t *piece = chat_chunk(r, json_object(), finish_reason(r->outcome));
  if (!r->request->include_usage) add_end(r, piece);
  return piece;
}

static json_t *usage_chunk(pm_reply *r, const char *object) {
  if (!r->request->include_usage) return NULL;
  json_t *piece = envelope(r, object, json_object());
  json_array_clear(json_object_get(piece, "choices"));
  json_object_set_new(piece, "usage", usage_of(r->outcome));
  add_end(r, piece);
  return piece;
}

static json_t *chat_usage(pm_reply *r) { return usage_chunk(r, "chat.completion.chunk"); }

static json_t *chat_whole(pm_reply *r) {
  pm_thinking_format format = r->request->thinking_format;
  json_t *content = format == PM_THINKING_APART ? pm_json_lossy(r->text.data, r->text.n) : pm_reply_inline_whole(r);
  json_t *message = json_pack("{s:s, s:o}", "role", "assistant", "content", content);
  if (r->thinking.n && format != PM_THINKING_INLINE)
    json_object_set_new(message, "reasoning_content", pm_json_lossy(r->thinking.data, r->thinking.n));
  if (r->tools) {
    json_object_set(message, "tool_calls", r->tools);
    if (!r->text.n) json_object_set_new(message, "content", json_null());
  }
  json_t *choice = json_pack("{s:s, s:i, s:o, s:o}", "finish_reason", finish_reason(r->outcome), "index", 0, "message", message, "logprobs",
                             take_probs(r));
  json_t *whole = envelope(r, "chat.completion", choice);
  json_object_set_new(whole, "usage", usage_of(r->outcome));
  add_end(r, whole);
  return whole;
}

// ---- plain completions -------------------------------------------------------------------------------------------------------------

static json_t *text_chunk(pm_reply *r, json_t *text, const char *finish) {
  json_t *choice = json_pack("{s:o, s:i, s:o, s:s?}", "text", text, "index", 0, "logprobs", take_probs(r), "finish_reason", finish);
  return envelope(r, "text_completion", choice);
}

static json_t *text_begin(pm_reply *r) {
  return r->request->echo && json_is_string(r->request->prompt) ? text_chunk(r, json_copy(r->request->prompt), NULL) : NULL;
}

static json_t *text_piece(pm_reply *r, const pm_event *event) {
  if (event->kind == PM_EVENT_PROMPT) {
    json_t *progress = text_chunk(r, json_string(""), NULL);
    json_object_set(progress, "prompt_progress", event->json);
    return progress;
  }
  json_t *piece = text_chunk(r, inline_text(r, event->kind == PM_EVENT_THINKING, event->text, event->n), NULL);
  add_timings(r, piece, event);
  return piece;
}

static json_t *text_end(pm_reply *r) {
  json_t *piece = text_chunk(r, json_string(""), finish_reason(r->outcome));
  if (r->request->include_usage) return piece;
  json_object_set_new(piece, "usage", usage_of(r->outcome));  // as llama.cpp has it
  add_end(r, piece);
  return piece;
}

static json_t *text_usage(pm_reply *r) { return usage_chunk(r, "text_completion"); }

static json_t *text_whole(pm_reply *r) {
  json_t *text = pm_reply_inline_whole(r);
  if (r->request->echo && json_is_string(r->request->prompt)) {
    json_t *both = json_sprintf("%s%s", json_string_value(r->request->prompt), json_string_value(text));
    json_decref(text);
    text = both;
  }
  json_t *whole = text_chunk(r, text, finish_reason(r->outcome));
  json_object_set_new(whole, "usage", usage_of(r->outcome));
  add_end(r, whole);
  return whole;
}

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
