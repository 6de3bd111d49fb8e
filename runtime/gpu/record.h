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
// Places are set before the recording; during the dry run they are all zero.
#ifndef PM_GPU_RECORD_H
#define PM_GPU_RECORD_H

#include "op.h"

enum { PM_GPU_ARENAS = 16, PM_GPU_KV_ARENAS = 8 };  // array lengths of bindings 0 and 2

typedef struct pm_gpu_recorder pm_gpu_recorder;

// What recorders need to know of the device to choose a kernel (rows of pick.def are matched against it).
typedef struct pm_gpu_traits {
  uint32_t subgroup;         // size that kernels are compiled for
  uint32_t max_invocations;  // of a workgroup
  uint32_t max_shared;       // bytes
  uint32_t vendor_id;
  bool software;  // a CPU
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

// In ops_*.c: one function per op; the same code runs once dry (pm_gpu_temp sizes) and once per recorded row count.
typedef void pm_gpu_op_fn(pm_gpu_recorder *r, const pm_op *op);
extern pm_gpu_op_fn *const pm_gpu_op_table[PM_OP_COUNT];

// Device layout of weights (repack.c). A row of n_in values takes pm_gpu_slab_bytes(type, n_in, 1) bytes on the device, a multiple of 16,
// and a slab is its rows one after another: slab bytes are linear in n_out, so that uploads can be cut at any row. pm_gpu_repack
// converts n_out whole rows from the file's layout into a staging pointer (write-combined memory: written in order, never read).
uint64_t pm_gpu_slab_bytes(pm_type type, uint64_t n_in, uint64_t n_out);
void pm_gpu_repack(pm_type type, uint64_t n_in, uint64_t n_out, const void *src, void *dst);

#endif
