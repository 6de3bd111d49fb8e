#include "strip.h"

#include "unicode.h"
#include "utf8.h"

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
