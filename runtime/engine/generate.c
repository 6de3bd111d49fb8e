#include "generate.h"

#include <math.h>
#include <string.h>

#include "clock.h"
#include "json_schema.h"
#include "memory.h"
#include "stop_strings.h"

struct pm_answer {
  pm_session *session;
  pm_answer_desc desc;
  pm_rng rng;
  pm_bias *bias;
  pm_token_prob *probs;  // [1 + n_probs]
  pm_utf8_stream utf8;
  pm_think_stream think;
  pm_stop_strings stops;
  bool emits_thought;   // what `stops` has is of the thinking
  pm_grammar *grammar;  // NULL: none
  pm_matcher *matcher;
  uint64_t *allowed;            // a bit for each token
  bool within_thought, misfit;  // the token began in thinking; text behind the end of it does not fit the grammar
  int32_t think_marks[2];
  bool done;
  double began;
  pm_generated result;
};

// Whether the prompt ended inside a thinking block, as R1's generation prompt does.
static bool prompt_opens_thinking(const pm_session *s) {
  static const char mark[] = "<think>";
  char tail[64];
  size_t n = sizeof tail;  // filled from the end
  for (uint32_t i = s->length; i > 0 && n > 0; i--) {
    size_t bytes;
    const char *text = pm_token_bytes(s->engine->tokenizer, s->tokens[i - 1], true, &bytes);
    size_t k = bytes < n ? bytes : n;
    memcpy(tail + n - k, text + bytes - k, k);
    n -= k;
  }
  size_t end = sizeof tail;
  while (end > n && (tail[end - 1] == '\n' || tail[end - 1] == ' ')) end--;
  return end - n >= sizeof mark - 1 && !memcmp(tail + end - (sizeof mark - 1), mark, sizeof mark - 1);
}

// ---- begin ----

static pm_status check_desc(const pm_session *s, const pm_answer_desc *d) {
  uint32_t n_vocab = s->engine->model.config.n_vocab;
  if (d->n_probs > PM_ANSWER_MAX_PROBS)
    PM_FAIL(PM_ERR_ARGUMENT, "log-probabilities of %u tokens; at most %u are possible", d->n_probs, PM_ANSWER_MAX_PROBS);
  for (size_t i = 0; i < d->sampling.n_bias; i++) {
    const pm_bias *b = &d->sampling.bias[i];
    if ((uint32_t)b->token >= n_vocab)
      PM_FAIL(PM_ERR_ARGUMENT, "bias %zu: token id %d is not in the vocabulary of %u", i, (int)b->token, n_vocab);
    if (!(b->value < INFINITY)) PM_FAIL(PM_ERR_ARGUMENT, "bias %zu of token %d is not a number or infinite", i, (int)b->token);
  }
  return PM_OK;
}

// The caller's biases, and with ignore_end those that ban the end tokens.
static pm_status copy_bias(pm_answer *a, const pm_sampler_desc *d) {
  const pm_engine *e = a->session->engine;
  uint32_t n_vocab = e->model.config.n_vocab;
  size_t n_end = 0;
  for (uint32_t id = 0; a->desc.ignore_end && id < n_vocab; id++) n_end += pm_token_is_end(e->tokenizer, (int32_t)id);
  PM_NEW(&a->bias, d->n_bias + n_end, "biases of tokens");
  if (d->n_bias) memcpy(a->bias, d->bias, d->n_bias * sizeof *d->bias);
  a->desc.sampling.bias = a->bias, a->desc.sampling.n_bias = d->n_bias + n_end;
  for (uint32_t id = 0; n_end; id++)
    if (pm_token_is_end(e->tokenizer, (int32_t)id)) a->bias[d->n_bias + --n_end] = (pm_bias){(int32_t)id, -INFINITY};
  return PM_OK;
}

static pm_status make_grammar(pm_answer *a, const pm_answer_desc *d) {
  pm_engine *e = a->session->engine;
  if (d->grammar && d->json_schema) PM_FAIL(PM_ERR_ARGUMENT, "a grammar and a JSON schema cannot be asked for at once");
  if (d->grammar) PM_TRY(pm_grammar_parse(d->grammar, strlen(d->grammar), &a->grammar));
  if (d->json_schema) PM_TRY(pm_json_schema_parse(d->json_schema, strlen(d->json_schema), &a->grammar));
  if (!a->grammar) return PM_OK;
  if (!e->token_order) PM_TRY(pm_token_order_create(e->tokenizer, &e->token_order));
  PM_NEW(&a->allowed, (e->model.config.n_vocab + 63) / 64, "tokens that may follow");
  return pm_matcher_create(a->grammar, &a->matcher);
}

