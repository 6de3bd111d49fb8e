// What every lanes_<isa>.inc begins with.
#ifndef PM_CPU_MM_COMMON_H
#define PM_CPU_MM_COMMON_H

#include "codebooks.h"
#include "half.h"
#include "isa.h"

#define INLINE static inline __attribute__((always_inline))

// Weights that are multiplied as floats, whatever the activations' usual form.
#define IS_FLOAT(type) ((type) == PM_TYPE_F32 || (type) == PM_TYPE_F16 || (type) == PM_TYPE_BF16 || (type) == PM_TYPE_FP8)

// Code that all formats share: compiled once, not once per format.
#define SHARED static __attribute__((noinline))

// The loop that follows has constant bounds and becomes straight code.
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

#endif
