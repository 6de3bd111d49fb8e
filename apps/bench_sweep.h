// `pumice bench --sweep`: decode speed by the share of experts that have room in the card's memory, for several ways to reach the others.
#ifndef PM_BENCH_SWEEP_H
#define PM_BENCH_SWEEP_H

#include "options.h"
#include "text_buffer.h"

typedef struct pm_sweep_desc {
  const char *model, *chart;  // paths; the chart is written
  const pm_text *text;
  const pm_u32_list *budgets;  // percent of the experts' bytes, at most 100
  uint32_t n_generate, repeat;
  bool json;
} pm_sweep_desc;

// Prints a table, or JSON. Returns an exit code; what went wrong has been said.
int pm_bench_sweep(const pm_sweep_desc *desc);

#endif
