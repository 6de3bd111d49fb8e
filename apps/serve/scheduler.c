// Who works in the next step: every slot that decodes with one token, and pieces of prompts beside them.
#include <stdio.h>
#include <stdlib.h>

#include "terminal.h"
#include "worker.h"

static const double patience = 0.25;  // seconds that somebody who decodes may wait for pieces of prompts

// ---- from the queue to slots -------------------------------------------------------------------------------------------------------

// The slot that has the most of the prompt, if that is at least half of the prompt that it had before: the same conversation, whose answer
// may come back without its thinking. Else the one that was used longest ago. NULL if there is none, or not the one that was asked for.
static pm_slot *choose_slot(pm_worker *w, const pm_request *r, const pm_prompt *prompt) {
  pm_slot *best = NULL, *oldest = NULL;
  size_t best_common = 0;
  for (uint32_t i = 0; i < w->n_slot; i++) {
    pm_slot *s = &w->slots[i];
    if (s->job || (r->slot >= 0 && r->slot != i)) continue;
    size_t common = pm_slot_common(s, prompt);
    if (common > best_common && 2 * common >= s->last_prompt) best = s, best_common = common;
    if (!oldest || s->used < oldest->used) oldest = s;
  }
  return best ? best : oldest;
}

// Another slot may have more of the prompt than the one that was chosen: a system text that all conversations begin with.
static void copy_prefix(pm_worker *w, pm_slot *to, const pm_prompt *prompt) {
  const pm_slot *from = NULL;
  size_t most = pm_slot_common(to, prompt);
  for (uint32_t i = 0; i < w->n_slot; i++) {
    size_t common = pm_slot_common(&w->slots[i], prompt);
    if (common > most) from = &w->slots[i], most = common;
  }
  pumice_status status = from ? pumice_session_copy(to->session, from->session, most) : PUMICE_OK;
  if (status != PUMICE_OK) status = pumice_session_rewind(to->session, 0);  // then all of it is evaluated
  (void)status;
}

static bool any_free(const pm_worker *w) {
  for (uint32_t i = 0; i < w->n_slot; i++)
    if (!w->slots[i].job) return true;
  return false;
}

static void refuse_length(pm_worker *w, pm_job *job, size_t n) {
  json_t *error = json_pack(
      "{s:i, s:o, s:s, s:I, s:I}", "code", 400, "message",
      json_sprintf("the prompt has %zu tokens, the context has room for %u; shorten it, or start with a larger --ctx", n, w->info.n_ctx),
      "type", "exceed_context_size_error", "n_prompt_tokens", (json_int_t)n, "n_ctx", (json_int_t)w->info.n_ctx);
  pm_job_post(w->mail, job, PM_EVENT_FAILED, error, NULL, 0);
}

// Takes the job out of the queue for good, one way or another; false if it has to wait for its slot.
static bool place(pm_worker *w, pm_job *job) {
  const pm_request *r = job->request;
  pm_prompt prompt;
  char why[512];
  if (r->slot >= (int64_t)w->n_slot) {
    pm_job_fail(w->mail, job, 400, "id_slot is %lld, there are %u slots", (long long)r->slot, w->n_slot);
  } else if (r->slot >= 0 && w->slots[r->slot].job) {
    return false;
  } else if (!pm_prompt_make(w->model, r, &prompt, why)) {
    pm_job_fail(w->mail, job, 400, "%s", why);
  } else if (prompt.n >= w->info.n_ctx || prompt.n == 0) {
    if (prompt.n)
      refuse_length(w, job, prompt.n);
    else
      pm_job_fail(w->mail, job, 400, "the prompt is empty");
    free(prompt.tokens);
  } else {
    pm_slot *slot = choose_slot(w, r, &prompt);
    slot->used = ++w->clock;
    if (r->cache_prompt) copy_prefix(w, slot, &prompt);
    w->totals.prompt_tokens += prompt.n;
    pm_slot_begin(slot, job, &prompt);
    if (slot->job)
      w->totals.cached_tokens += slot->job->outcome.n_cached;
    else
      w->totals.failed++;
    return true;
  }
  w->totals.failed++;
  pm_job_release(job);
  return true;
}

// The first choice of a request reads the prompt, the others take it from that one's slot.
static bool waits_for_leader(const pm_job *job) { return job->leader && !job->leader->prompt_read && !job->leader->ended; }

