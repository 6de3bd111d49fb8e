// out[r] = decoded row token[r] of the table. One invocation per unit of 32 weights. Groups: (blocks of units, rows).

#include "abi/rows.h"

layout(push_constant) uniform Push { pm_push_embed p; };

void main() {
  uint row = gl_WorkGroupID.y, u = gl_GlobalInvocationID.x;
  if (row >= step_rows() || u >= p.table.n_unit) return;
  raw_unit raw = unit_load(p.table.arena, p.table.at + step_row(row).token * p.table.row, p.table.n_unit, u);
  vec2 scale = unit_scale(raw, u), offset = unit_offset(raw, u);
  [[unroll]] for (uint i = 0; i < 8; i++) {
    uint at = unit_run(u, i / 4) + 4 * (i & 3u);
    vec4 w = scale[i / 4] * unit_values(raw, u, i) + offset[i / 4];
    [[unroll]] for (uint k = 0; k < 4; k++)
      if (at + k < p.table.n_in) scratch.v[p.y_at + row * p.y_row + at + k] = w[k];
  }
}
