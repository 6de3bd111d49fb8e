#include "answer.h"

#include <stdlib.h>
#include <string.h>

#include "terminal.h"

bool pm_answer_think;
const char *pm_answer_system;
static uint32_t max_tokens;
static const char *thoughts = "auto";

static const pm_option rows[] = {
    {"system", 'S', "TEXT", PM_TEXT, &pm_answer_system, "the system message: how the model is to behave"},
    {"max-tokens", 'n', "N", PM_U32, &max_tokens, "stop an answer after N tokens (default: when the context is full)", 1},
    {"think", 0, NULL, PM_FLAG, &pm_answer_think, "ask for thinking first, where the chat format lets one choose"},
    {"thoughts", 0, "WHEN", PM_TEXT, &thoughts,
     "write the thinking to standard error: always, never, or auto, which is if that is a terminal (default: auto)"},
    {0}};
const pm_option_group pm_answer_group = {"answer", rows};

int pm_answer_check_options(const pm_command *command) {
  if (!strcmp(thoughts, "auto") || !strcmp(thoughts, "always") || !strcmp(thoughts, "never")) return PM_EXIT_OK;
  return pm_wrong_use(command, "--thoughts takes auto, always or never, not '%s'", thoughts);
}

static bool show_thoughts(void) { return !strcmp(thoughts, "always") || (!strcmp(thoughts, "auto") && pm_is_terminal(stderr)); }

pumice_status pm_tokens(const pumice_model *model, const char *text, size_t bytes, uint32_t flags, int32_t **tokens, size_t *n) {
  *n = bytes + 8;  // no tokenizer makes more tokens than bytes, but for the BOS
  *tokens = pm_resize(NULL, *n, sizeof **tokens);
  pumice_status status = pumice_tokenize(model, text, bytes, flags, *tokens, n);
  if (status == PUMICE_OK) return status;
  free(*tokens);
  *tokens = NULL;
  return status;
}

pumice_status pm_render(const pumice_model *model, const pumice_message *messages, size_t n, pm_text *prompt) {
  size_t room = 256;
  for (size_t i = 0; i < n; i++) room += strlen(messages[i].content) + 128;
  for (;;) {
    prompt->capacity = room + 1;
    prompt->data = pm_resize(prompt->data, prompt->capacity, 1);
    prompt->n = room;
    pumice_status status = pumice_chat_render(model, messages, n, true, pm_answer_think, prompt->data, &prompt->n);
    if (status != PUMICE_ERR_ARGUMENT || prompt->n <= room) return status;
    room = prompt->n + 1;
  }
}

// ---- streaming ---------------------------------------------------------------------------------------------------------------------

typedef struct stream {
  pm_answer *answer;
  bool show_thoughts, thinking;
} stream;

static bool on_text(void *user, pumice_event kind, const char *text, size_t bytes) {
  stream *s = user;
  bool thinking = kind == PUMICE_THINKING;
  if (s->show_thoughts && thinking != s->thinking) {
    fputs(thinking ? pm_style(stderr, PM_DIM) : pm_style(stderr, PM_PLAIN), stderr);
    if (!thinking) fputs("\n\n", stderr);
  }
  s->thinking = thinking;
  if (!thinking) {
    pm_text_append(&s->answer->text, text, bytes);
    if (!pm_output(text, bytes)) return false;
  } else if (s->show_thoughts) {
    fwrite(text, 1, bytes, stderr);
  }
  return !pm_interrupted();
}

pumice_status pm_answer_stream(const pumice_model *model, pumice_session *session, const pm_text *prompt, uint32_t flags,
                               const pumice_sampling *sampling, pm_answer *answer) {
  int32_t *tokens;
  pm_text_clear(&answer->text);
  answer->result = (pumice_result)PUMICE_INIT(pumice_result);
  pumice_status status = pm_tokens(model, prompt->data, prompt->n, flags, &tokens, &answer->n_prompt);
  if (status != PUMICE_OK) return status;
  double began = pm_seconds();
  status = pumice_session_sync(session, tokens, answer->n_prompt, &answer->n_reused);
  answer->prompt_seconds = pm_seconds() - began;
  free(tokens);
  pm_progress_clear();
  if (status != PUMICE_OK) return status;
  stream s = {.answer = answer, .show_thoughts = show_thoughts()};
  status = pumice_generate(session, sampling, max_tokens, on_text, &s, &answer->result);
  if (s.thinking && s.show_thoughts) fprintf(stderr, "%s\n", pm_style(stderr, PM_PLAIN));
  return status;
}

static double rate(double n, double seconds) { return seconds > 0 ? n / seconds : 0; }

void pm_answer_print_stats(const pm_answer *a, FILE *f) {
  size_t n_new = a->n_prompt - a->n_reused;
  fprintf(f, "prompt: %zu tokens, %zu of them kept from before, %.2f s, %.1f t/s\n", a->n_prompt, a->n_reused, a->prompt_seconds,
          rate((double)n_new, a->prompt_seconds));
  fprintf(f, "answer: %llu tokens, %.2f s, %.1f t/s\n", (unsigned long long)a->result.n_token, a->result.seconds,
          rate((double)a->result.n_token, a->result.seconds));
}
