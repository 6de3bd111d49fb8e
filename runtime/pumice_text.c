// The public API: text as tokens, conversations as prompts, calls of tools in answers.
#include "clock.h"
#include "engine.h"
#include "memory.h"
#include "public.h"
#include "tool_calls.h"

// ---- tokens and prompts ----

pumice_status pumice_tokenize(const pumice_model *model, const char *text, size_t bytes, uint32_t flags, int32_t *tokens, size_t *n) {
  REQUIRE(model && (text || !bytes) && n && (tokens || !*n), "an argument is NULL");
  pm_tokenize_flags f = {.add_special = flags & PUMICE_ADD_BOS, .parse_special = flags & PUMICE_PARSE_SPECIAL};
  return public_status(pm_tokenize(model->engine->tokenizer, text, bytes, f, tokens, n));
}

const char *pumice_token_bytes(const pumice_model *model, int32_t token, bool special, size_t *n) {
  return pm_token_bytes(model->engine->tokenizer, token, special, n);
}

bool pumice_token_is_end(const pumice_model *model, int32_t token) { return pm_token_is_end(model->engine->tokenizer, token); }

pumice_status pumice_chat_render(const pumice_model *model, const pumice_message *messages, size_t n_message, bool add_generation_prompt,
                                 bool thinking, char *buffer, size_t *n) {
  REQUIRE(model && (messages || !n_message) && n && (buffer || !*n), "an argument is NULL");
  const pm_engine *e = model->engine;
  pm_message *copy = pm_alloc_zero(n_message, sizeof *copy);
  if (!copy) return public_status(pm_fail(PM_ERR_MEMORY, "out of memory: messages"));
  for (size_t i = 0; i < n_message; i++) copy[i] = (pm_message){messages[i].role, messages[i].content};
  pm_status status = pm_chat_render_messages(&e->chat, copy, n_message, add_generation_prompt, thinking, buffer, n);
  pm_free(copy);
  return public_status(status);
}

pumice_status pumice_chat_render_json(const pumice_model *model, const char *request, char *buffer, size_t *n) {
  REQUIRE(model && request && n && (buffer || !*n), "an argument is NULL");
  return public_status(pm_chat_render_request(&model->engine->chat, request, strlen(request), buffer, n));
}

// ---- tool calls ----

struct pumice_tool_stream {
  pm_tool_stream stream;
  pumice_tool_text_fn *text;
  pumice_tool_call_fn *call;
  void *user;
};

static uint64_t call_seed(void) { return (uint64_t)(pm_clock_seconds() * 1e9); }

static bool pass_text(void *user, const char *text, size_t bytes) {
  pumice_tool_stream *s = user;
  return s->text(s->user, text, bytes);
}

static bool pass_call(void *user, uint32_t index, const char *id, pm_span name, pm_span arguments) {
  pumice_tool_stream *s = user;
  pm_buffer b = {0};  // both, terminated
  pm_buffer_put(&b, name.at, name.n);
  pm_buffer_put(&b, "", 1);
  pm_buffer_put(&b, arguments.at, arguments.n);
  bool wanted = b.status == PM_OK && s->call(s->user, index, id, b.at, b.at + name.n + 1);
  pm_buffer_finish(&b);
  return wanted;
}

pumice_status pumice_tool_stream_begin(const pumice_model *model, pumice_tool_text_fn *text, pumice_tool_call_fn *call, void *user,
                                       pumice_tool_stream **out) {
  REQUIRE(model && text && call && out, "an argument is NULL");
  pumice_tool_stream *s = *out = pm_alloc_zero(1, sizeof *s);
  if (!s) return public_status(pm_fail(PM_ERR_MEMORY, "out of memory: tool calls"));
  pm_tool_stream_begin(&s->stream, model->engine->chat.tool_formats, call_seed());
  s->text = text, s->call = call, s->user = user;
  return PUMICE_OK;
}

pumice_status pumice_tool_stream_push(pumice_tool_stream *stream, const char *text, size_t bytes, bool end) {
  REQUIRE(stream && (text || !bytes), "stream or text is NULL");
  const pm_tool_sink sink = {pass_text, pass_call, stream};
  return public_status(pm_tool_stream_push(&stream->stream, text, bytes, end, &sink));
}

void pumice_tool_stream_end(pumice_tool_stream *stream) {
  if (!stream) return;
  pm_tool_stream_finish(&stream->stream);
  pm_free(stream);
}

pumice_status pumice_tool_calls(const pumice_model *model, const char *text, size_t bytes, char *buffer, size_t *n) {
  REQUIRE(model && (text || !bytes) && n && (buffer || !*n), "an argument is NULL");
  pm_buffer out = {0};
  pm_status status = pm_tool_calls(model->engine->chat.tool_formats, call_seed(), (pm_span){text, bytes}, &out);
  if (status == PM_OK) status = pm_buffer_copy_out(&out, buffer, n);
  pm_buffer_finish(&out);
  return public_status(status);
}
