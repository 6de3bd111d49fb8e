// The conductor of experts that do not all fit. Before a step it writes the boards (slots.h decides who is where, pace.h how misses are
// served), during a step it serves what the backend asks (backend.h: need, answer), after it it mirrors what the device did, learns from
// the time it took and brings hot experts closer. One conductor belongs to one backend and its program.
#ifndef PM_EXPERTS_H
#define PM_EXPERTS_H

#include "backend.h"
#include "cost.h"
#include "heat.h"
#include "pace.h"
#include "slots.h"
#include "store.h"
#include "trace.h"

typedef struct pm_experts pm_experts;

// A link that is slower than the memory behind it; rate 0: the real one.
typedef struct pm_link_desc {
  double rate, latency;  // bytes per second, seconds
  double host_rate;      // bytes of experts per second that the processor computes, where it is simulated too; 0: as it is
} pm_link_desc;

typedef struct pm_experts_desc {
  pm_program *program;
  const pm_model_file *file;  // of its weights
  pm_expert_plan *plan;       // classes with their counts; boards and host are filled in here
  pm_machine machine;         // first guesses of what a record costs
  bool device;                // false: the CPU backend, which has homes and no slots
  uint32_t ways;              // that misses may be served, 1 << pm_pace_way each
  bool whole_layers;          // the first tables have all their experts in slots, for good, and the host computes the others
  bool exact;
  uint32_t n_thread;
  pm_link_desc link;
  uint64_t fingerprint;    // of the model, for its heat file
  const char *heat_dir;    // where heat files are; NULL: nothing is remembered
  pm_trace_writer *trace;  // what is chosen and decided is recorded there; NULL: nowhere
} pm_experts_desc;

pm_status pm_experts_create(const pm_experts_desc *desc, pm_experts **out) PM_MUST_USE;
void pm_experts_destroy(pm_experts *x);  // writes the heat file

// After the backend has loaded the plan: fills homes from the file and slots with what is expected to be used.
pm_status pm_experts_load(pm_experts *x, pm_backend *b, pm_progress_fn *progress, void *user) PM_MUST_USE;

// pm_backend_ops.run with everything around it. Allocates nothing.
pm_status pm_experts_run(pm_experts *x, pm_backend *b, const pm_step *step) PM_MUST_USE;

typedef struct pm_experts_report {
  uint64_t n_slot;              // that are left
  pm_slots_counters few, many;  // fates of distinct experts, in steps of few rows and of many
  pm_pace_state pace;
  uint64_t link_bytes, prompt_link_bytes, move_bytes;  // brought by steps of few rows, of many, and beside them
  uint64_t host_records;
  double answer_seconds;
  pm_store_counters store;
} pm_experts_report;
pm_experts_report pm_experts_look(const pm_experts *x);
// Of table t: how it is served now, and its fates in steps of few rows. Zero without a device.
typedef struct pm_experts_table {
  pm_pace_choice choice;
  pm_slots_counters few;
} pm_experts_table;
pm_experts_table pm_experts_look_table(const pm_experts *x, uint32_t t);

#endif
