#include "loads.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BYTES = 64 };

static const char *after(const char *line, const char *word) {
  const char *at = strstr(line, word);
  return at ? at + strlen(word) : NULL;
}

// AMD: buffer_load_dwordx4, buffer_load_b128, buffer_load_u8; constants come through scalar loads, s_load_...
static uint32_t amd_bytes(const char *line) {
  static const struct {
    const char *word;
    uint32_t bytes;
  } sizes[] = {{"dwordx4", 16}, {"dwordx3", 12}, {"dwordx2", 8}, {"dword", 4}, {"ushort", 2}, {"short", 2}, {"ubyte", 1}, {"sbyte", 1}};
  const char *at = after(line, "buffer_load_");
  if (!at || strstr(line, "s_buffer_load_")) at = after(line, "global_load_");
  if (!at) return 0;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    if (!strncmp(at, sizes[i].word, strlen(sizes[i].word))) return sizes[i].bytes;
  while (*at == 'd' || *at == '_') at++;  // d16_u8
  return (uint32_t)atoi(at + 1) / 8;      // b128, u16, i8
}

// Intel: load.ugm.d32x4.a32; with a "t" after the size the address is uniform. Before Xe-HPG: untyped_read:xyzw, shown only where the
// buffer is known to the compiler.
static uint32_t intel_bytes(const char *line) {
  const char *at = after(line, "load.ugm.d"), *channels = after(line, "untyped_read:");
  if (channels) return 4 * (uint32_t)strspn(channels, "xyzw");
  if (!at) return 0;
  char *end;
  uint32_t bytes = (uint32_t)strtoul(at, &end, 10) / 8;
  if (*end == 'u') end += 1 + strspn(end + 1, "0123456789");  // d8u32: widened
  if (*end == 'x') bytes *= (uint32_t)strtoul(end + 1, &end, 10);
  return *end == 't' ? 0 : bytes;
}

// NVIDIA under NAK: ld.global.a64.constant.b128 [...]
static uint32_t nvidia_bytes(const char *line) {
  const char *at = after(line, "ld.global."), *end = at ? strchr(at, ' ') : NULL;
  if (!end) return 0;
  while (end > at && end[-1] != '.') end--;
  return (uint32_t)atoi(end + 1) / 8;
}

void loads_describe(const char *assembly, char *out, size_t room) {
  uint32_t counts[MAX_BYTES + 1] = {0};
  char line[256];
  for (const char *at = assembly; *at;) {
    size_t n = strcspn(at, "\n"), kept = n < sizeof line - 1 ? n : sizeof line - 1;
    memcpy(line, at, kept);
    line[kept] = 0;
    uint32_t bytes = amd_bytes(line);
    if (!bytes) bytes = intel_bytes(line);
    if (!bytes) bytes = nvidia_bytes(line);
    if (bytes <= MAX_BYTES) counts[bytes] += bytes > 0;
    at += n + (at[n] == '\n');
  }
  size_t used = 0;
  out[0] = 0;
  for (uint32_t bytes = MAX_BYTES; bytes > 0 && used < room; bytes--)
    if (counts[bytes]) used += (size_t)snprintf(out + used, room - used, "%s%ux%u", used ? " " : "", counts[bytes], bytes);
}
