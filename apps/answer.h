// One answer: prompt to tokens, tokens to the session, and the text of the model as it comes.
#ifndef PM_ANSWER_H
#define PM_ANSWER_H

#include "options.h"
#include "pumice.h"
#include "text_buffer.h"

extern const pm_option_group pm_answer_group;  // --max-tokens, --system, --think, --thoughts
extern bool pm_answer_think;                   // --think
extern const char *pm_answer_system;           // --system; NULL if not given

typedef struct pm_answer {
  pm_text text;               // without the thinking
  size_t n_prompt, n_reused;  // tokens
  double prompt_seconds;
  pumice_result result;
} pm_answer;

// Checks what a table cannot; 0 or an exit code.
int pm_answer_check_options(const pm_command *command);

// Tokens of a text; the caller frees them.
pumice_status pm_tokens(const pumice_model *model, const char *text, size_t bytes, uint32_t flags, int32_t **tokens, size_t *n);

// The prompt of a conversation in the model's chat format.
pumice_status pm_render(const pumice_model *model, const pumice_message *messages, size_t n, pm_text *prompt);

// Brings the session to the prompt and streams the answer to standard output, the thinking dimmed to standard error. Ctrl-C gives
// PUMICE_ERR_CANCELLED while the prompt is read, and PUMICE_STOP_CALLER later.
pumice_status pm_answer_stream(const pumice_model *model, pumice_session *session, const pm_text *prompt, uint32_t flags,
                               const pumice_sampling *sampling, pm_answer *answer);

// "prompt 11 tokens (8 kept) in 0.01 s, 300 t/s; answer 44 tokens in 0.1 s, 440 t/s"
void pm_answer_print_stats(const pm_answer *answer, FILE *f);

#endif
