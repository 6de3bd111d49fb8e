// Op cases: one operation of given shapes with random weights and inputs, run on a backend under test and on a reference, compared.
//
// A group of cases becomes one program, so that a backend is made once per group: every case is an op with tensors of its own, and
// every step of the group runs all of them. Before each step all inputs are drawn anew and all outputs are filled with a poison pattern,
// so that what an op forgets to write, or writes outside its view or below its last row, shows. Views that are strided leave gaps
// around every item (offsets and strides are multiples of 4 values where the width is). Expert ids of a row are distinct. Router
// logits are drawn such that rounding cannot change the choice: scores are equal or clearly apart.
#ifndef PM_SELFTEST_CASES_H
#define PM_SELFTEST_CASES_H

#include "backend.h"

enum {
  PM_CASE_GATED = 1,       // MATMUL: with an up matrix of type_up
  PM_CASE_ACCUMULATE = 2,  // MATMUL
  PM_CASE_PRECISE = 256,   // MATMUL: held to the limit of float activations
  PM_CASE_LOGITS = 4,      // NORM, MATMUL: over the rows that want logits; such a MATMUL writes the program's logits (one per group)
  PM_CASE_STRIDED = 8,     // views with gaps between items and rows
  PM_CASE_IN_PLACE = 16,   // ROPE
  PM_CASE_BIAS = 32,       // ROUTE
  PM_CASE_NORMALIZE = 64,  // ROUTE
  PM_CASE_TIES = 128,      // ROUTE: logits from a handful of values
};

typedef struct pm_case {
  pm_op_kind op;
  pm_type type;     // of the table, matrix, gate or down matrices, or the cache
  pm_type type_up;  // of the up matrix
  uint32_t n_in;   // values per item: width of a row or head (without the rotated part in MLA ops), inputs of a matrix, experts of a router
  uint32_t n_out;  // outputs of a matrix; rows of the embedding table
  uint32_t n_batch;                // items per row: batch of a matrix, heads; experts used by ROUTE and EXPERTS; 0 = 1
  uint32_t n_expert;               // EXPERTS_*
  uint32_t n_group, n_group_used;  // ROUTE
  pm_gating gating;                // ROUTE
  uint32_t flags;
} pm_case;

// Rows are dealt to n_seq sequences (0 = 1) in equal runs; each sequence begins at position pos.
typedef struct pm_case_step {
  uint32_t n_row, n_logit, n_seq, pos;
} pm_case_step;

typedef struct pm_case_group {
  const char *name;
  const pm_case *cases;
  uint32_t n_case;
  const pm_case_step *steps;
  uint32_t n_step;
  uint32_t n_rope;  // values rotated per head, the same for all cases
} pm_case_group;

// A backend to run cases on. Limits are for the normalized mean square error, sum (y - y_ref)^2 / sum y_ref^2; single values may be off
// by 24 roots of that, relative to the root mean square of y_ref. Results that are integers must be equal.
typedef pm_status pm_case_make_fn(void *user, pm_backend **out);
typedef struct pm_case_target {
  pm_case_make_fn *make;
  void *user;
  double nmse;            // of ops in floats
  double nmse_quantized;  // of products with quantized weights: larger where activations are rounded to 8 bits
  double nmse_halves;     // of products with weights not in F32, if these and activations may be rounded to 16 bits; else 0
} pm_case_target;

typedef struct pm_case_result {
  const pm_case *c;
  const pm_case_step *step;
  const char *name;  // "MATMUL Q4_K 256x70 gated, 9 rows"
  bool passed;
  double nmse;         // of the worst output
  const char *detail;  // what is wrong, or ""
} pm_case_result;
typedef bool pm_case_report_fn(void *user, const pm_case_result *r);  // false stops: PM_ERR_CANCELLED

// Runs every step of the group and reports every case of it. OK if the backends could run, whatever the results were.
// reference NULL: the double-precision path of the CPU backend. Allocates; two copies of the group's inputs and outputs at most.
pm_status pm_cases_run(const pm_case_group *g, const pm_case_target *tested, const pm_case_target *reference, uint64_t seed,
                       pm_case_report_fn *report, void *user) PM_MUST_USE;

#endif
