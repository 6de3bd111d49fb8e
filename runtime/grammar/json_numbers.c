#include "json_numbers.h"

#include <stdio.h>
#include <string.h>

enum { MOST_DIGITS = 16 };

static void put_digits(pm_buffer *out, char first, char last) {
  if (first == last)
    pm_buffer_printf(out, "\"%c\" ", first);
  else
    pm_buffer_printf(out, "[%c-%c] ", first, last);
}

static void put_any_digits(pm_buffer *out, size_t n) {
  if (n) pm_buffer_printf(out, "[0-9]{%zu} ", n);
}

static bool all(const char *s, size_t n, char c) {
  for (size_t i = 0; i < n; i++)
    if (s[i] != c) return false;
  return true;
}

// Numbers of n digits from lo to hi.
static void put_range(pm_buffer *out, const char *lo, const char *hi, size_t n) {
  static const char zeros[] = "00000000000000000000", nines[] = "99999999999999999999";
  for (; n && *lo == *hi; lo++, hi++, n--) put_digits(out, *lo, *lo);
  if (!n) return;
  bool from_first = all(lo + 1, n - 1, '0'), to_last = all(hi + 1, n - 1, '9');
  char first = from_first ? *lo : (char)(*lo + 1), last = to_last ? *hi : (char)(*hi - 1);
  const char * or = "";
  pm_buffer_puts(out, "( ");
  if (!from_first) {
    put_digits(out, *lo, *lo);
    put_range(out, lo + 1, nines, n - 1);
    or = "| ";
  }
  if (first <= last) {
    pm_buffer_puts(out, or);
    put_digits(out, first, last);
    put_any_digits(out, n - 1);
    or = "| ";
  }
  if (!to_last) {
    pm_buffer_puts(out, or);
    put_digits(out, *hi, *hi);
    put_range(out, zeros, hi + 1, n - 1);
  }
  pm_buffer_puts(out, ") ");
}

// Numbers lo <= n <= hi; UINT64_MAX: no end.
static void put_natural(pm_buffer *out, uint64_t lo, uint64_t hi) {
  char first[24], last[24], limit[24];
  size_t n_first = (size_t)snprintf(first, sizeof first, "%llu", (unsigned long long)lo);
  size_t n_last = hi == UINT64_MAX ? MOST_DIGITS : (size_t)snprintf(last, sizeof last, "%llu", (unsigned long long)hi);
  if (hi == UINT64_MAX) memset(last, '9', MOST_DIGITS);
  pm_buffer_puts(out, "( ");
  for (size_t n = n_first; n <= n_last; n++) {
    if (n > n_first) {
      pm_buffer_puts(out, "| ");
      first[0] = '1';
      memset(first + 1, '0', n - 1);
    }
    memset(limit, '9', n);
    put_range(out, first, n == n_last ? last : limit, n);
  }
  pm_buffer_puts(out, ") ");
}

void pm_json_integers(pm_buffer *out, const pm_json_bounds *b) {
  const char * or = "";
  pm_buffer_puts(out, "( ");
  if (!b->from || b->low < 0) {
    pm_buffer_puts(out, "\"-\" ");
    put_natural(out, b->to && b->high < 0 ? (uint64_t)-b->high : 1, b->from ? (uint64_t)-b->low : UINT64_MAX);
    or = "| ";
  }
  if (!b->to || b->high >= 0) {
    pm_buffer_puts(out, or);
    put_natural(out, b->from && b->low > 0 ? (uint64_t)b->low : 0, b->to ? (uint64_t)b->high : UINT64_MAX);
  }
  pm_buffer_puts(out, ") ");
}

// Magnitudes lo .. hi: lo itself, more than lo, whole numbers between with any decimals, hi itself.
static void put_magnitudes(pm_buffer *out, uint64_t lo, bool above, uint64_t hi, bool below) {
  const char * or = "";
  pm_buffer_puts(out, "( ");
  if (!above) pm_buffer_printf(out, "\"%llu\" ( \".\" \"0\"{1,16} )? ", (unsigned long long)lo), or = "| ";
  if (lo < hi) {
    pm_buffer_printf(out, "%s\"%llu\" \".\" \"0\"{0,15} [1-9] [0-9]{0,15} ", or, (unsigned long long)lo);
    or = "| ";
  }
  if (hi == UINT64_MAX || lo + 1 < hi) {
    pm_buffer_puts(out, or);
    put_natural(out, lo + 1, hi == UINT64_MAX ? hi : hi - 1);
    pm_buffer_puts(out, "( \".\" [0-9]{1,16} )? ");
  }
  if (hi != UINT64_MAX && lo < hi && !below) pm_buffer_printf(out, "| \"%llu\" ( \".\" \"0\"{1,16} )? ", (unsigned long long)hi);
  pm_buffer_puts(out, ") ");
}

void pm_json_decimals(pm_buffer *out, const pm_json_bounds *b) {
  bool negative = !b->from || b->low < 0, positive = !b->to || b->high > 0 || (b->high == 0 && !b->below);
  pm_buffer_puts(out, "( ");
  if (negative) {
    bool from_zero = !b->to || b->high >= 0;
    pm_buffer_puts(out, "\"-\" ");
    put_magnitudes(out, from_zero ? 0 : (uint64_t)-b->high, from_zero || b->below, b->from ? (uint64_t)-b->low : UINT64_MAX, b->above);
    pm_buffer_puts(out, positive ? "| " : "");
  }
  if (positive) {
    bool from_zero = !b->from || b->low < 0;
    put_magnitudes(out, from_zero ? 0 : (uint64_t)b->low, !from_zero && b->above, b->to ? (uint64_t)b->high : UINT64_MAX, b->below);
  }
  pm_buffer_puts(out, ") ");
}
