// The inside of recording: what pm_gpu_recorder (record.h) is, and the recordings it makes.
#ifndef PM_GPU_RECORDER_H
#define PM_GPU_RECORDER_H

#include "boards.h"
#include "hazard.h"
#include "pipeline.h"
#include "record.h"

typedef struct pm_gpu_piece {
  VkCommandBuffer commands;
  double cost;  // in the units of pm_gpu_dispatch
  uint32_t n_dispatch, n_barrier;
  pm_gpu_when when;
  uint32_t table, wave;  // unless it is always taken
} pm_gpu_piece;

// A program recorded for up to `rows` rows, cut into pieces that may be submitted one by one or together.
typedef struct pm_gpu_recording {
  VkCommandPool pool;
  uint32_t rows, logits;
  bool ahead;  // whole tables of experts are brought before their turn
  pm_gpu_piece *pieces;
  uint32_t n_piece, capacity;
  double rate;  // cost that passes per second, measured; bounds what is submitted at once
} pm_gpu_recording;

// Scratch of recorders: every name once, in the size of the largest request.
typedef struct pm_gpu_temps {
  pm_arena arena;
  pm_tensor **items;
  uint32_t n, capacity;
} pm_gpu_temps;
void pm_gpu_temps_finish(pm_gpu_temps *t);

enum { PM_GPU_ASKED_SHAPES = 4 };
typedef struct pm_gpu_asked {
  pm_gpu_shape shapes[PM_GPU_ASKED_SHAPES];  // of one op
  uint32_t n;
} pm_gpu_asked;

struct pm_gpu_recorder {
  pm_gpu_device *device;
  pm_gpu_pipelines *pipelines;
  const pm_program *program;
  pm_gpu_temps *temps;
  const pm_gpu_boards *boards;
  VkDescriptorSet set;
  VkCommandPool pool;
  VkBuffer scratch;
  double piece_cost;         // a piece ends when its cost passes this: the finest cut that submissions can make
  bool dry;                  // sizes temps and finds kernels; records nothing
  bool want;                 // dry: puts the pipelines on the list of those to make
  double cost;               // dry: of all dispatches, in the units of pm_gpu_dispatch
  const uint32_t *only;      // this row of pick.def serves its op, whatever the shape; NULL: as is best
  pm_gpu_asked *asked;       // collects the shapes that rows were picked for, if somebody wants to know
  pm_gpu_recording *out;     // pieces so far
  VkCommandBuffer commands;  // of the open piece
  VkPipeline bound;
  pm_gpu_hazards hazards;
  pm_gpu_when when;  // of the pieces that are recorded now, as are the next two
  uint32_t table, wave;
  pm_gpu_hazards before;  // the pieces that are not always taken
  pm_status error;        // the first, latched
  char message[256];
};

// Runs every op of the program dry, for `rows` rows of which `logits` want logits.
pm_status pm_gpu_record_dry(pm_gpu_recorder *r, uint32_t rows, uint32_t logits) PM_MUST_USE;

// Records the program into `out`, which pm_gpu_recording_finish frees also after a failure.
pm_status pm_gpu_record_program(pm_gpu_recorder *r, uint32_t rows, uint32_t logits, pm_gpu_recording *out) PM_MUST_USE;
// Records some ops of a program alone (r->dry: dry), each behind a fence, as one piece. Not those over experts that come and go.
pm_status pm_gpu_record_ops(pm_gpu_recorder *r, const pm_op *const *ops, uint32_t n_op, uint32_t rows, pm_gpu_recording *out) PM_MUST_USE;
// Records the fills of a list (ops.h) that is copied from byte list_at of the boards' buffer, as one piece.
pm_status pm_gpu_record_move(pm_gpu_recorder *r, const pm_expert_table *t, const pm_tensor *fills, uint32_t n_fill, uint64_t list_at,
                             pm_gpu_recording *out) PM_MUST_USE;
void pm_gpu_recording_finish(pm_gpu_device *d, pm_gpu_recording *out);

#endif
