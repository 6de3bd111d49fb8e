// Answers of Ollama's /api/chat and /api/generate: a JSON object per line.
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "reply_parts.h"
#include "terminal.h"

json_t *pm_ollama_time(double seconds) {
  time_t whole = (time_t)seconds;
  struct tm tm;
  char text[40];
  gmtime_r(&whole, &tm);
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
  return json_sprintf("%s.%06ldZ", text, (long)((seconds - (double)whole) * 1e6));
}

static json_t *object(const pm_reply *r) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return json_pack("{s:o, s:o}", "model", pm_json_words(r->model), "created_at",
                   pm_ollama_time((double)now.tv_sec + 1e-9 * (double)now.tv_nsec));
}

// OpenAI's calls have their arguments as text, Ollama's as an object.
static json_t *tool_calls(json_t *calls) {
  json_t *out = json_array(), *call;
  size_t i;
  json_array_foreach(calls, i, call) {
    json_t *function = json_object_get(call, "function");
    const char *text = json_string_value(json_object_get(function, "arguments"));
    json_t *arguments = text ? json_loads(text, 0, NULL) : NULL;
    if (!arguments) arguments = json_object();
    json_array_append_new(out, json_pack("{s:{s:O, s:o}}", "function", "name", json_object_get(function, "name"), "arguments", arguments));
  }
  return out;
}

static void add_parts(json_t *to, const char *key, json_t *text, json_t *thinking, json_t *calls) {
  json_object_set_new(to, key, text);
  if (thinking) json_object_set_new(to, "thinking", thinking);
  if (calls) json_object_set_new(to, "tool_calls", tool_calls(calls));
}

// The text stands in message.content of a chat, and in response of a generation.
static json_t *with_answer(const pm_reply *r, json_t *text, json_t *thinking, json_t *calls) {
  json_t *o = object(r);
  if (r->request->dialect == PM_DIALECT_OLLAMA_CHAT) {
    json_t *message = json_pack("{s:s}", "role", "assistant");
    add_parts(message, "content", text, thinking, calls);
    json_object_set_new(o, "message", message);
  } else {
    add_parts(o, "response", text, thinking, calls);
  }
  json_object_set_new(o, "done", json_false());
  return o;
}

static json_t *piece(pm_choice *c, const pm_event *event) {
  const pm_reply *r = c->reply;
  switch (event->kind) {
    case PM_EVENT_TEXT: return with_answer(r, pm_json_lossy(event->text, event->n), NULL, NULL);
    case PM_EVENT_THINKING: return with_answer(r, json_string(""), pm_json_lossy(event->text, event->n), NULL);
    case PM_EVENT_TOOLS: return with_answer(r, json_string(""), NULL, event->json);
    default: return NULL;
  }
}

static json_t *nanoseconds(double seconds) { return json_integer((json_int_t)(seconds * 1e9)); }

static void add_end(const pm_reply *r, json_t *o) {
  const pm_outcome *out = r->choices->outcome;
  json_object_set_new(o, "done", json_true());
  json_object_set_new(o, "done_reason", json_string(out->stop == PUMICE_STOP_LENGTH ? "length" : "stop"));
  json_object_set_new(o, "total_duration", nanoseconds(pm_seconds() - r->began));
  json_object_set_new(o, "load_duration", nanoseconds(0));
  json_object_set_new(o, "prompt_eval_count", json_integer((json_int_t)out->n_prompt));
  json_object_set_new(o, "prompt_eval_duration", nanoseconds(out->prompt_seconds));
  json_object_set_new(o, "eval_count", json_integer((json_int_t)out->n_answer));
  json_object_set_new(o, "eval_duration", nanoseconds(out->answer_seconds));
}

static json_t *end(pm_choice *c) {
  json_t *o = with_answer(c->reply, json_string(""), NULL, NULL);
  add_end(c->reply, o);
  return o;
}

static json_t *whole(pm_reply *r) {
  const pm_choice *c = r->choices;
  json_t *thinking = c->thinking.n ? pm_json_lossy(c->thinking.data, c->thinking.n) : NULL;
  json_t *o = with_answer(r, pm_json_lossy(c->text.data, c->text.n), thinking, c->tools);
  add_end(r, o);
  return o;
}

static json_t *error_words(json_t *error) {
  json_t *words = json_pack("{s:O}", "error", json_object_get(error, "message"));
  json_decref(error);
  return words;
}

#define LINES .type = "application/x-ndjson", .before = "", .after = "\n", .piece = piece, .end = end, .whole = whole, .error = error_words

const pm_reply_format pm_reply_ollama_chat = {.dialect = PM_DIALECT_OLLAMA_CHAT, LINES};
const pm_reply_format pm_reply_ollama_generate = {.dialect = PM_DIALECT_OLLAMA_GENERATE, LINES};
