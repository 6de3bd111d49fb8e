// How experts were reached and memory was used, for people and programs.
#ifndef PM_EXPERT_REPORT_H
#define PM_EXPERT_REPORT_H

#include <stdio.h>

#include "json_writer.h"
#include "pumice.h"

// Planned against actual memory, one line: "memory    weights 9.1 MiB (planned 9.1 MiB), ...".
void pm_print_memory(FILE *f, const pumice_model *model);
void pm_json_memory(pm_json *j, const pumice_model *model);  // "weights": {"planned": N, "actual": N}, ... into an open object
double pm_memory_error(const pumice_model *model);           // the largest difference, as a share of what is there

// What `after` has more than `before`, over `tokens` tokens: where experts were found, bytes by link, waiting, the way of each layer.
// Prints nothing where every expert is where it is used.
void pm_print_experts(FILE *f, const pumice_model *model, const pumice_expert_stats *before, uint64_t tokens);
void pm_json_experts(pm_json *j, const pumice_model *model, const pumice_expert_stats *before, uint64_t tokens);

#endif
