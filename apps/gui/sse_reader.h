// Server-sent events (WHATWG HTML, section 9.2), of which the data alone is wanted.
#ifndef PM_SSE_READER_H
#define PM_SSE_READER_H

#include <glib.h>
#include <stdbool.h>

typedef void pm_gui_sse_fn(void *user, const char *data);

typedef struct pm_gui_sse {
  GString *line, *data;
  bool after_cr, has_data;
} pm_gui_sse;

void pm_gui_sse_init(pm_gui_sse *sse);
void pm_gui_sse_finish(pm_gui_sse *sse);
// Takes bytes in pieces of any size and calls back for every event that is whole. False: an event is larger than 16 MiB.
bool pm_gui_sse_push(pm_gui_sse *sse, const char *bytes, size_t n, pm_gui_sse_fn *event, void *user);

#endif
