// NEON with the dot product extension: chosen by the compiler options of this file.
#include "lanes_neon.inc"
#include "mm_common.h"

#include "mm_unpack.inc"

#include "mm_q8.inc"

#include "mm_f32.inc"

#include "mm_rows.inc"
