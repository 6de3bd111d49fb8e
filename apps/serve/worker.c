#include "worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model_options.h"
#include "terminal.h"

// ---- the board ---------------------------------------------------------------------------------------------------------------------

static pm_slot_view view(const pm_slot *s) {
  pm_slot_view v = {.busy = s->job != NULL, .n_held = pm_slot_held(s)};
  if (!s->job) return v;
  const pm_outcome *o = &s->job->outcome;
  v.job = s->job->id;
  v.n_prompt = o->n_prompt, v.n_cached = o->n_cached, v.n_answer = o->n_answer;
  v.n_processed = v.n_held < o->n_prompt ? v.n_held : o->n_prompt;
  return v;
}

void pm_worker_publish(pm_worker *w) {
  bool stats = w->model && pm_seconds() - w->stats_read > 0.25;
  pumice_expert_stats experts = PUMICE_INIT(pumice_expert_stats);
  if (stats) {
    pumice_model_get_expert_stats(w->model, &experts);
    w->stats_read = pm_seconds();
  }
  pm_board_state *state = pm_board_begin(w->board);
  for (uint32_t i = 0; i < w->n_slot; i++) state->slots[i] = view(&w->slots[i]);
  state->n_slot = w->n_slot;
  state->n_waiting = w->n_waiting;
  state->totals = w->totals;
  if (stats) state->experts = experts;
  pm_board_end(w->board);
}

static void set_phase(pm_worker *w, pm_phase phase, const char *message) {
  pm_board_state *state = pm_board_begin(w->board);
  state->phase = phase;
  snprintf(state->message, sizeof state->message, "%s", message);
  pm_board_end(w->board);
}

// ---- models ------------------------------------------------------------------------------------------------------------------------

static bool on_progress(void *user, const char *phase, float done) {
  pm_worker *w = user;
  (void)phase;
  pm_board_state *state = pm_board_begin(w->board);
  state->progress = done;
  pm_board_end(w->board);
  return !pm_mailbox_stopping(w->mail) && !atomic_load(&w->mail->hurry);
}

void pm_worker_unload(pm_worker *w, const char *why) {
  for (uint32_t i = 0; i < w->n_slot; i++) {
    if (w->slots[i].job) pm_slot_abandon(&w->slots[i], 503, why);
    pm_slot_finish(&w->slots[i]);
  }
  for (uint32_t i = 0; i < w->n_waiting; i++) {
    pm_job_fail(w->mail, w->waiting[i], 503, "%s", why);
    pm_job_release(w->waiting[i]);
  }
  w->n_slot = w->n_waiting = 0;
  pumice_model_close(w->model);
  w->model = NULL;
  pm_worker_publish(w);
}

static void note_memory(void *user, const char *purpose, uint64_t planned, uint64_t actual) {
  (void)planned;
  pm_board_state *state = user;
  if (state->n_memory == PM_MAX_PURPOSE) return;
  pm_memory_view *view = &state->memory[state->n_memory++];
  snprintf(view->purpose, sizeof view->purpose, "%s", purpose);
  view->bytes = actual;
}

static bool open_slots(pm_worker *w) {
  w->info = (pumice_model_info)PUMICE_INIT(pumice_model_info);
  pumice_model_get_info(w->model, &w->info);
  for (w->n_slot = 0; w->n_slot < w->options.n_session; w->n_slot++)
    if (!pm_slot_init(&w->slots[w->n_slot], w->n_slot, w->model, w->info.n_ctx, w->mail)) return false;
  return true;
}

void pm_worker_load(pm_worker *w, const pm_model_entry *entry) {
  pm_worker_unload(w, "another model is loaded");
  pm_board_state *state = pm_board_begin(w->board);
  state->phase = PM_PHASE_LOADING;
  state->progress = 0;
  snprintf(state->model, sizeof state->model, "%s", entry->id);
  snprintf(state->path, sizeof state->path, "%s", entry->path);
  pm_board_end(w->board);
  w->options.progress = on_progress;
  w->options.user = w;
  pumice_status status = pumice_model_open(entry->path, &w->options, &w->model);
  if (status == PUMICE_OK && !open_slots(w)) status = PUMICE_ERR_MEMORY;
  if (status != PUMICE_OK) {
    char why[512];
    snprintf(why, sizeof why, "%s", pumice_error());
    if (w->must_load) w->exit_code = pm_failed(status);
    pm_worker_unload(w, why);
    set_phase(w, status == PUMICE_ERR_CANCELLED ? PM_PHASE_EMPTY : PM_PHASE_FAILED, why);
    return;
  }
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  state = pm_board_begin(w->board);
  state->phase = PM_PHASE_READY;
  state->message[0] = 0;
  state->info = w->info;
  state->n_memory = 0;
  pumice_model_memory(w->model, note_memory, state);
  state->loaded_at = (double)now.tv_sec;
  pm_board_end(w->board);
  pm_worker_publish(w);
}

// ---- the loop ----------------------------------------------------------------------------------------------------------------------

static void accept_job(pm_worker *w, pm_job *job) {
  if (job->call) {
    json_t *answer = atomic_load(&job->cancelled) ? NULL : job->call(w, job, job->argument);
    if (answer) pm_job_post(w->mail, job, PM_EVENT_DONE, answer, NULL, 0);
    pm_job_release(job);
  } else if (!w->model) {
    pm_board_state state;
    pm_board_read(w->board, &state);
    pm_job_fail(w->mail, job, 503, "no model is loaded%s%s", *state.message ? ": " : "", state.message);
    pm_job_release(job);
  } else {
    w->waiting[w->n_waiting++] = job;  // pm_mailbox_submit keeps their number below the limit
  }
}

static void run_jobs(pm_worker *w) {
  bool busy = w->n_waiting > 0;
  while (!pm_mailbox_stopping(w->mail)) {
    pm_job *job;
    while (!pm_mailbox_stopping(w->mail) && (job = pm_mailbox_take(w->mail, !busy))) {
      accept_job(w, job);
      busy = true;
    }
    pm_worker_assign(w);
    busy = pm_worker_step(w) || w->n_waiting;
    pm_worker_publish(w);
  }
}

typedef struct start {
  pm_worker *worker;
  bool load;
  pm_model_entry first;
} start;

static void *run(void *user) {
  start *s = user;
  pm_worker *w = s->worker;
  if (s->load) pm_worker_load(w, &s->first);
  free(s);
  if (w->must_load && !w->model)
    pm_mailbox_leave(w->mail);
  else
    run_jobs(w);
  pm_worker_unload(w, "the server is ending");
  return NULL;
}

bool pm_worker_start(pm_worker *w, const pm_model_entry *first) {
  start *s = pm_resize(NULL, 1, sizeof *s);
  *s = (start){.worker = w, .load = first != NULL};
  if (first) {
    s->first = *first;
    pm_board_state *state = pm_board_begin(w->board);
    state->phase = PM_PHASE_LOADING;
    snprintf(state->model, sizeof state->model, "%s", first->id);
    pm_board_end(w->board);
  }
  pm_mailbox_set_limit(w->mail, w->options.n_session + w->n_queue);
  if (pthread_create(&w->thread, NULL, run, s) == 0) return true;
  free(s);
  fprintf(stderr, "pumice: no thread for the engine\n");
  return false;
}

int pm_worker_join(pm_worker *w) {
  pthread_join(w->thread, NULL);
  return w->exit_code;
}
