#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "commands.h"
#include "model_options.h"
#include "terminal.h"

static struct {
  const char *prompt, *file;
  bool raw, stats;
} args;

static const pm_option prompt_rows[] = {
    {"prompt", 'p', "TEXT", PM_TEXT, &args.prompt, "the prompt"},
    {"file", 'f', "FILE", PM_TEXT, &args.file, "read the prompt from FILE; - is standard input"},
    {"raw", 'r', NULL, PM_FLAG, &args.raw, "continue the text as it is, without the model's chat format"},
    {"stats", 0, NULL, PM_FLAG, &args.stats, "say on standard error how fast it was"},
    {0}};
static const pm_option_group prompt_group = {"prompt", prompt_rows};

// The prompt from where the options say; one newline at the end of a file or of standard input is not part of it.
static int read_prompt(const char *argument, pm_text *prompt) {
  const char *given = args.prompt ? args.prompt : argument;
  if (!!args.prompt + !!argument + !!args.file > 1)
    return pm_wrong_use(&pm_cmd_run, "more than one prompt: give PROMPT, --prompt or --file");
  if (given) {
    pm_text_append(prompt, given, strlen(given));
  } else if (args.file && strcmp(args.file, "-")) {
    if (!pm_text_read_file(prompt, args.file)) return pm_file_failed(args.file);
    pm_text_chomp(prompt);
  } else {
    if (pm_is_terminal(stdin)) fprintf(stderr, "Type the prompt; Ctrl-D on an empty line ends it.\n");
    if (!pm_text_read_stream(prompt, stdin)) return pm_interrupted() ? PM_EXIT_INTERRUPTED : pm_file_failed("standard input");
    pm_text_chomp(prompt);
  }
  if (prompt->n == 0 && !args.raw) return pm_wrong_use(&pm_cmd_run, "the prompt is empty");
  return PM_EXIT_OK;
}

// The text that the model is to continue.
static pumice_status make_prompt(const pumice_model *model, pm_text *prompt, uint32_t *flags) {
  pumice_model_info info = PUMICE_INIT(pumice_model_info);
  pumice_model_get_info(model, &info);
  *flags = PUMICE_PARSE_SPECIAL;
  if (!args.raw && !*info.chat_format)
    fprintf(stderr, "pumice: the model has no chat format that is known; continuing the text as with --raw\n");
  if (args.raw || !*info.chat_format) {
    *flags |= PUMICE_ADD_BOS;
    return PUMICE_OK;
  }
  pumice_message messages[2];
  size_t n = 0;
  if (pm_answer_system) messages[n++] = (pumice_message){"system", pm_answer_system};
  messages[n++] = (pumice_message){"user", prompt->data};
  pm_text rendered = {0};
  pumice_status status = pm_render(model, messages, n, &rendered);
  pm_text_free(prompt);
  *prompt = rendered;
  return status;
}

static void note_full_context(const pumice_model *model, const pumice_session *session) {
  pumice_model_info info = PUMICE_INIT(pumice_model_info);
  pumice_model_get_info(model, &info);
  if (pumice_session_length(session) >= info.n_ctx)
    fprintf(stderr, "pumice: cut, the context of %u tokens is full; --ctx asks for a larger one\n", info.n_ctx);
}

static int answer(pumice_model *model, pm_text *prompt) {
  pumice_session *session = NULL;
  pumice_sampling sampling = pm_sampling_get();
  pm_answer a = {0};
  uint32_t flags;
  pumice_status status = make_prompt(model, prompt, &flags);
  if (status == PUMICE_OK) status = pumice_session_create(model, &session);
  if (status == PUMICE_OK) status = pm_answer_stream(model, session, prompt, flags, &sampling, &a);
  if (a.text.n && a.text.data[a.text.n - 1] != '\n') pm_output("\n", 1);
  int code = pm_failed(status);
  if (!code && pm_interrupted()) code = PM_EXIT_INTERRUPTED;
  if (!code && a.result.stop == PUMICE_STOP_LENGTH) note_full_context(model, session);
  if (!code && args.stats) pm_answer_print_stats(&a, stderr);
  pumice_session_destroy(session);
  pm_text_free(&a.text);
  return code;
}

static int run(char **arguments, uint32_t n) {
  pm_text prompt = {0};
  pumice_model *model = NULL;
  pm_interrupt_catch();
  int code = pm_answer_check_options(&pm_cmd_run);
  if (!code && args.raw && pm_answer_system) code = pm_wrong_use(&pm_cmd_run, "--system has no place in --raw text");
  if (!code) code = pm_model_check_path(arguments[0]);
  if (!code) code = read_prompt(n > 1 ? arguments[1] : NULL, &prompt);
  if (!code) code = pm_model_open(arguments[0], 0, &model);
  if (!code) code = answer(model, &prompt);
  pumice_model_close(model);
  pm_text_free(&prompt);
  return code;
}

const pm_command pm_cmd_run = {
    .name = "run",
    .arguments = "MODEL [PROMPT]",
    .summary = "answer one prompt",
    .details =
        "Writes the model's answer to a prompt to standard output, and nothing else. The prompt is an argument, the value of --prompt, a "
        "file, or what comes on standard input.\n"
        "\n"
        "Ctrl-C stops it.",
    .min_argument = 1,
    .max_argument = 2,
    .groups = {&prompt_group, &pm_answer_group, &pm_sampling_group, &pm_model_group},
    .run = run,
};
