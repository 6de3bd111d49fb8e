#include "lanes_avx512.inc"

#include "mm_kernels.inc"
