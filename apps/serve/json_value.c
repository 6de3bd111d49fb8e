#include "json_value.h"

#include <stdlib.h>
#include <string.h>

#include "text_buffer.h"

// Bytes of the UTF-8 character at s, 0 if there is none: jansson is the judge.
static size_t character_length(const char *s, size_t n) {
  for (size_t length = 1; length <= 4 && length <= n; length++) {
    json_t *one = json_stringn(s, length);
    json_decref(one);
    if (one) return length;
  }
  return 0;
}

json_t *pm_json_lossy(const char *bytes, size_t n) {
  json_t *whole = json_stringn(bytes, n);
  if (whole) return whole;
  pm_text text = {0};
  for (size_t i = 0; i < n;) {
    size_t length = character_length(bytes + i, n - i);
    pm_text_append(&text, length ? bytes + i : "\xEF\xBF\xBD", length ? length : 3);
    i += length ? length : 1;
  }
  whole = json_stringn(text.data, text.n);
  pm_text_free(&text);
  return whole;
}

json_t *pm_json_words(const char *text) { return pm_json_lossy(text, strlen(text)); }

static const struct {
  int code;
  const char *type;
} error_types[] = {{400, "invalid_request_error"}, {401, "authentication_error"},  {403, "permission_error"},
                   {404, "not_found_error"},       {405, "invalid_request_error"}, {413, "invalid_request_error"},
                   {500, "server_error"},          {501, "not_supported_error"},   {503, "unavailable_error"}};

json_t *pm_json_error(int code, const char *message) {
  const char *type = "server_error";
  for (size_t i = 0; i < sizeof error_types / sizeof *error_types; i++)
    if (error_types[i].code == code) type = error_types[i].type;
  return json_pack("{s:i, s:o, s:s}", "code", code, "message", pm_json_words(message), "type", type);
}

char *pm_json_line(json_t *value) {
  char *line = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
  json_decref(value);
  return line ? line : strcpy(pm_resize(NULL, 5, 1), "null");
}
