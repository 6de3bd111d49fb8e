// IQ2_XS. File block of 256 values in 74 bytes: d f16 | for each 8 values u16: a point of 9 and signs of 7 bits | 16 scales of 4 bits.
// Device row: d of all blocks, zero-filled to 16 bytes | scales of all blocks, zero-filled to 16 bytes | 64 bytes of every block.
// Unit = 32 values in order. value = d / 8 * (2 * scale + 1) * coordinate.
#define WORDS 1024
// Coordinates of the alphabet 8, 25, 43 as bytes, two words to a point.
#define DIGIT(p, i) ((8 + 17 * ((p >> 2 * (i)) & 3) + ((p >> 2 * (i) + 1) & 1)) << 8 * ((i) % 4))
#define P(a, b) DIGIT(a, 0) | DIGIT(a, 1) | DIGIT(a, 2) | DIGIT(a, 3), DIGIT(a, 4) | DIGIT(a, 5) | DIGIT(a, 6) | DIGIT(a, 7), \
                DIGIT(b, 0) | DIGIT(b, 1) | DIGIT(b, 2) | DIGIT(b, 3), DIGIT(b, 4) | DIGIT(b, 5) | DIGIT(b, 6) | DIGIT(b, 7),
const uint points[WORDS] = {
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

uint unit_eight(raw_unit raw, uint i) { return raw.q[i / 4] >> (8 * (i & 2u)); }
uint unit_point(raw_unit raw, uint i) { return grid[2 * (unit_eight(raw, i) & 511u) + (i & 1u)]; }
uint unit_signs(raw_unit raw, uint i) { return even_signs(unit_eight(raw, i) >> 9) >> (4 * (i & 1u)); }
vec4 unit_values(raw_unit raw, uint u, uint i) { return signed_values(bytes(unit_point(raw, i)), unit_signs(raw, i)); }
uint unit_bytes(raw_unit raw, uint u, uint i) { return signed_bytes_of(unit_point(raw, i), unit_signs(raw, i)); }

vec2 unit_scale(raw_unit raw, uint u) {
  uint scale = raw.scales >> (8 * (u & 3u));
  return half_to_float((raw.d >> (16 * ((u / 8) & 1u))) & 0xffffu) * vec2(2 * (uvec2(scale, scale >> 4) & 15u) + 1u) / 8.0;
}
vec2 unit_offset(raw_unit raw, uint u) { return vec2(0.0); }
