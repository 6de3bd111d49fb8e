// IQ1_M. File block of 256 values in 56 bytes: for each 8 values the low 8 bits of a point 32 | their 3 high bits and the sign of their
// shift 16 | 4 x u16: 4 scales of 3 bits each, and d f16 in the high nibbles. Device row: the last 8 bytes of all blocks, zero-filled to 16
// bytes | 16 bytes of every block | the low bits of every block = 2 words of 16 bytes. Unit = 32 values in order.
// value = d * (2 * scale + 1) * (coordinate +- 1/8).
#define WORDS 1024
#define P(a, b) a | b << 16,
const uint points[WORDS] = {
#include "grid_iq1_s.inc"
};
#include "quant/digits.glsl"
#include "quant/grid.glsl"

struct raw_unit { uint index, high; uvec2 scales; };

uint unit_run(uint u, uint h) { return 32 * u + 16 * h; }

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  uint n_block = n_unit / 8, middle = row + (n_block + 1) / 2, scales = 4 * row + 2 * (u / 8);
  return raw_unit(weights4[arena].v[4 * (middle + n_block) + u], weights4[arena].v[4 * middle + u / 2] >> (16 * (u & 1u)),
                  uvec2(weights4[arena].v[scales], weights4[arena].v[scales + 1]));
}

vec4 unit_values(raw_unit raw, uint u, uint i) {
  uint e = i / 2, high = raw.high >> (4 * e), point = grid_point((raw.index >> (8 * e)) & 255u | (high & 7u) << 8);
  return bytes(spread_digits((point >> (8 * (i & 1u))) & 255u)) - ((high & 8u) != 0u ? 1.125 : 0.875);
}

vec2 unit_scale(raw_unit raw, uint u) {
  uvec2 tops = ((raw.scales >> 12) & 15u) | ((raw.scales >> 28) << 4);
  uint four = ((u & 4u) == 0u ? raw.scales.x : raw.scales.y) >> (8 * (u & 2u) + 6 * (u & 1u));
  return half_to_float(tops.x | tops.y << 8) * vec2(2 * (uvec2(four, four >> 3) & 7u) + 1u);
}
vec2 unit_offset(raw_unit raw, uint u) { return vec2(0.0); }
