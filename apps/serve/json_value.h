// Small helpers over jansson.
#ifndef PM_JSON_VALUE_H
#define PM_JSON_VALUE_H

#include <jansson.h>

// A string from bytes that may be no UTF-8: what is not becomes U+FFFD.
json_t *pm_json_lossy(const char *bytes, size_t n);
json_t *pm_json_words(const char *text);  // the same, of a terminated text

// {"code", "message", "type"} as clients expect them; the type belongs to the HTTP status.
json_t *pm_json_error(int code, const char *message);

// Terminated, compact; the caller frees it. Takes the value.
char *pm_json_line(json_t *value);

#endif
