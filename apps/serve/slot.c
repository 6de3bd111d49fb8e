#include "slot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "terminal.h"
#include "text_buffer.h"

bool pm_slot_init(pm_slot *s, uint32_t index, pumice_model *model, uint32_t n_ctx, pm_mailbox *mail) {
  *s = (pm_slot){.index = index, .model = model, .n_ctx = n_ctx, .mail = mail};
  return pumice_session_create(model, &s->session) == PUMICE_OK;
}

// Puts the job away; the session keeps what it holds, for the next turn.
static void release(pm_slot *s) {
  pumice_answer_end(s->answer);
  pumice_tool_stream_end(s->tools);
  pm_schema_call_finish(&s->call);
  free(s->prompt.tokens);
  pm_job_release(s->job);
  s->answer = NULL;
  s->tools = NULL;
  s->job = NULL;
  s->prompt = (pm_prompt){0};
}

void pm_slot_finish(pm_slot *s) {
  if (s->job) release(s);
  pumice_session_destroy(s->session);
  *s = (pm_slot){0};
}

size_t pm_slot_held(const pm_slot *s) { return pumice_session_length(s->session); }

size_t pm_slot_common(const pm_slot *s, const pm_prompt *prompt) {
  const int32_t *held = pumice_session_tokens(s->session);
  size_t n = 0, most = pm_slot_held(s);
  while (n < most && n < prompt->n && held[n] == prompt->tokens[n]) n++;
  return n;
}

static json_t *progress(const pm_slot *s) {
  const pm_outcome *o = &s->job->outcome;
  return json_pack("{s:I, s:I, s:I, s:I}", "total", (json_int_t)o->n_prompt, "cache", (json_int_t)o->n_cached, "processed",
                   (json_int_t)pm_slot_held(s), "time_ms", (json_int_t)(1e3 * (pm_seconds() - s->began)));
}

const int32_t *pm_slot_wants(const pm_slot *s, size_t most, size_t *n) {
  if (s->answer) {
    *n = 1;
    return &s->next;
  }
  size_t held = pm_slot_held(s), left = s->prompt.n - held;
  *n = left < most ? left : most;
  return s->prompt.tokens + held;
}

// ---- the answer --------------------------------------------------------------------------------------------------------------------

static bool on_plain_text(void *user, const char *text, size_t bytes) {
  pm_slot *s = user;
  pm_job_post(s->mail, s->job, PM_EVENT_TEXT, NULL, text, bytes);
  return true;
}

static bool on_call(void *user, uint32_t index, const char *id, const char *name, const char *arguments) {
  pm_slot *s = user;
  if (index && s->job->request->one_call) return true;
  json_t *call = json_pack("{s:i, s:o, s:s, s:{s:o, s:o}}", "index", (int)index, "id", pm_json_words(id), "type", "function", "function",
                           "name", pm_json_words(name), "arguments", pm_json_words(arguments));
  s->job->outcome.calls_tools = true;
  pm_job_post(s->mail, s->job, PM_EVENT_TOOLS, json_pack("[o]", call), NULL, 0);
  return true;
}

static void push_call(pm_slot *s, const char *text, size_t bytes, bool end, bool whole) {
  json_t *calls = pm_schema_call_push(&s->call, text, bytes, end, whole);
  if (calls) pm_job_post(s->mail, s->job, PM_EVENT_TOOLS, calls, NULL, 0);
  if (!s->call.is_text || !s->call.held.n) return;
  on_plain_text(s, s->call.held.data, s->call.held.n);
  pm_text_clear(&s->call.held);
}

static bool on_text(void *user, pumice_event kind, const char *text, size_t bytes) {
  pm_slot *s = user;
  s->thinking = kind == PUMICE_THINKING;
  if (!bytes) return true;
  if (s->thinking)
    pm_job_post(s->mail, s->job, PM_EVENT_THINKING, NULL, text, bytes);
  else if (s->job->request->schema_calls)
    push_call(s, text, bytes, false, false);
  else if (s->tools)
    return pumice_tool_stream_push(s->tools, text, bytes, false) == PUMICE_OK;
  else
    on_plain_text(s, text, bytes);
  return true;
}

static void end_job(pm_slot *s, pumice_stop stop) {
  if (s->job->request->schema_calls) {
    s->job->outcome.calls_tools = s->call.begun && stop == PUMICE_STOP_END;
    push_call(s, "", 0, true, stop == PUMICE_STOP_END);
  }
  if (s->tools && pumice_tool_stream_push(s->tools, "", 0, true) != PUMICE_OK) {
    pm_slot_abandon(s, 500, pumice_error());
    return;
  }
  s->job->outcome.stop = stop;
  pm_job_post(s->mail, s->job, PM_EVENT_DONE, NULL, NULL, 0);
  release(s);
}

