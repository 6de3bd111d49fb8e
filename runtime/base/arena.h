// A bump allocator: many small pieces, one lifetime. Pieces are zeroed, aligned to 16 bytes and freed together.
#ifndef PM_ARENA_H
#define PM_ARENA_H

#include <stddef.h>

typedef struct pm_arena_block pm_arena_block;
typedef struct pm_arena {
  pm_arena_block *head;
  size_t block_bytes;  // size of the next block; 0 = 64 KiB
} pm_arena;

// NULL when memory is short. A zeroed pm_arena is ready for use.
void *pm_arena_alloc(pm_arena *arena, size_t bytes);
char *pm_arena_strdup(pm_arena *arena, const char *s);
char *pm_arena_printf(pm_arena *arena, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void pm_arena_finish(pm_arena *arena);

#endif