void pm_worker_assign(pm_worker *w) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < w->n_waiting; i++) {
    pm_job *job = w->waiting[i];
    if (atomic_load(&job->cancelled)) {
      w->totals.cancelled++;
      pm_job_fail(w->mail, job, 500, "the client has left");
      pm_job_release(job);
    } else if (!any_free(w) || waits_for_leader(job) || !place(w, job)) {
      w->waiting[kept++] = job;
    }
  }
  w->n_waiting = kept;
}

// ---- steps -------------------------------------------------------------------------------------------------------------------------

typedef struct step {
  pumice_part parts[PM_MAX_SLOT];
  pm_slot *slots[PM_MAX_SLOT];
  uint32_t n, n_decode;
  size_t n_prompt;  // tokens of prompts
} step;

static void add_part(step *s, pm_slot *slot, size_t most) {
  size_t n;
  const int32_t *tokens = pm_slot_wants(slot, most, &n);
  s->parts[s->n] = (pumice_part){.session = slot->session, .tokens = tokens, .n = n};
  s->slots[s->n++] = slot;
}

static size_t prompt_rows(const pm_worker *w, uint32_t n_decode) {
  size_t batch = w->info.n_batch;
  if (!n_decode) return batch;
  double rows = w->seconds_per_row > 0 ? patience / w->seconds_per_row : (double)batch;
  size_t least = batch / 8 ? batch / 8 : 1;
  return rows < (double)least ? least : rows < (double)batch ? (size_t)rows : batch;
}

static void gather(pm_worker *w, step *s) {
  uint32_t n_prompt = 0;
  for (uint32_t i = 0; i < w->n_slot; i++) {
    if (!w->slots[i].job) continue;
    if (w->slots[i].answer)
      add_part(s, &w->slots[i], 1);
    else
      n_prompt++;
  }
  s->n_decode = s->n;
  size_t rows = n_prompt ? prompt_rows(w, s->n_decode) / n_prompt : 0;
  for (uint32_t i = 0; n_prompt && i < w->n_slot; i++) {
    if (!w->slots[i].job || w->slots[i].answer) continue;
    add_part(s, &w->slots[i], rows ? rows : 1);
    s->n_prompt += s->parts[s->n - 1].n;
  }
}

static void drop_cancelled(pm_worker *w) {
  for (uint32_t i = 0; i < w->n_slot; i++) {
    pm_slot *slot = &w->slots[i];
    if (!slot->job || !atomic_load(&slot->job->cancelled)) continue;
    w->totals.cancelled++;
    pm_slot_abandon(slot, 0, "the client has left");
  }
}

static void lose_device(pm_worker *w) {
  pm_board_state *state = pm_board_begin(w->board);
  state->phase = PM_PHASE_LOST;
  snprintf(state->message, sizeof state->message, "%s", pumice_error());
  pm_board_end(w->board);
  pm_worker_unload(w, "the device was lost; load the model again");
}

static void count(pm_worker *w, const step *s, double seconds) {
  w->totals.steps++;
  w->totals.step_seconds += seconds;
  w->totals.decode_steps += s->n_decode > 0;
  w->totals.busy_slots += s->n_decode;
  if (s->n_prompt >= 16) w->seconds_per_row = seconds / (double)s->n_prompt;
}

// A slot goes on, or its answer ends; what it did is in the totals then.
static void advance(pm_worker *w, pm_slot *slot) {
  pm_job *job = slot->job;
  atomic_fetch_add(&job->references, 1);
  pm_slot_advance(slot);
  if (pm_slot_held(slot) > w->totals.longest) w->totals.longest = pm_slot_held(slot);
  if (!slot->job) {
    w->totals.finished++;
    w->totals.answer_tokens += job->outcome.n_answer;
    w->totals.prompt_seconds += job->outcome.prompt_seconds;
    w->totals.answer_seconds += job->outcome.answer_seconds;
  }
  pm_job_release(job);
}

bool pm_worker_step(pm_worker *w) {
  step s = {0};
  drop_cancelled(w);
  gather(w, &s);
  if (!s.n) return false;
  double began = pm_seconds();
  pumice_status status = pumice_eval_parts(s.parts, s.n);
  count(w, &s, pm_seconds() - began);
  if (status == PUMICE_ERR_DEVICE_LOST) {
    lose_device(w);
    return true;
  }
  for (uint32_t i = 0; i < s.n; i++) {
    if (s.parts[i].status == PUMICE_OK && status != PUMICE_ERR_ARGUMENT) {
      advance(w, s.slots[i]);
      continue;
    }
    w->totals.failed++;
    pm_slot_abandon(s.slots[i], 500, pumice_error());
  }
  return true;
}
