#include "utf8.h"

#include <string.h>

#include "tokenizer.h"

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

static size_t put_replacement(char *out) { return memcpy(out, "\xef\xbf\xbd", 3), 3; }

// Byte by byte, so that the output cannot depend on where the input was cut.
size_t pm_utf8_stream_push(pm_utf8_stream *s, const char *src, size_t bytes, bool end, char *out) {
  size_t n = 0;
  for (size_t i = 0; i < bytes; i++) {
    s->pending[s->n_pending++] = (unsigned char)src[i];
    uint32_t code_point;
    int scanned = pm_utf8_scan(s->pending, s->n_pending, &code_point);
    if (scanned > 0) {
      memcpy(out + n, s->pending, s->n_pending);
      n += s->n_pending;
      s->n_pending = 0;
    } else if (scanned < 0) {
      n += put_replacement(out + n);
      bool again = s->n_pending > 1;  // what broke the character may begin the next one
      s->n_pending = 0;
      if (again) i--;
    }
  }
  if (end && s->n_pending) {
    n += put_replacement(out + n);
    s->n_pending = 0;
  }
  return n;
}
