#include "mailbox.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "request.h"
#include "text_buffer.h"

bool pm_mailbox_init(pm_mailbox *m) {
  int ends[2];
  *m = (pm_mailbox){.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER};
  if (pipe(ends)) return false;
  for (int i = 0; i < 2; i++) {
    fcntl(ends[i], F_SETFL, O_NONBLOCK);
    fcntl(ends[i], F_SETFD, FD_CLOEXEC);
  }
  m->wake_in = ends[0], m->wake_out = ends[1];
  return true;
}

void pm_mailbox_finish(pm_mailbox *m) {
  for (pm_job *job = m->in_first, *next; job; job = next) {
    next = job->next_in;
    pm_job_release(job);
  }
  pm_event *events;
  for (pm_job *job; (job = pm_mailbox_collect(m, &events));) {
    for (pm_event *e = events, *next; e; e = next) next = e->next, pm_event_free(e);
    pm_job_release(job);
  }
  close(m->wake_in);
  close(m->wake_out);
}

void pm_event_free(pm_event *event) {
  json_decref(event->json);
  free(event);
}

pm_job *pm_job_create(pm_job *leader) {
  pm_job *job = pm_resize(NULL, 1, sizeof *job);
  *job = (pm_job){.references = 1, .leader = leader};
  if (leader) atomic_fetch_add(&leader->references, 1);
  return job;
}

void pm_job_release(pm_job *job) {
  if (atomic_fetch_sub(&job->references, 1) > 1) return;
  for (pm_event *e = job->first, *next; e; e = next) next = e->next, pm_event_free(e);
  free(job->argument);
  if (job->leader)
    pm_job_release(job->leader);
  else
    pm_request_free(job->request);
  free(job);
}

// ---- the HTTP thread's side --------------------------------------------------------------------------------------------------------

static void append_job(pm_mailbox *m, pm_job *job) {
  job->id = ++m->n_job;
  atomic_fetch_add(&job->references, 1);
  if (m->in_last)
    m->in_last->next_in = job;
  else
    m->in_first = job;
  m->in_last = job;
}

bool pm_mailbox_submit(pm_mailbox *m, pm_job *const *jobs, uint32_t n) {
  pthread_mutex_lock(&m->lock);
  uint32_t n_generation = jobs[0]->call ? 0 : n;
  bool room = m->n_open + n_generation <= m->most_open;
  if (room) {
    m->n_open += n_generation;
    for (uint32_t i = 0; i < n; i++) append_job(m, jobs[i]);
    pthread_cond_signal(&m->work);
  }
  pthread_mutex_unlock(&m->lock);
  return room;
}

// The engine does not sleep while it has jobs, and looks at all of them between two steps.
void pm_job_cancel(pm_job *job) { atomic_store(&job->cancelled, true); }

void pm_mailbox_stop(pm_mailbox *m) {
  pthread_mutex_lock(&m->lock);
  m->stop = true;
  pthread_cond_signal(&m->work);
  pthread_mutex_unlock(&m->lock);
}

bool pm_mailbox_left(pm_mailbox *m) {
  pthread_mutex_lock(&m->lock);
  bool left = m->left;
  pthread_mutex_unlock(&m->lock);
  return left;
}

pm_job *pm_mailbox_collect(pm_mailbox *m, pm_event **events) {
  pthread_mutex_lock(&m->lock);
  pm_job *job = m->ready_first;
  if (job) {
    m->ready_first = job->next_ready;
    if (!m->ready_first) m->ready_last = NULL;
    *events = job->first;
    job->first = job->last = NULL;
    job->ready = false;
  }
  pthread_mutex_unlock(&m->lock);
  return job;
}

// ---- the engine's side -------------------------------------------------------------------------------------------------------------

pm_job *pm_mailbox_take(pm_mailbox *m, bool wait) {
  pthread_mutex_lock(&m->lock);
  while (wait && !m->in_first && !m->stop) pthread_cond_wait(&m->work, &m->lock);
  pm_job *job = m->in_first;
  if (job) {
    m->in_first = job->next_in;
    if (!m->in_first) m->in_last = NULL;
    job->next_in = NULL;
  }
  pthread_mutex_unlock(&m->lock);
  return job;
}

bool pm_mailbox_stopping(pm_mailbox *m) {
  pthread_mutex_lock(&m->lock);
  bool stop = m->stop;
  pthread_mutex_unlock(&m->lock);
  return stop;
}

static void wake_http(pm_mailbox *m) {
  ssize_t written = write(m->wake_out, "", 1);
  (void)written;  // a full pipe wakes as well
}

void pm_mailbox_leave(pm_mailbox *m) {
  pthread_mutex_lock(&m->lock);
  m->left = true;
  pthread_mutex_unlock(&m->lock);
  wake_http(m);
}

void pm_mailbox_set_limit(pm_mailbox *m, uint32_t most_open) {
  pthread_mutex_lock(&m->lock);
  m->most_open = most_open;
  pthread_mutex_unlock(&m->lock);
}

uint32_t pm_mailbox_limit(pm_mailbox *m) {
  pthread_mutex_lock(&m->lock);
  uint32_t limit = m->most_open;
  pthread_mutex_unlock(&m->lock);
  return limit;
}

void pm_job_post(pm_mailbox *m, pm_job *job, pm_event_kind kind, json_t *json, const char *text, size_t n) {
  pm_event *event = pm_resize(NULL, sizeof *event + n, 1);
  *event = (pm_event){.kind = kind, .json = json, .n_answer = job->outcome.n_answer, .answer_seconds = job->outcome.answer_seconds, .n = n};
  if (n) memcpy(event->text, text, n);
  pthread_mutex_lock(&m->lock);
  bool ends = kind == PM_EVENT_DONE || kind == PM_EVENT_FAILED, wake = !m->ready_first;
  if (job->last)
    job->last->next = event;
  else
    job->first = event;
  job->last = event;
  if (ends && !job->ended) {
    job->ended = true;
    m->n_open -= !job->call;
  }
  if (!job->ready) {
    job->ready = true;
    job->next_ready = NULL;
    atomic_fetch_add(&job->references, 1);
    if (m->ready_last)
      m->ready_last->next_ready = job;
    else
      m->ready_first = job;
    m->ready_last = job;
  }
  pthread_mutex_unlock(&m->lock);
  if (wake) wake_http(m);
}

void pm_job_fail(pm_mailbox *m, pm_job *job, int code, const char *format, ...) {
  char message[512];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  pm_job_post(m, job, PM_EVENT_FAILED, pm_json_error(code, message), NULL, 0);
}
