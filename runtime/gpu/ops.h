// What the ops_*.c files share: from tensors and views to push constants, and one function per op.
#ifndef PM_GPU_OPS_H
#define PM_GPU_OPS_H

#include "pick.h"
#include "record.h"
#include "weight.h"

#define PM_OP(NAME, member, text) pm_gpu_op_fn pm_gpu_op_##member;
#include "ops.def"
#undef PM_OP

// Whole tensors and views as shaders address them: scratch in 4-byte, weights in 16-byte units.
static inline uint32_t pm_gpu_word(const pm_tensor *t) { return (uint32_t)(t->place.offset / 4); }
pm_push_view pm_gpu_push_view(const pm_view *v);
pm_push_weight pm_gpu_push_weight(const pm_tensor *w);

// Whether vec4 loads may serve a view whose items are a multiple of `n` values.
bool pm_gpu_is_wide(const pm_view *v, uint32_t n);

// "kernel.FORMAT" into a buffer of the caller.
typedef struct pm_gpu_name {
  char text[64];
} pm_gpu_name;
pm_gpu_name pm_gpu_kernel_name(const char *kernel, pm_type type);

static inline uint32_t pm_gpu_groups(uint64_t n, uint64_t per) { return (uint32_t)((n + per - 1) / per); }

#endif
