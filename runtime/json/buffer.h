// Text that grows, up to a limit. The first failure is kept: callers append freely and ask once, at the end.
#ifndef PM_BUFFER_H
#define PM_BUFFER_H

#include <stddef.h>

#include "status.h"

typedef struct pm_buffer {  // zeroed = empty, without a limit
  char *at;                 // terminated once something was put
  size_t n, capacity, limit;
  pm_status status;
} pm_buffer;

void pm_buffer_put(pm_buffer *b, const char *text, size_t n);
void pm_buffer_puts(pm_buffer *b, const char *text);
void pm_buffer_put_point(pm_buffer *b, unsigned code_point);
void pm_buffer_printf(pm_buffer *b, const char *fmt, ...) PM_PRINTF(2, 3);  // up to 127 bytes
void pm_buffer_finish(pm_buffer *b);

// Terminated, into memory of somebody else. *n: capacity in, bytes out; PM_ERR_ARGUMENT with *n = the capacity that is needed, terminator
// included, when there is not enough.
pm_status pm_buffer_copy_out(const pm_buffer *b, char *out, size_t *n) PM_MUST_USE;

#endif
