// The tier of host memory: homes hold records of experts, read from the model's file past the page cache, so that weights are never twice
// in memory. homes.h decides who is in which; this reads, and keeps the boards' homes and the tables' slabs in step: an expert without a
// home has the slabs NULL.
#ifndef PM_STORE_H
#define PM_STORE_H

#include "backend.h"
#include "direct_read.h"
#include "homes.h"
#include "model_file.h"

typedef struct pm_store pm_store;

typedef struct pm_store_desc {
  pm_program *program;
  const pm_model_file *file;   // of the program's weights
  const pm_expert_plan *plan;  // classes with n_home; boards may be NULL
  bool no_uring, no_direct;    // for tests
} pm_store_desc;

// Memory beside the homes, for reading.
enum { PM_STORE_STAGING = PM_DIRECT_PIECE * PM_DIRECT_DEPTH };

// PM_ERR_UNSUPPORTED if tables differ in experts or choices per row. Program, file and plan must outlive the store.
pm_status pm_store_create(const pm_store_desc *desc, pm_store **out) PM_MUST_USE;
void pm_store_destroy(pm_store *s);

// Once the backend has loaded the plan: takes the addresses of its homes and reads the hottest experts into them, heat as in pm_homes_seed;
// all of them if there is a home for each. The file's own pages of experts are given back. PM_ERR_CANCELLED if progress says so.
pm_status pm_store_load(pm_store *s, pm_backend *b, const uint32_t *heat, pm_progress_fn *progress, void *user) PM_MUST_USE;

// What pm_expert_host.need asks: on return every chosen expert that has no slot (by the board, if there are boards) has a home and is in
// it, until the next call. ids [n_id]. Allocates nothing. A failed read leaves the experts that it was for without a home.
pm_status pm_store_need(pm_store *s, uint32_t table, const int32_t *ids, uint32_t n_id) PM_MUST_USE;

// While somebody reads from an expert's home beside the steps, it stays.
void pm_store_hold(pm_store *s, uint32_t table, uint32_t home);
void pm_store_release(pm_store *s, uint32_t table, uint32_t home);

typedef struct pm_store_counters {  // of pm_store_need
  uint64_t hits, misses;            // distinct experts of a step and table
  uint64_t bytes;                   // read for misses
  uint64_t reads;                   // calls that had to read
  double seconds;                   // waited for them
} pm_store_counters;
pm_store_counters pm_store_count(const pm_store *s);

// How it reads, for people.
const char *pm_store_way(const pm_store *s);

#endif
