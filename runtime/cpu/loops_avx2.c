#include <immintrin.h>

enum { VEC = 8, CELLS = 2, COLUMNS = 2 };

static inline __m256 load_f16(const unsigned short *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }

#include "loops_body.inc"

const pm_cpu_loops pm_cpu_loops_avx2 = LOOP_TABLE;
