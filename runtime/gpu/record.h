// Recording one program into command buffers: dispatches with push constants, barriers where data flows.
//
// ops_*.c turn each op into dispatches through this interface and know nothing of Vulkan. Every kernel sees the same
// descriptor set (shaders/base.glsl, set 0), and a tensor's place says where it lies there:
//   binding 0  weight arenas [PM_GPU_ARENAS], read-only    weights: place.arena, place.offset (bytes, a multiple of 256; slab b follows
//                                                          at b * pm_gpu_slab_bytes unless the tensor belongs to an expert table)
//   binding 1  the scratch heap                            SCRATCH, OUTPUT and temp tensors: place.offset, a multiple of 256
//   binding 2  cache arenas [PM_GPU_KV_ARENAS]             KV: place.arena, place.offset; a tensor lies whole inside one
//   binding 3  the step (shaders/abi/step.h)
//   binding 4  expert tables (pm_gpu_table_first)
//   binding 5  boards of the expert tables, and what the host computed (pm_gpu_board_find)
//   binding 6  homes of experts in host memory, pm_gpu_traits.home_arenas buffers
// Places are set before the recording; during the dry run they are all zero.
#ifndef PM_GPU_RECORD_H
#define PM_GPU_RECORD_H

#include "op.h"

enum { PM_GPU_ARENAS = 16, PM_GPU_KV_ARENAS = 8, PM_GPU_HOME_ARENAS = 32 };  // array lengths of bindings 0 and 2, and of 6 at most

typedef struct pm_gpu_recorder pm_gpu_recorder;

// A product of matrices that a subgroup computes together: m x k times k x n.
typedef struct pm_gpu_matrix {
  uint32_t m, n, k;
} pm_gpu_matrix;

// What recorders need to know of the device to choose a kernel (rows of pick.def are matched against it).
typedef struct pm_gpu_traits {
  uint32_t subgroup;         // size that kernels are compiled for
  uint32_t max_invocations;  // of a workgroup
  uint32_t max_shared;       // bytes
  uint32_t vendor_id;
  uint32_t home_arenas;  // array length of binding 6 on this device
  bool software;         // a CPU
  bool fast_dot8;        // products of four pairs of signed bytes are one instruction
  pm_gpu_matrix matrix;  // of halves, with sums in f32 (shaders/op/matmul_coop.comp); zeros: none
} pm_gpu_traits;
const pm_gpu_traits *pm_gpu_traits_of(const pm_gpu_recorder *r);

// Whether a kernel of that name was built and this device has what it needs.
bool pm_gpu_has(const pm_gpu_recorder *r, const char *kernel);

// Rows that this recording serves at most (1 for decode; the real number is in the step buffer).
uint32_t pm_gpu_rows(const pm_gpu_recorder *r, pm_rows rows);

// Dispatches kernel `name` (a row of shaders/kernels.def) with its specialization constants (ids 0, 1, ...), push constants and
// group counts. `cost` estimates the bytes it reads plus 1/16 of its multiply-adds, to bound the time of a submission.
// Errors are latched in the recorder.
typedef struct pm_gpu_dispatch {
  const char *kernel;
  const uint32_t *constants;
  uint32_t n_constant;
  const void *push;
  uint32_t push_bytes;  // <= 128
  uint32_t groups[3];
  double cost;
} pm_gpu_dispatch;
void pm_gpu_record_dispatch(pm_gpu_recorder *r, const pm_gpu_dispatch *d);

// Latches a failure that an op found.
void pm_gpu_record_fail(pm_gpu_recorder *r, pm_status status);

// Declares what the next dispatch reads and writes; a barrier is recorded only when an earlier write (or read, for a write) of the
// same tensor has not been fenced yet. Ops call these before their dispatch, so barriers never need to be placed by hand.
void pm_gpu_record_read(pm_gpu_recorder *r, const pm_tensor *t);
void pm_gpu_record_write(pm_gpu_recorder *r, const pm_tensor *t);

// Scratch that only a recorder needs (split attention, expert sorting): made at load, the same name gives the same tensor, grown
// to the largest request. Must be asked for in pm_gpu_plan_op (below) with the largest row count before memory is made.
pm_tensor *pm_gpu_temp(pm_gpu_recorder *r, const char *name, uint64_t values);

