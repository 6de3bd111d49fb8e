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

// ---- steps ----

// Who receives the logits of every token of a part that is alone.
typedef struct receiver {
  pm_logits_fn *fn;  // NULL: only those of each part's last token are wanted
  void *user;
} receiver;

// Rows of a part in the next step. Kernels for few rows sum in another order than those for many. Where results must not depend on how
// much fits, they must not depend on how a text is cut into steps of the size that fits (17 rows or more): it is cut into steps of many
// rows, or of one if it is short, which also need the fewest experts at a time.
static uint32_t next_rows(const pm_engine *e, size_t left, size_t most) {
  enum { MANY = PM_EXPERT_FEW_ROWS + 1 };
  size_t n = left < most ? left : most;
  if (!e->stream_only) return (uint32_t)n;
  if (n < MANY) return 1;
  bool leaves_few = left > n && left - n < MANY;
  return (uint32_t)(leaves_few && left >= 2 * MANY ? left - MANY : n);
}

static bool is_open(const pm_part *p) { return p->status == PM_OK && p->n_done < p->n; }

// Appends rows of open parts, in order, until the step is full.
static void fill_step(pm_engine *e, pm_part *parts, size_t n_part, bool all) {
  const pm_program *program = &e->program;
  uint32_t most = all ? program->max_logits : program->max_rows;
  pm_engine_begin_step(e);
  for (pm_part *p = parts; p < parts + n_part; p++) {
    pm_session *s = p->session;
    p->n_now = 0;
    if (!is_open(p) || e->n_row == most || e->n_logit == program->max_logits) continue;
    if (e->stream_only && e->n_row) continue;  // a part's results must not depend on its company either
    if (atomic_exchange(&s->cancel, false)) {
      p->status = pm_fail(PM_ERR_CANCELLED, "stopped after %zu of %zu tokens", p->n_done, p->n);
      continue;
    }
    p->n_now = next_rows(e, p->n - p->n_done, most - e->n_row);
    bool last = p->n_done + p->n_now == p->n;
    s->has_logits = false;
    pm_engine_append_rows(e, s->base, s->length, p->tokens + p->n_done, p->n_now,
                          all    ? PM_WANT_ALL
                          : last ? PM_WANT_LAST
                                 : PM_WANT_NOTHING);
  }
}

// What the step has done to a part; `logits` are the part's.
static void take_step(pm_part *p, const float *logits, uint32_t n_logit, const receiver *r) {
  pm_session *s = p->session;
  uint32_t n_vocab = s->engine->model.config.n_vocab;
  memcpy(s->tokens + s->length, p->tokens + p->n_done, p->n_now * sizeof *p->tokens);
  s->length += p->n_now;
  for (uint32_t i = 0; r->fn && i < p->n_now; i++) r->fn(r->user, p->n_done + i, logits + (size_t)i * n_vocab);
  p->n_done += p->n_now;
  if (p->n_done < p->n) return;
  memcpy(s->logits, logits + (size_t)(n_logit - 1) * n_vocab, n_vocab * sizeof *logits);
  s->has_logits = true;
}

// One step for parts of one engine, at least one of them open.
static pm_status run_step(pm_engine *e, pm_part *parts, size_t n_part, const receiver *r) {
  fill_step(e, parts, n_part, r->fn);
  if (!e->n_row) return PM_OK;
  PM_TRY(pm_engine_run_step(e));
  const float *logits = e->n_logit ? e->backend->ops->logits(e->backend) : NULL;
  for (pm_part *p = parts; p < parts + n_part; p++) {
    if (!p->n_now) continue;
    uint32_t n_logit = r->fn ? p->n_now : p->n_done + p->n_now == p->n;
    take_step(p, logits, n_logit, r);
    if (logits) logits += (size_t)n_logit * e->model.config.n_vocab;
  }
  return PM_OK;
}

pm_status pm_session_eval(pm_session *s, const int32_t *tokens, size_t n, pm_logits_fn *all, void *user) {
  PM_TRY(check_tokens(s, tokens, n));
  const pm_program *program = &s->engine->program;
  pm_part p = {.session = s, .tokens = tokens, .n = n};
  receiver r = {all, user};
  bool tells = s->progress && n > (all ? program->max_logits : program->max_rows);
  while (is_open(&p)) {
    if (tells && !s->progress(s->user, (float)p.n_done / (float)n))
      PM_FAIL(PM_ERR_CANCELLED, "stopped after %zu of %zu tokens", p.n_done, n);
    PM_TRY(run_step(s->engine, &p, 1, &r));
  }
  if (tells && p.status == PM_OK) s->progress(s->user, 1);
  return p.status;
}

// ---- several sessions ----

static pm_status check_parts(const pm_part *parts, size_t n_part) {
  const pm_engine *e = parts->session->engine;
  for (size_t i = 0; i < n_part; i++) {
    const pm_part *p = &parts[i];
    if (p->session->engine != e) PM_FAIL(PM_ERR_ARGUMENT, "part %zu is a session of another model than part 0", i);
    for (size_t k = 0; k < i; k++)
      if (parts[k].session == p->session) PM_FAIL(PM_ERR_ARGUMENT, "parts %zu and %zu are the same session", k, i);
    pm_status status = check_tokens(p->session, p->tokens, p->n);
    if (status) return pm_fail_prefix(status, "part %zu", i);
  }
  return PM_OK;
}

pm_status pm_session_eval_parts(pm_part *parts, size_t n_part) {
  static const receiver nobody = {0};
  if (!n_part) return PM_OK;
  for (pm_part *p = parts; p < parts + n_part; p++) p->n_done = 0, p->status = PM_OK;
  PM_TRY(check_parts(parts, n_part));
  pm_status status = PM_OK, first = PM_OK;
  size_t n_open;
  do {
    n_open = 0;
    for (const pm_part *p = parts; p < parts + n_part; p++) n_open += is_open(p);
    if (n_open) status = run_step(parts->session->engine, parts, n_part, &nobody);
  } while (n_open && !status);
  for (pm_part *p = parts; p < parts + n_part; p++) {
    if (status && is_open(p)) p->status = status;
    if (!first) first = p->status;
  }
  return first;
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
