// IQ2_XXS. File block of 256 values in 66 bytes: d f16 | for each 32 values 4 points, and 4 x 7 sign bits and a scale of 4 bits in u32.
// Device row: d of all blocks, zero-filled to 16 bytes | the other 64 bytes of every block. Unit = 32 values in order.
// value = d / 8 * (2 * scale + 1) * coordinate.
#define WORDS 512
// Coordinates of the alphabet 8, 25, 43 as bytes, two words to a point.
#define DIGIT(p, i) ((8 + 17 * ((p >> 2 * (i)) & 3) + ((p >> 2 * (i) + 1) & 1)) << 8 * ((i) % 4))
#define P(a, b) DIGIT(a, 0) | DIGIT(a, 1) | DIGIT(a, 2) | DIGIT(a, 3), DIGIT(a, 4) | DIGIT(a, 5) | DIGIT(a, 6) | DIGIT(a, 7), \
                DIGIT(b, 0) | DIGIT(b, 1) | DIGIT(b, 2) | DIGIT(b, 3), DIGIT(b, 4) | DIGIT(b, 5) | DIGIT(b, 6) | DIGIT(b, 7),
const uint points[WORDS] = {
#include "grid_iq2_xxs.inc"
};
#include "quant/grid.glsl"

struct raw_unit { uint index, signs, d; };

uint unit_run(uint u, uint h) { return 32 * u + 16 * h; }

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  uint at = 4 * (row + (n_unit / 8 + 7) / 8) + 2 * u;
  return raw_unit(weights4[arena].v[at], weights4[arena].v[at + 1], weights4[arena].v[4 * row + u / 16]);
}

uint unit_index(raw_unit raw, uint i) { return 2 * ((raw.index >> (4 * (i & 6u))) & 255u) + (i & 1u); }
uint unit_signs(raw_unit raw, uint i) { return even_signs(raw.signs >> (7 * (i / 2))); }
vec4 unit_values(raw_unit raw, uint u, uint i) {
  uint at = unit_index(raw, i), signs = unit_signs(raw, i);
  return signed_values(bytes(grid[at]), signs >> (4 * (i & 1u)));
}
uint unit_bytes(raw_unit raw, uint u, uint i) { return signed_bytes_of(grid[unit_index(raw, i)], unit_signs(raw, i) >> (4 * (i & 1u))); }

vec2 unit_scale(raw_unit raw, uint u) {
  return vec2(half_to_float((raw.d >> (16 * ((u / 8) & 1u))) & 0xffffu) * float(2 * (raw.signs >> 28) + 1) / 8.0);
}
vec2 unit_offset(raw_unit raw, uint u) { return vec2(0.0); }
