// A file of expert use: which experts every row of every step chose, and what else the policy was told. It is written while a model runs,
// survives a kill (what is whole counts), and is what the offline replay reads.
//
// Layout, little-endian: "PMTRACE1", u64 fingerprint of the model, u32 n_table, n_expert, n_used, n_class, then per class u64 bytes of a
// record and u32 slots there were (0: every expert had one), u32 class of each table; then records, each with a head of u32 kind, a, b, c:
//   STEP  a rows, b 1 if it was a step of many rows; ids [n_table][a][n_used] follow, a byte each if n_expert <= 256, else two
//   SEED  scores u32 [n_table][n_expert] follow (pm_slots_seed)
//   others: the arguments of the call in slots.h that they are named after
#ifndef PM_TRACE_H
#define PM_TRACE_H

#include "backend.h"

typedef struct pm_trace_shape {
  uint64_t fingerprint;
  uint32_t n_table, n_expert, n_used, n_class;
  uint64_t record_bytes[PM_EXPERT_CLASSES];
  uint32_t n_slot[PM_EXPERT_CLASSES];
  const uint32_t *class_of;  // [n_table]
} pm_trace_shape;

typedef enum pm_trace_kind {
  PM_TRACE_STEP = 1,
  PM_TRACE_SEED,
  PM_TRACE_ADMIT,   // table, may
  PM_TRACE_RESIZE,  // class, slots
  PM_TRACE_BEGIN,   // table, expert, slot
  PM_TRACE_ARRIVE,  // table, expert, slot
  PM_TRACE_DROP,    // table, expert, slot
  PM_TRACE_KINDS
} pm_trace_kind;

// ---- writing ----

typedef struct pm_trace_writer pm_trace_writer;

pm_status pm_trace_create(const char *path, const pm_trace_shape *shape, uint32_t max_rows, pm_trace_writer **out) PM_MUST_USE;
void pm_trace_finish(pm_trace_writer *w);  // NULL is fine

// Tables in order, 0 to n_table - 1, make a step; with the last it is in the file. ids [n_row][n_used]. Allocates nothing.
pm_status pm_trace_step(pm_trace_writer *w, uint32_t table, const int32_t *ids, uint32_t n_row, bool many) PM_MUST_USE;
pm_status pm_trace_seed(pm_trace_writer *w, const uint32_t *heat) PM_MUST_USE;
pm_status pm_trace_event(pm_trace_writer *w, pm_trace_kind kind, uint32_t a, uint32_t b, uint32_t c) PM_MUST_USE;

// ---- reading ----

typedef struct pm_trace pm_trace;

// Reads and checks all of a file; a last record that is not whole is left out.
pm_status pm_trace_open(const char *path, pm_trace **out) PM_MUST_USE;
void pm_trace_close(pm_trace *t);  // NULL is fine
const pm_trace_shape *pm_trace_get_shape(const pm_trace *t);

typedef struct pm_trace_record {
  pm_trace_kind kind;
  uint32_t a, b, c;
  const uint8_t *data;  // what follows the head, as in the file
  uint64_t next;        // where the next record begins
} pm_trace_record;

// The record at *at, 0 being the first; false at the end. Pass record.next for the one after.
bool pm_trace_get(const pm_trace *t, uint64_t at, pm_trace_record *record);
// Of a STEP: a table's choices, ids [record->a][n_used].
void pm_trace_ids(const pm_trace *t, const pm_trace_record *record, uint32_t table, int32_t *ids);
uint32_t pm_trace_max_rows(const pm_trace *t);

#endif
