#include <string.h>

#include "tokenizer.h"
#include "utf8.h"

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
