// IQ2_XS. File block of 256 values in 74 bytes: d f16 | for each 8 values u16: a point of 9 and signs of 7 bits | 16 scales of 4 bits.
// Device row: d of all blocks, zero-filled to 16 bytes | scales of all blocks, zero-filled to 16 bytes | 64 bytes of every block.
// Unit = 32 values in order. value = d / 8 * (2 * scale + 1) * coordinate.
#define POINTS 512
#define P(a, b) a | b << 16,
const uint points[POINTS / 2] = {
#include "grid_iq2_xs.inc"
};
#include "quant/grid.glsl"

struct raw_unit { uvec2 q; uint scales, d; };

uint unit_run(uint u, uint h) { return 32 * u + 16 * h; }

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  uint n_block = n_unit / 8, scales = row + (n_block + 7) / 8, at = 4 * (scales + (n_block + 1) / 2) + 2 * u;
  return raw_unit(uvec2(weights4[arena].v[at], weights4[arena].v[at + 1]), weights4[arena].v[4 * scales + u / 4],
                  weights4[arena].v[4 * row + u / 16]);
}

vec4 unit_values(raw_unit raw, uint u, uint i) {
  uint eight = raw.q[i / 4] >> (8 * (i & 2u));
  return signed_values(grid_values2(grid_point(eight & 511u) >> (8 * (i & 1u))), even_signs(eight >> 9) >> (4 * (i & 1u)));
}

vec2 unit_scale(raw_unit raw, uint u) {
  uint scale = raw.scales >> (8 * (u & 3u));
  return half_to_float((raw.d >> (16 * ((u / 8) & 1u))) & 0xffffu) * vec2(2 * (uvec2(scale, scale >> 4) & 15u) + 1u) / 8.0;
}
vec2 unit_offset(raw_unit raw, uint u) { return vec2(0.0); }
