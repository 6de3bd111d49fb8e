// The public API: sessions and the answers that are made in them.
#include "clock.h"
#include "generate.h"
#include "memory.h"
#include "public.h"

struct pumice_session {
  pm_session *session;
  pumice_model *model;
};

// ---- sessions ----

static bool prompt_progress(void *user, float done) {
  const pumice_model *m = user;
  return m->progress(m->user, "prompt", done);
}

pumice_status pumice_session_create(pumice_model *model, pumice_session **out) {
  REQUIRE(model && out, "model or out is NULL");
  *out = NULL;
  pumice_session *s = pm_alloc_zero(1, sizeof *s);
  if (!s) return public_status(pm_fail(PM_ERR_MEMORY, "out of memory: session"));
  pm_status status = pm_session_create(model->engine, &s->session);
  if (status) return pm_free(s), public_status(status);
  s->model = model;
  s->session->progress = model->progress ? prompt_progress : NULL;
  s->session->user = model;
  *out = s;
  return PUMICE_OK;
}

void pumice_session_destroy(pumice_session *session) {
  if (!session) return;
  pm_session_destroy(session->session);
  pm_free(session);
}

pumice_status pumice_session_sync(pumice_session *session, const int32_t *tokens, size_t n, size_t *n_reused) {
  REQUIRE(session && (tokens || !n), "session or tokens is NULL");
  return public_status(pm_session_sync(session->session, tokens, n, n_reused));
}

pumice_status pumice_session_eval(pumice_session *session, const int32_t *tokens, size_t n, pumice_logits_fn *all_logits, void *user) {
  REQUIRE(session && (tokens || !n), "session or tokens is NULL");
  return public_status(pm_session_eval(session->session, tokens, n, all_logits, user));
}

pumice_status pumice_eval_parts(pumice_part *parts, size_t n_part) {
  REQUIRE(parts || !n_part, "parts is NULL");
  if (!n_part) return PUMICE_OK;
  for (size_t i = 0; i < n_part; i++) REQUIRE(parts[i].session && (parts[i].tokens || !parts[i].n), "a session or its tokens is NULL");
  pumice_model *m = parts->session->model;
  REQUIRE(n_part <= m->engine->kv.n_session, "there are more parts than sessions");
  for (size_t i = 0; i < n_part; i++) m->parts[i] = (pm_part){parts[i].session->session, parts[i].tokens, parts[i].n};
  pm_status status = pm_session_eval_parts(m->parts, n_part);
  for (size_t i = 0; i < n_part; i++) parts[i].n_done = m->parts[i].n_done, parts[i].status = public_status(m->parts[i].status);
  return public_status(status);
}

size_t pumice_session_length(const pumice_session *session) { return session->session->length; }

const int32_t *pumice_session_tokens(const pumice_session *session) { return session->session->tokens; }

pumice_status pumice_session_rewind(pumice_session *session, size_t length) {
  REQUIRE(session, "session is NULL");
  return public_status(pm_session_rewind(session->session, length));
}

const float *pumice_session_logits(const pumice_session *session) { return session->session->has_logits ? session->session->logits : NULL; }

pumice_status pumice_session_copy(pumice_session *to, const pumice_session *from, size_t length) {
  REQUIRE(to && from, "to or from is NULL");
  return public_status(pm_session_copy(to->session, from->session, length));
}

pumice_status pumice_session_save(pumice_session *session, const char *path) {
  REQUIRE(session && path, "session or path is NULL");
  return public_status(pm_session_save(session->session, path));
}

pumice_status pumice_session_load(pumice_session *session, const char *path) {
  REQUIRE(session && path, "session or path is NULL");
  return public_status(pm_session_load(session->session, path));
}

void pumice_session_cancel(pumice_session *session) { atomic_store(&session->session->cancel, true); }

// ---- generation ----

struct pumice_answer {
  pm_answer *answer;
  pumice_text_fn *text;
  pumice_probs_fn *probs;
  void *user;
};

static bool forward_text(void *user, bool thinking, const char *text, size_t bytes) {
  const pumice_answer *a = user;
  return !a->text || a->text(a->user, thinking ? PUMICE_THINKING : PUMICE_TEXT, text, bytes);
}

