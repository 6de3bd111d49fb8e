#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "terminal.h"

enum { MAX_OPTION = 48, MAX_NAME = 32, LONG_ONLY = 256 };  // LONG_ONLY + i: what getopt returns for row i

static bool help_wanted;
static const pm_option help_rows[] = {{"help", 'h', NULL, PM_FLAG, &help_wanted, "show this text"}, {0}};
static const pm_option_group help_group = {"general", help_rows};

int pm_wrong_use(const pm_command *command, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "pumice %s: ", command->name);
  vfprintf(stderr, format, args);
  fprintf(stderr, "\nTry 'pumice help %s'.\n", command->name);
  va_end(args);
  return PM_EXIT_WRONG_USE;
}

// ---- values ------------------------------------------------------------------------------------------------------------------------

// A whole number, with "k" for 1024s; *end is left after it.
static bool read_number(const char *s, const char **end, uint64_t *v) {
  if (!isdigit((unsigned char)*s)) return false;
  char *rest;
  errno = 0;
  *v = strtoull(s, &rest, 10);
  if (errno) return false;
  if (*rest == 'k' || *rest == 'K') {
    if (*v > UINT64_MAX / 1024) return false;
    *v *= 1024, rest++;
  }
  *end = rest;
  return true;
}

// A number of bytes: "12G", "1.5T", "800 MB"; the letters count in 1024s.
static bool read_bytes(const char *s, uint64_t *bytes) {
  static const char letters[] = "KMGT";
  char *rest;
  double v = strtod(s, &rest);
  if (rest == s || !(v >= 0) || !isdigit((unsigned char)*s)) return false;
  while (*rest == ' ') rest++;
  const char *letter = *rest ? strchr(letters, toupper((unsigned char)*rest)) : NULL;
  for (const char *l = letters; letter && l <= letter; l++) v *= 1024;
  if (letter) rest++;
  if (letter && *rest == 'i') rest++;
  if (*rest == 'B' || *rest == 'b') rest++;
  if (*rest || v >= 18e18) return false;
  *bytes = (uint64_t)v;
  return true;
}

static bool in_bounds(const pm_option *o, double v) { return v >= o->min && (o->max == 0 || v <= o->max); }

static bool set_list(const pm_option *o, const char *value) {
  pm_u32_list list = {0};
  for (const char *s = value;; s++) {
    uint64_t v;
    if (list.n == sizeof list.value / sizeof *list.value || !read_number(s, &s, &v) || v > UINT32_MAX || !in_bounds(o, (double)v))
      return false;
    list.value[list.n++] = (uint32_t)v;
    if (!*s) break;
    if (*s != ',') return false;
  }
  *(pm_u32_list *)o->target = list;
  return true;
}

static bool set_value(const pm_option *o, const char *value) {
  uint64_t v;
  const char *end;
  char *float_end;
  switch (o->kind) {
    case PM_FLAG: *(bool *)o->target = true; return true;
    case PM_TEXT: *(const char **)o->target = value; return true;
    case PM_U32:
      if (!read_number(value, &end, &v) || *end || v > UINT32_MAX || !in_bounds(o, (double)v)) return false;
      *(uint32_t *)o->target = (uint32_t)v;
      return true;
    case PM_U64:
      if (!read_number(value, &end, &v) || *end) return false;
      *(uint64_t *)o->target = v;
      return true;
    case PM_BYTES: return read_bytes(value, (uint64_t *)o->target);
    case PM_FLOAT: {
      float f = strtof(value, &float_end);
      if (float_end == value || *float_end || !in_bounds(o, f)) return false;
      *(float *)o->target = f;
      return true;
    }
    case PM_U32_LIST: return set_list(o, value);
  }
  return false;
}