// First entry of an expert table in binding 4; the entry of matrix m (gate, up, down) of expert e is first + m * n_expert + e and holds
// uvec2(weight arena, offset in 16-byte units).
uint32_t pm_gpu_table_first(const pm_gpu_recorder *r, const pm_expert_table *t);

// ---- experts that come and go ----

// Where a table's board (shaders/abi/board.h) and the host's sums lie in binding 5, in words.
//
// In a step of many rows a table's misses pass the ring in waves, and its products are computed in passes. A wave fills one half of the
// ring while a pass reads the other. What is brought ahead is found before its table's turn, whatever the router will say: all that has no
// slot; a table's pass 0 is over its experts with slots and its wave 0, which came beside the last pass of the table before. Otherwise
// only what was chosen is brought: pass 0 is over the experts with slots alone, and wave 0 comes beside it.
typedef struct pm_gpu_board {
  uint32_t at, max_victim;   // the layout of the board
  uint32_t answer_at;        // [row][d_model], dense; few rows
  uint32_t index;            // of the table
  uint32_t wave, n_half;     // many rows: ring records of a wave; parts of the ring, 1 if it is too small for two
  uint32_t n_wave;           // many rows: that a step may need at most
  bool few;                  // few rows: misses take victims and what the board allows of the ring; the rest is the host's
  bool ahead;                // many rows: tables are brought ahead
  bool paced;                // many rows: the host says when a wave may be used (pm_expert_host.send)
  const pm_tensor *slots;    // few rows: [3], by matrix: stand for the records that a step brings where barriers are decided
  const pm_tensor *entries;  // stands for the table's entries
} pm_gpu_board;

// False where the table's entries never change, because all of its experts are resident (always so in a load without a plan).
bool pm_gpu_board_find(const pm_gpu_recorder *r, const pm_expert_table *t, pm_gpu_board *out);

// When a step takes the pieces that are recorded from here on. Pieces at which the host has a part are ordered behind all work before
// them and before all work after them; of the others barriers are decided as if they were both taken and not.
typedef enum pm_gpu_when {
  PM_GPU_ALWAYS,
  PM_GPU_WAVE,        // there may be misses for wave `wave` of table t
  PM_GPU_LAST,        // there are none for a wave after `wave` of table t
  PM_GPU_ASKED,       // the host is asked about table t: assist or wait
  PM_GPU_WAITED,      // the host may have changed the board of table t: wait
  PM_GPU_JOINED,      // the host has computed its share of table t: assist
  PM_GPU_SENT,        // the host hears that wave `wave` of table t begins: paced, as are the next two
  PM_GPU_SENT_AHEAD,  // with wave `wave` of table t, which is its last: the same of the next table's first wave
  PM_GPU_ARRIVED,     // the host lets wave `wave` of table t be used
} pm_gpu_when;
void pm_gpu_record_when(pm_gpu_recorder *r, pm_gpu_when when, const pm_expert_table *t, uint32_t wave);

// Orders all that is recorded from here on behind all before, whatever they declare.
void pm_gpu_record_fence(pm_gpu_recorder *r);

// The next table with a board, in the order of the program; NULL: there is none. t NULL: the first.
const pm_expert_table *pm_gpu_next_table(const pm_gpu_recorder *r, const pm_expert_table *t);

// In ops_*.c: one function per op; the same code runs once dry (pm_gpu_temp sizes) and once per recorded row count.
typedef void pm_gpu_op_fn(pm_gpu_recorder *r, const pm_op *op);
extern pm_gpu_op_fn *const pm_gpu_op_table[PM_OP_COUNT];

// Device layout of weights (repack.c). A row of n_in values takes pm_gpu_slab_bytes(type, n_in, 1) bytes on the device, a multiple of 16,
// and a slab is its rows one after another: slab bytes are linear in n_out, so that uploads can be cut at any row. pm_gpu_repack
// converts n_out whole rows from the file's layout into a staging pointer (write-combined memory: written in order, never read).
uint64_t pm_gpu_slab_bytes(pm_type type, uint64_t n_in, uint64_t n_out);
void pm_gpu_repack(pm_type type, uint64_t n_in, uint64_t n_out, const void *src, void *dst);

#endif
