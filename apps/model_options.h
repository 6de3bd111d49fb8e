// The options that every command with a model shares, opening it by them, and what to say when something fails.
#ifndef PM_MODEL_OPTIONS_H
#define PM_MODEL_OPTIONS_H

#include "options.h"
#include "pumice.h"

typedef struct pm_model_arguments {
  const char *device;
  const char *trace;
  const char *experts, *sim_link;
  uint32_t ctx, threads, batch;  // 0 = the library's choice
  uint64_t vram, ram, sim_vram;  // bytes that may be used; 0 = what is free; sim_vram: 0 = the device's own
  bool exact, cache_f32, deterministic, no_mmap, validate, no_tune;
  bool tune;   // no option: with room to tune
  bool fresh;  // no option: nothing of earlier runs is used and nothing is kept, no notes are printed
} pm_model_arguments;

extern pm_model_arguments pm_model_args;
extern const pm_option_group pm_model_group, pm_sampling_group;

// The sampling options as the library wants them.
pumice_sampling pm_sampling_get(void);

// What pm_model_args ask for, with a progress bar. Returns 0 or an exit code; what went wrong has been said.
int pm_model_options_get(uint32_t ctx, pumice_model_options *options);

// Opens a model by pm_model_args, with a progress bar. `ctx` is the context if --ctx is not given (0 = the library's choice). Returns an
// exit code; what went wrong has been said.
int pm_model_open(const char *path, uint32_t ctx, pumice_model **model);

// Where compiled kernels and what tuning has found are kept: $XDG_CACHE_HOME/pumice or ~/.cache/pumice; NULL if there is neither.
const char *pm_model_cache_dir(void);

// What --sim-link asks for; zeros without it. Returns 0 or, if that cannot be understood, an exit code.
typedef struct pm_sim_link {
  double gbps, latency_us, cpu_gbps;
} pm_sim_link;
int pm_model_sim_link(pm_sim_link *link);

// 0 if there is a file at `path` and it is no folder; else an exit code, and the reason has been said.
int pm_model_check_path(const char *path);

// Whether a folder is a model itself, as Hugging Face has them: config.json and safetensors files.
bool pm_model_is_checkpoint(const char *folder);

// Says what the newest failure was and what to do, and returns the exit code that belongs to the status (0 for PUMICE_OK).
int pm_failed(pumice_status status);

// Says that a file of the user's could not be read or written (errno); returns PM_EXIT_WRONG_USE.
int pm_file_failed(const char *path);

#endif
