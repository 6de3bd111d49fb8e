// What a client asks for, whatever it speaks: the fields of a body, checked, as one neutral request.
#ifndef PM_REQUEST_H
#define PM_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json_value.h"
#include "pumice.h"

// Who speaks, as bits: a row of the table of fields says whose bodies have it.
typedef enum pm_dialect {
  PM_DIALECT_CHAT = 1,             // OpenAI /v1/chat/completions
  PM_DIALECT_TEXT = 2,             // OpenAI /v1/completions
  PM_DIALECT_NATIVE = 4,           // llama.cpp /completion
  PM_DIALECT_OLLAMA_CHAT = 8,      // /api/chat
  PM_DIALECT_OLLAMA_GENERATE = 16  // /api/generate
} pm_dialect;

// Where thinking goes in an OpenAI answer.
typedef enum pm_thinking_format { PM_THINKING_APART, PM_THINKING_INLINE, PM_THINKING_BOTH } pm_thinking_format;

enum { PM_MAX_STOP = 32, PM_MAX_BIAS = 1024, PM_MAX_PROBS = 20, PM_MAX_CHOICE = 32 };

typedef struct pm_request {
  json_t *body;  // owned; other JSON and texts here are parts of it unless said otherwise
  pm_dialect dialect;
  const char *model;  // NULL if not named
  bool stream, include_usage;

  // The prompt: a conversation, or a text or tokens.
  json_t *messages, *tools;  // NULL if there are none
  json_t *template_values;   // chat_template_kwargs
  const char *tool_choice;   // NULL = "auto"
  const char *tool_name;     // the one that must be called; NULL = any
  bool must_call;            // the answer is a call
  bool schema_calls;         // `schema` is that of a call, or of a call and of what else the answer may be
  bool one_call;             // at most
  const char *effort;        // reasoning_effort
  json_t *prompt;            // a text, or an array of token numbers
  bool raw, add_generation_prompt, continue_final_message, echo;
  int think;           // 1 or 0 as asked for, -1 = as the template likes
  const char *system;  // of /api/generate

  // The answer.
  int64_t max_tokens;  // -1 = until the context is full
  float temperature, top_p, min_p, repeat_penalty, presence_penalty, frequency_penalty;
  int64_t top_k, penalty_last_n, seed;  // top_k 0 = all; seed -1 = a new one
  const char *stop[PM_MAX_STOP];
  size_t n_stop;
  pumice_bias bias[PM_MAX_BIAS];
  size_t n_bias;
  bool ignore_end, want_probs, return_tokens;
  uint32_t n_probs;
  const char *grammar;
  char *schema;             // JSON text, owned
  int64_t thinking_budget;  // tokens, -1 = any
  const char *thinking_budget_message;
  uint32_t max_seconds_ms;  // of generating, 0 = any
  pm_thinking_format thinking_format;

  // How it is served.
  bool timings_per_token, return_progress, cache_prompt;
  uint32_t n_choice;      // answers
  int64_t slot;           // -1 = any
  uint32_t ping_seconds;  // of silence until a comment is sent
} pm_request;

// Takes the body. NULL with words for the client in `why` if a field does not do. `defaults`: sampling that bodies need not name.
pm_request *pm_request_create(json_t *body, pm_dialect dialect, const pumice_sampling *defaults, char why[256]);
void pm_request_free(pm_request *request);

pumice_sampling pm_request_sampling(const pm_request *request, uint32_t choice);

// ---- between the files of this part ----

// Reads the rows of the table that this dialect has; false with words.
bool pm_request_read_fields(pm_request *r, json_t *from, char why[256]);
// Checks the conversation and the tools, and brings contents to plain texts; false with words.
bool pm_request_check_messages(pm_request *r, char why[256]);

#endif
