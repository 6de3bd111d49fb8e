// The Vulkan backend: one device, one program, its memory and its recordings.
#ifndef PM_GPU_H
#define PM_GPU_H

#include "backend.h"
#include "boards.h"
#include "gates.h"
#include "moves.h"
#include "place.h"
#include "recorder.h"
#include "transfer.h"

enum { PM_GPU_BUCKETS = 33 };  // row counts 1, 2, 4, ... 2^32

// One batch of a submission: what it waits for, what it says when it is done.
typedef struct pm_gpu_batch {
  VkTimelineSemaphoreSubmitInfo values;
  VkSemaphore waits[2], signals[2];
  uint64_t wait_values[2], signal_values[2];
} pm_gpu_batch;

// The pieces that the running step takes, in order, and room to submit them; as many as the largest recording has, and one.
typedef struct pm_gpu_run {
  uint32_t n, capacity;
  pm_gpu_piece *pieces;
  uint64_t *gates;            // value of the gate that a piece has to do with (ASKED, WAITED, JOINED)
  VkCommandBuffer *commands;  // of the pieces
  VkSubmitInfo *infos;
  pm_gpu_batch *batches;
} pm_gpu_run;

typedef struct pm_gpu {
  pm_backend base;
  pm_gpu_device device;
  pm_gpu_pipelines pipelines;
  pm_program *program;  // NULL before load
  pm_gpu_plan plan;
  pm_gpu_temps temps;
  pm_gpu_boards boards;
  pm_gpu_gates gates;  // these two: with a plan of the experts only
  pm_gpu_moves moves;

  pm_gpu_buffer weights[PM_GPU_ARENAS], kv[PM_GPU_KV_ARENAS], scratch, tables;
  pm_gpu_buffer step;      // of the running step, shaders/abi/step.h
  pm_gpu_buffer readback;  // logits of the newest step
  pm_gpu_transfer transfer;
  VkDescriptorPool descriptors;
  VkDescriptorSet set;

  // By row bucket, for steps that want at most one row of logits [0] and for steps that want more [1]. Empty until first used.
  pm_gpu_recording recordings[2][PM_GPU_BUCKETS];
  VkCommandBuffer readback_commands;
  uint32_t readback_logits, readback_rows;  // that readback_commands copies: rows of logits, rows of choices
  pm_gpu_run step_run;
  double piece_cost;      // of a piece of a recording (recorder.h)
  double submit_seconds;  // longest that one submission should take: drivers reset a device that is silent for about 2 s
  pm_backend_counters counters;
  uint64_t memory_limit;
  pm_tuning tuning;
  uint32_t only_row, forced_row;  // pm_gpu_desc, and the row that it means
} pm_gpu;

// pm_gpu_create; `staged` sends uploads through staging memory even where the device's memory is mapped (for tests on such devices).
pm_status pm_gpu_open(const pm_gpu_desc *desc, bool staged, pm_backend **out) PM_MUST_USE;

// upload.c: fills the weights and expert tables, zeroes cache and scratch.
pm_status pm_gpu_upload(pm_gpu *g, pm_team *team, pm_progress_fn *progress, void *user) PM_MUST_USE;

// submit.c: a recorder of this program; a recording for a step of that many rows, made if need be; and a step from its first byte to its
// last.
pm_gpu_recorder pm_gpu_recorder_of(pm_gpu *g);
pm_status pm_gpu_recording_get(pm_gpu *g, uint32_t n_row, uint32_t n_logit, pm_gpu_recording **out) PM_MUST_USE;
pm_status pm_gpu_run_step(pm_gpu *g, const pm_step *step) PM_MUST_USE;

void pm_gpu_run_finish(pm_gpu_run *run);

// Row count and logit count that the recording for a step is made for.
uint32_t pm_gpu_bucket_rows(const pm_program *p, uint32_t n_row);
uint32_t pm_gpu_bucket_logits(const pm_program *p, uint32_t n_row, uint32_t n_logit);

#endif
