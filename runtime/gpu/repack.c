// From a row of blocks as in the file to the row that shaders/quant/<format>.glsl reads: parts of 16-byte multiples, each filled with
// zeros at its end. Rows are written front to back, because the destination may be write-combined memory.
#include <string.h>

#include "layout.h"
#include "record.h"

// One part of a device row: `bytes` of every block from `from` on. Parts end with bytes == 0.
typedef struct part {
  uint32_t from, bytes;
} part;
enum { MAX_PARTS = 3 };

static void find_parts(pm_type type, part parts[MAX_PARTS + 1]) {
  static const struct {
    pm_type type;
    part parts[MAX_PARTS + 1];
  } split[] = {
      {PM_TYPE_Q4_0, {{0, 2}, {2, 16}}},
      {PM_TYPE_Q5_0, {{0, 2}, {2, 4}, {6, 16}}},
      {PM_TYPE_Q8_0, {{0, 2}, {2, 32}}},
      {PM_TYPE_Q6_K, {{208, 2}, {0, 208}}},
  };
  memset(parts, 0, (MAX_PARTS + 1) * sizeof *parts);
  parts[0].bytes = pm_format_get(type)->block_bytes;
  for (size_t i = 0; i < sizeof split / sizeof *split; i++)
    if (split[i].type == type) memcpy(parts, split[i].parts, sizeof split[i].parts);
}

static uint64_t round_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

// Bytes of one part of a row of n blocks. Float rows are filled up to whole units, the others to 16 bytes.
static uint64_t part_bytes(const pm_format *f, part p, uint64_t n_block) {
  return f->block_elements == 1 ? round_up(n_block, PM_GPU_UNIT) * p.bytes : round_up(n_block * p.bytes, 16);
}

uint64_t pm_gpu_row_bytes(pm_type type, uint64_t n_in) {
  const pm_format *f = pm_format_get(type);
  part parts[MAX_PARTS + 1];
  find_parts(type, parts);
  uint64_t bytes = 0;
  for (part *p = parts; p->bytes; p++) bytes += part_bytes(f, *p, n_in / f->block_elements);
  return bytes;
}

uint64_t pm_gpu_slab_bytes(pm_type type, uint64_t n_in, uint64_t n_out) { return pm_gpu_row_bytes(type, n_in) * n_out; }

// Copies `bytes` of every block, from `src` on, one block after another.
static void gather(uint8_t *dst, const uint8_t *src, uint64_t n_block, uint32_t block_bytes, uint32_t bytes) {
  for (uint64_t i = 0; i < n_block; i++, src += block_bytes, dst += bytes) switch (bytes) {  // constant sizes become plain moves
      case 2: memcpy(dst, src, 2); break;
      case 4: memcpy(dst, src, 4); break;
      case 16: memcpy(dst, src, 16); break;
      case 32: memcpy(dst, src, 32); break;
      default: memcpy(dst, src, bytes); break;
    }
}

void pm_gpu_repack(pm_type type, uint64_t n_in, uint64_t n_out, const void *src, void *dst) {
  const pm_format *f = pm_format_get(type);
  uint64_t n_block = n_in / f->block_elements, file_row = n_block * f->block_bytes;
  part parts[MAX_PARTS + 1];
  find_parts(type, parts);
  bool split = parts[1].bytes != 0;
  if (!split && pm_gpu_row_bytes(type, n_in) == file_row) {  // the file's layout, without gaps
    memcpy(dst, src, file_row * n_out);
    return;
  }
  const uint8_t *from = src;
  uint8_t *to = dst;
  for (uint64_t row = 0; row < n_out; row++, from += file_row)
    for (part *p = parts; p->bytes; p++) {
      uint64_t used = n_block * p->bytes, all = part_bytes(f, *p, n_block);
      if (split)
        gather(to, from + p->from, n_block, f->block_bytes, p->bytes);
      else
        memcpy(to, from, used);
      memset(to + used, 0, all - used);
      to += all;
    }
}
