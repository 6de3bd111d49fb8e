// What the pre-tokenizers ask about a character: its general category group, and whether it is white space, a line end or Han.
#ifndef PM_UNICODE_H
#define PM_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The code point in the low 21 bits, classes above. A byte that is not UTF-8 becomes 0x110000 + byte and has no class.
typedef uint32_t pm_uchar;

enum {
  PM_UCHAR_POINT = (1 << 21) - 1,
  PM_UCHAR_UPPER = 1 << 21,    // Lu Lt
  PM_UCHAR_LOWER = 1 << 22,    // Ll
  PM_UCHAR_OTHER = 1 << 23,    // Lm Lo
  PM_UCHAR_MARK = 1 << 24,     // Mn Mc Me
  PM_UCHAR_NUMBER = 1 << 25,   // Nd Nl No
  PM_UCHAR_PUNCT = 1 << 26,    // Pc Pd Ps Pe Pi Pf Po
  PM_UCHAR_SYMBOL = 1 << 27,   // Sm Sc Sk So
  PM_UCHAR_SPACE = 1 << 28,    // property White_Space
  PM_UCHAR_NEWLINE = 1 << 29,  // \r and \n alone
  PM_UCHAR_HAN = 1 << 30,      // script Han
  PM_UCHAR_LETTER = PM_UCHAR_UPPER | PM_UCHAR_LOWER | PM_UCHAR_OTHER
};

pm_uchar pm_uchar_of(uint32_t code_point);

// Characters of a text: writes at most `bytes` and returns how many.
size_t pm_uchar_decode(const char *text, size_t bytes, pm_uchar *out);

// Bytes of the character in the text it came from.
static inline size_t pm_uchar_bytes(pm_uchar c) {
  c &= PM_UCHAR_POINT;
  return c < 0x80 || c > 0x10ffff ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
}

bool pm_unicode_is_space(uint32_t code_point);

// The simple mappings of the Unicode Character Database: one character to one.
uint32_t pm_unicode_lower(uint32_t code_point);
uint32_t pm_unicode_upper(uint32_t code_point);

#endif
