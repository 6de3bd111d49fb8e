// IQ3_XXS. File block of 256 values in 98 bytes: d f16 | for each 4 values a point 64 | for each 32 values u32: 4 x 7 sign bits and a scale
// of 4 bits. Device row: d of all blocks, zero-filled to 16 bytes | the other 96 bytes of every block. Unit = 32 values in order.
// value = d / 4 * (2 * scale + 1) * coordinate.
#define WORDS 256
// Coordinates of the alphabet 4, 12, 20, 28, 36, 44, 52, 62 as bytes.
#define DIGIT(p, i) ((4 + 8 * ((p >> 3 * (i)) & 7) + ((p >> 3 * (i)) & 7) / 7 * 2) << 8 * (i))
#define P(a, b) DIGIT(a, 0) | DIGIT(a, 1) | DIGIT(a, 2) | DIGIT(a, 3), DIGIT(b, 0) | DIGIT(b, 1) | DIGIT(b, 2) | DIGIT(b, 3),
const uint points[WORDS] = {
#include "grid_iq3_xxs.inc"
};
#include "quant/grid.glsl"

struct raw_unit { uvec2 index; uint signs, d; };

uint unit_run(uint u, uint h) { return 32 * u + 16 * h; }

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  uint block = 4 * (row + (n_unit / 8 + 7) / 8) + 24 * (u / 8), at = block + 2 * (u & 7u);
  return raw_unit(uvec2(weights4[arena].v[at], weights4[arena].v[at + 1]), weights4[arena].v[block + 16 + (u & 7u)],
                  weights4[arena].v[4 * row + u / 16]);
}

uint unit_index(raw_unit raw, uint i) { return (raw.index[i / 4] >> (8 * (i & 3u))) & 255u; }
uint unit_signs(raw_unit raw, uint i) { return even_signs(raw.signs >> (7 * (i / 2))); }
vec4 unit_values(raw_unit raw, uint u, uint i) {
  uint at = unit_index(raw, i), signs = unit_signs(raw, i);
  return signed_values(bytes(grid[at]), signs >> (4 * (i & 1u)));
}
uint unit_bytes(raw_unit raw, uint u, uint i) { return signed_bytes_of(grid[unit_index(raw, i)], unit_signs(raw, i) >> (4 * (i & 1u))); }

vec2 unit_scale(raw_unit raw, uint u) {
  return vec2(half_to_float((raw.d >> (16 * ((u / 8) & 1u))) & 0xffffu) * float(2 * (raw.signs >> 28) + 1) / 4.0);
}
vec2 unit_offset(raw_unit raw, uint u) { return vec2(0.0); }
