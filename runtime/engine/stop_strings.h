// Strings that end an answer, found in its text as it comes (Knuth, Morris and Pratt 1977, one matcher per string). Text is let through
// as soon as it cannot be part of one.
#ifndef PM_STOP_STRINGS_H
#define PM_STOP_STRINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

typedef struct pm_stop_string {
  char *text;  // owned
  uint32_t n;
  uint32_t *border;  // [n + 1]: length of the longest proper prefix of text[0, i) that is also its suffix
  uint32_t matched;  // bytes of it that the text ends with
} pm_stop_string;

typedef struct pm_stop_strings {
  pm_stop_string *strings;
  size_t n;
} pm_stop_strings;

// Copies the strings. PM_ERR_ARGUMENT for one that is empty or not UTF-8.
pm_status pm_stop_strings_init(pm_stop_strings *s, const char *const *texts, size_t n) PM_MUST_USE;
void pm_stop_strings_finish(pm_stop_strings *s);

typedef bool pm_stop_emit_fn(void *user, const char *text, size_t bytes);

// Takes whole characters and lets whole characters through. False as soon as `emit` returns false. *found is the index of the string that
// the text has reached, or -1; nothing may follow then.
bool pm_stop_strings_push(pm_stop_strings *s, const char *text, size_t bytes, pm_stop_emit_fn *emit, void *user, int *found);
// No more text, or one that has nothing to do with this one follows: lets through what was held.
bool pm_stop_strings_end(pm_stop_strings *s, pm_stop_emit_fn *emit, void *user);

#endif
