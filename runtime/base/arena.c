#include "arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "memory.h"

enum { ALIGNMENT = 16, FIRST_BLOCK = 64 * 1024 };

struct pm_arena_block {
  pm_arena_block *next;
  size_t used, capacity;
  _Alignas(ALIGNMENT) unsigned char bytes[];
};

void *pm_arena_alloc(pm_arena *arena, size_t bytes) {
  if (bytes > SIZE_MAX - ALIGNMENT - sizeof(pm_arena_block)) return NULL;
  bytes = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
  pm_arena_block *b = arena->head;
  if (!b || b->capacity - b->used < bytes) {
    size_t capacity = arena->block_bytes ? arena->block_bytes : FIRST_BLOCK;
    if (capacity < bytes) capacity = bytes;
    b = pm_alloc_zero(1, sizeof *b + capacity);
    if (!b) return NULL;
    b->next = arena->head, b->capacity = capacity;
    arena->head = b;
  }
  void *p = b->bytes + b->used;
  b->used += bytes;
  return p;
}

char *pm_arena_strdup(pm_arena *arena, const char *s) {
  size_t n = strlen(s) + 1;
  char *p = pm_arena_alloc(arena, n);
  return p ? memcpy(p, s, n) : NULL;
}

char *pm_arena_printf(pm_arena *arena, const char *fmt, ...) {
  va_list args, again;
  va_start(args, fmt);
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, fmt, args);
  va_end(args);
  char *p = n < 0 ? NULL : pm_arena_alloc(arena, (size_t)n + 1);
  if (p) vsnprintf(p, (size_t)n + 1, fmt, again);
  va_end(again);
  return p;
}

void pm_arena_finish(pm_arena *arena) {
  for (pm_arena_block *b = arena->head, *next; b; b = next) next = b->next, pm_free(b);
  arena->head = NULL;
}
