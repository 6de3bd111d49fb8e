// y[r][b] (+)= W[b] x[r][b], or silu(W x) * (W_up x), for a few rows: every weight is read once per ROWS rows.
// Groups: (blocks of outputs, blocks of ROWS rows, batch items).

#include "abi/matvec.h"
#include "op/dot.glsl"

layout(constant_id = 5) const bool GATED = false;
layout(constant_id = 6) const bool ACCUMULATE = false;

layout(push_constant) uniform Push { pm_push_matvec p; };

void main() {
  uint n_row = p.logits != 0 ? step_logits() : step_rows();
  uint row = gl_WorkGroupID.y * ROWS, batch = gl_WorkGroupID.z;
  if (row >= n_row) return;

  uint lane = invocation() % LANES;
  uint out_first = (gl_WorkGroupID.x * (gl_WorkGroupSize.x / LANES) + invocation() / LANES) * OUTS;
  uint rows[OUTS], x_at[ROWS];  // past the end: the last output again, not written
  [[unroll]] for (uint o = 0; o < OUTS; o++) rows[o] = batch * p.w.slab + min(out_first + o, p.w.n_out - 1) * p.w.row;
  [[unroll]] for (uint n = 0; n < ROWS; n++) x_at[n] = p.x.at + min(row + n, n_row - 1) * p.x.row + batch * p.x.batch;

  sums acc, up;
  [[unroll]] for (uint i = 0; i < N_ACC; i++) acc.v[i] = up.v[i] = 0.0;
  dot_rows(acc, matrix(p.w.arena, p.w.at), rows, x_at, p.w.n_unit, p.w.n_in, lane);
  sum_lanes(acc);
  if (GATED) {
    dot_rows(up, matrix(p.up_arena, p.up_at), rows, x_at, p.w.n_unit, p.w.n_in, lane);
    sum_lanes(up);
  }
  if (lane != 0) return;
  [[unroll]] for (uint o = 0; o < OUTS; o++)
    [[unroll]] for (uint n = 0; n < ROWS; n++)
      if (out_first + o < p.w.n_out && row + n < n_row) {
        uint y = p.y.at + (row + n) * p.y.row + batch * p.y.batch + out_first + o;
        float v = acc.v[o * ROWS + n];
        if (GATED) v = silu(v) * up.v[o * ROWS + n];
        scratch.v[y] = ACCUMULATE ? scratch.v[y] + v : v;
      }
}