static void explain_value(const pm_option *o, const char *value, char *text, size_t size) {
  static const char *const wants[] = {[PM_U32] = "a whole number",
                                      [PM_U64] = "a whole number",
                                      [PM_BYTES] = "bytes, e.g. 800M or 12G",
                                      [PM_FLOAT] = "a number",
                                      [PM_U32_LIST] = "up to 16 whole numbers with commas"};
  int n = snprintf(text, size, "--%s takes %s", o->name, wants[o->kind]);
  if (o->max != 0)
    n += snprintf(text + n, size - (size_t)n, " between %g and %g", o->min, o->max);
  else if (o->min != 0)
    n += snprintf(text + n, size - (size_t)n, " of at least %g", o->min);
  snprintf(text + n, size - (size_t)n, ", not '%.60s'", value);
}

bool pm_option_set(const pm_option_group *group, const char *name, const char *value, FILE *err) {
  for (const pm_option *o = group->rows; o->name; o++) {
    if (strcmp(o->name, name)) continue;
    char text[256];
    if (set_value(o, value)) return true;
    explain_value(o, value, text, sizeof text);
    fprintf(err, "%s\n", text);
    return false;
  }
  fprintf(err, "there is no option '%s'\n", name);
  return false;
}

// ---- slips of the finger -----------------------------------------------------------------------------------------------------------

// Levenshtein distance; names longer than the table count as far away.
static uint32_t distance(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b);
  uint32_t row[MAX_NAME + 1];
  if (n > MAX_NAME || m > MAX_NAME) return MAX_NAME;
  for (uint32_t j = 0; j <= m; j++) row[j] = j;
  for (uint32_t i = 1; i <= n; i++) {
    uint32_t diagonal = row[0];
    row[0] = i;
    for (uint32_t j = 1; j <= m; j++) {
      uint32_t best = diagonal + (a[i - 1] != b[j - 1]);
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      diagonal = row[j], row[j] = best;
    }
  }
  return row[m];
}

const char *pm_nearest(const char *name, const char *const *candidates) {
  const char *best = NULL;
  uint32_t best_distance = (uint32_t)strlen(name) / 3 + 2;  // of a short name little may be wrong
  for (; *candidates; candidates++) {
    uint32_t d = distance(name, *candidates);
    if (d < best_distance) best = *candidates, best_distance = d;
  }
  return best;
}

// ---- parsing -----------------------------------------------------------------------------------------------------------------------

typedef struct getopt_tables {
  const pm_option *rows[MAX_OPTION];
  struct option longs[MAX_OPTION + 1];
  char shorts[2 * MAX_OPTION + 2];
  uint32_t n;
} getopt_tables;

static void add_group(getopt_tables *t, const pm_option_group *group) {
  size_t n_short = strlen(t->shorts);
  for (const pm_option *o = group->rows; o->name && t->n < MAX_OPTION; o++) {
    t->longs[t->n] = (struct option){o->name, o->arg ? required_argument : no_argument, NULL, LONG_ONLY + (int)t->n};
    t->rows[t->n++] = o;
    if (!o->letter) continue;
    t->shorts[n_short++] = o->letter;
    if (o->arg) t->shorts[n_short++] = ':';
  }
}

static const pm_option *find_row(const getopt_tables *t, int code) {
  if (code >= LONG_ONLY) return t->rows[code - LONG_ONLY];
  for (uint32_t i = 0; i < t->n; i++)
    if (t->rows[i]->letter == code) return t->rows[i];
  return NULL;
}

// optopt tells which option lacked its value; without one the option itself is unknown, or an abbreviation of several.
static int refuse_option(const pm_command *command, const getopt_tables *t, const char *word, bool missing_value) {
  const pm_option *o = optopt ? find_row(t, optopt) : NULL;
  if (missing_value && o) return pm_wrong_use(command, "--%s needs a value: --%s %s", o->name, o->name, o->arg);
  if (o) return pm_wrong_use(command, "--%s takes no value", o->name);
  if (optopt) return pm_wrong_use(command, "unknown option -%c", optopt);
  const char *names[MAX_OPTION + 1] = {NULL};
  for (uint32_t i = 0; i < t->n; i++) names[i] = t->rows[i]->name;
  char name[MAX_NAME + 1];
  snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2, "="), word + 2);
  const char *near = pm_nearest(name, names);
  return near ? pm_wrong_use(command, "unknown option %s (--%s?)", word, near) : pm_wrong_use(command, "unknown option %s", word);
}

