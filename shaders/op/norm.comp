// y[r] = x[r] / sqrt(mean(x[r]^2) + eps) * weight. One workgroup per row.

#include "abi/rows.h"
#include "op/reduce.glsl"

layout(push_constant) uniform Push { pm_push_norm p; };

void main() {
  uint row = gl_WorkGroupID.x;
  if (row >= (p.logits != 0 ? step_logits() : step_rows())) return;
  uint x = p.x_at + (p.logits != 0 ? step_logit_row(row) : row) * p.x_row, y = p.y_at + row * p.y_row;

  float squares = 0.0;
  for (uint i = gl_LocalInvocationID.x; i < p.n; i += gl_WorkGroupSize.x) squares += scratch.v[x + i] * scratch.v[x + i];
  float scale = 1.0 / sqrt(workgroup_sum(squares) / float(p.n) + p.eps);
  for (uint i = gl_LocalInvocationID.x; i < p.n; i += gl_WorkGroupSize.x)
    scratch.v[y + i] = scratch.v[x + i] * scale * uintBitsToFloat(weights4[p.weight_arena].v[p.weight_at + i]);
}
