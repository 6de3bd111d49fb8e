// What a device can do for the engine. One backend object runs one program.
#ifndef PM_BACKEND_H
#define PM_BACKEND_H

#include "op.h"

typedef struct pm_backend pm_backend;

typedef struct pm_memory_use {  // bytes, by purpose
  uint64_t weights;             // in the backend's own memory
  uint64_t weights_mapped;      // used where they lie in the file's mapping (CPU)
  uint64_t kv, scratch, staging;
  uint64_t slots, homes;  // expert records in the backend's memory, and in host memory that it reads
} pm_memory_use;

typedef struct pm_backend_counters {                  // since pm_backend_load
  uint64_t steps, submissions, dispatches, barriers;  // 0 where a backend has no such thing
  uint64_t asks;                                      // layers whose misses the host was asked for
  uint64_t fills, fill_bytes;                         // records that steps brought into slots or the ring, bytes over the link
  double ask_seconds, join_seconds, wait_seconds;     // host: waiting for asks, computing answers; waiting for the step's end
} pm_backend_counters;

// ---- experts that do not all fit: runtime/experts decides, a backend carries out --------------------------------------
//
// An expert is one record: the matrices gate, up and down. Tables whose records have the same types and shapes form a class, and share
// slots: records in the backend's own memory, numbered 0 .. n_slot - 1 within a class, followed by n_ring more for experts that only pass
// through a step. A home is a record in host memory that the backend can read, in the layout of the file (gate rows, up rows, down rows,
// packed): there the host computes from it, and from there the backend fills slots. A class with a slot for every expert and neither ring
// nor homes is resident: the backend loads it from the file, and looks at no board of its tables.

enum {
  PM_EXPERT_CLASSES = 16,
  PM_EXPERT_FEW_ROWS = 8,  // a step of more rows is one of many
};
static const uint32_t PM_EXPERT_NOWHERE = UINT32_MAX;

typedef struct pm_expert_class {
  uint64_t slot_bytes, home_bytes;  // of one record
  uint32_t n_slot, n_ring, n_home;
} pm_expert_class;

// One table between two steps. The rule that device and host both follow (runtime/experts/expert_board.h): the distinct experts that a
// step's rows chose and that have no slot are its misses, in ascending order. Those that are warm and have a home take victims, in order,
// passing over a victim in which the step has a hit; then those with a home that are left take ring records, in order; the rest are the
// host's. A step whose misses may outnumber the ring passes over them in waves, and nothing is left for the host unless `assist` is set.
typedef struct pm_expert_board {
  uint32_t *slot;    // [n_expert] PM_EXPERT_NOWHERE: none
  uint32_t *home;    // [n_expert] PM_EXPERT_NOWHERE: not in host memory
  bool *warm;        // [n_expert]
  uint32_t *victim;  // slots of this table, or of nobody, that may be overwritten: at most n_expert_used; none for a step of many rows
  uint32_t n_victim;
  uint32_t n_ring;  // ring records that misses of a step of few rows may take; steps of many rows take what they need
  bool assist;      // the host computes what finds no place (steps of few rows)
  bool wait;        // the step waits for host.need before it looks at the board: experts come from disk, or over a simulated link
  bool dirty;       // changed since the backend last looked; the backend clears it
} pm_expert_board;

// A layer's experts that are the host's to compute, while the device does its own.
typedef struct pm_expert_ask {
  uint32_t table, n_row;
  const int32_t *ids;    // [n_row][n_expert_used]
  const float *weights;  // [n_row][n_expert_used]
  const float *x;        // [n_row][d_model]
  float *y;              // [n_row][d_model] to fill: the weighted sum of the host's experts, zero where there are none
} pm_expert_ask;

// The floor above, as a backend calls it during run, on the thread that called run.
typedef struct pm_expert_host {
  void *user;
  // Computes the host's share. A failure ends the step with that failure.
  pm_status (*answer)(void *user, const pm_expert_ask *ask);
  // The choice of a layer is known. On return every chosen expert is within reach until the next call: its slab pointers are valid (CPU),
  // its board names a slot or a home (GPU; called where board.wait is set; of the board, slots, homes, warmth and victims may change).
  // *ready: pm_clock_seconds before which the device must not go on, 0: it may at once.
  pm_status (*need)(void *user, uint32_t table, const int32_t *ids, uint32_t n_id, double *ready);
  // NULL: experts may be used when the device has brought them. Else, in a step of many rows: n experts of a table are sent from now on;
  // returns pm_clock_seconds before which they must not be used.
  double (*send)(void *user, uint32_t table, uint32_t n);
} pm_expert_host;

