// Values of the float64 reference implementation, read from tests/data/golden.
#ifndef PM_TEST_GOLDEN_H
#define PM_TEST_GOLDEN_H

#include <jansson.h>
#include <stdint.h>

#include "session.h"

// The file's JSON, or a failed test.
json_t *golden_load(const char *name);

// Base64 of little-endian floats; *n is their number. Freed by the caller with free().
float *golden_floats(const json_t *base64, size_t *n);

// An array of token ids; freed by the caller.
int32_t *golden_tokens(const json_t *array, size_t *n);

// What is measured against the reference, summed over a model file.
typedef struct golden_error {
  double square_error, square;  // of log-probabilities, over positions whose expert sets agree
  uint64_t n_set, n_set_equal;  // (token, layer) pairs
  double weighted_rms;          // sum over prompts of the error over the 64 best tokens weighted by probability (last position)
  uint32_t n_weighted;
} golden_error;

// Opens a model of tests/data/models (or the demo model) on the device under test: PUMICE_TEST_DEVICE if gpu, else the CPU.
pm_engine *golden_open(const char *file, bool exact, bool gpu);

// Log-softmax of n logits in double.
void golden_log_softmax(const float *logits, uint32_t n, double *out);

// Runs tokens from an empty session and calls `at` with the log-probabilities of every position.
typedef void golden_position_fn(void *user, size_t position, const double *logprobs);
void golden_run(pm_session *s, const int32_t *tokens, size_t n, golden_position_fn *at, void *user);

// The expert sets of the newest step are compared with golden[layer][position] for positions first .. first + n_row - 1.
// agree[position - first] becomes false where a set of any layer differs.
void golden_compare_experts(pm_engine *e, const json_t *experts, size_t first, size_t n_row, golden_error *error, bool *agree);

#endif
