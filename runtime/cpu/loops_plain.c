// Four floats at a time, and the choice between the instruction sets.
#include "backend.h"
#include "half.h"
#if defined(__aarch64__)  // 32 registers
#include <arm_neon.h>
enum { VEC = 4, CELLS = 4, COLUMNS = 4 };
static inline float32x4_t load_f16(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
#else
enum { VEC = 4, CELLS = 2, COLUMNS = 2 };
typedef float four __attribute__((vector_size(16)));
static inline four load_f16(const uint16_t *p) {
  return (four){pm_f16_to_f32(p[0]), pm_f16_to_f32(p[1]), pm_f16_to_f32(p[2]), pm_f16_to_f32(p[3])};
}
#endif

#include "loops_body.inc"

const pm_cpu_loops pm_cpu_loops_plain = LOOP_TABLE;

// The same path as the matrix products, so that a test that forces one forces both.
const pm_cpu_loops *pm_cpu_loops_get(void) {
#if defined(__x86_64__)
  if (!strcmp(pm_cpu_path_name(), "AVX-512 VNNI")) return &pm_cpu_loops_avx512;
  if (!strcmp(pm_cpu_path_name(), "AVX2")) return &pm_cpu_loops_avx2;
#endif
  return &pm_cpu_loops_plain;
}