typedef struct pm_expert_move {
  uint32_t table, home, slot;
} pm_expert_move;

typedef struct pm_expert_plan {
  uint32_t n_class;
  pm_expert_class classes[PM_EXPERT_CLASSES];
  const uint32_t *class_of;  // [n_table]
  pm_expert_board *boards;   // [n_table]; read when a step begins
  // Steps of so many rows (or a few less, where a device records for more than there are) bring all experts of a table that have no slot,
  // before its router has spoken; every one of them needs a home then, and no board may wait. 0: only what was chosen is brought.
  uint32_t ahead_rows;
  pm_expert_host host;
} pm_expert_plan;

// What a program takes on a device, before anything is allocated; the classes with their bytes and no counts yet.
typedef struct pm_backend_needs {
  uint64_t weights;  // all but the experts
  uint64_t kv, scratch, staging;
  uint64_t budget;  // device memory that may be used: min(size, reported budget) - use - margin, or the limit that was asked for
  bool unified;     // device memory is the machine's own memory
  uint32_t n_class;
  pm_expert_class classes[PM_EXPERT_CLASSES];
} pm_backend_needs;

// Called during long work with a fraction in [0, 1]; a false return asks to stop (PM_ERR_CANCELLED).
typedef bool pm_progress_fn(void *user, float done);

// A shape of an operation whose kernels were timed, with the seconds of one operation: what the backend takes by itself, and the fastest.
typedef struct pm_tune_row {
  pm_op_kind op;
  pm_type type;                // of the weights; PM_TYPE_F32 where there are none
  uint32_t n_row;              // of the step
  uint32_t n_in, n_out, n_op;  // values per input row (0: no weights) and output row; operations of the program that have the shape
  const char *before, *after;  // for people; the same if nothing is clearly faster
  double before_seconds, after_seconds;
} pm_tune_row;
typedef bool pm_tune_fn(void *user, float done, const pm_tune_row *row);  // a false return stops (PM_ERR_CANCELLED); what was found stays

typedef struct pm_tune_desc {
  uint32_t n_size, sizes[16];  // steps of so many rows, as the backend has them: powers of two, or the most
  double seconds;              // to be done within; 0 = no limit
  bool first_use;              // nothing is done unless PM_TUNING_FIRST has made room
  pm_tune_fn *report;
  void *user;
} pm_tune_desc;

typedef struct pm_backend_ops {
  void (*destroy)(pm_backend *b);
  // What runs the program and through which driver ("" if there is none), for people.
  void (*describe)(const pm_backend *b, char device[256], char driver[256]);
  pm_status (*needs)(pm_backend *b, pm_program *p, pm_backend_needs *needs);
  // Plans and makes all memory of the program, uploads weights, prepares the steps. Program and plan must outlive the backend.
  // experts NULL: every expert in the backend's memory (CPU: in the file's mapping).
  pm_status (*load)(pm_backend *b, pm_program *p, pm_expert_plan *experts, pm_progress_fn *progress, void *user);
  // Runs one step to its end. Allocates nothing.
  pm_status (*run)(pm_backend *b, const pm_step *step);
  // Logits of the newest step, [n_logit][n_vocab]; valid until the next run. Never NULL after a run with n_logit > 0.
  const float *(*logits)(pm_backend *b);
  // Copies bytes to or from a KV, SCRATCH or OUTPUT tensor between steps.
  pm_status (*write)(pm_backend *b, const pm_tensor *t, uint64_t offset, const void *src, size_t bytes);
  pm_status (*read)(pm_backend *b, const pm_tensor *t, uint64_t offset, void *dst, size_t bytes);
  // With a plan: the home record of an index (host memory; after load), and the choices of the newest step, [n_row][n_expert_used].
  void *(*home)(pm_backend *b, uint32_t class, uint32_t index);
  const int32_t *(*chosen)(pm_backend *b, uint32_t table);
  // Brings records from homes to slots beside the steps; returns at once. Boards must not name these slots or homes until
  // `moved` says that ticket `*ticket` has passed. Behind the running step, if there is one: its hooks must not wait for a ticket.
  pm_status (*move)(pm_backend *b, const pm_expert_move *moves, uint32_t n, uint64_t *ticket);
  bool (*moved)(pm_backend *b, uint64_t ticket);
  // Between steps: gives back slots if this process has more of the device's memory than it may by now (other programs need it too). In
  // every class the first n_slot are left, of which boards may speak from then on; what was in others is gone. After a failure all is as
  // it was. A device that does not say what may be used keeps its slots.
  pm_status (*shrink)(pm_backend *b, uint32_t n_slot[PM_EXPERT_CLASSES]);
  // Between steps: finds out which kernels are the fastest for the program on this device, uses them from now on and keeps that for other
  // programs. Scratch and cache hold nothing of use afterwards. NULL: there is no choice.
  pm_status (*tune)(pm_backend *b, const pm_tune_desc *desc);
  pm_memory_use (*memory)(const pm_backend *b);
  pm_backend_counters (*counters)(const pm_backend *b);
} pm_backend_ops;

