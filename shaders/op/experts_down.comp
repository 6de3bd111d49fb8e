// y[r] += sum over k of weights[r][k] * (down_e x[r][k]) with e = ids[r][k], k in order, without experts that are nowhere. For a few rows.
// Groups: (blocks of outputs, 1, rows).

#include "abi/matvec.h"
#include "op/dot.glsl"

layout(push_constant) uniform Push { pm_push_experts p; };

void main() {
  uint row = gl_WorkGroupID.z;
  if (row >= step_rows()) return;

  uint lane = invocation() % LANES;
  uint out_first = (gl_WorkGroupID.x * (gl_WorkGroupSize.x / LANES) + invocation() / LANES) * OUTS;
  sums total;
  [[unroll]] for (uint i = 0; i < N_ACC; i++) total.v[i] = 0.0;
  for (uint k = 0; k < p.n_used; k++) {
    uint expert = scratch_u.v[p.ids_at + row * p.ids_row + k];
    if (is_nowhere(p.w.at + expert)) continue;
    matrix down = expert_matrix(p.w.at + expert);
    uint rows[OUTS], x_at[ROWS];
    [[unroll]] for (uint o = 0; o < OUTS; o++) rows[o] = min(out_first + o, p.w.n_out - 1) * p.w.row;
    [[unroll]] for (uint n = 0; n < ROWS; n++) x_at[n] = p.x.at + row * p.x.row + k * p.x.batch;
    sums acc;
    [[unroll]] for (uint i = 0; i < N_ACC; i++) acc.v[i] = 0.0;
    dot_rows(acc, down, rows, x_at, p.w.n_unit, p.w.n_in, lane);
    float weight = scratch.v[p.weights_at + row * p.weights_row + k];
    [[unroll]] for (uint i = 0; i < N_ACC; i++) total.v[i] += weight * acc.v[i];
  }
  sum_lanes(total);
  if (lane != 0) return;
  [[unroll]] for (uint o = 0; o < OUTS; o++)
    if (out_first + o < p.w.n_out) scratch.v[p.y.at + row * p.y.row + out_first + o] += total.v[o];
}
