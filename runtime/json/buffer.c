#include "buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "memory.h"
#include "utf8.h"

static pm_status grow(pm_buffer *b, size_t n) {
  if (n > SIZE_MAX / 4 - b->n || (b->limit && b->n + n > b->limit))
    PM_FAIL(PM_ERR_MEMORY, "a text grows past its limit of %zu bytes", b->limit);
  if (b->n + n < b->capacity) return PM_OK;
  size_t wanted = 2 * (b->n + n) + 64;
  char *bigger = pm_realloc(b->at, wanted);
  if (!bigger) PM_FAIL(PM_ERR_MEMORY, "out of memory: a text of %zu bytes", wanted);
  b->at = bigger, b->capacity = wanted;
  return PM_OK;
}

void pm_buffer_put(pm_buffer *b, const char *text, size_t n) {
  if (b->status == PM_OK) b->status = grow(b, n);
  if (b->status != PM_OK) return;
  if (n) memcpy(b->at + b->n, text, n);
  b->n += n;
  b->at[b->n] = 0;
}

void pm_buffer_puts(pm_buffer *b, const char *text) { pm_buffer_put(b, text, strlen(text)); }

void pm_buffer_put_point(pm_buffer *b, unsigned code_point) {
  char bytes[4];
  pm_buffer_put(b, bytes, pm_utf8_put(code_point, bytes));
}

void pm_buffer_printf(pm_buffer *b, const char *fmt, ...) {
  char text[128];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  pm_buffer_puts(b, text);
}

void pm_buffer_finish(pm_buffer *b) {
  pm_free(b->at);
  *b = (pm_buffer){0};
}

pm_status pm_buffer_copy_out(const pm_buffer *b, char *out, size_t *n) {
  size_t capacity = *n;
  *n = b->n < capacity ? b->n : b->n + 1;
  if (b->n >= capacity) PM_FAIL(PM_ERR_ARGUMENT, "room for %zu bytes, the text and its terminator take %zu", capacity, b->n + 1);
  if (b->n) memcpy(out, b->at, b->n);
  return out[b->n] = 0, PM_OK;
}