struct pm_backend {  // first member of every backend's own struct
  const pm_backend_ops *ops;
};

typedef struct pm_cpu_desc {
  uint32_t n_thread;  // 0 = physical cores
  bool exact;         // float activations; otherwise 8-bit activation blocks against quantized weights
  bool reference;     // the plain double-precision path, for tests and self-tests
} pm_cpu_desc;
pm_status pm_cpu_create(const pm_cpu_desc *desc, pm_backend **out) PM_MUST_USE;
const char *pm_cpu_path_name(void);  // "AVX-512 VNNI", "AVX2", "NEON", "plain": what the SIMD path uses on this machine

typedef enum pm_gpu_kind { PM_GPU_DISCRETE, PM_GPU_INTEGRATED, PM_GPU_VIRTUAL, PM_GPU_SOFTWARE, PM_GPU_OTHER } pm_gpu_kind;

typedef struct pm_gpu_info {
  char name[256];
  char driver[256];  // driver name, version and Vulkan version
  char uuid[37];     // 8-4-4-4-12, lower case
  char pci[16];      // "0000:03:00.0"; "" if unknown
  pm_gpu_kind kind;
  uint32_t vendor_id, device_id;
  uint64_t memory_total, memory_free;  // device-local heap; free = min(size, budget) - use
  uint32_t subgroup_min, subgroup_max;
  bool usable;
  char reason[256];    // why not usable
  char features[512];  // what was found, one "name" or "name=value" per word
  char known[512];     // troubles that its driver is known for, with links
  bool avoid;          // because of them, not taken by itself
} pm_gpu_info;

// Fills up to *n infos and sets *n to the number of devices. Without a Vulkan loader: *n = 0, and *why says so ("" otherwise).
pm_status pm_gpu_list(pm_gpu_info *infos, uint32_t *n, char why[256]) PM_MUST_USE;

typedef enum pm_tuning {
  PM_TUNING_OFF,    // results depend on nothing that was ever measured
  PM_TUNING_USE,    // what tuning has found earlier
  PM_TUNING_FIRST,  // the same, or PM_TUNING_ROOM for a card that was never tuned
  PM_TUNING_ROOM,   // what tuning has found earlier, and memory to tune the program
} pm_tuning;

typedef struct pm_gpu_desc {
  const char *device;     // index, UUID, PCI address or part of a name; NULL or "" = the best that is not of software kind
  const char *cache_dir;  // compiled kernels and what is known of them; NULL = none
  pm_tuning tuning;
  bool exact;             // activations in f32; otherwise products of many rows may round them, and weights, to 16 bits
  uint32_t only_row;      // 1 + a row of the table of kernels that serves its operation, whatever the shape; 0 = as is best
  uint64_t memory_limit;  // 0 = what the device reports as free, less a margin
  bool validate;          // turn the Khronos validation layer on; its messages make calls fail
} pm_gpu_desc;
// ---- the table of kernels, for the self-test: rows are numbered, each is for one kind of operation. A build without Vulkan has none.
uint32_t pm_gpu_row_count(void);
pm_op_kind pm_gpu_row_op(uint32_t row);
const char *pm_gpu_row_text(uint32_t row);  // for people
typedef struct pm_gpu_wrong {
  uint32_t row, type;  // type of the weights, PM_TYPE_F32 where there are none
} pm_gpu_wrong;
// Of the device that desc names: exactly these compute wrong numbers. Kept in desc's cache_dir; picks pass over them.
pm_status pm_gpu_keep_wrong(const pm_gpu_desc *desc, const pm_gpu_wrong *wrong, uint32_t n) PM_MUST_USE;

// Of the device that desc names: what tuning has found is forgotten.
pm_status pm_gpu_forget_tuning(const pm_gpu_desc *desc) PM_MUST_USE;
pm_status pm_gpu_create(const pm_gpu_desc *desc, pm_backend **out) PM_MUST_USE;  // PM_ERR_UNSUPPORTED in a build without Vulkan

#endif
