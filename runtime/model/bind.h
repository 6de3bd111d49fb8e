// Finding a family's tensors in a file: a table of what is expected, against what is there.
#ifndef PM_BIND_H
#define PM_BIND_H

#include "model.h"

typedef struct pm_weight_rule {
  const char *name;  // GGUF name, after "blk.<layer>." in rules of layers
  uint32_t when;     // bits of the family's own conditions, all of which must hold
  bool optional;     // leaves the slot NULL when absent
  bool plain;        // must be F32: norms, biases
  uint8_t dim[3];    // indices into the family's list of dimensions; 0 = 1
  size_t slot;       // offset of a `const pm_tensor *` in the struct that is filled
} pm_weight_rule;

typedef struct pm_binder {
  pm_model *model;
  pm_program *program;
  const uint64_t *dims;  // dims[0] == 1
  uint32_t conditions;
  int32_t layer;  // -1: tensors outside the layers
} pm_binder;

// Finds, checks and adds to the program every tensor of the rules whose conditions hold.
pm_status pm_bind(const pm_binder *b, const pm_weight_rule *rules, size_t n_rule, void *slots) PM_MUST_USE;

// The file tensor `name` of the binder's layer, with its full name; NULL if absent.
const pm_file_tensor *pm_bind_find(const pm_binder *b, const char *name);

// Checks that `t` can be computed with and has this shape (ne[3] must be 1).
pm_status pm_bind_check(const pm_binder *b, const pm_file_tensor *t, const uint64_t ne[3], bool plain) PM_MUST_USE;

// Memory that lives as long as the model, for tensors made at load. NULL when short.
void *pm_bind_alloc(const pm_binder *b, size_t bytes);

#endif
