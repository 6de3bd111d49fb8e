#include "stop_strings.h"

#include <string.h>

#include "memory.h"
#include "utf8.h"

static bool is_utf8(const char *text, size_t n) {
  uint32_t code_point;
  for (size_t i = 0; i < n;) {
    int k = pm_utf8_scan((const unsigned char *)text + i, n - i, &code_point);
    if (k <= 0) return false;
    i += (size_t)k;
  }
  return true;
}

static pm_status init_string(pm_stop_string *s, const char *text, size_t index) {
  size_t n = text ? strlen(text) : 0;
  if (!n) PM_FAIL(PM_ERR_ARGUMENT, "stop string %zu is empty", index);
  if (n > UINT16_MAX) PM_FAIL(PM_ERR_ARGUMENT, "stop string %zu has %zu bytes; at most %u are possible", index, n, UINT16_MAX);
  if (!is_utf8(text, n)) PM_FAIL(PM_ERR_ARGUMENT, "stop string %zu is not UTF-8", index);
  s->n = (uint32_t)n;
  s->text = pm_strdup(text);
  if (!s->text) PM_FAIL(PM_ERR_MEMORY, "out of memory: stop string %zu", index);
  PM_NEW(&s->border, n + 1, "stop string");
  for (uint32_t i = 1, k = 0; i < s->n; i++) {
    while (k && text[i] != text[k]) k = s->border[k];
    s->border[i + 1] = k += text[i] == text[k];
  }
  return PM_OK;
}

pm_status pm_stop_strings_init(pm_stop_strings *s, const char *const *texts, size_t n) {
  *s = (pm_stop_strings){0};
  PM_NEW(&s->strings, n, "stop strings");
  for (; s->n < n; s->n++) {
    pm_status status = init_string(&s->strings[s->n], texts[s->n], s->n);
    if (!status) continue;
    s->n++;
    return pm_stop_strings_finish(s), status;
  }
  return PM_OK;
}

void pm_stop_strings_finish(pm_stop_strings *s) {
  for (size_t i = 0; i < s->n; i++) {
    pm_free(s->strings[i].text);
    pm_free(s->strings[i].border);
  }
  pm_free(s->strings);
  *s = (pm_stop_strings){0};
}

// Whether the text has reached the end of the string with this byte.
static bool advance(pm_stop_string *s, char c) {
  while (s->matched && c != s->text[s->matched]) s->matched = s->border[s->matched];
  s->matched += c == s->text[s->matched];
  return s->matched == s->n;
}

// The string of which the text ends with most: what is held is its beginning. NULL if there are no strings.
static const pm_stop_string *longest(const pm_stop_strings *s) {
  const pm_stop_string *best = NULL;
  for (const pm_stop_string *t = s->strings; t < s->strings + s->n; t++)
    if (!best || t->matched > best->matched) best = t;
  return best;
}

// The first n bytes of what was held and then came.
static bool let_through(const char *held, size_t n_held, const char *text, size_t n, pm_stop_emit_fn *emit, void *user) {
  size_t first = n < n_held ? n : n_held;
  if (first && !emit(user, held, first)) return false;
  return n == first || emit(user, text, n - first);
}

// Held text begins a stop string, which begins with a whole character: what is let through ends with one.
bool pm_stop_strings_push(pm_stop_strings *s, const char *text, size_t bytes, pm_stop_emit_fn *emit, void *user, int *found) {
  const pm_stop_string *before = longest(s), *after = NULL;
  size_t n_held = before ? before->matched : 0, i = 0;
  *found = -1;
  for (; i < bytes && *found < 0; i++)
    for (size_t k = 0; k < s->n; k++) {
      bool reached = advance(&s->strings[k], text[i]);
      if (reached && (*found < 0 || s->strings[k].n > s->strings[*found].n)) *found = (int)k;
    }
  after = *found >= 0 ? &s->strings[*found] : longest(s);
  return let_through(before ? before->text : NULL, n_held, text, n_held + i - (after ? after->matched : 0), emit, user);
}

bool pm_stop_strings_end(pm_stop_strings *s, pm_stop_emit_fn *emit, void *user) {
  const pm_stop_string *t = longest(s);
  uint32_t n_held = t ? t->matched : 0;
  for (size_t i = 0; i < s->n; i++) s->strings[i].matched = 0;
  return !n_held || emit(user, t->text, n_held);
}
