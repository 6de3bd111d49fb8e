#include "span.h"

#include <stdint.h>
#include <string.h>

#include "unicode.h"
#include "utf8.h"

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

// Whether a character of n bytes goes. Bytes that are not UTF-8 are no white space.
static bool strips(const char *at, size_t n, const pm_span *chars) {
  uint32_t c;
  if (chars) return pm_span_find(*chars, (pm_span){at, n}) != NULL;
  return pm_utf8_scan((const unsigned char *)at, n, &c) == (int)n && pm_unicode_is_space(c);
}

pm_span pm_span_strip(pm_span s, const pm_span *chars, bool left, bool right) {
  for (size_t n; left && s.n; s.at += n, s.n -= n) {
    uint32_t c;
    int length = pm_utf8_scan((const unsigned char *)s.at, s.n, &c);
    n = length > 0 ? (size_t)length : 1;
    if (!strips(s.at, n, chars)) break;
  }
  for (size_t n; right && s.n; s.n -= n) {
    for (n = 1; n < 4 && n < s.n && (s.at[s.n - n] & 0xc0) == 0x80;) n++;
    if (!strips(s.at + s.n - n, n, chars)) break;
  }
  return s;
}
