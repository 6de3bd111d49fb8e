// Answers of the demo model through the public functions: in the making one by one, several at once, and what their options do.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "pumice.h"

enum { N_SESSION = 3, MAX_TOKENS = 100, MAX_TEXT = 4096 };

#define RUN(call) \
  if (call) fail_msg("%s: %s", #call, pumice_error())

static pumice_model *model;
static pumice_session *sessions[N_SESSION];

static int open_all(void **state) {
  (void)state;
  pumice_model_options o = PUMICE_INIT(pumice_model_options);
  o.device = "cpu", o.exact = true, o.n_ctx = 512, o.n_session = N_SESSION, o.n_thread = 2;
  if (pumice_model_open(PM_DEMO_MODEL, &o, &model)) return fprintf(stderr, "%s\n", pumice_error()), 1;
  for (int i = 0; i < N_SESSION; i++)
    if (pumice_session_create(model, &sessions[i])) return 1;
  return 0;
}

static int close_all(void **state) {
  (void)state;
  for (int i = 0; i < N_SESSION; i++) pumice_session_destroy(sessions[i]);
  pumice_model_close(model);
  return 0;
}

static const char *const questions[N_SESSION] = {"What is 37 + 58?", "What is the capital of France?", "Count from 1 to 5."};

// The session holds the question.
static void ask(pumice_session *s, const char *question) {
  const pumice_message m = {"user", question};
  char text[1024];
  int32_t tokens[256];
  size_t n = sizeof text, n_token = 256;
  RUN(pumice_chat_render(model, &m, 1, true, false, text, &n));
  RUN(pumice_tokenize(model, text, n, PUMICE_PARSE_SPECIAL, tokens, &n_token));
  RUN(pumice_session_sync(s, tokens, n_token, NULL));
}

typedef struct taken {
  char text[MAX_TEXT];
  size_t n, n_thought, n_prob;
  int32_t token[256];  // that were sampled
  pumice_result result;
  size_t patience;  // pieces of text; 0: all
} taken;

static bool take_text(void *user, pumice_event kind, const char *text, size_t bytes) {
  taken *t = user;
  if (kind == PUMICE_TEXT) memcpy(t->text + t->n, text, bytes), t->n += bytes, t->text[t->n] = 0;
  if (kind == PUMICE_THINKING) t->n_thought += bytes;
  return !t->patience || --t->patience > 0;
}

static void take_probs(void *user, const pumice_token_prob *chosen, const pumice_token_prob *top, uint32_t n_top) {
  taken *t = user;
  t->token[t->n_prob++] = chosen->token;
  if (!n_top) return;
  double sum = 0;
  for (uint32_t i = 0; i < n_top; i++) {
    sum += exp(top[i].log_probability);
    if (i) assert_true(top[i].log_probability <= top[i - 1].log_probability);
    if (top[i].token == chosen->token) assert_true(top[i].log_probability == chosen->log_probability);
  }
  assert_true(sum <= 1.00001 && sum > 0.05 && chosen->log_probability <= top[0].log_probability);
}

static const pumice_sampling greedy = {.size = sizeof greedy, .greedy = true};

static pumice_answer_options options_for(taken *t) {
  *t = (taken){.result = PUMICE_INIT(pumice_result)};
  return (pumice_answer_options){.size = sizeof(pumice_answer_options),
                                 .sampling = &greedy,
                                 .max_tokens = MAX_TOKENS,
                                 .text = take_text,
                                 .probs = take_probs,
                                 .user = t};
}

// An answer to the first question, token by token; *last is the token that the session does not hold, or -1.
static void answer(const pumice_answer_options *o, int32_t *last) {
  pumice_answer *a;
  taken *t = o->user;
  bool done = false;
  ask(sessions[0], questions[0]);
  RUN(pumice_answer_begin(sessions[0], o, &a));
  for (;;) {
    RUN(pumice_answer_next(a, last, &done));
    if (done) break;
    assert_true(*last >= 0);
    RUN(pumice_session_eval(sessions[0], last, 1, NULL, NULL));
  }
  pumice_answer_result(a, &t->result);
  pumice_answer_end(a);
  assert_int_equal(t->result.n_token, t->n_prob);
}

static void same_as_generate(void **state) {
  (void)state;
  taken whole = {.result = PUMICE_INIT(pumice_result)}, t;
  int32_t last;
  ask(sessions[0], questions[0]);
  RUN(pumice_generate(sessions[0], &greedy, MAX_TOKENS, take_text, &whole, &whole.result));
  assert_non_null(strstr(whole.text, "95"));
  pumice_answer_options o = options_for(&t);
  o.n_probs = 5;
  answer(&o, &last);
  assert_string_equal(t.text, whole.text);
  assert_int_equal(t.result.n_token, whole.result.n_token);
  assert_int_equal(t.result.stop, PUMICE_STOP_END);
  assert_int_equal(last, -1);
  assert_true(pumice_token_is_end(model, t.token[t.n_prob - 1]));
}

// Several answers whose tokens share steps are those of lone sessions.
static void several_at_once(void **state) {
  (void)state;
  taken alone[N_SESSION], t[N_SESSION];
  pumice_answer *a[N_SESSION];
  bool done[N_SESSION] = {false};
  for (int i = 0; i < N_SESSION; i++) {
    pumice_answer_options o = options_for(&alone[i]);
    ask(sessions[i], questions[i]);
    RUN(pumice_generate(sessions[i], &greedy, MAX_TOKENS, take_text, &alone[i], NULL));
    ask(sessions[i], questions[i]);
    o = options_for(&t[i]);
    RUN(pumice_answer_begin(sessions[i], &o, &a[i]));
  }
  for (;;) {
    pumice_part parts[N_SESSION];
    int32_t tokens[N_SESSION];
    size_t n = 0;
    for (int i = 0; i < N_SESSION; i++) {
      if (!done[i]) RUN(pumice_answer_next(a[i], &tokens[i], &done[i]));
      if (!done[i]) parts[n++] = (pumice_part){.session = sessions[i], .tokens = &tokens[i], .n = 1};
    }
    if (!n) break;
    RUN(pumice_eval_parts(parts, n));
    for (size_t i = 0; i < n; i++) assert_true(parts[i].status == PUMICE_OK && parts[i].n_done == 1);
  }
  for (int i = 0; i < N_SESSION; i++) {
    assert_true(t[i].n > 0);
    assert_string_equal(t[i].text, alone[i].text);
    pumice_answer_end(a[i]);
  }
}

static void lengths(void **state) {
  (void)state;
  taken t;
  int32_t last;
  pumice_answer_options o = options_for(&t);
  o.max_tokens = 3;
  answer(&o, &last);
  assert_int_equal(t.result.stop, PUMICE_STOP_LENGTH);
  assert_int_equal(t.result.n_token, 3);
  assert_int_equal(last, t.token[2]);  // sampled, shown, not in the session
  size_t length = pumice_session_length(sessions[0]);
  ask(sessions[0], questions[0]);
  assert_int_equal(length, pumice_session_length(sessions[0]) + 2);
  RUN(pumice_generate(sessions[0], &greedy, 3, take_text, &t, NULL));
  assert_int_equal(pumice_session_length(sessions[0]), length + 1);  // holds the whole answer
}

static void stop_strings(void **state) {
  (void)state;
  taken whole, t;
  int32_t last;
  pumice_answer_options o = options_for(&whole);
  answer(&o, &last);
  assert_true(whole.n > 6 && whole.n_thought > 0);
  const char *sum = whole.text + whole.n - 2;  // which the thinking does not come to
  const char *stops[] = {"never said", sum};
  o = options_for(&t);
  o.stop = stops, o.n_stop = 2;
  answer(&o, &last);
  assert_int_equal(t.result.stop, PUMICE_STOP_STRING);
  assert_int_equal(t.result.stop_string, 1);
  assert_int_equal(last, -1);
  assert_int_equal(t.n, whole.n - 2);
  assert_memory_equal(t.text, whole.text, t.n);
  assert_int_equal(t.n_thought, whole.n_thought);

  stops[1] = "carry";  // which it does
  o = options_for(&t);
  o.stop = stops, o.n_stop = 2;
  answer(&o, &last);
  assert_int_equal(t.result.stop, PUMICE_STOP_STRING);
  assert_true(t.n == 0 && t.n_thought > 0 && t.n_thought < whole.n_thought);
}

static void biases(void **state) {
  (void)state;
  taken plain, t;
  int32_t last;
  pumice_answer_options o = options_for(&plain);
  answer(&o, &last);
  const pumice_bias bias[] = {{plain.token[0], -INFINITY}, {plain.token[1], -INFINITY}};
  o = options_for(&t);
  o.bias = bias, o.n_bias = 2;
  answer(&o, &last);
  for (size_t i = 0; i < t.n_prob; i++) assert_true(t.token[i] != plain.token[0] && t.token[i] != plain.token[1]);

  o = options_for(&t);
  o.ignore_end = true;
  answer(&o, &last);
  assert_true(plain.result.n_token < MAX_TOKENS);
  assert_int_equal(t.result.stop, PUMICE_STOP_LENGTH);
  assert_int_equal(t.result.n_token, MAX_TOKENS);
  for (size_t i = 0; i < MAX_TOKENS; i++) assert_false(pumice_token_is_end(model, t.token[i]));
}

// ---- answers that follow a grammar ----

static bool answered_as(const char *grammar, const char *schema, taken *t) {
  int32_t last;
  pumice_answer_options o = options_for(t);
  o.grammar = grammar, o.json_schema = schema, o.max_tokens = 200;
  answer(&o, &last);
  return t->result.stop == PUMICE_STOP_END;
}

static void json_answers(void **state) {
  (void)state;
  static const char *const schema =
      "{\"type\":\"object\",\"properties\":{\"sum\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":999},\"sure\":{\"type\":\"boolean\"}},"
      "\"required\":[\"sum\",\"sure\"]}";
  taken t;
  json_error_t error;
  assert_true(answered_as(NULL, schema, &t));
  print_message("# %s\n", t.text);
  json_t *v = json_loads(t.text, 0, &error);
  if (!v) fail_msg("'%s' is no JSON: %s", t.text, error.text);
  assert_true(json_is_integer(json_object_get(v, "sum")) && json_is_boolean(json_object_get(v, "sure")));
  assert_int_equal(json_object_size(v), 2);
  json_decref(v);
}

