// Products of weight rows with rows of values, for the kernels that read every weight once (matvec, experts).
//
// LANES consecutive invocations share OUTS output rows: each takes every LANES-th unit of 32 weights of all OUTS rows, so that a
// lane has OUTS independent loads in flight and the values of x are fetched once for all of them. ROWS rows of x are multiplied
// with each unit while it is in registers.

layout(constant_id = 1) const uint SUBGROUP = 32;  // invocations of a subgroup
layout(constant_id = 2) const uint LANES = 32;     // per output row; a power of two, divides the workgroup
layout(constant_id = 3) const uint OUTS = 4;       // output rows per lane
layout(constant_id = 4) const uint ROWS = 1;       // rows of x

#include "op/load.glsl"
#include "op/reduce.glsl"

const uint N_ACC = OUTS * ROWS;

struct sums { float v[N_ACC]; };   // of output o and row n at o * ROWS + n

#ifdef NEED_DOT8
#include "op/dot_fixed.glsl"
#else
#include "op/dot_float.glsl"
#endif

shared float partial[LANES > SUBGROUP ? gl_WorkGroupSize.x / SUBGROUP * N_ACC : 1];

// Sums every accumulator over the lanes of an output row; called by whole workgroups.
void sum_lanes(inout sums acc) {
  [[unroll]] for (uint i = 0; i < N_ACC; i++) acc.v[i] = subgroup_lanes_sum(acc.v[i], min(LANES, SUBGROUP));
  if (LANES <= SUBGROUP) return;
  barrier();  // of an earlier call's reads
  if (gl_SubgroupInvocationID == 0)
    [[unroll]] for (uint i = 0; i < N_ACC; i++) partial[gl_SubgroupID * N_ACC + i] = acc.v[i];
  barrier();
  uint n = max(LANES / SUBGROUP, 1), first = gl_SubgroupID / n * n;
  [[unroll]] for (uint i = 0; i < N_ACC; i++) {
    acc.v[i] = 0.0;
    for (uint s = first; s < first + n; s++) acc.v[i] += partial[s * N_ACC + i];
  }
}
