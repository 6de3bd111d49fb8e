#include "span.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

pm_span pm_span_of(const char *terminated) { return (pm_span){terminated, strlen(terminated)}; }
bool pm_span_equal(pm_span a, pm_span b) { return a.n == b.n && (a.n == 0 || memcmp(a.at, b.at, a.n) == 0); }
bool pm_span_is(pm_span a, const char *terminated) { return pm_span_equal(a, pm_span_of(terminated)); }
bool pm_span_begins(pm_span s, pm_span with) { return s.n >= with.n && (with.n == 0 || memcmp(s.at, with.at, with.n) == 0); }

const char *pm_span_find(pm_span s, pm_span needle) {
  if (needle.n == 0) return s.at;
  for (const char *end = s.at + s.n, *p = s.at; (size_t)(end - p) >= needle.n; p++) {
    p = memchr(p, needle.at[0], (size_t)(end - p) - needle.n + 1);
    if (!p) return NULL;
    if (memcmp(p, needle.at, needle.n) == 0) return p;
  }
  return NULL;
}

// Locales have points of their own, so strtod is given none: 12.5e3 as 125e2.
double pm_span_decimal(pm_span number) {
  char text[PM_DECIMAL_MAX + 16];
  size_t n = 0, fraction = 0;
  const char *p = number.at, *end = p + number.n;
  bool behind = false;
  for (; p < end && *p != 'e' && *p != 'E'; p++) {
    fraction += behind;
    behind |= *p == '.';
    if (*p != '.') text[n++] = *p;
  }
  long exponent = 0;
  bool minus = p + 1 < end && p[1] == '-';
  for (p += p < end; p < end; p++)
    if (*p >= '0' && *p <= '9' && exponent < 10000) exponent = 10 * exponent + (*p - '0');
  snprintf(text + n, sizeof text - n, "e%ld", (minus ? -exponent : exponent) - (long)fraction);
  return strtod(text, NULL);
}
