#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "commands.h"
#include "model_options.h"
#include "terminal.h"

static struct {
  const char *file;
  bool bos, plain, ids;
} args;

static const pm_option rows[] = {
    {"file", 'f', "FILE", PM_TEXT, &args.file, "read the text from FILE instead of from the argument or standard input"},
    {"bos", 0, NULL, PM_FLAG, &args.bos, "begin with the BOS token, as a prompt does"},
    {"plain", 0, NULL, PM_FLAG, &args.plain, "names of control tokens in the text are just text"},
    {"ids", 0, NULL, PM_FLAG, &args.ids, "numbers only, in one line"},
    {0}};
static const pm_option_group group = {"text", rows};

static int read_text(const char *argument, pm_text *text) {
  if (argument && args.file) return pm_wrong_use(&pm_cmd_tokenize, "more than one text: give TEXT or --file");
  if (argument)
    pm_text_append(text, argument, strlen(argument));
  else if (!(args.file ? pm_text_read_file(text, args.file) : pm_text_read_stream(text, stdin)))
    return pm_file_failed(args.file ? args.file : "standard input");
  return PM_EXIT_OK;
}

static void print_token(const pumice_model *model, int32_t token) {
  size_t n;
  const char *bytes = pumice_token_bytes(model, token, true, &n);
  printf("%8d  '", token);
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)bytes[i];
    if (c < 0x20 || c == 0x7F)
      printf("\\x%02x", c);
    else
      putchar(c);
  }
  puts("'");
}

static int run(char **arguments, uint32_t n) {
  pm_text text = {0};
  pumice_model *model = NULL;
  int32_t *tokens = NULL;
  size_t n_token = 0;
  if (!pm_model_args.device) pm_model_args.device = "cpu";
  int code = read_text(n > 1 ? arguments[1] : NULL, &text);
  if (!code) code = pm_model_open(arguments[0], 1, &model);
  uint32_t flags = (args.bos ? PUMICE_ADD_BOS : 0) | (args.plain ? 0 : PUMICE_PARSE_SPECIAL);
  if (!code) code = pm_failed(pm_tokens(model, text.data, text.n, flags, &tokens, &n_token));
  for (size_t i = 0; i < n_token; i++) {
    if (args.ids)
      printf("%d%s", tokens[i], i + 1 < n_token ? " " : "\n");
    else
      print_token(model, tokens[i]);
  }
  free(tokens);
  pumice_model_close(model);
  pm_text_free(&text);
  return code;
}

const pm_command pm_cmd_tokenize = {
    .name = "tokenize",
    .arguments = "MODEL [TEXT]",
    .summary = "show how a model cuts a text into tokens",
    .details = "Prints the number and the bytes of each token of a text.",
    .min_argument = 1,
    .max_argument = 2,
    .groups = {&group},
    .run = run,
};
