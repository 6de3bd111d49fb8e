#include "lanes_neon.inc"

#include "mm_kernels.inc"
