// A Hugging Face folder made from a GGUF file, and the same weights as a GGUF file of floats. The writer shares no code with the loader: it
// has its own tables of names, its own rounding and its own order of things.
#ifndef PM_TEST_HF_FOLDER_H
#define PM_TEST_HF_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

typedef enum hf_weights { HF_F32, HF_BF16, HF_FP8 } hf_weights;

typedef struct hf_options {
  hf_weights weights;  // of matrices; vectors are BF16, selection biases F32; FP8 leaves embedding, head and router in BF16
  uint32_t n_shard;    // 1: model.safetensors; more: with an index, tensors dealt out in turn
  bool newer;          // merges as pairs, rope_parameters, a template in a file of its own
} hf_options;

// Ends the program if something fails. `source`: a deepseek2 file. `twin`: the GGUF file to write, in the legacy
// form, or NULL.
void hf_write(const char *source, const char *folder, const hf_options *o, const char *twin);

#endif
