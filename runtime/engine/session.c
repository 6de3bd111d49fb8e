#include "session.h"

#include <string.h>

#include "memory.h"
#include "sampler.h"

pm_status pm_session_create(pm_engine *e, pm_session **out) {
  *out = NULL;
  uint32_t base;
  PM_TRY(pm_kv_acquire(&e->kv, &base));
  pm_session *s = pm_alloc_zero(1, sizeof *s);
  if (!s) return pm_kv_release(&e->kv, base), pm_fail(PM_ERR_MEMORY, "out of memory: session");
  s->engine = e, s->base = base;
  s->tokens = pm_alloc_zero(e->kv.n_ctx, sizeof *s->tokens);
  s->logits = pm_alloc_zero(e->model.config.n_vocab, sizeof *s->logits);
  s->sampler_memory = pm_alloc(pm_sampler_bytes(e->model.config.n_vocab));
  if (s->tokens && s->logits && s->sampler_memory) return *out = s, PM_OK;
  pm_session_destroy(s);
  PM_FAIL(PM_ERR_MEMORY, "out of memory: session");
}

void pm_session_destroy(pm_session *s) {
  if (!s) return;
  pm_kv_release(&s->engine->kv, s->base);
  pm_free(s->tokens);
  pm_free(s->logits);
  pm_free(s->sampler_memory);
  pm_free(s);
}

static pm_status check_tokens(const pm_session *s, const int32_t *tokens, size_t n) {
  uint32_t n_ctx = s->engine->kv.n_ctx, n_vocab = s->engine->model.config.n_vocab;
  if (n > n_ctx - s->length)
    PM_FAIL(PM_ERR_ARGUMENT, "%zu tokens after %u do not fit a context of %u tokens; ask for a larger context or shorten the text", n,
            s->length, n_ctx);
  for (size_t i = 0; i < n; i++)
    if ((uint32_t)tokens[i] >= n_vocab)
      PM_FAIL(PM_ERR_ARGUMENT, "token id %d at index %zu is not in the vocabulary of %u", (int)tokens[i], i, n_vocab);
  return PM_OK;
}

// One step; keeps logits for the caller's callback or for the session.
static pm_status eval_chunk(pm_session *s, const int32_t *tokens, uint32_t n, size_t first, bool last, pm_logits_fn *all, void *user) {
  pm_engine *e = s->engine;
  PM_TRY(pm_engine_step(e, s->base, s->length, tokens, n, all ? PM_WANT_ALL : last ? PM_WANT_LAST : PM_WANT_NOTHING));
  memcpy(s->tokens + s->length, tokens, n * sizeof *tokens);
  s->length += n;
  uint32_t n_vocab = e->model.config.n_vocab, n_logit = all ? n : last ? 1 : 0;
  if (!n_logit) return PM_OK;
  const float *logits = e->backend->ops->logits(e->backend);
  for (uint32_t i = 0; all && i < n; i++) all(user, first + i, logits + (size_t)i * n_vocab);
  if (last) {
    memcpy(s->logits, logits + (size_t)(n_logit - 1) * n_vocab, n_vocab * sizeof *logits);
    s->has_logits = true;
  }
  return PM_OK;
}

// Rows of the next step. Kernels for few rows sum in another order than those for many. Where results must not depend on how much fits,
// they must not depend on how a text is cut into steps of the size that fits (17 rows or more): it is cut into steps of many rows, or of
// one if it is short, which also need the fewest experts at a time.
static uint32_t next_rows(const pm_engine *e, size_t left, size_t most) {
  enum { MANY = PM_EXPERT_FEW_ROWS + 1 };
  size_t n = left < most ? left : most;
  if (!e->stream_only) return (uint32_t)n;
  if (n < MANY) return 1;
  bool leaves_few = left > n && left - n < MANY;
  return (uint32_t)(leaves_few && left >= 2 * MANY ? left - MANY : n);
}

pm_status pm_session_eval(pm_session *s, const int32_t *tokens, size_t n, pm_logits_fn *all, void *user) {
  PM_TRY(check_tokens(s, tokens, n));
  const pm_program *p = &s->engine->program;
  size_t chunk = all ? p->max_logits : p->max_rows;
  for (size_t i = 0; i < n;) {
    if (atomic_exchange(&s->cancel, false)) PM_FAIL(PM_ERR_CANCELLED, "stopped after %zu of %zu tokens", i, n);
    if (s->progress && n > chunk && !s->progress(s->user, (float)i / (float)n))
      PM_FAIL(PM_ERR_CANCELLED, "stopped after %zu of %zu tokens", i, n);
    uint32_t k = next_rows(s->engine, n - i, chunk);
    s->has_logits = false;
    PM_TRY(eval_chunk(s, tokens + i, k, i, i + k == n, all, user));
    i += k;
  }
  if (s->progress && n > chunk) s->progress(s->user, 1);
  return PM_OK;
}

pm_status pm_session_rewind(pm_session *s, size_t length) {
  if (length > s->length) PM_FAIL(PM_ERR_ARGUMENT, "cannot rewind to %zu tokens: the session holds %u", length, s->length);
  if (length < s->length) s->has_logits = false;
  s->length = (uint32_t)length;
  return PM_OK;
}

pm_status pm_session_sync(pm_session *s, const int32_t *tokens, size_t n, size_t *n_reused) {
  size_t same = 0;
  while (same < n && same < s->length && tokens[same] == s->tokens[same]) same++;
  bool complete = same == n && same == s->length && s->has_logits;
  if (same == n && !complete && same > 0) same--;  // the last token once more, for its logits
  if (n_reused) *n_reused = same;
  if (complete) return PM_OK;
  PM_TRY(pm_session_rewind(s, same));
  return pm_session_eval(s, tokens + same, n - same, NULL, NULL);
}
