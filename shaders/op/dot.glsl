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
struct values32 { vec4 v[8]; };

// The 32 values of x that belong to unit u.
values32 load_x(uint at, uint u, uint n_in) {
  values32 x;
  [[unroll]] for (uint i = 0; i < 8; i++) x.v[i] = load_x4(at, unit_run(u, i / 4) + 4 * (i & 3u), n_in);
  return x;
}

float unit_dot(raw_unit raw, uint u, values32 x) {
  vec2 q = vec2(0.0), s = vec2(0.0);
  [[unroll]] for (uint i = 0; i < 8; i++) {
    q[i / 4] += dot(unit_values(raw, u, i), x.v[i]);
    if (HAS_OFFSET != 0) s[i / 4] += dot(x.v[i], vec4(1.0));
  }
  float sum = dot(unit_scale(raw, u), q);
  return HAS_OFFSET != 0 ? sum + dot(unit_offset(raw, u), s) : sum;
}

// acc += products of this lane's units; `at` is the first unit row of each output, x_at the first value of each row of x.
void dot_rows(inout sums acc, uint arena, uint at[OUTS], uint x_at[ROWS], uint n_unit, uint n_in, uint lane) {
  for (uint u = lane; u < n_unit; u += LANES) {
    raw_unit raw[OUTS];
    [[unroll]] for (uint o = 0; o < OUTS; o++) raw[o] = unit_load(arena, at[o], n_unit, u);
    [[unroll]] for (uint n = 0; n < ROWS; n++) {
      values32 x = load_x(x_at[n], u, n_in);
      [[unroll]] for (uint o = 0; o < OUTS; o++) acc.v[o * ROWS + n] += unit_dot(raw[o], u, x);
    }
  }
}

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
