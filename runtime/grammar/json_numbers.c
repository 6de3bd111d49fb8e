// Ranges of numbers as GBNF, by their digits.
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "json_schema.h"

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

void pm_json_integers(pm_buffer *out, uint64_t lo, uint64_t hi) {
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
