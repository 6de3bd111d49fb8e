#include "status.h"

#include <stdio.h>
#include <string.h>

static _Thread_local char message[1024];

pm_status pm_fail(pm_status code, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  vsnprintf(message, sizeof message, fmt, args);
  va_end(args);
  return code;
}

pm_status pm_fail_prefix(pm_status code, const char *fmt, ...) {
  char old[sizeof message];
  memcpy(old, message, sizeof old);
  va_list args;
  va_start(args, fmt);
  int n = vsnprintf(message, sizeof message, fmt, args);
  va_end(args);
  if (n >= 0 && (size_t)n < sizeof message) snprintf(message + n, sizeof message - (size_t)n, ": %s", old);
  return code;
}

const char *pm_fail_message(void) { return message; }
