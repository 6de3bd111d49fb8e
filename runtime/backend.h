// What a device can do for the engine. One backend object runs one program.
#ifndef PM_BACKEND_H
#define PM_BACKEND_H

#include "op.h"

typedef struct pm_backend pm_backend;

typedef struct pm_memory_use {  // bytes, by purpose
  uint64_t weights;             // in the backend's own memory
  uint64_t weights_mapped;      // used where they lie in the file's mapping (CPU)
  uint64_t kv, scratch, staging;
} pm_memory_use;

typedef struct pm_backend_counters {                  // since pm_backend_load
  uint64_t steps, submissions, dispatches, barriers;  // 0 where a backend has no such thing
} pm_backend_counters;

// Called during long work with a fraction in [0, 1]; a false return asks to stop (PM_ERR_CANCELLED).
typedef bool pm_progress_fn(void *user, float done);

typedef struct pm_backend_ops {
  void (*destroy)(pm_backend *b);
  // What runs the program and through which driver ("" if there is none), for people.
  void (*describe)(const pm_backend *b, char device[256], char driver[256]);
  // Plans and makes all memory of the program, uploads weights, prepares the steps. The program must outlive the backend.
  pm_status (*load)(pm_backend *b, pm_program *p, pm_progress_fn *progress, void *user);
  // Runs one step to its end. Allocates nothing.
  pm_status (*run)(pm_backend *b, const pm_step *step);
  // Logits of the newest step, [n_logit][n_vocab]; valid until the next run. Never NULL after a run with n_logit > 0.
  const float *(*logits)(pm_backend *b);
  // Copies bytes to or from a KV, SCRATCH or OUTPUT tensor between steps.
  pm_status (*write)(pm_backend *b, const pm_tensor *t, uint64_t offset, const void *src, size_t bytes);
  pm_status (*read)(pm_backend *b, const pm_tensor *t, uint64_t offset, void *dst, size_t bytes);
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
} pm_gpu_info;

// Fills up to *n infos and sets *n to the number of devices. Without a Vulkan loader: *n = 0, and *why says so ("" otherwise).
pm_status pm_gpu_list(pm_gpu_info *infos, uint32_t *n, char why[256]) PM_MUST_USE;

typedef struct pm_gpu_desc {
  const char *device;     // index, UUID, PCI address or part of a name; NULL or "" = the best that is not of software kind
  const char *cache_dir;  // pipeline cache; NULL = none
  uint64_t memory_limit;  // 0 = what the device reports as free, less a margin
  bool validate;          // turn the Khronos validation layer on; its messages make calls fail
} pm_gpu_desc;
pm_status pm_gpu_create(const pm_gpu_desc *desc, pm_backend **out) PM_MUST_USE;  // PM_ERR_UNSUPPORTED in a build without Vulkan

#endif
