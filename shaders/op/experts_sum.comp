// y[r] += sum over k of weights[r][k] * x[r][k], k in order. Groups: (blocks of values, rows).

#include "abi/matmul.h"

layout(push_constant) uniform Push { pm_push_expert_sum p; };

void main() {
  uint i = gl_GlobalInvocationID.x, row = gl_WorkGroupID.y;
  if (row >= step_rows() || i >= p.n) return;
  float sum = 0.0;
  for (uint k = 0; k < p.n_used; k++)
    sum += scratch.v[p.weights_at + row * p.weights_row + k] * scratch.v[p.x.at + row * p.x.row + k * p.x.batch + i];
  scratch.v[p.y_at + row * p.y_row + i] += sum;
}
