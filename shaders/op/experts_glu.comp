// y[r][k] = silu(gate_e x[r]) * (up_e x[r]), or gate_e x[r] alone, with e = ids[r][k]. For a few rows.
// Nothing for experts that are nowhere: those are the host's. Groups: (blocks of outputs, n_used, rows).

#include "abi/matvec.h"
#include "op/dot.glsl"

layout(constant_id = 5) const bool GATED = true;

layout(push_constant) uniform Push { pm_push_experts p; };

void main() {
  uint k = gl_WorkGroupID.y, row = gl_WorkGroupID.z;
  if (row >= step_rows()) return;

  uint expert = scratch_u.v[p.ids_at + row * p.ids_row + k];
  if (is_nowhere(p.w.at + expert)) return;
  matrix gate = expert_matrix(p.w.at + expert), other = expert_matrix(p.up_at + expert);
  uint lane = invocation() % LANES;
  uint out_first = (gl_WorkGroupID.x * (gl_WorkGroupSize.x / LANES) + invocation() / LANES) * OUTS;
  uint rows[OUTS], x_at[ROWS];
  [[unroll]] for (uint o = 0; o < OUTS; o++) rows[o] = min(out_first + o, p.w.n_out - 1) * p.w.row;
  [[unroll]] for (uint n = 0; n < ROWS; n++) x_at[n] = p.x.at + row * p.x.row;

  sums acc, up;
  [[unroll]] for (uint i = 0; i < N_ACC; i++) acc.v[i] = up.v[i] = 0.0;
  dot_rows(acc, gate, rows, x_at, p.w.n_unit, p.w.n_in, lane);
  sum_lanes(acc);
  if (GATED) {
    dot_rows(up, other, rows, x_at, p.w.n_unit, p.w.n_in, lane);
    sum_lanes(up);
  }
  if (lane != 0) return;
  [[unroll]] for (uint o = 0; o < OUTS; o++)
    if (out_first + o < p.w.n_out) {
      float v = acc.v[o];
      if (GATED) v = silu(v) * up.v[o];
      scratch.v[p.y.at + row * p.y.row + k * p.y.batch + out_first + o] = v;
    }
}
