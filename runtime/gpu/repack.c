// From a row of blocks as in the file to the row that shaders/quant/<format>.glsl reads: parts of 16-byte multiples, each filled with
// zeros at its end. Rows are written front to back, because the destination may be write-combined memory.
#include <string.h>

#include "layout.h"
#include "record.h"

void pm_gpu_parts(pm_type type, pm_gpu_part parts[PM_GPU_PARTS + 1]) {
  static const struct {
    pm_type type;
    pm_gpu_part parts[PM_GPU_PARTS + 1];
  } split[] = {
      {PM_TYPE_Q4_0, {{0, 2}, {2, 16}}},
      {PM_TYPE_Q4_1, {{0, 4}, {4, 16}}},
      {PM_TYPE_Q5_0, {{0, 2}, {2, 4}, {6, 16}}},
      {PM_TYPE_Q5_1, {{0, 4}, {4, 4}, {8, 16}}},
      {PM_TYPE_Q8_0, {{0, 2}, {2, 32}}},
      {PM_TYPE_Q2_K, {{80, 4}, {0, 80}}},
      {PM_TYPE_Q3_K, {{108, 2}, {96, 12}, {0, 96}}},
      {PM_TYPE_Q6_K, {{208, 2}, {0, 208}}},
      {PM_TYPE_IQ1_S, {{0, 2}, {34, 16}, {2, 32}}},
      {PM_TYPE_IQ1_M, {{48, 8}, {32, 16}, {0, 32}}},
      {PM_TYPE_IQ2_XXS, {{0, 2}, {2, 64}}},
      {PM_TYPE_IQ2_XS, {{0, 2}, {66, 8}, {2, 64}}},
      {PM_TYPE_IQ2_S, {{0, 2}, {66, 16}, {2, 64}}},
      {PM_TYPE_IQ3_XXS, {{0, 2}, {2, 96}}},
      {PM_TYPE_IQ3_S, {{0, 2}, {66, 44}, {2, 64}}},
      {PM_TYPE_IQ4_NL, {{0, 2}, {2, 16}}},
      {PM_TYPE_IQ4_XS, {{0, 8}, {8, 128}}},
      {PM_TYPE_MXFP4, {{0, 1}, {1, 16}}},
      {PM_TYPE_NVFP4, {{0, 4}, {4, 32}}},
      {PM_TYPE_TQ1_0, {{52, 2}, {48, 4}, {0, 48}}},
      {PM_TYPE_TQ2_0, {{64, 2}, {0, 64}}},
      {PM_TYPE_FP8, {{0, 4}, {4, 128}}},
  };
  memset(parts, 0, (PM_GPU_PARTS + 1) * sizeof *parts);
  parts[0].bytes = pm_format_get(type)->block_bytes;
  for (size_t i = 0; i < sizeof split / sizeof *split; i++)
    if (split[i].type == type) memcpy(parts, split[i].parts, sizeof split[i].parts);
}

static uint64_t round_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

// Float rows are filled up to whole units, the others to 16 bytes.
uint64_t pm_gpu_part_bytes(pm_type type, pm_gpu_part part, uint64_t n_in) {
  uint32_t elements = pm_format_get(type)->block_elements;
  return elements == 1 ? round_up(n_in, PM_GPU_UNIT) * part.bytes : round_up(n_in / elements * part.bytes, 16);
}

uint64_t pm_gpu_row_bytes(pm_type type, uint64_t n_in) {
  pm_gpu_part parts[PM_GPU_PARTS + 1];
  pm_gpu_parts(type, parts);
  uint64_t bytes = 0;
  for (pm_gpu_part *p = parts; p->bytes; p++) bytes += pm_gpu_part_bytes(type, *p, n_in);
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
  pm_gpu_part parts[PM_GPU_PARTS + 1];
  pm_gpu_parts(type, parts);
  bool split = parts[1].bytes != 0;
  if (!split && pm_gpu_row_bytes(type, n_in) == file_row) {  // the file's layout, without gaps
    memcpy(dst, src, file_row * n_out);
    return;
  }
  const uint8_t *from = src;
  uint8_t *to = dst;
  for (uint64_t row = 0; row < n_out; row++, from += file_row)
    for (pm_gpu_part *p = parts; p->bytes; p++) {
      uint64_t used = n_block * p->bytes, all = pm_gpu_part_bytes(type, *p, n_in);
      if (split)
        gather(to, from + p->from, n_block, f->block_bytes, p->bytes);
      else
        memcpy(to, from, used);
      memset(to + used, 0, all - used);
      to += all;
    }
}
