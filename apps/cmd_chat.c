#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "answer.h"
#include "commands.h"
#include "conversation.h"
#include "line_input.h"
#include "model_options.h"
#include "terminal.h"

typedef struct chat {
  pumice_model *model;
  pumice_session *session;
  pumice_model_info info;
  pm_conversation conversation;
  pm_answer answer;
  uint64_t n_answer;
  bool person;  // somebody types: greet, explain, go on after a failure
  bool done;
  int code;
} chat;

__attribute__((format(printf, 2, 3))) static void say(const chat *c, const char *format, ...) {
  if (!c->person) return;
  va_list args;
  va_start(args, format);
  fputs(pm_style(stderr, PM_DIM), stderr);
  vfprintf(stderr, format, args);
  fprintf(stderr, "%s\n", pm_style(stderr, PM_PLAIN));
  va_end(args);
}

// ---- turns -------------------------------------------------------------------------------------------------------------------------

static pumice_status stream_answer(chat *c) {
  pm_text prompt = {0};
  pumice_sampling sampling = pm_sampling_get();
  if (sampling.seed) sampling.seed += c->n_answer;  // else /regenerate would say the same again
  pumice_status status = pm_render(c->model, c->conversation.messages, c->conversation.n, &prompt);
  if (status == PUMICE_OK) status = pm_answer_stream(c->model, c->session, &prompt, PUMICE_PARSE_SPECIAL, &sampling, &c->answer);
  if (c->answer.text.n) pm_output("\n", 1);
  pm_text_free(&prompt);
  c->n_answer++;
  return status;
}

// The message that cannot be answered is taken back, so that the next one can.
static void fail_turn(chat *c, pumice_status status) {
  size_t last = pm_conversation_find_last(&c->conversation, "user");
  pm_conversation_truncate(&c->conversation, last);
  if (status == PUMICE_ERR_CANCELLED) {
    say(c, "(stopped)");
    return;
  }
  c->code = pm_failed(status);
  if (!c->person || status == PUMICE_ERR_DEVICE_LOST) {
    c->done = true;
    return;
  }
  say(c, "Your message was taken back. /reset begins anew, /undo drops the last exchange.");
}

static void answer_last(chat *c) {
  pumice_status status = stream_answer(c);
  if (status != PUMICE_OK) {
    fail_turn(c, status);
    return;
  }
  pm_conversation_add(&c->conversation, "assistant", c->answer.text.data);
  if (!pm_output("", 0)) c->done = true;
  if (c->answer.result.stop == PUMICE_STOP_CALLER) say(c, "(stopped)");
  if (c->answer.result.stop != PUMICE_STOP_LENGTH) return;
  bool full = pumice_session_length(c->session) >= c->info.n_ctx;
  say(c, full ? "(the context is full: /reset, /undo, or start with a larger --ctx)" : "(cut at --max-tokens)");
}

// ---- commands ----------------------------------------------------------------------------------------------------------------------

typedef struct chat_command {
  const char *name, *arguments, *help;
  void (*run)(chat *c, char *argument);  // "" if there is none
} chat_command;

static void do_exit(chat *c, char *argument) {
  (void)argument;
  c->done = true;
}

static void do_reset(chat *c, char *argument) {
  (void)argument;
  bool has_system = c->conversation.n && !strcmp(c->conversation.messages[0].role, "system");
  pm_conversation_truncate(&c->conversation, has_system);
  say(c, "A new conversation.");
}

static void do_system(chat *c, char *argument) {
  pm_conversation_set_system(&c->conversation, argument);
  say(c, *argument ? "The system message is set." : "There is no system message now.");
}

static void do_undo(chat *c, char *argument) {
  (void)argument;
  size_t last = pm_conversation_find_last(&c->conversation, "user");
  say(c, last < c->conversation.n ? "The last exchange is forgotten." : "There is nothing to undo.");
  pm_conversation_truncate(&c->conversation, last);
}

static void do_regenerate(chat *c, char *argument) {
  (void)argument;
  size_t last = pm_conversation_find_last(&c->conversation, "user");
  if (last == c->conversation.n) {
    say(c, "There is nothing to answer yet.");
    return;
  }
  pm_conversation_truncate(&c->conversation, last + 1);
  answer_last(c);
}

