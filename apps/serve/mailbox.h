// Work that the HTTP thread asks of the engine's thread, and what comes back. One lock guards the queues of both directions; nobody
// holds it while working.
#ifndef PM_MAILBOX_H
#define PM_MAILBOX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json_value.h"
#include "pumice.h"

typedef enum pm_event_kind {
  PM_EVENT_STARTED,   // the prompt is accepted and a slot works on it; json: {"total", "cache"} tokens
  PM_EVENT_PROMPT,    // so much of the prompt is processed; json: {"total", "cache", "processed", "time_ms"}
  PM_EVENT_TEXT,      // whole characters of the answer
  PM_EVENT_THINKING,  // of the thinking before it
  PM_EVENT_TOKEN,     // json: log-probabilities of the token that comes next, or its number
  PM_EVENT_TOOLS,     // json: tool calls as OpenAI writes them, each with an index
  PM_EVENT_DONE,      // the last event; json: what the job's kind says
  PM_EVENT_FAILED     // the last event; json: {"code", "type", "message", ...}
} pm_event_kind;

typedef struct pm_event {
  struct pm_event *next;
  pm_event_kind kind;
  json_t *json;       // owned; may be NULL
  uint64_t n_answer;  // tokens so far, and how long they took
  double answer_seconds;
  size_t n;  // bytes of text
  char text[];
} pm_event;

void pm_event_free(pm_event *event);

// Of a generation, as far as it got; the engine's thread writes it before the events that tell of it.
typedef struct pm_outcome {
  pumice_stop stop;
  char stop_text[64];                     // the stop string that ended it, shortened
  uint64_t n_prompt, n_cached, n_answer;  // tokens
  double prompt_seconds, answer_seconds;
  uint32_t slot;
  bool calls_tools;    // the answer has tool calls
  bool prompt_thinks;  // the prompt ends inside a block of thinking
} pm_outcome;

struct pm_worker;
struct pm_request;

// Shared by the two threads; whoever puts the last reference away frees it.
typedef struct pm_job {
  atomic_uint references;
  atomic_bool cancelled;  // nobody waits for it any more
  uint64_t id;
  // Runs between two steps and returns the JSON of PM_EVENT_DONE, or NULL after pm_job_fail; NULL for a generation, which has slots.
  json_t *(*call)(struct pm_worker *worker, struct pm_job *job, void *argument);
  void *argument;              // of `call`; freed by free()
  struct pm_request *request;  // of a generation; owned by the leader
  struct pm_job *leader;       // of a request's further choices: the job of its first one, with a reference; NULL for that itself
  uint32_t choice;             // which one it is
  pm_outcome outcome;
  bool prompt_read;        // the engine's: all of the prompt is processed
  void *owner;             // the HTTP thread's
  pm_event *first, *last;  // not yet collected
  struct pm_job *next_in, *next_ready;
  bool ready;  // in the list of jobs with events
  bool ended;  // its last event was posted
} pm_job;

typedef struct pm_mailbox {
  pthread_mutex_t lock;
  pthread_cond_t work;
  pm_job *in_first, *in_last;        // for the engine
  pm_job *ready_first, *ready_last;  // with events for the HTTP thread
  uint32_t n_open, most_open;        // generations that have not ended; how many may be
  uint64_t n_job;
  bool stop;              // the engine is to end
  bool left;              // the engine has ended by itself
  atomic_bool hurry;      // another model is wanted: what is being loaded is not
  int wake_in, wake_out;  // a pipe: the HTTP thread reads from wake_in
} pm_mailbox;

bool pm_mailbox_init(pm_mailbox *m);  // false with errno set
void pm_mailbox_finish(pm_mailbox *m);

// ---- the HTTP thread's side ----

pm_job *pm_job_create(pm_job *leader);  // one reference; the leader may be NULL
void pm_job_release(pm_job *job);
// Hands jobs to the engine, which takes references of its own. False, and none is handed over, if they generate and are too many.
bool pm_mailbox_submit(pm_mailbox *m, pm_job *const *jobs, uint32_t n);
void pm_job_cancel(pm_job *job);
void pm_mailbox_stop(pm_mailbox *m);
bool pm_mailbox_left(pm_mailbox *m);  // whether the engine has ended by itself
// The next job that something happened to and its events, oldest first; NULL if there is none. The caller frees the events, and releases
// the job. After wake_in was read empty, to be called until there is none: what is posted later writes to it again.
pm_job *pm_mailbox_collect(pm_mailbox *m, pm_event **events);

// ---- the engine's side ----

// The oldest job, or NULL; waits for one, or for pm_mailbox_stop, if `wait`. The caller owns the reference.
pm_job *pm_mailbox_take(pm_mailbox *m, bool wait);
bool pm_mailbox_stopping(pm_mailbox *m);
void pm_mailbox_leave(pm_mailbox *m);  // the engine ends by itself
void pm_mailbox_set_limit(pm_mailbox *m, uint32_t most_open);
uint32_t pm_mailbox_limit(pm_mailbox *m);  // for either side

// Posts an event; `json` is taken. DONE and FAILED end the job.
void pm_job_post(pm_mailbox *m, pm_job *job, pm_event_kind kind, json_t *json, const char *text, size_t n);
// Posts PM_EVENT_FAILED with an HTTP status and words.
void pm_job_fail(pm_mailbox *m, pm_job *job, int code, const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
