// The fast path's plan of a step. Every op becomes one or more works; works that can run side by side form a phase; the team meets at a
// barrier between phases. The plan is made once at load, so a step only walks it.
#ifndef PM_CPU_EXECUTOR_H
#define PM_CPU_EXECUTOR_H

#include "cpu.h"
#include "kernels.h"
#include "loops.h"

typedef struct pm_cpu_work pm_cpu_work;
typedef struct pm_cpu_choice pm_cpu_choice;

// What a work sees of the running step.
typedef struct pm_cpu_ctx {
  const pm_step *step;
  const pm_cpu_loops *loops;
  uint32_t n_rope;
  uint32_t n_thread;
  float *scratch;  // this thread's own, as large as the greediest work asked for
} pm_cpu_ctx;

// How a work is spread over the team.
typedef enum pm_cpu_spread {
  PM_CPU_ROWS,         // row by row, and row r of its inputs is all that row r needs: a thread carries its rows through a whole phase
  PM_CPU_ROWS_LOGITS,  // the same over the rows that want logits
  PM_CPU_ONCE,         // one thread
  PM_CPU_CALLER,       // the thread that runs the step, while the others sleep if it takes long
  PM_CPU_TILES,        // `count` pieces, handed out to whoever is free
} pm_cpu_spread;

typedef void pm_cpu_work_fn(const pm_cpu_work *w, const pm_cpu_ctx *c, uint32_t index);  // index: the row, 0, or the tile
typedef uint32_t pm_cpu_count_fn(const pm_cpu_work *w, const pm_cpu_ctx *c);

// Something a work reads or writes: a tensor (a view of it, if it has one) or memory of the executor itself.
typedef struct pm_cpu_access {
  const void *what;
  pm_view view;  // tensor NULL: all of it
  bool write;
} pm_cpu_access;

// Prepared activations: item b of row r lies at *base + r * row_bytes + b * item_bytes.
typedef struct pm_cpu_input {
  pm_cpu_act act;
  void *const *base;  // not known yet when the plan is made
  size_t row_bytes, item_bytes;
} pm_cpu_input;

static inline const void *pm_cpu_input_at(const pm_cpu_input *in, uint32_t row, uint32_t item) {
  return (const char *)*in->base + row * in->row_bytes + item * in->item_bytes;
}

enum { PM_CPU_ROW_TILE = 64 };  // rows that one tile of a matrix product takes

// The (row, choice) pairs of a step sorted by expert, cut into runs of at most PM_CPU_ROW_TILE.
typedef struct pm_cpu_run {
  uint32_t expert, first, n;  // pairs order[first] .. order[first + n - 1]
} pm_cpu_run;
typedef struct pm_cpu_sort {
  pm_view holds;  // while planning: the choices that are sorted here at this point; tensor NULL: none
  uint32_t n_run;
  pm_cpu_run *runs;
  uint32_t *order;  // row * n_used + k
  uint32_t *count;  // [n_expert]
} pm_cpu_sort;

struct pm_cpu_work {
  pm_cpu_spread spread;
  pm_cpu_work_fn *run;
  pm_cpu_count_fn *count;  // PM_CPU_TILES only; every thread asks when its phase begins, and must hear the same
  const pm_op *op;
  const pm_view *source;  // activations to prepare from
  pm_cpu_input in[2];     // prepared activations of the matrix and of the up matrix
  pm_cpu_sort *sort;
  pm_cpu_choice *choice;        // of a work that asks the host
  const pm_observer *observer;  // of a work that shows it something
  float *const *parts;          // attention over pieces of the context: partial results
  uint32_t n_access;
  pm_cpu_access access[8];
};

// ---- for the files that turn ops into works (ops_*.c) ----

// One function per op; called at load in the order of the program.
typedef void pm_cpu_plan_fn(pm_cpu_executor *e, const pm_op *op);
#define PM_OP(NAME, member, text) pm_cpu_plan_fn pm_cpu_plan_##member;
#include "ops.def"
#undef PM_OP

void pm_cpu_reads(pm_cpu_work *w, const pm_view *v);
void pm_cpu_writes(pm_cpu_work *w, const pm_view *v);
void pm_cpu_touches(pm_cpu_work *w, const void *what, bool write);

// Puts a work into the first phase after everything that it conflicts with.
void pm_cpu_append(pm_cpu_executor *e, const pm_cpu_work *w);

// Makes the items of `source` ready for weights of a type, in float if `precise`, unless that was done before and still holds; fills
// w->in[i].
void pm_cpu_prepare(pm_cpu_executor *e, pm_cpu_work *w, int i, const pm_view *source, pm_type weight, bool precise, pm_rows rows);

// The buffer of sorted choices, with room for so many.
pm_cpu_sort *pm_cpu_want_sort(pm_cpu_executor *e, uint32_t n_expert, uint32_t n_used);

// With a host: appends the work that asks it for the experts that a table's rows chose.
void pm_cpu_ask_host(pm_cpu_executor *e, const pm_op *op, const pm_expert_table *t, const pm_view *ids);

// Shows an observer what the weights of an op meet, if it has any.
void pm_cpu_plan_observe(pm_cpu_executor *e, const pm_op *op, const pm_observer *observer);

// Each thread gets at least so many floats of scratch.
void pm_cpu_want_scratch(pm_cpu_executor *e, size_t floats);

// The shared buffer of partial results, at least so many floats.
void pm_cpu_want_parts(pm_cpu_executor *e, pm_cpu_work *w, size_t floats);

// Output rows of a weight that one tile takes, so that every thread gets several tiles and a tile stays in the second-level cache.
uint32_t pm_cpu_out_tile(uint64_t n_in, uint64_t n_out, uint64_t n_item, uint32_t n_thread);

bool pm_cpu_same_view(const pm_view *a, const pm_view *b);

static inline uint32_t pm_cpu_div_up(uint64_t a, uint64_t b) { return (uint32_t)((a + b - 1) / b); }

#endif