// Thinking comes first, as the model likes, and follows no grammar. The grammar's end is the answer's, without an end token.
static void grammars_and_thinking(void **state) {
  (void)state;
  taken t;
  assert_true(answered_as("root ::= \"37 + 58 = \" [0-9]{2}", NULL, &t));
  assert_true(t.n_thought > 0);
  assert_string_equal(t.text, "37 + 58 = 95");
  assert_false(pumice_token_is_end(model, t.token[t.n_prob - 1]));
  assert_true(answered_as("root ::= [xyz]{3} \".\"?", NULL, &t));
  assert_int_equal(strspn(t.text, "xyz"), 3);
  assert_true(t.n == 3 || (t.n == 4 && t.text[3] == '.'));
}

// A model that would end in its thinking ends that instead.
static void thinking_is_not_the_end(void **state) {
  (void)state;
  taken t;
  int32_t last;
  pumice_model_info info = PUMICE_INIT(pumice_model_info);
  pumice_model_get_info(model, &info);
  pumice_bias bias = {info.token_eos, 1e6f};
  pumice_answer_options o = options_for(&t);
  o.grammar = "root ::= \"yes\" | \"no\"", o.bias = &bias, o.n_bias = 1;
  answer(&o, &last);
  assert_int_equal(t.result.stop, PUMICE_STOP_END);
  assert_true(t.token[0] != info.token_eos && t.token[1] != info.token_eos);  // <think> and its end
  assert_true(!strcmp(t.text, "yes") || !strcmp(t.text, "no"));
}

