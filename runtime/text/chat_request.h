// Conversations with tools to prompt text: a request as clients of the OpenAI API send it, rendered by the file's own template.
#ifndef PM_CHAT_REQUEST_H
#define PM_CHAT_REQUEST_H

#include "chat.h"
#include "jinja.h"

typedef struct pm_chat {  // how a model file wants conversations
  const pm_tokenizer *tokenizer;
  const pm_chat_format *format;  // recognised from the template or, without one, from the vocabulary; NULL: neither is known
  pm_jinja *template;            // NULL: the file has none, or one that cannot be run
  char reason[256];              // why not
  uint32_t tool_formats;         // for pm_tool_stream_begin
} pm_chat;

pm_status pm_chat_init(pm_chat *c, const pm_model_file *file, const pm_tokenizer *t) PM_MUST_USE;  // fails for memory alone
void pm_chat_finish(pm_chat *c);

// The prompt for a request of `bytes` bytes of JSON (pumice_chat_render_json). *n: capacity in, bytes out (without the terminator).
// PM_ERR_ARGUMENT with *n = the capacity that is needed, terminator included, when there is not enough.
pm_status pm_chat_render_request(const pm_chat *c, const char *request, size_t bytes, char *buf, size_t *n) PM_MUST_USE;
// The same for plain messages.
pm_status pm_chat_render_messages(const pm_chat *c, const pm_message *messages, size_t n_message, bool add_generation_prompt, bool thinking,
                                  char *buf, size_t *n) PM_MUST_USE;

#endif
