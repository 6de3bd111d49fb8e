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

// The double that is nearest to a decimal number of at most PM_DECIMAL_MAX characters, whatever the program's locale: -12.5e3 and the like.
enum { PM_DECIMAL_MAX = 399 };
double pm_span_decimal(pm_span number);

// Where `needle` first begins in s; NULL if it does not.
const char *pm_span_find(pm_span s, pm_span needle);

#endif