_Static_assert(sizeof(pumice_token_prob) == sizeof(pm_token_prob) && sizeof(pumice_bias) == sizeof(pm_bias), "shared structs");

static void forward_probs(void *user, const pm_token_prob *chosen, const pm_token_prob *top, uint32_t n_top) {
  const pumice_answer *a = user;
  a->probs(a->user, (const pumice_token_prob *)chosen, (const pumice_token_prob *)top, n_top);
}

static float or_default(float value, float otherwise) { return value == 0 ? otherwise : value; }

static pm_sampler_desc sampler_desc(const pumice_sampling *o) {
  return (pm_sampler_desc){.greedy = o->greedy,
                           .temperature = or_default(o->temperature, 0.8f),
                           .top_k = o->top_k ? o->top_k : 40,
                           .top_p = or_default(o->top_p, 0.95f),
                           .min_p = or_default(o->min_p, 0.05f),
                           .repeat_penalty = or_default(o->repeat_penalty, 1),
                           .presence_penalty = o->presence_penalty,
                           .frequency_penalty = o->frequency_penalty,
                           .penalty_last_n = o->penalty_last_n ? o->penalty_last_n : 64};
}

pumice_status pumice_answer_begin(pumice_session *session, const pumice_answer_options *options, pumice_answer **out) {
  REQUIRE(session && out, "session or out is NULL");
  *out = NULL;
  pumice_answer_options o = {0};
  copy_in(&o, sizeof o, options);
  pumice_sampling sampling = {0};
  copy_in(&sampling, sizeof sampling, o.sampling);
  REQUIRE(sampling.temperature >= 0 && sampling.top_p >= 0 && sampling.repeat_penalty >= 0,
          "temperature, top_p and repeat_penalty cannot be negative");
  REQUIRE((o.stop || !o.n_stop) && (o.bias || !o.n_bias), "stop or bias is NULL");
  pumice_answer *a = pm_alloc_zero(1, sizeof *a);
  if (!a) return public_status(pm_fail(PM_ERR_MEMORY, "out of memory: answer"));
  *a = (pumice_answer){.text = o.text, .probs = o.probs, .user = o.user};
  pm_answer_desc d = {.sampling = sampler_desc(&sampling),
                      .seed = sampling.seed ? sampling.seed : (uint64_t)(pm_clock_seconds() * 1e9),
                      .max_tokens = o.max_tokens,
                      .stop = o.stop,
                      .n_stop = o.n_stop,
                      .ignore_end = o.ignore_end,
                      .special = o.special,
                      .n_probs = o.n_probs,
                      .grammar = o.grammar,
                      .json_schema = o.json_schema,
                      .text = forward_text,
                      .probs = o.probs ? forward_probs : NULL,
                      .user = a};
  d.sampling.bias = (const pm_bias *)o.bias, d.sampling.n_bias = o.n_bias;
  pm_status status = pm_answer_begin(session->session, &d, &a->answer);
  if (status) return pm_free(a), public_status(status);
  *out = a;
  return PUMICE_OK;
}

pumice_status pumice_answer_next(pumice_answer *answer, int32_t *token, bool *done) {
  REQUIRE(answer && token && done, "answer, token or done is NULL");
  return public_status(pm_answer_next(answer->answer, token, done));
}

void pumice_answer_result(const pumice_answer *answer, pumice_result *result) {
  pm_generated g = pm_answer_result(answer->answer);
  pumice_result out = {.stop = (pumice_stop)g.stop, .n_token = g.n_token, .seconds = g.seconds, .stop_string = g.stop_string};
  copy_out(result, &out, sizeof out);
}

void pumice_answer_end(pumice_answer *answer) {
  if (!answer) return;
  pm_answer_end(answer->answer);
  pm_free(answer);
}

pumice_status pumice_generate(pumice_session *session, const pumice_sampling *sampling, size_t max_tokens, pumice_text_fn *text, void *user,
                              pumice_result *result) {
  pumice_answer_options o = {.size = sizeof o, .sampling = sampling, .max_tokens = max_tokens, .text = text, .user = user};
  pumice_answer *a;
  pumice_status status = pumice_answer_begin(session, &o, &a);
  if (status) return status;
  status = public_status(pm_answer_run(a->answer));
  if (result) pumice_answer_result(a, result);
  pumice_answer_end(a);
  return status;
}
