// The tensors of a program: weights, cache, scratch. Shapes are in GGUF order: ne[0] is contiguous.
#ifndef PM_TENSOR_H
#define PM_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include "formats.h"
#include "fp8.h"

typedef enum pm_role {
  PM_ROLE_WEIGHT,   // constant; `host` holds the bytes in the file's layout
  PM_ROLE_KV,       // cache rows: ne = {values per row, cells}; survives between steps
  PM_ROLE_SCRATCH,  // ne = {values per row, rows}; lives within a step
  PM_ROLE_OUTPUT,   // scratch that the host may read after a step (logits, expert choices)
} pm_role;

// Where a backend put a tensor. The CPU uses `data`; a GPU uses (arena, offset in bytes).
typedef struct pm_place {
  void *data;
  uint32_t arena;
  uint64_t offset;
} pm_place;

typedef struct pm_tensor {
  const char *name;  // GGUF name for weights
  pm_role role;
  pm_type type;       // scratch is F32 (or I32 for expert ids); cache is F16 or F32
  uint64_t ne[3];     // weights: {in, out, batch or experts}; unused dimensions are 1
  const void *host;   // weights only; slab b (of ne[2]) starts at host + b * slab_bytes; NULL: with slabs, or where only headers were read
  size_t slab_bytes;  // bytes from one slab to the next in the file (>= ne[1] rows: fused gate_up tensors are read as two weights)
  const pm_slab *slabs;  // weights whose slabs [ne[2]] lie apart, or must be packed: those with scales. NULL: at host
  pm_place place;        // written by the backend
} pm_tensor;

// Bytes of one row (ne[0]), of one slab (ne[0] * ne[1]) and of the whole tensor, packed.
static inline size_t pm_tensor_row_bytes(const pm_tensor *t) { return pm_format_bytes(t->type, t->ne[0]); }
static inline size_t pm_tensor_slab_bytes(const pm_tensor *t) { return pm_tensor_row_bytes(t) * t->ne[1]; }
static inline size_t pm_tensor_bytes(const pm_tensor *t) { return pm_tensor_slab_bytes(t) * t->ne[2]; }

// Where slab b of a weight is, in the layout of its type; NULL if it is still to be packed or was not read.
static inline const void *pm_tensor_slab(const pm_tensor *t, uint64_t b) {
  if (t->host) return (const char *)t->host + b * t->slab_bytes;
  return t->slabs && !t->slabs[b].scales ? t->slabs[b].data : NULL;
}

// Part of an f32 (or i32) scratch tensor: value i of batch item b of row r is element
// offset + r * stride_row + b * stride_batch + i. Strides are in elements.
typedef struct pm_view {
  pm_tensor *tensor;
  uint32_t offset;
  uint32_t n;        // values per batch item
  uint32_t n_batch;  // 1 = plain rows
  uint32_t stride_batch;
  uint32_t stride_row;
} pm_view;

// Rows of n values, and rows of n_batch items of n values, both dense from the tensor's start.
static inline pm_view pm_view_rows(pm_tensor *t) {
  return (pm_view){
      .tensor = t, .n = (uint32_t)t->ne[0], .n_batch = 1, .stride_batch = (uint32_t)t->ne[0], .stride_row = (uint32_t)t->ne[0]};
}
static inline pm_view pm_view_batch(pm_tensor *t, uint32_t n_batch) {
  uint32_t width = (uint32_t)t->ne[0];
  return (pm_view){.tensor = t, .n = width / n_batch, .n_batch = n_batch, .stride_batch = width / n_batch, .stride_row = width};
}
// The n values from `first` on of every batch item.
static inline pm_view pm_view_slice(pm_view v, uint32_t first, uint32_t n) {
  v.offset += first, v.n = n;
  return v;
}

#endif
