// Model families: what a file must hold and which ops a step of it takes. A family is a row of archs.def and one arch_<name>.c.
#ifndef PM_MODEL_H
#define PM_MODEL_H

#include "block.h"
#include "model_file.h"

enum { PM_MAX_ROPE_PAIRS = 256 };

// Angle of pair i at position p: p * inv_freq[i]; cosine and sine are multiplied by magnitude.
typedef struct pm_rope_table {
  uint32_t n_pair;
  double inv_freq[PM_MAX_ROPE_PAIRS];
  double magnitude;
} pm_rope_table;

// Hyper-parameters, in the words of the glossary (architecture names of GGUF keys: model-format, section 2).
typedef struct pm_config {
  uint32_t n_layer;       // that are run: block_count without appended MTP layers
  uint32_t n_layer_file;  // block_count
  uint32_t n_vocab, n_ctx_train, d_model, n_head, d_ff;
  uint32_t q_lora, n_latent, n_rope, n_nope, n_value;  // MLA; q_lora 0: one query matrix
  uint32_t n_layer_dense, n_expert, n_expert_used, n_expert_shared, d_ff_expert, n_group, n_group_used;
  pm_gating gating;
  bool expert_normalize;
  bool latent_file;  // k_b and v_b are stored apart (MLA file); otherwise the legacy kv_b
  float expert_scale, eps;
  double attention_scale;
  pm_rope_table rope;
} pm_config;

typedef struct pm_arch pm_arch;

typedef struct pm_model {
  const pm_model_file *file;
  const pm_arch *arch;
  pm_config config;
  bool exact;    // tensors converted at load are kept in f32
  void **owned;  // their memory
  uint32_t n_owned;
} pm_model;

struct pm_arch {
  const char *name;  // general.architecture
  pm_status (*configure)(const pm_model_file *file, pm_config *c);
  // Binds every tensor (checking type and shape) and appends a step's ops. kv_type is F16 or F32.
  pm_status (*build)(pm_model *m, pm_type kv_type, uint32_t n_cell, pm_program *p);
};

// Recognises the family and reads its hyper-parameters. `file` must outlive the model.
pm_status pm_model_init(pm_model *m, const pm_model_file *file, bool exact) PM_MUST_USE;
void pm_model_finish(pm_model *m);

// Builds the program of one step for up to max_rows rows, max_logits of which may want logits, over a cache of n_cell cells.
pm_status pm_model_build(pm_model *m, uint32_t max_rows, uint32_t max_logits, pm_type kv_type, uint32_t n_cell, pm_program *p) PM_MUST_USE;

// Cosine and sine of every pair at position pos: out [n_pair][2]. Computed in double, since shaders' sines are not good enough.
void pm_rope_fill(const pm_rope_table *r, uint32_t pos, float *out);

#endif
