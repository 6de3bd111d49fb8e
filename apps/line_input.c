#include "line_input.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "terminal.h"

#ifdef PM_HAVE_LIBEDIT
#include <histedit.h>
#endif

struct pm_line_input {
  bool terminal;
  const char *prompt;
#ifdef PM_HAVE_LIBEDIT
  EditLine *edit;  // NULL if there is no terminal
  History *history;
#endif
};

#ifdef PM_HAVE_LIBEDIT
static char *show_prompt(EditLine *edit) {
  pm_line_input *in;
  el_get(edit, EL_CLIENTDATA, &in);
  return (char *)in->prompt;
}

static void create_editor(pm_line_input *in) {
  HistEvent event;
  if (setlocale(LC_CTYPE, "") == NULL || MB_CUR_MAX == 1) setlocale(LC_CTYPE, "C.UTF-8");  // the editor counts characters by the locale
  in->edit = el_init("pumice", stdin, stderr, stderr);
  if (!in->edit) return;
  in->history = history_init();
  history(in->history, &event, H_SETSIZE, 500);
  el_set(in->edit, EL_CLIENTDATA, in);
  el_set(in->edit, EL_PROMPT, show_prompt);
  el_set(in->edit, EL_EDITOR, "emacs");
  el_set(in->edit, EL_HIST, history, in->history);
  el_source(in->edit, NULL);  // the user's ~/.editrc
}

static pm_line read_edited(pm_line_input *in, pm_text *line) {
  int n = 0;
  HistEvent event;
  el_resize(in->edit);
  const char *s = el_gets(in->edit, &n);
  if (!s || n <= 0) return pm_interrupted() ? PM_LINE_INTERRUPTED : PM_LINE_END;
  pm_text_append(line, s, (size_t)n);
  if (n > 1) history(in->history, &event, H_ENTER, s);
  return PM_LINE;
}
#endif

pm_line_input *pm_line_input_create(void) {
  pm_line_input *in = pm_resize(NULL, 1, sizeof *in);
  *in = (pm_line_input){.terminal = pm_is_terminal(stdin)};
#ifdef PM_HAVE_LIBEDIT
  if (in->terminal) create_editor(in);
#endif
  return in;
}

void pm_line_input_destroy(pm_line_input *in) {
  if (!in) return;
#ifdef PM_HAVE_LIBEDIT
  if (in->history) history_end(in->history);
  if (in->edit) el_end(in->edit);
#endif
  free(in);
}

static pm_line read_plain(pm_line_input *in, pm_text *line) {
  if (in->terminal) fprintf(stderr, "%s", in->prompt), fflush(stderr);
  char chunk[1024];
  errno = 0;
  while (fgets(chunk, sizeof chunk, stdin)) {
    size_t n = strlen(chunk);  // a NUL byte ends the line early, as it would end the message
    pm_text_append(line, chunk, n);
    if (n && chunk[n - 1] == '\n') return PM_LINE;
  }
  clearerr(stdin);
  if (pm_interrupted()) return PM_LINE_INTERRUPTED;
  return line->n ? PM_LINE : PM_LINE_END;
}

static pm_line read_line(pm_line_input *in, const char *prompt, pm_text *line) {
  pm_text_clear(line);
  in->prompt = prompt;
  pm_line result;
#ifdef PM_HAVE_LIBEDIT
  result = in->edit ? read_edited(in, line) : read_plain(in, line);
#else
  result = read_plain(in, line);
#endif
  pm_text_chomp(line);
  return result;
}

pm_line pm_line_input_read(pm_line_input *in, pm_text *message) {
  pm_text line = {0};
  pm_text_clear(message);
  pm_line result = read_line(in, "> ", &line);
  bool quoted = result == PM_LINE && !strncmp(line.data, "\"\"\"", 3);
  if (quoted) memmove(line.data, line.data + 3, (line.n -= 3) + 1);
  while (result == PM_LINE) {
    bool ends = quoted && line.n >= 3 && !strcmp(line.data + line.n - 3, "\"\"\"");
    bool goes_on = quoted ? !ends : line.n && line.data[line.n - 1] == '\\';
    pm_text_append(message, line.data, line.n - (ends ? 3 : goes_on && !quoted ? 1 : 0));
    if (!goes_on) break;
    if (message->n) pm_text_append(message, "\n", 1);
    result = read_line(in, ". ", &line);
  }
  pm_text_chomp(message);
  pm_text_free(&line);
  return result == PM_LINE_END && message->n ? PM_LINE : result;
}
