#include "sse_reader.h"

#include <string.h>

enum { MAX_EVENT = 16 << 20 };

void pm_gui_sse_init(pm_gui_sse *sse) { *sse = (pm_gui_sse){g_string_new(NULL), g_string_new(NULL), false, false}; }

void pm_gui_sse_finish(pm_gui_sse *sse) {
  g_string_free(sse->line, TRUE);
  g_string_free(sse->data, TRUE);
}

static void take_line(pm_gui_sse *sse, pm_gui_sse_fn *event, void *user) {
  const char *line = sse->line->str;
  if (!*line) {
    if (sse->has_data) event(user, sse->data->str);
    g_string_truncate(sse->data, 0);
    sse->has_data = false;
  } else if (g_str_has_prefix(line, "data") && (line[4] == ':' || !line[4])) {
    if (sse->has_data) g_string_append_c(sse->data, '\n');
    const char *value = line[4] ? line + 5 : line + 4;
    g_string_append(sse->data, *value == ' ' ? value + 1 : value);
    sse->has_data = true;
  }
  g_string_truncate(sse->line, 0);
}

bool pm_gui_sse_push(pm_gui_sse *sse, const char *bytes, size_t n, pm_gui_sse_fn *event, void *user) {
  for (size_t i = 0; i < n; i++) {
    char c = bytes[i];
    if (c == '\r' || (c == '\n' && !sse->after_cr))
      take_line(sse, event, user);
    else if (c != '\n' && c)
      g_string_append_c(sse->line, c);
    sse->after_cr = c == '\r';
    if (sse->line->len + sse->data->len > MAX_EVENT) return false;
  }
  return true;
}