static pm_status begin_into(pm_answer *a, pm_session *s, const pm_answer_desc *d) {
  const pm_tokenizer *t = s->engine->tokenizer;
  *a = (pm_answer){.session = s, .desc = *d, .rng = pm_rng_seed(d->seed), .began = pm_clock_seconds()};
  a->think_marks[0] = pm_token_find(t, "<think>"), a->think_marks[1] = pm_token_find(t, "</think>");
  pm_think_stream_init(&a->think, prompt_opens_thinking(s));
  if (d->n_probs > s->engine->model.config.n_vocab) a->desc.n_probs = s->engine->model.config.n_vocab;
  PM_NEW(&a->probs, 1 + d->n_probs, "log-probabilities of tokens");
  PM_TRY(copy_bias(a, &d->sampling));
  PM_TRY(make_grammar(a, d));
  return pm_stop_strings_init(&a->stops, d->stop, d->n_stop);
}

pm_status pm_answer_begin(pm_session *s, const pm_answer_desc *d, pm_answer **out) {
  *out = NULL;
  PM_TRY(check_desc(s, d));
  pm_answer *a;
  PM_NEW(&a, 1, "answer");
  pm_status status = begin_into(a, s, d);
  if (status) return pm_answer_end(a), status;
  *out = a;
  return PM_OK;
}

void pm_answer_end(pm_answer *a) {
  if (!a) return;
  pm_stop_strings_finish(&a->stops);
  pm_matcher_destroy(a->matcher);
  pm_grammar_destroy(a->grammar);
  pm_free(a->allowed);
  pm_free(a->probs);
  pm_free(a->bias);
  pm_free(a);
}

// ---- text ----
// Bytes of tokens become whole characters, of which thinking is told apart; both are searched for stop strings.

static bool emit_answer(void *user, const char *text, size_t bytes) {
  pm_answer *a = user;
  return a->desc.text(a->desc.user, a->emits_thought, text, bytes);
}

static void end_with(pm_answer *a, pm_stop why) {
  a->done = true;
  a->result.stop = why;
  a->result.seconds = pm_clock_seconds() - a->began;
}

// False when the receiver has had enough, or a stop string was reached.
static bool take_text(void *user, bool thinking, const char *text, size_t bytes) {
  pm_answer *a = user;
  int found;
  if (!thinking && a->within_thought && a->matcher) a->misfit |= !pm_matcher_push(a->matcher, text, bytes);
  if (thinking != a->emits_thought && !pm_stop_strings_end(&a->stops, emit_answer, a)) return false;
  a->emits_thought = thinking;
  if (!pm_stop_strings_push(&a->stops, text, bytes, emit_answer, a, &found)) return false;
  if (found < 0) return true;
  a->result.stop_string = (size_t)found;
  end_with(a, PM_STOP_STRING);
  return false;
}

// In pieces, so that no buffer depends on a token's length. False when there shall be no more.
static bool push_bytes(pm_answer *a, const char *bytes, size_t n, bool end) {
  char text[(32 + 3) * 3];
  do {
    size_t k = n < 32 ? n : 32;
    size_t m = pm_utf8_stream_push(&a->utf8, bytes, k, end && k == n, text);
    if (!pm_think_stream_push(&a->think, text, m, end && k == n, take_text, a)) return false;
    bytes += k, n -= k;
  } while (n);
  return true;
}

static bool push_token(pm_answer *a, int32_t id) {
  size_t n;
  bool special = a->desc.special || id == a->think_marks[0] || id == a->think_marks[1];
  const char *bytes = pm_token_bytes(a->session->engine->tokenizer, id, special, &n);
  return push_bytes(a, bytes, n, false);
}

// Emits what was held.
static void end_early(pm_answer *a, pm_stop why) {
  if (a->done) return;
  bool wanted = push_bytes(a, "", 0, true);
  if (a->done) return;  // by a stop string at the very end
  if (wanted) wanted = pm_stop_strings_end(&a->stops, emit_answer, a);
  end_with(a, wanted ? why : PM_STOP_CALLER);
}

// ---- tokens ----

// What a grammar says of a token. Thinking follows none, and an answer may begin with it, but not end in it.
static bool fits(pm_answer *a, int32_t id) {
  const pm_tokenizer *t = a->session->engine->tokenizer;
  size_t n;
  const char *bytes = pm_token_bytes(t, id, false, &n);
  if (!a->matcher || (!a->result.n_token && id == a->think_marks[0])) return true;
  if (a->think.thinking) return a->think_marks[1] < 0 || !pm_token_is_end(t, id);
  if (pm_token_is_end(t, id)) return pm_matcher_may_end(a->matcher);
  uint32_t state = pm_matcher_look(a->matcher);
  for (size_t i = 0; i < n && state != PM_MATCHER_DEAD; i++) state = pm_matcher_step(a->matcher, state, (uint8_t)bytes[i]);
  return n && state != PM_MATCHER_DEAD;
}

