#include "utf8.h"

int pm_utf8_scan(const unsigned char *s, size_t n, uint32_t *code_point) {
  unsigned lead = s[0];
  if (lead < 0x80) return *code_point = lead, 1;
  if (lead < 0xc2 || lead > 0xf4) return -1;
  int length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  // Only the second byte's range depends on the lead (Unicode, table 3-7).
  unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  uint32_t value = lead & (0x7fu >> length);
  for (int i = 1; i < length; i++, low = 0x80, high = 0xbf) {
    if ((size_t)i == n) return 0;
    if (s[i] < low || s[i] > high) return -i;
    value = value << 6 | (s[i] & 0x3fu);
  }
  *code_point = value;
  return length;
}

size_t pm_utf8_put(uint32_t c, char *out) {
  if (c < 0x80) return out[0] = (char)c, 1;
  size_t length = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (size_t i = length; i-- > 1; c >>= 6) out[i] = (char)(0x80 | (c & 0x3f));
  out[0] = (char)(0xf00 >> length | c);
  return length;
}
