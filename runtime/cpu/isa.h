// One table of matrix-product kernels per instruction set, and the choice among them. Internal to runtime/cpu.
//
// Every path computes the same expression in the same order (mm_q8.inc, mm_f32.inc), so that results are equal bit for bit on
// every path, for a row alone or in a batch, and for any split of the outputs.
#ifndef PM_CPU_ISA_H
#define PM_CPU_ISA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels.h"

enum {
  PM_CPU_UNIT = 128,      // input elements that the kernels take at a time: 4 groups of 32
  PM_CPU_TILE_MAX = 16,   // most outputs of one tile
  PM_CPU_BATCH_MAX = 128  // most rows of one tile
};

// 8-bit activations of one unit: x = scale[k / 32] * q[k]. Past the end of a row everything is 0.
typedef struct pm_cpu_act_unit {
  int8_t q[PM_CPU_UNIT];
  float scale[4];
  float sum[4];      // scale times the sum of the group's q: meets the minimum of Q4_K and Q5_K
  int16_t minus[8];  // -(sum of 16 q): meets the integer offset of formats that store q + offset
  uint8_t pad[16];   // to three cache lines
} pm_cpu_act_unit;
_Static_assert(sizeof(pm_cpu_act_unit) == 192, "three cache lines");

// `tile` consecutive outputs of n_row rows: out[r][i] = sum_k W[i][k] x[r][k].
typedef struct pm_cpu_tile {
  const uint8_t *w;  // row 0; row i is i * stride further
  size_t stride;     // bytes
  uint64_t n_in;
  const void *const *x;  // [n_row], n_row <= PM_CPU_BATCH_MAX
  uint32_t n_row;
  float *out;  // [n_row][tile]
} pm_cpu_tile;
typedef void pm_cpu_tile_fn(const pm_cpu_tile *t);

typedef struct pm_cpu_isa {
  const char *name;
  uint32_t tile;                                                             // outputs of a call, <= PM_CPU_TILE_MAX
  pm_cpu_tile_fn *run[PM_CPU_ACT_Q8 + 1][PM_TYPE_FP8 + 1];                   // [activations][weight type]; NULL where there is none
  void (*act_q8)(const float *src, pm_cpu_act_unit *dst, uint64_t n);        // ceil(n / 128) units
  void (*silu_mul)(const float *gate, const float *up, float *y, size_t n);  // y = gate / (1 + exp(-gate)) * up
} pm_cpu_isa;

extern const pm_cpu_isa pm_cpu_isa_plain;
#if defined(__x86_64__)
extern const pm_cpu_isa pm_cpu_isa_avx2, pm_cpu_isa_avx512;
#elif defined(__aarch64__)
extern const pm_cpu_isa pm_cpu_isa_neon, pm_cpu_isa_neon_dot;
#endif

// The best path of this machine; found at the first call.
const pm_cpu_isa *pm_cpu_isa_get(void);

// For tests: uses the path of that name from now on (NULL = the best); false if this machine or build has no such path.
bool pm_cpu_isa_force(const char *name);

// Path i that can run here, from the plain one up; NULL past the end.
const pm_cpu_isa *pm_cpu_isa_row(uint32_t i);

#endif
