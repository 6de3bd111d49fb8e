// Where a weight matrix lies and how its rows are laid out. Units of `at`, `row` and `slab` are 16 bytes.
#ifndef PM_ABI_WEIGHT_H
#define PM_ABI_WEIGHT_H

#include "types.h"

PM_STRUCT(pm_push_weight) {
  PM_U32 arena;
  PM_U32 at;      // first row; for an expert matrix: first entry of its table in binding 4
  PM_U32 row;     // from one row to the next
  PM_U32 slab;    // from one batch item to the next
  PM_U32 n_unit;  // units of 32 weights in a row (shaders/README.md)
  PM_U32 n_in;
  PM_U32 n_out;
};

// Rows of values in scratch: value i of batch item b of row r is element at + r * row + b * batch + i.
PM_STRUCT(pm_push_view) {
  PM_U32 at;
  PM_U32 row;
  PM_U32 batch;
};

#endif
