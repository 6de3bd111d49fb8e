// One of the conversations that a model keeps at a time: its session, the job that it works on, and how far that is.
#ifndef PM_SLOT_H
#define PM_SLOT_H

#include "mailbox.h"
#include "prompt.h"
#include "pumice.h"
#include "schema_call.h"

typedef struct pm_slot {
  uint32_t index;
  pumice_session *session;
  uint64_t used;       // when it was last given to a job, as a count
  size_t last_prompt;  // tokens of that job's prompt

  // Of the job; NULL while the slot is free.
  pm_job *job;
  pm_mailbox *mail;
  const pumice_model *model;
  uint32_t n_ctx;
  pm_prompt prompt;
  pumice_answer *answer;  // NULL while the prompt is processed
  int32_t next;           // the token that the session is to take next, once there is an answer
  double began, answer_began;
  uint64_t n_earlier;   // tokens of the answer from before its thinking was cut
  uint64_t n_thinking;  // tokens of thinking so far
  bool thinking, budget_spent;
  pumice_tool_stream *tools;  // tells calls from text, where the client gave tools; else NULL
  pm_schema_call call;        // where calls are made by a schema
} pm_slot;

bool pm_slot_init(pm_slot *s, uint32_t index, pumice_model *model, uint32_t n_ctx, pm_mailbox *mail);  // false: see pumice_error
void pm_slot_finish(pm_slot *s);

size_t pm_slot_held(const pm_slot *s);  // tokens that the session holds

// Tokens that a prompt and the slot have in common at their beginning.
size_t pm_slot_common(const pm_slot *s, const pm_prompt *prompt);

// Gives the slot a job and its prompt, both of which it owns from then on.
void pm_slot_begin(pm_slot *s, pm_job *job, const pm_prompt *prompt);
// Tokens that the session is to take next, at most `most`; *n is how many.
const int32_t *pm_slot_wants(const pm_slot *s, size_t most, size_t *n);
// The session has taken the tokens that were wanted; goes on from there, and frees the slot when the answer ends.
void pm_slot_advance(pm_slot *s);
// Ends the job with an error; `code` 0 if nobody waits for it.
void pm_slot_abandon(pm_slot *s, int code, const char *why);

#endif