static json_t *token_json(const pumice_model *model, const pumice_token_prob *p) {
  size_t n;
  const char *text = pumice_token_bytes(model, p->token, true, &n);
  json_t *bytes = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(bytes, json_integer((unsigned char)text[i]));
  double log_probability = isfinite(p->log_probability) ? (double)p->log_probability : -9999;  // what JSON cannot say
  return json_pack("{s:i, s:o, s:o, s:f}", "id", p->token, "token", pm_json_lossy(text, n), "bytes", bytes, "logprob", log_probability);
}

static void on_probs(void *user, const pumice_token_prob *chosen, const pumice_token_prob *top, uint32_t n_top) {
  pm_slot *s = user;
  json_t *token = token_json(s->model, chosen), *list = json_array();
  for (uint32_t i = 0; i < n_top; i++) json_array_append_new(list, token_json(s->model, &top[i]));
  json_object_set_new(token, "top_logprobs", list);
  pm_job_post(s->mail, s->job, PM_EVENT_TOKEN, token, NULL, 0);
}

// Whose thinking has taken all that it may does not begin to think once more.
static size_t copy_bias(const pm_slot *s, pumice_bias bias[PM_MAX_BIAS + 1]) {
  static const char mark[] = "<think>";
  const pm_request *r = s->job->request;
  pm_prompt think = {0};
  size_t n = r->n_bias;
  memcpy(bias, r->bias, n * sizeof *bias);
  if (s->budget_spent && pm_tokens(s->model, mark, sizeof mark - 1, PUMICE_PARSE_SPECIAL, &think.tokens, &think.n) == PUMICE_OK &&
      think.n == 1)
    bias[n++] = (pumice_bias){think.tokens[0], -INFINITY};
  free(think.tokens);
  return n;
}

static pumice_status begin_answer(pm_slot *s) {
  const pm_request *r = s->job->request;
  pumice_sampling sampling = pm_request_sampling(r, s->job->choice);
  pumice_bias bias[PM_MAX_BIAS + 1];
  size_t n_bias = copy_bias(s, bias);
  pumice_answer_options options = {.size = sizeof options,
                                   .sampling = &sampling,
                                   .max_tokens = r->max_tokens < 0 ? 0 : (size_t)r->max_tokens - s->job->outcome.n_answer,
                                   .stop = r->stop,
                                   .n_stop = r->n_stop,
                                   .bias = bias,
                                   .n_bias = n_bias,
                                   .ignore_end = r->ignore_end,
                                   .special = r->tools && !r->schema_calls,
                                   .n_probs = r->n_probs,
                                   .grammar = r->grammar,
                                   .json_schema = r->schema,
                                   .text = on_text,
                                   .probs = r->want_probs || r->return_tokens ? on_probs : NULL,
                                   .user = s};
  s->n_earlier = s->job->outcome.n_answer;
  if (r->tools && !r->schema_calls && !s->tools) {
    pumice_status status = pumice_tool_stream_begin(s->model, on_plain_text, on_call, s, &s->tools);
    if (status != PUMICE_OK) return status;
  }
  return pumice_answer_begin(s->session, &options, &s->answer);
}

// A grammar or a list of stop strings that does not do is told before the prompt is processed, and the head of the answer sent.
static pumice_status try_answer(pm_slot *s) {
  pumice_status status = begin_answer(s);
  pumice_answer_end(s->answer);
  s->answer = NULL;
  return status;
}

void pm_slot_begin(pm_slot *s, pm_job *job, const pm_prompt *prompt) {
  size_t common = job->request->cache_prompt ? pm_slot_common(s, prompt) : 0;
  if (common == prompt->n) common--;  // the last token once more, for what follows it
  s->job = job;
  s->prompt = *prompt;
  s->last_prompt = prompt->n;
  s->began = pm_seconds();
  s->n_thinking = 0;
  s->call.may_be_text = !job->request->must_call;
  s->thinking = prompt->thinks;
  s->budget_spent = job->request->thinking_budget == 0 && !prompt->thinks;
  job->outcome = (pm_outcome){.n_prompt = prompt->n, .n_cached = common, .slot = s->index, .prompt_thinks = prompt->thinks};
  pumice_status status = pumice_session_rewind(s->session, common);
  if (status == PUMICE_OK) status = try_answer(s);
  if (status != PUMICE_OK) {
    pm_slot_abandon(s, 400, pumice_error());
    return;
  }
  pm_job_post(s->mail, job, PM_EVENT_STARTED, NULL, NULL, 0);
  if (job->request->return_progress) pm_job_post(s->mail, job, PM_EVENT_PROMPT, progress(s), NULL, 0);
}

