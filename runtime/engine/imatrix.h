// Measuring an importance matrix (imatrix_file.h): the mean squares of what each column of each weight is multiplied with, over a text.
#ifndef PM_IMATRIX_H
#define PM_IMATRIX_H

#include "backend.h"

typedef struct pm_imatrix_options {  // as pumice_imatrix_options
  const char *dataset;               // what the text is called in the file
  uint32_t n_ctx;                    // tokens of a piece of the text; 0 = 512
  uint32_t n_chunk;                  // pieces at most; 0 = all
  uint32_t n_thread;                 // 0 = physical cores
  pm_progress_fn *progress;          // may be NULL
  void *user;
} pm_imatrix_options;

typedef struct pm_imatrix_result {
  uint32_t n_chunk, n_chunk_text;    // pieces that were measured, of how many
  uint32_t n_entry;                  // weights
  uint64_t n_expert, n_expert_seen;  // of all layers; that were chosen at least once
} pm_imatrix_result;

// Runs the text through the model on the CPU, with float activations, and writes the file, whole or not at all. If progress asks to stop,
// what was measured so far is written; PM_ERR_CANCELLED if that is nothing. The last matrix (the logits) is not measured: usual mixes give
// it many bits. Memory: four bytes for each column of each weight or expert.
pm_status pm_imatrix_make(const char *model, const char *text, size_t bytes, const char *to, const pm_imatrix_options *options,
                          pm_imatrix_result *result) PM_MUST_USE;

#endif
