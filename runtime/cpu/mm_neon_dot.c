// NEON with the dot product extension, which the options of this file allow.
#include "lanes_neon.inc"

#include "mm_kernels.inc"
