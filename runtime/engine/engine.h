// An open model: file, tokenizer, program and the backend that runs it; and the step, which is one token's (or one prompt chunk's) path.
#ifndef PM_ENGINE_H
#define PM_ENGINE_H

#include "backend.h"
#include "chat_request.h"
#include "experts.h"
#include "kv.h"
#include "model.h"
#include "plan.h"
#include "token_order.h"
#include "use_trace.h"

typedef struct pm_engine_desc {
  const char *device;  // NULL or "auto", "cpu", "gpu", "gpu:<index, UUID, PCI address or part of a name>", or one of the last three alone
  uint32_t n_ctx;      // 0 = min(trained, 4096)
  uint32_t n_session;  // 0 = 1
  uint32_t n_thread;   // 0 = physical cores
  uint32_t n_batch;    // 0 = 512 or, where experts stream, up to 2048
  bool exact, cache_f32, read_file, validate;
  bool stream_only;                // deterministic: the host computes no experts for a device
  uint64_t vram_limit, ram_limit;  // bytes of device and host memory that may be used; 0 = all that is free
  uint64_t sim_vram;               // the device is taken for a card with so much memory of its own; 0 = as it is
  const char *experts;             // how experts without a slot are served (pumice.h); NULL = as is best
  pm_link_desc sim_link;           // and behind such a link; rate 0 = as it is
  const char *cache_dir;
  pm_tuning tuning;
  const char *trace_path;       // record the use of experts there; NULL = no
  const pm_observer *observer;  // sees what the CPU multiplies; NULL = nobody
  pm_progress_fn *progress;
  void *user;
} pm_engine_desc;

typedef struct pm_engine {
  pm_model_file *file;
  pm_tokenizer *tokenizer;
  pm_chat chat;
  pm_token_order *token_order;  // NULL until an answer follows a grammar
  pm_model model;
  pm_program program;
  pm_plan_sizes sizes;  // that were asked for, and what they mean
  pm_plan plan;
  bool simulated;       // the card's memory or its link is
  pm_machine machine;   // that the plan reckoned with
  bool stream_only;     // the host computes no experts for a device: results do not depend on how much fits
  pm_experts *experts;  // NULL: all are where they are used
  pm_backend *backend;
  pm_kv kv;
  char device[256];  // what runs it, and the name and version of its driver, for people
  char driver[256];
  char note[256];  // why it is not what "auto" would rather take; "" if nothing to say
  uint32_t n_thread;
  uint64_t fingerprint;  // of the model and the cache's layout, for saved sessions
  pm_use_trace *trace;   // or NULL
  pm_row *rows;          // the step being filled
  uint32_t *logit_row;
  float *rope;
  uint32_t n_row, n_logit;
} pm_engine;

pm_status pm_engine_open(const char *path, const pm_engine_desc *desc, pm_engine **out) PM_MUST_USE;
void pm_engine_close(pm_engine *e);

// Makes and loads the backend that desc->device asks for (device.c).
pm_status pm_engine_load_backend(pm_engine *e, const pm_engine_desc *desc) PM_MUST_USE;

typedef enum pm_want { PM_WANT_NOTHING, PM_WANT_LAST, PM_WANT_ALL } pm_want;

// A step is filled with rows of one sequence or of several, then run. In all at most max_rows, and max_logits whose logits are wanted.
// Allocates nothing.
void pm_engine_begin_step(pm_engine *e);
// n tokens of a sequence whose cache range begins at cell `base`, the first at position pos. Once per sequence and step.
void pm_engine_append_rows(pm_engine *e, uint32_t base, uint32_t pos, const int32_t *tokens, uint32_t n, pm_want want);
// Afterwards the backend's logits are those that were wanted, in the order of the rows.
pm_status pm_engine_run_step(pm_engine *e) PM_MUST_USE;

#endif
