// Cache row of row r: normalised latent, then rotated key. One workgroup per row; one invocation writes pairs of values.

#include "abi/rows.h"
#include "op/reduce.glsl"

layout(constant_id = 1) const bool HALF = true;  // cache of F16, two values per word

layout(push_constant) uniform Push { pm_push_mla_cache p; };

void put_pair(uint at, uint pair, vec2 v) {
  if (HALF) {
    cache4[p.kv_arena].v[at + pair] = float_to_half(v.x) | float_to_half(v.y) << 16;
  } else {
    cache4[p.kv_arena].v[at + 2 * pair] = floatBitsToUint(v.x);
    cache4[p.kv_arena].v[at + 2 * pair + 1] = floatBitsToUint(v.y);
  }
}

void main() {
  uint row = gl_WorkGroupID.x;
  if (row >= step_rows()) return;
  uint x = p.x_at + row * p.x_row;
  pm_row r = step_row(row);
  uint at = p.kv_at + (r.base + r.pos) * p.kv_row;

  float squares = 0.0;
  for (uint i = gl_LocalInvocationID.x; i < p.n_latent; i += gl_WorkGroupSize.x) squares += scratch.v[x + i] * scratch.v[x + i];
  float scale = 1.0 / sqrt(workgroup_sum(squares) / float(p.n_latent) + p.eps);
  for (uint i = gl_LocalInvocationID.x; i < (p.n_latent + p.n_rope) / 2; i += gl_WorkGroupSize.x) {
    vec2 v = vec2(scratch.v[x + 2 * i], scratch.v[x + 2 * i + 1]);
    if (2 * i < p.n_latent) {
      uint w = p.weight_at + 2 * i;
      v *= scale * vec2(uintBitsToFloat(weights4[p.weight_arena].v[w]), uintBitsToFloat(weights4[p.weight_arena].v[w + 1]));
    } else {
      v = step_rotate(row, i - p.n_latent / 2, v);
    }
    put_pair(at, i, v);
  }
}
