// Rows of x in fixed point for dot_fixed.glsl. A run of 16 values is 16 high bytes, then 16 low ones, all signed: 256 * high + low is the
// value over the run's scale. A row of y is the bytes of all runs, then scale and sum of each. One workgroup per row of a batch item:
// (rows, batch items).

#include "abi/halve.h"

layout(push_constant) uniform Push { pm_push_halve p; };

void main() {
  uint row = gl_WorkGroupID.x, item = gl_WorkGroupID.y;
  if (row >= (p.logits != 0 ? step_logits() : step_rows())) return;
  uint x = p.x.at + row * p.x.row + item * p.x.batch, y = p.y.at + row * p.y.row + item * p.y.batch;

  for (uint run = gl_LocalInvocationID.x; run < 2 * p.n_unit; run += gl_WorkGroupSize.x) {
    vec4 v[4], sum = vec4(0.0), most = vec4(1e-30);
    [[unroll]] for (uint i = 0; i < 4; i++) {
      v[i] = scratch16.v[x / 4 + 4 * run + i];
      sum += v[i];
      most = max(most, abs(v[i]));
    }
    float scale = max(max(most.x, most.y), max(most.z, most.w)) / 32512.0;  // 127 * 256: the highest byte is 127
    [[unroll]] for (uint i = 0; i < 4; i++) {
      ivec4 q = ivec4(roundEven(v[i] / scale));
      scratch_u.v[y + 8 * run + i] = pack_bytes((q + 128) >> 8);
      scratch_u.v[y + 8 * run + 4 + i] = pack_bytes(q);
    }
    scratch.v[y + 16 * p.n_unit + 2 * run] = scale;
    scratch.v[y + 16 * p.n_unit + 2 * run + 1] = dot(sum, vec4(1.0));
  }
}
