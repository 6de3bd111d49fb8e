// UTF-8 one character at a time, strict: no overlong forms, no surrogates, nothing above U+10FFFF.
#ifndef PM_UTF8_H
#define PM_UTF8_H

#include <stddef.h>
#include <stdint.h>

// The character at s[0], n >= 1: its length when it is whole (*code_point is set), 0 when it is right so far but goes on past s[n - 1],
// -k when the first k bytes belong to no character.
int pm_utf8_scan(const unsigned char *s, size_t n, uint32_t *code_point);

// Writes 1 to 4 bytes and returns how many.
size_t pm_utf8_put(uint32_t code_point, char *out);

#endif
