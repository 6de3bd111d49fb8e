// One plan for everything that a model takes: which bytes go into which memory, where its experts begin, and how fast that will be.
// It is made from the program alone, before anything is allocated, also for a file whose weights are not all there yet and for a
// machine that is not here; what is printed is what is loaded.
//
// Of a device's budget every token's weights, the cache, scratch and staging come first. If all experts fit into the rest they stay there.
// Otherwise it is divided into a ring through which experts pass and slots that keep them, the same share of every class: a slot saves in
// proportion to its bytes. Their homes are in host memory; what does not fit there either is read from the file when it is needed.
// Memory that device and processor share is one memory: everything is the device's, or everything is the processor's.
#ifndef PM_PLAN_H
#define PM_PLAN_H

#include "backend.h"
#include "cost.h"
#include "model.h"

typedef enum pm_plan_mode {
  PM_PLAN_RESIDENT,  // all experts in the device's memory
  PM_PLAN_STREAM,    // experts without a slot pass through the ring
  PM_PLAN_ASSIST,    // the processor computes them
  PM_PLAN_SPLIT,     // both
  PM_PLAN_CPU        // no device takes part
} pm_plan_mode;

typedef struct pm_plan_sizes {
  uint32_t n_ctx, n_session, n_batch;  // 0: min(trained, 4096), 1, 512 or, where experts stream, up to 2048
  bool cache_f32;
  bool keep_ctx, keep_batch;  // were asked for: the planner leaves them as they are. Set by pm_plan_build
} pm_plan_sizes;

// Builds the model's program for the most that the planner may choose, and replaces zeros by what they mean. PM_ERR_ARGUMENT for more
// context than was trained.
pm_status pm_plan_build(pm_model *m, pm_plan_sizes *sizes, pm_program *p) PM_MUST_USE;

typedef struct pm_plan_desc {
  pm_program *program;             // of pm_plan_build; gets the sizes that were chosen (pm_program_resize)
  pm_plan_sizes sizes;             // likewise
  pm_backend *backend;             // asked for its needs; NULL: a machine that is not here
  bool cpu;                        // no device: the processor alone
  uint64_t sim_vram;               // the device is taken for a card with so much memory; 0 = as it is
  bool apart;                      // its memory counts as its own although it is the machine's: also where only the link is simulated
  bool stream_only;                // deterministic: the processor computes no experts
  pm_machine machine;              // rates; ram: bytes that may be had. vram: only without a backend
  uint64_t vram_limit, ram_limit;  // 0 = none
  double expert_bits;              // per weight of the experts, instead of what their formats take; 0 = as they are. Only without a backend
} pm_plan_desc;

typedef struct pm_plan_memory {  // bytes in one memory
  uint64_t weights, kv, scratch, staging, slots, ring, homes;
  uint64_t page_cache;  // of the file, mapped: may be given back at any time
} pm_plan_memory;

typedef struct pm_plan_tier {  // where experts begin
  uint64_t n_expert, bytes;
} pm_plan_tier;

typedef struct pm_plan {
  bool fits;
  char reason[256];  // why it does not fit, and what to do
  char note[256];    // what was made smaller; "" if nothing was
  pm_plan_mode mode;
  bool tiered;  // not all experts are where they are used: `experts` goes to load, otherwise NULL does
  bool unified;
  uint32_t n_ctx, n_session, n_batch;
  pm_plan_memory device, host;
  uint64_t device_budget, host_budget;
  pm_plan_tier in_slots, in_homes, on_disk;  // on_disk: neither in a slot nor in a home. Experts with both count as in_slots
  double hit;                                // expected share of choices that find a slot
  pm_cost decode, prompt;                    // of a token, and of a step of n_batch rows
  pm_expert_plan experts;                    // classes and class_of; boards and host are filled in by who owns the policy
  uint32_t *class_of;
} pm_plan;

// PM_OK also if it does not fit: plan->fits says so. pm_plan_finish in any case.
pm_status pm_plan_make(const pm_plan_desc *d, pm_plan *plan) PM_MUST_USE;
void pm_plan_finish(pm_plan *plan);

uint64_t pm_plan_total(const pm_plan_memory *m);  // without page_cache
const char *pm_plan_mode_name(pm_plan_mode mode);

// What was planned against what is there, by kind of memory.
enum { PM_PLAN_KINDS = 6 };
typedef struct pm_plan_kind {
  const char *name;
  uint64_t planned, actual;
} pm_plan_kind;
void pm_plan_kinds(const pm_plan *plan, const pm_memory_use *use, pm_plan_kind kinds[PM_PLAN_KINDS]);

// What was planned against what is there: the largest difference of a kind of memory as a share of what is there (kinds below a MiB count
// against one), and the name of that kind.
double pm_plan_error(const pm_plan *plan, const pm_memory_use *use, const char **worst);

// plan_needs.c: what a program takes on a machine that is not here; class_of as pm_program_expert_classes gives it. `cpu`: without what a
// graphics card's backend takes beside the program's tensors. Adds to `needs`.
void pm_plan_guess_needs(const pm_program *p, const uint32_t *class_of, bool cpu, double expert_bits, pm_backend_needs *needs);
// Bytes of the weights that are packed when they are loaded, memory of the process instead of pages of the file: of experts or of others.
uint64_t pm_plan_packed(const pm_program *p, bool experts);
// What a token costs; experts count with so many bits per weight (0 = as they are).
pm_cost_model pm_plan_cost_model(const pm_program *p, double expert_bits);

// ---- plan_file.c: from a model file or a shape of synth to a plan ----

// What a caller's name of a device asks for: NULL and "" are "auto".
typedef enum pm_plan_place { PM_PLAN_ANYWHERE, PM_PLAN_ON_GPU, PM_PLAN_ON_CPU } pm_plan_place;
pm_plan_place pm_plan_find_place(const char *device, const char **gpu);  // *gpu: as in pm_gpu_desc; NULL: the best one

typedef struct pm_plan_request {
  const char *path;    // a model file, whose weights may still be on their way, or the name of a shape (synth.h)
  const char *mix;     // of a shape; NULL: the first
  const char *device;  // as in pm_engine_desc, or "card": a graphics card that is not here, with `vram` bytes
  pm_plan_sizes sizes;
  bool stream_only;
  uint64_t vram, ram;  // limits; of a card and for a shape: what the machine has (0: what this one has)
  uint64_t sim_vram;   // the device is taken for a card with so much memory of its own; 0 = as it is
  double expert_bits;  // see pm_plan_desc; for cards and shapes
  pm_machine rates;    // those that are not 0 replace the typical ones
} pm_plan_request;

typedef struct pm_plan_answer {
  pm_plan plan;
  char device[256];
  uint64_t file_bytes;
  pm_machine machine;  // that it was made for
} pm_plan_answer;

// An answer, also if it does not fit, is to be given to pm_plan_finish(&answer->plan). Without a named device it is the one that would be
// taken: the best card, or the processor where that cannot do it.
pm_status pm_plan_file(const pm_plan_request *r, pm_plan_answer *answer) PM_MUST_USE;

#endif
