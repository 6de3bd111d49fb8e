// What the ops_*.c files share: from tensors and views to push constants, and one function per op.
#ifndef PM_GPU_OPS_H
#define PM_GPU_OPS_H

#include "matmul.h"
#include "pick.h"
#include "record.h"
#include "weight.h"

#define PM_OP(NAME, member, text) pm_gpu_op_fn pm_gpu_op_##member;
#include "ops.def"
#undef PM_OP

// Whole tensors and views as shaders address them: scratch in 4-byte, weights in 16-byte units.
static inline uint32_t pm_gpu_word(const pm_tensor *t) { return (uint32_t)(t->place.offset / 4); }
pm_push_view pm_gpu_push_view(const pm_view *v);
pm_push_weight pm_gpu_push_weight(const pm_tensor *w);

// Whether vec4 loads may serve a view: offset, strides and width are multiples of 4.
bool pm_gpu_is_wide(const pm_view *v);
// The rows that a product reads; they must be wide.
pm_push_view pm_gpu_push_input(pm_gpu_recorder *r, const pm_view *x);

// "kernel.FORMAT" into a buffer of the caller.
typedef struct pm_gpu_name {
  char text[64];
} pm_gpu_name;
pm_gpu_name pm_gpu_kernel_name(const char *kernel, pm_type type);

// ---- products: ops_matmul.c, also for ops_experts.c ----

// y = silu(y) * up, where gate and up could not share a kernel because their types differ; up is a dense temporary shaped like y.
void pm_gpu_record_glu(pm_gpu_recorder *r, const pm_view *y, const pm_view *up, pm_rows rows);
pm_view pm_gpu_temp_like(pm_gpu_recorder *r, const pm_view *y, uint32_t n_row);

// A dispatch of matmul, whose tensors have been declared.
typedef struct pm_gpu_tiles {
  pm_push_matmul push;
  pm_type type;
  bool gated, accumulate, grouped;
  uint32_t n_tile;  // of rows, at most
  uint32_t n_batch;
  double cost;
} pm_gpu_tiles;
bool pm_gpu_is_tiled(const pm_gpu_pick *pick);  // matmul or matmul_coop, not one of the kernels that read weights by lanes
uint32_t pm_gpu_tile_rows(const pm_gpu_pick *pick);

// What a product reads of x, declared for the next dispatch: the view itself or, for kernels that want it otherwise (halves for
// matmul_coop, fixed point for _dot8), what is made of it here. Other declarations come after.
pm_push_view pm_gpu_record_input(pm_gpu_recorder *r, const pm_gpu_pick *pick, const pm_view *x, pm_rows rows);
void pm_gpu_record_tiles(pm_gpu_recorder *r, const pm_gpu_pick *pick, const pm_gpu_tiles *t);

// Bytes of n_slab slabs of weights, read in n_pass passes, and a sixteenth of the multiply-adds of n_row rows.
double pm_gpu_weight_cost(const pm_tensor *w, double n_slab, double n_row, double n_pass);

// ---- experts that come and go: ops_slots.c ----

// Where matrix m (gate, up, down; 3: the end) of an expert begins in a record, in bytes: on the device, and in a home, packed as in the
// file. Homes begin at multiples of 16 bytes, and are read to the end rounded up to one.
uint64_t pm_gpu_slot_at(const pm_expert_table *t, int m);
uint64_t pm_gpu_home_at(const pm_expert_table *t, int m);

// Finds what a step wants of a table and has no slot (board.h), and makes the table's entries say where all of it will be. ids: the
// choice; NULL: every expert, ahead of the table's turn. Nothing for a resident table.
void pm_gpu_record_resolve(pm_gpu_recorder *r, const pm_expert_table *t, const pm_view *ids);

// Brings matrices [first, end) of what was found: all of it in a step of few rows, else one wave.
void pm_gpu_record_fill(pm_gpu_recorder *r, const pm_expert_table *t, uint32_t n_used, uint32_t wave, int first, int end);

// Brings all matrices of a list of at most n_fill fills in scratch (board.h), of any table of t's class.
void pm_gpu_record_fills(pm_gpu_recorder *r, const pm_expert_table *t, const pm_tensor *fills, uint32_t n_fill);

// At the beginning of a recording in which tables are brought ahead of their turn: the first wave of the first such table.
void pm_gpu_record_ahead(pm_gpu_recorder *r);

// Declares that the next dispatch reads matrices [first, end) of the table's experts.
void pm_gpu_record_read_experts(pm_gpu_recorder *r, const pm_expert_table *t, int first, int end);

// y += the host's sums for the table's rows.
void pm_gpu_record_join(pm_gpu_recorder *r, const pm_expert_table *t, const pm_view *y);

static inline uint32_t pm_gpu_groups(uint64_t n, uint64_t per) { return (uint32_t)((n + per - 1) / per); }

#endif
