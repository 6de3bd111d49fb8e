// y = silu(y) * up, for gated products whose two matrices differ in type. Groups: (blocks of values, batch items, rows).

#include "abi/rows.h"

layout(push_constant) uniform Push { pm_push_glu p; };

void main() {
  uint i = gl_GlobalInvocationID.x, item = gl_WorkGroupID.y, row = gl_WorkGroupID.z;
  if (row >= (p.logits != 0 ? step_logits() : step_rows()) || i >= p.n) return;
  uint y = p.y.at + row * p.y.row + item * p.y.batch + i;
  scratch.v[y] = silu(scratch.v[y]) * scratch.v[p.up.at + row * p.up.row + item * p.up.batch + i];
}
