// Rows of runtime/gpu/pick.def that round more than floats do, forced on cases one after another. Used inside a cmocka test.
#ifndef PM_ROUNDING_ROWS_H
#define PM_ROUNDING_ROWS_H

#include "selftest_cases.h"

typedef struct rounding_rows {
  const char *class;  // device class of the rows, as it stands in pm_gpu_pick_text: " MATRIX "
  pm_gpu_desc desc;
  pm_case_target limits;  // its errors alone count
  double least;           // the worst error of a row is above: it was this row that computed
  const pm_case_step *steps;
  uint32_t n_step;
} rounding_rows;

// The first n_most rows for products of the op named. Prints a line for each.
void rounding_rows_check(const rounding_rows *f, const char *op, const pm_case *cases, uint32_t n_case, uint32_t n_most);

#endif