// Thinking has taken all the tokens it may: the message and the closing mark are put in its mouth, and the answer begins anew after them.
static bool end_thinking(pm_slot *s) {
  const pm_request *r = s->job->request;
  static const char mark[] = "\n</think>\n\n";
  pm_text text = {0};
  pm_prompt more = {0};
  if (r->thinking_budget_message) pm_text_append(&text, r->thinking_budget_message, strlen(r->thinking_budget_message));
  if (text.n) pm_job_post(s->mail, s->job, PM_EVENT_THINKING, NULL, text.data, text.n);
  pm_text_append(&text, mark, sizeof mark - 1);
  bool good = pm_tokens(s->model, text.data, text.n, PUMICE_PARSE_SPECIAL, &more.tokens, &more.n) == PUMICE_OK;
  pm_text_free(&text);
  size_t held = pm_slot_held(s);
  if (good && held + more.n < s->n_ctx) {
    s->prompt.n = held + more.n;
    s->prompt.tokens = pm_resize(s->prompt.tokens, s->prompt.n, sizeof *s->prompt.tokens);
    memcpy(s->prompt.tokens + held, more.tokens, more.n * sizeof *more.tokens);
    pumice_answer_end(s->answer);
    s->answer = NULL;
    s->thinking = false;
  }
  free(more.tokens);
  s->budget_spent = true;
  return s->answer == NULL;
}

static void note_progress(pm_slot *s) {
  pumice_result result = PUMICE_INIT(pumice_result);
  pm_outcome *o = &s->job->outcome;
  pumice_answer_result(s->answer, &result);
  o->n_answer = s->n_earlier + result.n_token;
  o->answer_seconds = pm_seconds() - s->answer_began;
  if (result.stop == PUMICE_STOP_STRING && result.stop_string < s->job->request->n_stop)
    snprintf(o->stop_text, sizeof o->stop_text, "%s", s->job->request->stop[result.stop_string]);
  o->stop = result.stop;
}

// Samples the next token. Ends the job if that was the last one.
static void sample(pm_slot *s) {
  const pm_request *r = s->job->request;
  pm_outcome *o = &s->job->outcome;
  bool done;
  s->n_thinking += s->thinking;
  if (s->thinking && r->thinking_budget >= 0 && s->n_thinking > (uint64_t)r->thinking_budget && !s->budget_spent && end_thinking(s)) return;
  if (pumice_answer_next(s->answer, &s->next, &done) != PUMICE_OK) {
    pm_slot_abandon(s, 500, pumice_error());
    return;
  }
  note_progress(s);
  if (r->one_call && o->calls_tools)
    end_job(s, PUMICE_STOP_END);
  else if (done)
    end_job(s, o->stop);
  else if (r->max_seconds_ms && 1e3 * o->answer_seconds > r->max_seconds_ms)
    end_job(s, PUMICE_STOP_LENGTH);
}

void pm_slot_advance(pm_slot *s) {
  const pm_request *r = s->job->request;
  pm_outcome *o = &s->job->outcome;
  size_t held = pm_slot_held(s);
  if (s->answer) {
    sample(s);
    return;
  }
  if (r->return_progress && held <= o->n_prompt) pm_job_post(s->mail, s->job, PM_EVENT_PROMPT, progress(s), NULL, 0);
  if (held < s->prompt.n) return;
  s->job->prompt_read = true;
  if (!o->n_answer) {
    s->answer_began = pm_seconds();
    o->prompt_seconds = s->answer_began - s->began;
  }
  bool spent = r->max_tokens >= 0 && (uint64_t)r->max_tokens <= o->n_answer;
  if (spent)
    end_job(s, PUMICE_STOP_LENGTH);
  else if (begin_answer(s) != PUMICE_OK)
    pm_slot_abandon(s, 400, pumice_error());
  else
    sample(s);
}

void pm_slot_abandon(pm_slot *s, int code, const char *why) {
  pm_job_fail(s->mail, s->job, code ? code : 500, "%s", why);
  release(s);
}