// All tokens for which `fits` holds; instead of an end within thinking the end of the thinking.
static void find_fitting(pm_answer *a) {
  const pm_engine *e = a->session->engine;
  uint32_t n_vocab = e->model.config.n_vocab;
  if (a->think.thinking) {
    memset(a->allowed, 0, (n_vocab + 63) / 64 * sizeof *a->allowed);
    a->allowed[a->think_marks[1] / 64] = 1ull << a->think_marks[1] % 64;
    return;
  }
  pm_token_order_allow(e->token_order, a->matcher, a->allowed, n_vocab);
  for (uint32_t id = 0; pm_matcher_may_end(a->matcher) && id < n_vocab; id++)
    if (pm_token_is_end(e->tokenizer, (int32_t)id)) a->allowed[id / 64] |= 1ull << id % 64;
  int32_t mark = a->think_marks[0];
  if (!a->result.n_token && mark >= 0) a->allowed[mark / 64] |= 1ull << mark % 64;
}

// The grammar is asked about the token that was chosen first: models mostly know what they were asked for. Only if it does not fit, the
// choice is made again among those that do.
static pm_status sample(pm_answer *a, int32_t *out) {
  const pm_session *s = a->session;
  pm_sampler_input in = {.logits = s->logits, .n_vocab = s->engine->model.config.n_vocab, .history = s->tokens, .n_history = s->length};
  *out = pm_sample(&a->desc.sampling, &a->rng, &in, s->sampler_memory);
  if (*out < 0) PM_FAIL(PM_ERR_ARGUMENT, "no token is left to choose from: all are banned, or the model's logits are not numbers");
  if (fits(a, *out)) return PM_OK;
  find_fitting(a);
  in.allowed = a->allowed;
  *out = pm_sample(&a->desc.sampling, &a->rng, &in, s->sampler_memory);
  if (*out < 0)
    PM_FAIL(PM_ERR_ARGUMENT, "no token of the vocabulary fits the grammar after %llu tokens", (unsigned long long)a->result.n_token);
  return PM_OK;
}

// Takes the token's text. The grammar's end is the answer's.
static pm_status take_token(pm_answer *a, int32_t id, int32_t *token) {
  const pm_session *s = a->session;
  a->within_thought = a->think.thinking || id == a->think_marks[0];
  if (!push_token(a, id)) {
    if (!a->done) end_with(a, PM_STOP_CALLER);
    return PM_OK;
  }
  *token = id;
  if (a->matcher && !a->within_thought) {
    size_t n;
    const char *bytes = pm_token_bytes(s->engine->tokenizer, id, false, &n);
    a->misfit = !pm_matcher_push(a->matcher, bytes, n);
    if (pm_matcher_must_end(a->matcher)) end_early(a, PM_STOP_END);
  }
  if (a->misfit) PM_FAIL(PM_ERR_ARGUMENT, "token %d does not fit the grammar", (int)id);
  if (a->result.n_token == a->desc.max_tokens || s->length + 1 == s->engine->kv.n_ctx) end_early(a, PM_STOP_LENGTH);
  return PM_OK;
}

static void tell_probs(pm_answer *a, int32_t id) {
  const pm_session *s = a->session;
  if (!a->desc.probs) return;
  pm_top_tokens(s->logits, s->engine->model.config.n_vocab, id, a->desc.n_probs, a->probs);
  a->desc.probs(a->desc.user, a->probs, a->probs + 1, a->desc.n_probs);
}

pm_status pm_answer_next(pm_answer *a, int32_t *token, bool *done) {
  const pm_session *s = a->session;
  int32_t id;
  *token = -1;
  if (!a->done && s->length == s->engine->kv.n_ctx) end_early(a, PM_STOP_LENGTH);
  *done = a->done;
  if (a->done) return PM_OK;
  if (!s->has_logits) PM_FAIL(PM_ERR_ARGUMENT, "the session has no logits: evaluate the prompt, or the answer's newest token, first");
  PM_TRY(sample(a, &id));
  a->result.n_token++;
  tell_probs(a, id);
  if (pm_token_is_end(s->engine->tokenizer, id)) {
    end_early(a, PM_STOP_END);
  } else {
    PM_TRY(take_token(a, id, token));
  }
  *done = a->done;
  return PM_OK;
}

pm_generated pm_answer_result(const pm_answer *a) {
  pm_generated g = a->result;
  if (!a->done) g.seconds = pm_clock_seconds() - a->began;
  return g;
}

pm_status pm_answer_run(pm_answer *a) {
  int32_t id;
  bool done;
  do {
    PM_TRY(pm_answer_next(a, &id, &done));
    pm_status status = id < 0 ? PM_OK : pm_session_eval(a->session, &id, 1, NULL, NULL);
    if (status != PM_ERR_CANCELLED) PM_TRY(status);
    if (status) end_early(a, PM_STOP_CALLER);
    done |= status != PM_OK;
  } while (!done);
  return PM_OK;
}