static void do_history(chat *c, char *argument) {
  (void)argument;
  for (size_t i = 0; i < c->conversation.n; i++) {
    const pumice_message *m = &c->conversation.messages[i];
    fprintf(stderr, "%s%s:%s %s\n", pm_style(stderr, PM_BOLD), m->role, pm_style(stderr, PM_PLAIN), m->content);
  }
}

// The model's state is kept in a file beside the conversation, so that a long one need not be read again.
static char *state_path(const char *path) {
  size_t size = strlen(path) + 8;
  char *state = pm_resize(NULL, size, 1);
  snprintf(state, size, "%s.state", path);
  return state;
}

static void do_save(chat *c, char *argument) {
  if (!*argument) {
    fprintf(stderr, "/save needs the name of a file\n");
    return;
  }
  if (!pm_conversation_save(&c->conversation, argument)) {
    pm_file_failed(argument);
    return;
  }
  char *state = state_path(argument);
  if (pm_failed(pumice_session_save(c->session, state)) == PM_EXIT_OK) say(c, "Saved %s and %s.", argument, state);
  free(state);
}

static void do_load(chat *c, char *argument) {
  if (!*argument) {
    fprintf(stderr, "/load needs the name of a file\n");
    return;
  }
  if (!pm_conversation_load(&c->conversation, argument)) {
    if (errno == EINVAL)
      fprintf(stderr, "%s: is not a conversation that /save wrote\n", argument);
    else
      pm_file_failed(argument);
    return;
  }
  char *state = state_path(argument);
  if (access(state, R_OK) == 0) pm_failed(pumice_session_load(c->session, state));  // without it the conversation is read again
  free(state);
  say(c, "Loaded %zu messages; /history shows them.", c->conversation.n);
}

static void do_set(chat *c, char *argument) {
  char *value = argument + strcspn(argument, " ");
  if (*value) *value++ = 0;
  if (!*argument || !*value) {
    fprintf(stderr, "/set needs a sampling option and its value, e.g. /set temperature 0.5\n");
  } else if (pm_option_set(&pm_sampling_group, argument, value, stderr)) {
    say(c, "%s is %s.", argument, value);
  }
}

static void do_think(chat *c, char *argument) {
  if (*argument) pm_answer_think = strcmp(argument, "off") != 0;
  say(c, "Asking for thinking is %s, where the chat format lets one choose.", pm_answer_think ? "on" : "off");
}

static void do_stats(chat *c, char *argument) {
  (void)argument;
  pumice_model_get_info(c->model, &c->info);
  if (c->n_answer) pm_answer_print_stats(&c->answer, stderr);
  fprintf(stderr, "context: %zu of %u tokens\n", pumice_session_length(c->session), c->info.n_ctx);
  fprintf(stderr, "memory: weights %s, cache %s, scratch %s\n", pm_bytes_text(c->info.bytes_weights + c->info.bytes_weights_mapped),
          pm_bytes_text(c->info.bytes_kv), pm_bytes_text(c->info.bytes_scratch + c->info.bytes_staging));
}

static void do_help(chat *c, char *argument);

static const chat_command chat_commands[] = {{"help", "", "this list", do_help},
                                             {"exit", "", "leave", do_exit},
                                             {"reset", "", "begin a new conversation; the system message stays", do_reset},
                                             {"system", "[TEXT]", "set or take away the system message", do_system},
                                             {"undo", "", "forget the last exchange", do_undo},
                                             {"regenerate", "", "answer the last message again", do_regenerate},
                                             {"history", "", "show the conversation", do_history},
                                             {"save", "FILE", "write the conversation to FILE, the model's state to FILE.state", do_save},
                                             {"load", "FILE", "go on with a saved conversation", do_load},
                                             {"set", "NAME VALUE", "change a sampling option, e.g. /set temperature 0.5", do_set},
                                             {"think", "[on|off]", "ask for thinking first, or not", do_think},
                                             {"stats", "", "speed of the last answer, context and memory in use", do_stats},
                                             {0}};

