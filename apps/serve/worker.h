// The engine's thread: it alone touches the model. Between two steps it looks for new work; jobs that generate wait for a slot.
#ifndef PM_WORKER_H
#define PM_WORKER_H

#include "mailbox.h"
#include "model_folder.h"
#include "slot.h"
#include "status_board.h"

typedef struct pm_worker {
  pm_mailbox *mail;
  pm_board *board;
  pumice_model_options options;  // of every model; n_session is the number of slots
  uint32_t n_queue;              // generations that may wait for a slot
  bool must_load;                // the program ends if the first model cannot be loaded
  int exit_code;                 // then

  pumice_model *model;  // NULL if none is loaded
  pumice_model_info info;
  pm_slot slots[PM_MAX_SLOT];
  uint32_t n_slot;
  pm_job *waiting[2 * PM_MAX_SLOT + 1024];  // oldest first
  uint32_t n_waiting;
  pm_totals totals;
  uint64_t clock;          // counts uses of slots
  double seconds_per_row;  // of prompts, as the last steps had it
  double stats_read;       // when expert statistics were last copied
  pthread_t thread;
} pm_worker;

// What POST /slots/N asks for.
typedef struct pm_slot_action {
  int index;
  char name[16];    // "save", "restore", "erase"
  char path[1280];  // of the first two
} pm_slot_action;

// Starts the thread, which loads `first` if that is not NULL.
bool pm_worker_start(pm_worker *w, const pm_model_entry *first);
int pm_worker_join(pm_worker *w);  // after pm_mailbox_stop; an exit code

// ---- jobs with a function (worker_calls.c); their arguments are described there ----
json_t *pm_call_load(pm_worker *w, pm_job *job, void *entry);
json_t *pm_call_unload(pm_worker *w, pm_job *job, void *unused);
json_t *pm_call_tokenize(pm_worker *w, pm_job *job, void *body);
json_t *pm_call_detokenize(pm_worker *w, pm_job *job, void *body);
json_t *pm_call_template(pm_worker *w, pm_job *job, void *request);
json_t *pm_call_slot(pm_worker *w, pm_job *job, void *action);

// ---- between the files of the worker ----
void pm_worker_load(pm_worker *w, const pm_model_entry *entry);
void pm_worker_unload(pm_worker *w, const char *why);  // what works gets an error with these words
void pm_worker_publish(pm_worker *w);                  // to the board
// One step of everything that has a slot (scheduler.c); false if nothing has.
bool pm_worker_step(pm_worker *w);
// Gives slots to jobs that wait, and drops those whose clients have left.
void pm_worker_assign(pm_worker *w);

#endif
