#include "lanes_avx2.inc"

#include "mm_kernels.inc"
