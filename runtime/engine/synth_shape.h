// Inside of synth: shapes as a table, and the tensors and metadata that follow from them.
#ifndef PM_SYNTH_SHAPE_H
#define PM_SYNTH_SHAPE_H

#include "arena.h"
#include "gguf_write.h"
#include "quantize_mix.h"

typedef struct pm_synth_model {
  const char *name;
  const char *vocab;  // a row of synth_vocab.c
  uint32_t n_vocab, n_ctx, n_layer, n_dense, d_model, n_head;
  uint32_t q_lora, n_latent, n_nope, n_rope, n_value;  // MLA; q_lora 0: one query matrix
  uint32_t d_ff, d_ff_expert, n_expert, n_used, n_shared, n_group, n_group_used;
  bool sigmoid;  // router: sigmoid with a selection bias and normalised weights; otherwise softmax, as it is
  float scale, eps, theta;
  float yarn_factor, yarn_log;  // 0 = no scaling
  uint32_t yarn_ctx;
} pm_synth_model;

typedef struct pm_synth_tensor {
  char name[64];
  pm_type type;
  uint32_t n_dim;
  uint64_t ne[3];
  float deviation;  // of its random values; 0 = all ones
} pm_synth_tensor;

const pm_synth_model *pm_synth_model_find(const char *name);  // NULL if there is no such name

// The tensors of the first n_layer layers and of what surrounds them, in file order; NULL when memory is short.
pm_synth_tensor *pm_synth_tensors(const pm_synth_model *m, const pm_mix *mix, uint32_t n_layer, pm_arena *arena, uint32_t *n);

void pm_synth_put_metadata(pm_gguf_writer *w, const pm_synth_model *m, const pm_mix *mix, uint32_t n_layer);

// A small byte-level vocabulary padded to n_vocab, its merges, special tokens and chat template.
pm_status pm_synth_put_vocab(pm_gguf_writer *w, const char *vocab, uint32_t n_vocab) PM_MUST_USE;

#endif
