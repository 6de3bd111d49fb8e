// Answers in the making: token by token, as whole characters, thinking told apart, stop strings left out.
#ifndef PM_GENERATE_H
#define PM_GENERATE_H

#include "sampler.h"
#include "session.h"

typedef enum pm_stop { PM_STOP_END, PM_STOP_LENGTH, PM_STOP_CALLER, PM_STOP_STRING } pm_stop;

enum { PM_ANSWER_MAX_PROBS = 20 };

// Of a token that was sampled, before its text is emitted; top: the likeliest tokens before sampling, in falling order.
typedef void pm_probs_fn(void *user, const pm_token_prob *chosen, const pm_token_prob *top, uint32_t n_top);

typedef struct pm_answer_desc {
  pm_sampler_desc sampling;
  uint64_t seed;
  size_t max_tokens;  // 0: until the context is full
  const char *const *stop;
  size_t n_stop;
  bool ignore_end;  // the model's end tokens are never chosen
  bool special;     // control tokens show their names
  uint32_t n_probs;
  // What the answer must be, thinking left out: a text of a grammar (GBNF), or JSON by a schema; NULL: anything. At most one of them.
  const char *grammar, *json_schema;
  pm_think_fn *text;   // a false return stops
  pm_probs_fn *probs;  // may be NULL
  void *user;
} pm_answer_desc;

typedef struct pm_generated {
  pm_stop stop;        // once it is done
  size_t stop_string;  // index of the one that was reached
  uint64_t n_token;    // sampled
  double seconds;
} pm_generated;

typedef struct pm_answer pm_answer;

// The description's strings and arrays are copied. The session outlives the answer.
pm_status pm_answer_begin(pm_session *s, const pm_answer_desc *d, pm_answer **out) PM_MUST_USE;
void pm_answer_end(pm_answer *a);  // NULL is fine

// Samples from the session's logits and emits text. *token >= 0: the session does not hold it yet; unless *done, it must be evaluated
// before the next call. Allocates nothing.
pm_status pm_answer_next(pm_answer *a, int32_t *token, bool *done) PM_MUST_USE;
pm_generated pm_answer_result(const pm_answer *a);  // of what has been sampled so far

// The whole answer, which the session holds then. Cancelling the session stops like a false return of `text`. Allocates nothing.
pm_status pm_answer_run(pm_answer *a) PM_MUST_USE;

#endif
