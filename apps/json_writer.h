// Writes one JSON document to a stream, two spaces per level. Keys are NULL inside arrays and at the top.
#ifndef PM_JSON_WRITER_H
#define PM_JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct pm_json {
  FILE *f;
  uint32_t depth;
  bool compact;  // all on one line
  bool not_first;
} pm_json;

void pm_json_begin(pm_json *j, const char *key, char bracket);  // '{' or '['
void pm_json_end(pm_json *j, char bracket);                     // '}' or ']'; a newline after the outermost
void pm_json_text(pm_json *j, const char *key, const char *value);
void pm_json_bytes(pm_json *j, const char *key, const char *value, size_t n);  // what is not UTF-8 becomes U+FFFD
void pm_json_uint(pm_json *j, const char *key, uint64_t value);
void pm_json_real(pm_json *j, const char *key, double value);  // null if not finite
void pm_json_bool(pm_json *j, const char *key, bool value);
void pm_json_null(pm_json *j, const char *key);

#endif
