#include <immintrin.h>

enum { VEC = 16, CELLS = 4, COLUMNS = 4 };

static inline __m512 load_f16(const unsigned short *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }

#include "loops_body.inc"

const pm_cpu_loops pm_cpu_loops_avx512 = LOOP_TABLE;
