#include "lanes_avx512.inc"
#include "mm_common.h"

#include "mm_unpack.inc"

#include "mm_q8.inc"

#include "mm_f32.inc"

#include "mm_rows.inc"
