// GGUF files with the exact shapes of real models and random weights: for benchmarks and tests where the numbers matter and the words do
// not.
#ifndef PM_SYNTH_H
#define PM_SYNTH_H

#include "backend.h"

typedef struct pm_synth_options {  // as pumice_synth_options
  const char *shape;               // a name from pm_synth_shape
  const char *mix;                 // a name from pm_synth_mix
  uint32_t n_layer;                // the first so many layers; 0 = all of the shape's
  uint64_t seed;                   // the same options give the same bytes on every machine
  pm_progress_fn *progress;
  void *user;
} pm_synth_options;

// Writes the whole file or nothing. ERR_ARGUMENT for unknown names and too many layers, ERR_CANCELLED if progress said so.
pm_status pm_synth(const char *path, const pm_synth_options *options) PM_MUST_USE;

// The beginning of such a file, up to its weights, to be freed with pm_free: what pm_model_file_desc.bytes takes. mix NULL: Q4_K_M.
pm_status pm_synth_header(const char *shape, const char *mix, uint8_t **bytes, size_t *n) PM_MUST_USE;

// Names of what there is; NULL past the end.
const char *pm_synth_shape(uint32_t i);
const char *pm_synth_mix(uint32_t i);

#endif
