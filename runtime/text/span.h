// A stretch of UTF-8 text that belongs to somebody else; not terminated.
#ifndef PM_SPAN_H
#define PM_SPAN_H

#include <stdbool.h>
#include <stddef.h>

typedef struct pm_span {
  const char *at;
  size_t n;
} pm_span;
#define PM_SPAN(literal) ((pm_span){(literal), sizeof(literal) - 1})

pm_span pm_span_of(const char *terminated);
bool pm_span_equal(pm_span a, pm_span b);
bool pm_span_is(pm_span a, const char *terminated);
bool pm_span_begins(pm_span s, pm_span with);

// Where `needle` first begins in s; NULL if it does not.
const char *pm_span_find(pm_span s, pm_span needle);

// Without characters of `chars` at its ends; `chars` NULL: without white space.
pm_span pm_span_strip(pm_span s, const pm_span *chars, bool left, bool right);

#endif
