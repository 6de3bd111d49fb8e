// What `pumice bench` measured, and how it is printed.
#ifndef PM_BENCH_REPORT_H
#define PM_BENCH_REPORT_H

#include "bench_energy.h"
#include "model_options.h"

// Sorts n > 0 speeds and picks the slowest, the median and the fastest of them.
typedef struct pm_bench_speed {
  double slowest, median, fastest;
} pm_bench_speed;
pm_bench_speed pm_bench_summarize(double *speed, uint32_t n);

typedef struct pm_bench_row {
  bool prompt;                                                   // n tokens at once, else one by one
  uint32_t n, depth;                                             // tokens measured, and in the context before
  pm_bench_speed speed;                                          // tokens per second
  double steps, submissions, dispatches, barriers, allocations;  // per token
  pm_bench_energy energy;
} pm_bench_row;

typedef struct pm_bench_report {
  pumice_model_info info;
  const pm_model_arguments *arguments;
  uint32_t repeat;
  size_t n_text;                             // tokens of the text
  bool text_repeats;                         // and the measurements needed more
  double load_seconds, first_token_seconds;  // both from the beginning
  uint64_t logits_hash, peak_rss;
  pm_bench_row rows[16 * 32];
  uint32_t n_row;
  const pumice_model *model;
  pumice_expert_stats experts_before;  // the tokens that were evaluated one by one
  uint64_t n_single;
} pm_bench_report;

// As text: the head before measuring, each row when it is there, the rest in the end.
void pm_bench_print_head(const pm_bench_report *r);
void pm_bench_print_row(const pm_bench_row *row);
void pm_bench_print_tail(const pm_bench_report *r);

void pm_bench_print_json(const pm_bench_report *r);

#endif
