#include "unicode.h"

#include <utf8proc.h>

#include "utf8.h"

static const pm_uchar class_of_category[] = {
    [UTF8PROC_CATEGORY_LU] = PM_UCHAR_UPPER,
    [UTF8PROC_CATEGORY_LT] = PM_UCHAR_UPPER,
    [UTF8PROC_CATEGORY_LL] = PM_UCHAR_LOWER,
    [UTF8PROC_CATEGORY_LM] = PM_UCHAR_OTHER,
    [UTF8PROC_CATEGORY_LO] = PM_UCHAR_OTHER,
    [UTF8PROC_CATEGORY_MN] = PM_UCHAR_MARK,
    [UTF8PROC_CATEGORY_MC] = PM_UCHAR_MARK,
    [UTF8PROC_CATEGORY_ME] = PM_UCHAR_MARK,
    [UTF8PROC_CATEGORY_ND] = PM_UCHAR_NUMBER,
    [UTF8PROC_CATEGORY_NL] = PM_UCHAR_NUMBER,
    [UTF8PROC_CATEGORY_NO] = PM_UCHAR_NUMBER,
    [UTF8PROC_CATEGORY_PC] = PM_UCHAR_PUNCT,
    [UTF8PROC_CATEGORY_PD] = PM_UCHAR_PUNCT,
    [UTF8PROC_CATEGORY_PS] = PM_UCHAR_PUNCT,
    [UTF8PROC_CATEGORY_PE] = PM_UCHAR_PUNCT,
    [UTF8PROC_CATEGORY_PI] = PM_UCHAR_PUNCT,
    [UTF8PROC_CATEGORY_PF] = PM_UCHAR_PUNCT,
    [UTF8PROC_CATEGORY_PO] = PM_UCHAR_PUNCT,
    [UTF8PROC_CATEGORY_SM] = PM_UCHAR_SYMBOL,
    [UTF8PROC_CATEGORY_SC] = PM_UCHAR_SYMBOL,
    [UTF8PROC_CATEGORY_SK] = PM_UCHAR_SYMBOL,
    [UTF8PROC_CATEGORY_SO] = PM_UCHAR_SYMBOL,
    [UTF8PROC_CATEGORY_CO] = 0,
};

// PropList.txt, White_Space; it has not changed since Unicode 6.3.
bool pm_unicode_is_space(uint32_t c) {
  return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
         c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

uint32_t pm_unicode_lower(uint32_t c) { return (uint32_t)utf8proc_tolower((utf8proc_int32_t)c); }
uint32_t pm_unicode_upper(uint32_t c) { return (uint32_t)utf8proc_toupper((utf8proc_int32_t)c); }

// Scripts.txt, Han, Unicode 15; utf8proc does not know scripts.
static bool is_han(uint32_t c) {
  static const uint32_t ranges[][2] = {
      {0x2e80, 0x2e99},   {0x2e9b, 0x2ef3},   {0x2f00, 0x2fd5},   {0x3005, 0x3005},   {0x3007, 0x3007},   {0x3021, 0x3029},
      {0x3038, 0x303b},   {0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xf900, 0xfa6d},   {0xfa70, 0xfad9},   {0x16fe2, 0x16fe3},
      {0x16ff0, 0x16ff1}, {0x20000, 0x2a6df}, {0x2a700, 0x2b739}, {0x2b740, 0x2b81d}, {0x2b820, 0x2cea1}, {0x2ceb0, 0x2ebe0},
      {0x2f800, 0x2fa1d}, {0x30000, 0x3134a}, {0x31350, 0x323af},
  };
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges && c >= ranges[i][0]; i++)
    if (c <= ranges[i][1]) return true;
  return false;
}

pm_uchar pm_uchar_of(uint32_t c) {
  pm_uchar classes = class_of_category[utf8proc_category((utf8proc_int32_t)c)];
  if (pm_unicode_is_space(c)) classes |= PM_UCHAR_SPACE;
  if (c == '\n' || c == '\r') classes |= PM_UCHAR_NEWLINE;
  if (is_han(c)) classes |= PM_UCHAR_HAN;
  return c | classes;
}

size_t pm_uchar_decode(const char *text, size_t bytes, pm_uchar *out) {
  const unsigned char *s = (const unsigned char *)text;
  size_t n = 0;
  for (size_t i = 0; i < bytes;) {
    uint32_t c;
    int length = pm_utf8_scan(s + i, bytes - i, &c);
    out[n++] = length > 0 ? pm_uchar_of(c) : 0x110000u + s[i];
    i += length > 0 ? (size_t)length : 1;
  }
  return n;
}
