#include "lanes_plain.inc"

#include "mm_kernels.inc"