static void do_help(chat *c, char *argument) {
  (void)c, (void)argument;
  for (const chat_command *k = chat_commands; k->name; k++) {
    int n = fprintf(stderr, "  /%s %s", k->name, k->arguments);
    fprintf(stderr, "%*s%s\n", n < 26 ? 26 - n : 1, "", k->help);
  }
  fprintf(stderr,
          "A line that ends with \\ goes on in the next; lines between \"\"\" and \"\"\" are one message.\n"
          "Ctrl-C stops an answer; Ctrl-D, or Ctrl-C twice, leaves.\n");
}

static void run_command(chat *c, char *line) {
  char *name = line + 1, *argument = name + strcspn(name, " ");
  if (*argument) *argument++ = 0;
  while (*argument == ' ') argument++;
  for (size_t n = strlen(argument); n && isspace((unsigned char)argument[n - 1]);) argument[--n] = 0;
  for (const chat_command *k = chat_commands; k->name; k++) {
    if (strcmp(k->name, name)) continue;
    k->run(c, argument);
    return;
  }
  fprintf(stderr, "There is no command /%s; /help lists them.\n", name);
}

// ---- the loop ----------------------------------------------------------------------------------------------------------------------

static void converse(chat *c) {
  pm_line_input *in = pm_line_input_create();
  pm_text line = {0};
  bool interrupted = false;  // at the prompt, just before
  while (!c->done) {
    pm_interrupt_clear();
    pm_line got = pm_line_input_read(in, &line);
    if (got == PM_LINE_INTERRUPTED) {
      fputc('\n', stderr);
      if (interrupted || !c->person) break;
      say(c, "Ctrl-C again, Ctrl-D or /exit leaves.");
      interrupted = true;
      continue;
    }
    if (got == PM_LINE_END) {
      if (c->person) fputc('\n', stderr);
      break;
    }
    interrupted = false;
    pm_interrupt_clear();
    if (line.data[0] == '/') {
      run_command(c, line.data);
    } else if (line.n) {
      pm_conversation_add(&c->conversation, "user", line.data);
      answer_last(c);
    }
  }
  if (!c->person && pm_interrupted()) c->code = PM_EXIT_INTERRUPTED;
  pm_text_free(&line);
  pm_line_input_destroy(in);
}

static int start(chat *c) {
  pumice_model_get_info(c->model, &c->info);
  if (!*c->info.chat_format) {
    fprintf(stderr, "pumice: the model has no chat format that is known\n'pumice run --raw' continues a text with it.\n");
    return PM_EXIT_WRONG_USE;
  }
  int code = pm_failed(pumice_session_create(c->model, &c->session));
  if (code) return code;
  if (pm_answer_system) pm_conversation_set_system(&c->conversation, pm_answer_system);
  say(c, "%s on %s, context %u tokens. /help lists commands.", c->info.name, c->info.device, c->info.n_ctx);
  converse(c);
  pumice_session_destroy(c->session);
  return c->code;
}

static int run(char **arguments, uint32_t n) {
  (void)n;
  chat c = {.info = PUMICE_INIT(pumice_model_info), .person = pm_is_terminal(stdin)};
  pm_interrupt_catch();
  int code = pm_answer_check_options(&pm_cmd_chat);
  if (!code) code = pm_model_open(arguments[0], 0, &c.model);
  if (!code) code = start(&c);
  pumice_model_close(c.model);
  pm_conversation_free(&c.conversation);
  pm_text_free(&c.answer.text);
  return code;
}

const pm_command pm_cmd_chat = {
    .name = "chat",
    .arguments = "MODEL",
    .summary = "talk with a model",
    .details =
        "A conversation: type a message, read the answer, go on. /help lists the commands inside. Ctrl-C stops an answer and not the "
        "program; Ctrl-D, or Ctrl-C twice at the prompt, leaves.\n"
        "\n"
        "Without a terminal on standard input each line of it is a message, and standard output has only the answers.",
    .min_argument = 1,
    .max_argument = 1,
    .groups = {&pm_answer_group, &pm_sampling_group, &pm_model_group},
    .run = run,
};
