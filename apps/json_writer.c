#include "json_writer.h"

#include <math.h>
#include <string.h>

// Bytes of the UTF-8 character at s; 0 if there is none (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF).
static size_t utf8_length(const unsigned char *s, size_t n) {
  if (s[0] < 0x80) return 1;
  size_t length = s[0] >= 0xC2 && s[0] < 0xE0 ? 2 : s[0] >= 0xE0 && s[0] < 0xF0 ? 3 : s[0] >= 0xF0 && s[0] < 0xF5 ? 4 : 0;
  if (length == 0 || length > n) return 0;
  for (size_t i = 1; i < length; i++)
    if ((s[i] & 0xC0) != 0x80) return 0;
  if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
    return 0;
  return length;
}

static void write_string(FILE *f, const char *text, size_t n) {
  const unsigned char *s = (const unsigned char *)text;
  fputc('"', f);
  for (size_t i = 0; i < n;) {
    size_t length = utf8_length(s + i, n - i);
    if (length == 0)
      fputs("\\ufffd", f);
    else if (s[i] == '"' || s[i] == '\\')
      fprintf(f, "\\%c", s[i]);
    else if (s[i] == '\n')
      fputs("\\n", f);
    else if (s[i] < 0x20 || s[i] == 0x7F)
      fprintf(f, "\\u%04x", s[i]);
    else
      fwrite(s + i, 1, length, f);
    i += length ? length : 1;
  }
  fputc('"', f);
}

static void new_line(pm_json *j) {
  if (!j->compact) fprintf(j->f, "\n%*s", (int)j->depth * 2, "");
}

static void begin_value(pm_json *j, const char *key) {
  if (j->not_first) fputs(j->compact ? ", " : ",", j->f);
  if (j->depth) new_line(j);
  j->not_first = true;
  if (!key) return;
  write_string(j->f, key, strlen(key));
  fputs(": ", j->f);
}

void pm_json_begin(pm_json *j, const char *key, char bracket) {
  begin_value(j, key);
  fputc(bracket, j->f);
  j->depth++;
  j->not_first = false;
}

void pm_json_end(pm_json *j, char bracket) {
  j->depth--;
  if (j->not_first) new_line(j);
  fputc(bracket, j->f);
  j->not_first = j->depth > 0;
  if (j->depth == 0) fputc('\n', j->f);
}

void pm_json_bytes(pm_json *j, const char *key, const char *value, size_t n) {
  begin_value(j, key);
  write_string(j->f, value, n);
}

void pm_json_text(pm_json *j, const char *key, const char *value) { pm_json_bytes(j, key, value, strlen(value)); }

void pm_json_uint(pm_json *j, const char *key, uint64_t value) {
  begin_value(j, key);
  fprintf(j->f, "%llu", (unsigned long long)value);
}

void pm_json_real(pm_json *j, const char *key, double value) {
  begin_value(j, key);
  if (isfinite(value))
    fprintf(j->f, "%.9g", value);
  else
    fputs("null", j->f);
}

void pm_json_bool(pm_json *j, const char *key, bool value) {
  begin_value(j, key);
  fputs(value ? "true" : "false", j->f);
}

void pm_json_null(pm_json *j, const char *key) {
  begin_value(j, key);
  fputs("null", j->f);
}
