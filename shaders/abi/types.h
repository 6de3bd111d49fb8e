// How one header reads as C and as GLSL: 32-bit words only, so that both lay a struct out alike.
#ifndef PM_ABI_TYPES_H
#define PM_ABI_TYPES_H

#ifdef VULKAN
#define PM_STRUCT(name) struct name
#define PM_U32 uint
#define PM_F32 float
#else
#include <stdint.h>
#define PM_STRUCT(name)     \
  typedef struct name name; \
  struct name
#define PM_U32 uint32_t
#define PM_F32 float
#endif

#endif