static int parse_options(const pm_command *command, int argc, char **argv) {
  getopt_tables t = {.shorts = ":"};
  for (const pm_option_group *const *g = command->groups; *g; g++) add_group(&t, *g);
  add_group(&t, &help_group);
  opterr = 0;
  optind = 1;
  for (;;) {
    int at = optind;
    optopt = 0;
    int code = getopt_long(argc, argv, t.shorts, t.longs, NULL);
    if (code == -1) return PM_EXIT_OK;
    if (code == '?' || code == ':') return refuse_option(command, &t, argv[optind > at ? optind - 1 : at], code == ':');
    const pm_option *o = find_row(&t, code);
    char text[256];
    if (set_value(o, optarg)) continue;
    explain_value(o, optarg, text, sizeof text);
    return pm_wrong_use(command, "%s", text);
  }
}

int pm_command_main(const pm_command *command, int argc, char **argv) {
  int code = parse_options(command, argc, argv);
  if (code) return code;
  if (help_wanted) {
    pm_command_help(command, stdout);
    return PM_EXIT_OK;
  }
  uint32_t n = (uint32_t)(argc - optind);
  if (n > command->max_argument) return pm_wrong_use(command, "one argument too many: '%s'", argv[optind + (int)command->max_argument]);
  if (n < command->min_argument) return pm_wrong_use(command, "an argument is missing: pumice %s %s", command->name, command->arguments);
  return command->run(argv + optind, n);
}

// ---- help --------------------------------------------------------------------------------------------------------------------------

void pm_print_wrapped(FILE *f, const char *text, uint32_t indent, uint32_t width) {
  uint32_t column = indent;
  for (const char *s = text; *s;) {
    size_t n = strcspn(s, " \n");
    if (column > indent && column + 1 + n > width) {
      fprintf(f, "\n%*s", (int)indent, "");
      column = indent;
    }
    column += (uint32_t)fprintf(f, "%s%.*s", column > indent ? " " : "", (int)n, s);
    s += n;
    for (; *s == ' '; s++) {}
    for (; *s == '\n'; s++) {
      fprintf(f, "\n%*s", s[1] == '\n' ? 0 : (int)indent, "");
      column = indent;
    }
  }
  fputc('\n', f);
}

static int print_name(FILE *f, const pm_option *o) {
  char letter[8] = "    ";
  if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
  return fprintf(f, "  %s--%s%s%s", letter, o->name, o->arg ? " " : "", o->arg ? o->arg : "");
}

static uint32_t name_width(const pm_option *o) { return (uint32_t)(8 + strlen(o->name) + (o->arg ? 1 + strlen(o->arg) : 0)); }

static void print_group(FILE *f, const pm_option_group *group, uint32_t column, uint32_t width) {
  fprintf(f, "\n%s%s:%s\n", pm_style(f, PM_BOLD), group->title, pm_style(f, PM_PLAIN));
  for (const pm_option *o = group->rows; o->name; o++) {
    int n = print_name(f, o);
    fprintf(f, "%*s", (int)column - n, "");
    pm_print_wrapped(f, o->help, column, width);
  }
}

void pm_command_help(const pm_command *command, FILE *f) {
  uint32_t width = pm_terminal_width(), column = 0;
  const pm_option_group *groups[8] = {NULL};
  uint32_t n = 0;
  for (; command->groups[n]; n++) groups[n] = command->groups[n];
  groups[n] = &help_group;
  for (uint32_t i = 0; i <= n; i++)
    for (const pm_option *o = groups[i]->rows; o->name; o++)
      if (name_width(o) + 2 > column) column = name_width(o) + 2;

  fprintf(f, "%susage:%s pumice %s [options]%s%s\n\n", pm_style(f, PM_BOLD), pm_style(f, PM_PLAIN), command->name,
          *command->arguments ? " " : "", command->arguments);
  pm_print_wrapped(f, command->details, 0, width);
  for (uint32_t i = 0; i <= n; i++) print_group(f, groups[i], column, width);
}