static void wrong_grammars(void **state) {
  (void)state;
  taken t;
  pumice_answer *a;
  pumice_answer_options o = options_for(&t);
  ask(sessions[0], questions[0]);
  o.grammar = "root ::= x";
  assert_int_equal(pumice_answer_begin(sessions[0], &o, &a), PUMICE_ERR_ARGUMENT);
  assert_non_null(strstr(pumice_error(), "line 1, column 10"));
  o.json_schema = "{}";
  assert_int_equal(pumice_answer_begin(sessions[0], &o, &a), PUMICE_ERR_ARGUMENT);
  o.grammar = NULL, o.json_schema = "{\"not\":{}}";
  assert_int_equal(pumice_answer_begin(sessions[0], &o, &a), PUMICE_ERR_UNSUPPORTED);
  o.grammar = "root ::= []", o.json_schema = NULL;  // no text at all
  RUN(pumice_answer_begin(sessions[0], &o, &a));
  int32_t token = 0;
  bool done = false;
  pumice_status status = PUMICE_OK;
  while (!status && !done) {
    status = pumice_answer_next(a, &token, &done);
    if (!status && !done) RUN(pumice_session_eval(sessions[0], &token, 1, NULL, NULL));
  }
  assert_int_equal(status, PUMICE_ERR_ARGUMENT);
  assert_non_null(strstr(pumice_error(), "fits the grammar"));
  pumice_answer_end(a);
}

