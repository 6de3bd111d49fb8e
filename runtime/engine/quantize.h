// A model file in other formats: read tensor by tensor, encoded by all threads, written as it comes.
#ifndef PM_QUANTIZE_H
#define PM_QUANTIZE_H

#include "backend.h"

// A tensor's choice, before anything is written: types as names, bytes before and after. `fallback`: its rows are no whole blocks of the
// format that the mix wants. `weighted`: its importances are known.
typedef struct pm_quantize_row {
  const char *name, *from, *to;
  uint64_t n_value, from_bytes, to_bytes;
  bool fallback, weighted;
} pm_quantize_row;
typedef void pm_quantize_row_fn(void *user, const pm_quantize_row *row);

typedef struct pm_quantize_options {  // as pumice_quantize_options
  const char *mix;                    // a name of quantize_mix.h
  const char *imatrix;                // file of importances; NULL = all alike
  uint32_t n_thread;                  // 0 = physical cores
  bool dry_run;                       // only the rows
  pm_quantize_row_fn *row;            // may be NULL
  pm_progress_fn *progress;           // may be NULL
  void *user;
} pm_quantize_options;

// Writes the whole file or nothing; metadata and the order of tensors are kept. Memory: some tens of MB, a few rows for each thread, and
// the importances of one tensor. ERR_ARGUMENT: unknown mix; `to` is `from` or part of it. ERR_FORMAT: a weight that is not finite, or not a
// half where the mix wants one.
pm_status pm_quantize(const char *from, const char *to, const pm_quantize_options *options) PM_MUST_USE;

#endif
