// Conversations to prompt text in the formats of released models, for files without a template that can be run; and thinking told apart.
#ifndef PM_CHAT_H
#define PM_CHAT_H

#include "tokenizer.h"

typedef struct pm_chat_format pm_chat_format;  // a row of a static table

// By the template of the file; without one by its vocabulary and the model's name. NULL if it is not recognised.
const pm_chat_format *pm_chat_format_detect(const pm_model_file *file, const pm_tokenizer *t);
// "deepseek-v2", "deepseek-v3", "deepseek-r1", "deepseek-v3.1", "chatml", "llama-3", "glm-4", "kimi-k2"
const char *pm_chat_format_name(const pm_chat_format *f);

typedef struct pm_message {
  const char *role, *content;  // "system", "user", "assistant"; others fail
} pm_message;

// The prompt for a conversation of at least one message, terminated. `thinking` counts where the format lets one choose. *n: capacity in,
// bytes out (without the terminator). PM_ERR_ARGUMENT with *n = the capacity that is needed, terminator included, when there is not enough.
pm_status pm_chat_render(const pm_chat_format *f, const pm_tokenizer *t, const pm_message *messages, size_t n_message,
                         bool add_generation_prompt, bool thinking, char *buf, size_t *n) PM_MUST_USE;

// Splits a stream of answer text into thinking and answer by the <think> and </think> markers, which may be cut anywhere. <think> counts
// only before the first text of an answer. White space around the markers is dropped (before a marker up to 55 bytes of it).
typedef struct pm_think_stream {
  bool thinking;
  bool started;     // text of this part has been emitted
  bool after_mark;  // nothing has been seen since a marker
  uint32_t n_held;
  char held[64];  // white space, then the beginning of a marker
} pm_think_stream;
// `open` = the prompt already ended inside thinking.
void pm_think_stream_init(pm_think_stream *s, bool open);
typedef bool pm_think_fn(void *user, bool thinking, const char *text, size_t bytes);
// Calls `emit` zero or more times; returns false as soon as emit does. `end` emits what is held.
bool pm_think_stream_push(pm_think_stream *s, const char *text, size_t bytes, bool end, pm_think_fn *emit, void *user);

#endif
