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

// sum + a . b, in this order: a compiler that is left to choose keeps products apart, each in a register.
float add_dot(float sum, vec4 a, vec4 b) { return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum)))); }

// Weights times scale plus offset cost less than the same for the sums of every row, once there are a few.
const bool SCALED = ROWS > 2;

// acc += products of this lane's units; `rows` is where the output rows begin in the matrix, x_at the first value of each row of x.
//
// A unit is taken in quarters, four values of each run: what is live at a time are the raw weights, a quarter of them decoded, and
// eight values of x. Compilers move loads up as far as registers allow, but do not find this order by themselves.
void dot_rows(inout sums acc, matrix w, uint rows[OUTS], uint x_at[ROWS], uint n_unit, uint n_in, uint lane) {
  for (uint u = lane; u < n_unit; u += LANES) {
    raw_unit raw[OUTS];
    vec2 q[N_ACC], s[ROWS];  // of both runs: products with plain values, and sums of x
    [[unroll]] for (uint o = 0; o < OUTS; o++) raw[o] = unit_load(w.arena, w.at + rows[o], n_unit, u);
    [[unroll]] for (uint k = 0; k < N_ACC; k++) q[k] = vec2(0.0);
    [[unroll]] for (uint n = 0; n < ROWS; n++) s[n] = vec2(0.0);
    [[unroll]] for (uint i = 0; i < 4; i++) {
      vec4 v[OUTS], v1[OUTS];
      [[unroll]] for (uint o = 0; o < OUTS; o++) {
        v[o] = unit_values(raw[o], u, i), v1[o] = unit_values(raw[o], u, 4 + i);
        if (SCALED) {
          vec2 scale = unit_scale(raw[o], u), offset = unit_offset(raw[o], u);
          v[o] = fma(v[o], scale.xxxx, offset.xxxx), v1[o] = fma(v1[o], scale.yyyy, offset.yyyy);
        }
      }
      [[unroll]] for (uint n = 0; n < ROWS; n++) {
        vec4 x = load_x4(x_at[n], unit_run(u, 0) + 4 * i, n_in), x1 = load_x4(x_at[n], unit_run(u, 1) + 4 * i, n_in);
        if (HAS_OFFSET != 0) s[n] += vec2(dot(x, vec4(1.0)), dot(x1, vec4(1.0)));
        [[unroll]] for (uint o = 0; o < OUTS; o++) {
          uint k = o * ROWS + n;
          if (SCALED)
            acc.v[k] = add_dot(add_dot(acc.v[k], v[o], x), v1[o], x1);
          else
            q[k] = vec2(add_dot(q[k].x, v[o], x), add_dot(q[k].y, v1[o], x1));
        }
      }
    }
    if (SCALED) continue;
    [[unroll]] for (uint o = 0; o < OUTS; o++) {
      vec2 scale = unit_scale(raw[o], u), offset = unit_offset(raw[o], u);
      [[unroll]] for (uint n = 0; n < ROWS; n++) {
        acc.v[o * ROWS + n] += dot(scale, q[o * ROWS + n]);
        if (HAS_OFFSET != 0) acc.v[o * ROWS + n] += dot(offset, s[n]);
      }
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
