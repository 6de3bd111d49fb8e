// Pairs turned by the angles of the row's position. One invocation per pair. Groups: (blocks of pairs of all items, rows).

#include "abi/rows.h"

layout(push_constant) uniform Push { pm_push_rope p; };

void main() {
  uint row = gl_WorkGroupID.y, item = gl_GlobalInvocationID.x / p.n_pair, pair = gl_GlobalInvocationID.x % p.n_pair;
  if (row >= step_rows() || item >= p.n_batch) return;
  uint x = p.x.at + row * p.x.row + item * p.x.batch + 2 * pair, y = p.y.at + row * p.y.row + item * p.y.batch + 2 * pair;
  vec2 v = step_rotate(row, pair, vec2(scratch.v[x], scratch.v[x + 1]));
  scratch.v[y] = v.x;
  scratch.v[y + 1] = v.y;
}