static void callers_that_stop(void **state) {
  (void)state;
  taken t;
  int32_t last;
  pumice_answer_options o = options_for(&t);
  t.patience = 1;
  answer(&o, &last);
  assert_int_equal(t.result.stop, PUMICE_STOP_CALLER);
  assert_int_equal(last, -1);
}

static void wrong_options(void **state) {
  (void)state;
  taken t;
  pumice_answer *a;
  static const char *const empty[] = {""};
  const pumice_bias far[] = {{1 << 30, 1}}, infinite[] = {{1, INFINITY}};
  pumice_answer_options o = options_for(&t);
  ask(sessions[0], questions[0]);
  o.n_probs = 21;
  assert_int_equal(pumice_answer_begin(sessions[0], &o, &a), PUMICE_ERR_ARGUMENT);
  assert_null(a);
  o = options_for(&t);
  o.stop = empty, o.n_stop = 1;
  assert_int_equal(pumice_answer_begin(sessions[0], &o, &a), PUMICE_ERR_ARGUMENT);
  o = options_for(&t);
  o.bias = far, o.n_bias = 1;
  assert_int_equal(pumice_answer_begin(sessions[0], &o, &a), PUMICE_ERR_ARGUMENT);
  o.bias = infinite;
  assert_int_equal(pumice_answer_begin(sessions[0], &o, &a), PUMICE_ERR_ARGUMENT);
  RUN(pumice_session_rewind(sessions[0], 3));
  o = options_for(&t);
  RUN(pumice_answer_begin(sessions[0], &o, &a));
  int32_t token;
  bool done;
  assert_int_equal(pumice_answer_next(a, &token, &done), PUMICE_ERR_ARGUMENT);
  assert_non_null(strstr(pumice_error(), "no logits"));
  pumice_answer_end(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(same_as_generate),
      cmocka_unit_test(several_at_once),
      cmocka_unit_test(lengths),
      cmocka_unit_test(stop_strings),
      cmocka_unit_test(biases),
      cmocka_unit_test(json_answers),
      cmocka_unit_test(grammars_and_thinking),
      cmocka_unit_test(thinking_is_not_the_end),
      cmocka_unit_test(wrong_grammars),
      cmocka_unit_test(callers_that_stop),
      cmocka_unit_test(wrong_options),
  };
  return cmocka_run_group_tests_name("answers", tests, open_all, close_all);
}
