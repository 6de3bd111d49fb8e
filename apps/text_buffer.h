// Growable text and arrays. A program that runs out of memory says so and ends: nothing here fails.
#ifndef PM_TEXT_BUFFER_H
#define PM_TEXT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct pm_text {
  char *data;  // terminated once anything was appended or pm_text_clear was called
  size_t n, capacity;
} pm_text;

void pm_text_clear(pm_text *t);  // empty, but terminated
void pm_text_append(pm_text *t, const char *bytes, size_t n);
void pm_text_free(pm_text *t);

// Appends the rest of a stream, or a whole file; false with errno set.
bool pm_text_read_stream(pm_text *t, FILE *f);
bool pm_text_read_file(pm_text *t, const char *path);
void pm_text_chomp(pm_text *t);  // drops one final newline

void *pm_resize(void *p, size_t count, size_t size);  // p may be NULL; count 0 keeps one element

// "27.1 MiB"; the text lives until the eighth next call.
const char *pm_bytes_text(uint64_t bytes);

#endif
