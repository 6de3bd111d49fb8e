// Mixes: which format each tensor of a model gets. Inside of quantize.
#ifndef PM_QUANTIZE_MIX_H
#define PM_QUANTIZE_MIX_H

#include "model_file.h"

typedef struct pm_mix {
  const char *name;                 // "Q4_K_M"
  uint32_t file_type;               // general.file_type
  pm_type base, embedding, output;  // of most matrices; of the embedding table; of the last matrix
  pm_type stacked;                  // of tensors with three dimensions, whatever the rules say; NONE: as others
  bool wants_importances;           // so few bits that it is of little use without them
  const char *summary;              // for people
} pm_mix;

const pm_mix *pm_mix_row(uint32_t i);         // NULL past the end
const pm_mix *pm_mix_find(const char *name);  // not case-sensitive; NULL if there is none

// What the choice depends on besides the tensor.
typedef struct pm_mix_model {
  uint32_t n_layer;  // block_count
  bool tied;         // there is no output.weight: the embedding table is it
  bool imatrix;      // importances are known
} pm_mix_model;

// The format for a tensor. `fallback` (may be NULL) says whether its rows are not whole blocks of the one that the mix wants.
pm_type pm_mix_choose(const pm_mix *m, const pm_mix_model *model, const pm_file_tensor *t, bool *fallback);

#endif
