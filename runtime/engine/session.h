// One conversation: its tokens, its range of the cache, its newest logits.
#ifndef PM_SESSION_H
#define PM_SESSION_H

#include <stdatomic.h>

#include "engine.h"

typedef struct pm_session {
  pm_engine *engine;
  uint32_t base;    // first cache cell
  uint32_t length;  // tokens held
  int32_t *tokens;  // [n_ctx]
  float *logits;    // [n_vocab] after the last token, if has_logits
  bool has_logits;
  atomic_bool cancel;
  pm_progress_fn *progress;  // of long prompts; may be NULL
  void *user;
  void *sampler_memory;  // candidates of the sampler, [n_vocab]
} pm_session;

pm_status pm_session_create(pm_engine *e, pm_session **out) PM_MUST_USE;
void pm_session_destroy(pm_session *s);

// Called with the logits after token `index` of those that were evaluated.
typedef void pm_logits_fn(void *user, size_t index, const float *logits);

// Appends and evaluates tokens in steps of at most max_rows. After a failure the session holds what was evaluated.
pm_status pm_session_eval(pm_session *s, const int32_t *tokens, size_t n, pm_logits_fn *all, void *user) PM_MUST_USE;

// What one session gets of a call for several.
typedef struct pm_part {
  pm_session *session;
  const int32_t *tokens;
  size_t n;
  size_t n_done;     // out: tokens that the session has taken
  pm_status status;  // out
  uint32_t n_now;    // rows of the running step
} pm_part;

// Appends tokens to several sessions of one engine, whose rows share steps, in the order of the parts. An argument that is wrong fails the
// call before anything is evaluated. A session that is cancelled stops alone. A step that fails stops all. Returns the first status that
// is not PM_OK.
pm_status pm_session_eval_parts(pm_part *parts, size_t n_part) PM_MUST_USE;

// Makes the session hold exactly `tokens`, evaluating only what differs from what it holds.
pm_status pm_session_sync(pm_session *s, const int32_t *tokens, size_t n, size_t *n_reused) PM_MUST_USE;

pm_status pm_session_rewind(pm_session *s, size_t length) PM_MUST_USE;

// Makes `to` hold the first `length` tokens of another session of the same engine, by copying cache rows (snapshot.c).
pm_status pm_session_copy(pm_session *to, const pm_session *from, size_t length) PM_MUST_USE;

// Snapshots (snapshot.c): tokens, cache rows and logits in one file, tied to the model by its fingerprint.
pm_status pm_session_save(pm_session *s, const char *path) PM_MUST_USE;
pm_status pm_session_load(pm_session *s, const char *path) PM_MUST_USE;

#endif
