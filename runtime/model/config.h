// Reading hyper-parameters: keys are given without the architecture prefix.
#ifndef PM_CONFIG_H
#define PM_CONFIG_H

#include "model.h"

typedef struct pm_config_key {
  const char *name;  // after "<architecture>."
  enum { PM_KEY_U32, PM_KEY_F32, PM_KEY_BOOL } kind;
  bool required;
  size_t offset;  // of the value in the struct that is filled
} pm_config_key;

// Fills the fields that have keys; others keep their defaults.
pm_status pm_config_read(const pm_model_file *f, const char *arch, const pm_config_key *keys, size_t n_key, void *out) PM_MUST_USE;

// Fails with the file's path and the key unless first <= value <= last.
pm_status pm_config_range(const pm_model_file *f, const char *arch, const char *key, uint64_t value, uint64_t first,
                          uint64_t last) PM_MUST_USE;

typedef struct pm_rope_config {
  uint32_t n_rope;  // values rotated
  float base;       // theta
  float factor;     // s; 1 = no scaling
  bool yarn;        // false: linear
  uint32_t n_ctx_orig;
  float log_multiplier;  // yarn_log_multiplier (0.1 * mscale_all_dim); 0 = absent
  float attn_factor;
  float beta_fast, beta_slow;
} pm_rope_config;

// YaRN (Peng et al. 2023, arXiv 2309.00071) as DeepSeek-V2 uses it: frequencies, magnitude, and the factor on the attention scale.
pm_status pm_rope_init(pm_rope_table *t, const pm_rope_config *c, double *attention_factor) PM_MUST_USE;

#endif
