// Command lines from tables: one row per option drives parsing, checking and the help text.
#ifndef PM_OPTIONS_H
#define PM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef enum pm_option_kind { PM_FLAG, PM_TEXT, PM_U32, PM_U64, PM_BYTES, PM_FLOAT, PM_U32_LIST } pm_option_kind;

typedef struct pm_u32_list {
  uint32_t value[16], n;
} pm_u32_list;

typedef struct pm_option {
  const char *name;  // the long name, without dashes
  char letter;       // 0 = only the long name
  const char *arg;   // what the help calls the value; NULL for flags
  pm_option_kind kind;
  void *target;      // bool, const char *, uint32_t, uint64_t (PM_U64, PM_BYTES), float, pm_u32_list
  const char *help;  // says the default, if it is not "off"
  double min, max;   // bounds of a number; max 0 = none
} pm_option;

typedef struct pm_option_group {
  const char *title;
  const pm_option *rows;  // ends with a row without a name
} pm_option_group;

typedef struct pm_command {
  const char *name, *arguments;  // "run", "MODEL [PROMPT]"
  const char *summary;           // one line for the list of commands
  const char *details;           // paragraphs for its own help
  uint32_t min_argument, max_argument;
  const pm_option_group *groups[5];  // ends with NULL
  int (*run)(char **arguments, uint32_t n);
} pm_command;

// What a program returns; the same for every command.
enum { PM_EXIT_OK = 0, PM_EXIT_FAILED = 1, PM_EXIT_WRONG_USE = 2, PM_EXIT_DEVICE = 3, PM_EXIT_INTERRUPTED = 130 };

// Parses the options and runs the command. argv[0] is the command's name.
int pm_command_main(const pm_command *command, int argc, char **argv);
void pm_command_help(const pm_command *command, FILE *f);

// Sets one option by its long name, as `/set` in a chat does; false with a message on `err` if there is none or the value is wrong.
bool pm_option_set(const pm_option_group *group, const char *name, const char *value, FILE *err);

// The candidate that `name` is probably a slip of; NULL if none is near. Candidates end with NULL.
const char *pm_nearest(const char *name, const char *const *candidates);

// Prints "pumice: ..." and a hint where to read more; returns PM_EXIT_WRONG_USE.
int pm_wrong_use(const pm_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Words of `text` from column `indent` on, broken at `width`; newlines are kept. The cursor must be at column `indent`.
void pm_print_wrapped(FILE *f, const char *text, uint32_t indent, uint32_t width);

#endif
