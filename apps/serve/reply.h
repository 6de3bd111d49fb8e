// How an answer is put into words for a client: one table of functions per dialect.
#ifndef PM_REPLY_H
#define PM_REPLY_H

#include "mailbox.h"
#include "request.h"
#include "text_buffer.h"

struct pm_choice;
struct pm_reply;

typedef struct pm_reply_format {
  pm_dialect dialect;
  const char *type;  // of a streamed answer
  // A piece of the streamed answer as JSON, or NULL if there is nothing to say. `begin`, which may be NULL, is called before each event
  // until it says something.
  json_t *(*begin)(struct pm_choice *c, const pm_event *event);
  json_t *(*piece)(struct pm_choice *c, const pm_event *event);
  json_t *(*end)(struct pm_choice *c);
  json_t *(*usage)(struct pm_reply *r);  // after the ends of all choices; may be NULL
  json_t *(*whole)(struct pm_reply *r);  // the answer that was not streamed
  json_t *(*error)(json_t *error);       // of the words {"code", "message", "type"}, which it takes
  const char *before, *after, *last;     // around each piece; what ends the stream
} pm_reply_format;

// One of the answers that a request asks for; what happened so far. Texts are kept only if they are not streamed.
typedef struct pm_choice {
  struct pm_reply *reply;
  const struct pm_outcome *outcome;
  uint32_t index;
  bool begun;  // `begin` has said something
  pm_text text, thinking;
  bool in_thinking, said_anything;  // for thinking inside the content
  json_t *probs, *tokens, *tools;   // arrays or NULL; of what is not yet sent, or of the whole
} pm_choice;

typedef struct pm_reply {
  const pm_reply_format *format;
  const pm_request *request;
  char id[40], model[256];
  int64_t created;     // seconds since the epoch
  double began;        // steady clock
  pm_choice *choices;  // [request->n_choice]
  uint32_t n_ended;    // of them
} pm_reply;

// A new name for something, for either thread to make.
void pm_reply_id(char id[40], const char *prefix);

// The choices' outcomes are set by the caller.
void pm_reply_init(pm_reply *r, const pm_reply_format *format, const pm_request *request, const char *model);
void pm_reply_finish(pm_reply *r);

extern const pm_reply_format pm_reply_chat, pm_reply_text, pm_reply_native, pm_reply_ollama_chat, pm_reply_ollama_generate;

#endif
