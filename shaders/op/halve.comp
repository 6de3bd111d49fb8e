// Rows of x as halves for matmul_coop, scaled by a power of two so that the largest value of a row is below 2^15: activations may exceed
// what a half can hold. A row of y is 16 words for each 32 values, zeros past the end of x, then what its products have to be multiplied
// by. One workgroup per row of a batch item: (rows, batch items).

#include "abi/halve.h"
#include "op/reduce.glsl"

layout(push_constant) uniform Push { pm_push_halve p; };

vec4 load(uint x, uint i) { return i < p.n ? scratch16.v[(x + i) / 4] : vec4(0.0); }

void main() {
  uint row = gl_WorkGroupID.x, item = gl_WorkGroupID.y, self = gl_LocalInvocationID.x, by = gl_WorkGroupSize.x;
  if (row >= (p.logits != 0 ? step_logits() : step_rows())) return;
  uint x = p.x.at + row * p.x.row + item * p.x.batch, y = p.y.at + row * p.y.row + item * p.y.batch;

  float most = 0.0;
  for (uint i = 4 * self; i < p.n; i += 4 * by) {
    vec4 v = abs(load(x, i));
    most = max(most, max(max(v.x, v.y), max(v.z, v.w)));
  }
  uint exponent = clamp(floatBitsToUint(workgroup_max(most)) >> 23, 16u, 240u);  // most < 2^(exponent - 126)
  float scale = uintBitsToFloat((268 - exponent) << 23);                        // 2^(141 - exponent)
  for (uint i = 4 * self; i < 32 * p.n_unit; i += 4 * by) {
    vec4 v = scale * load(x, i);
    scratch_u.v[y + i / 2] = float_to_half(v.x) | float_to_half(v.y) << 16;
    scratch_u.v[y + i / 2 + 1] = float_to_half(v.z) | float_to_half(v.w) << 16;
  }
  if (self == 0) scratch.v[y + 16 * p.n_unit] = 1.0 / scale;
}
