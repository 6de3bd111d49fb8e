// IQ1_S. File block of 256 values in 50 bytes: d f16 | for each 8 values the low 8 bits of a point 32 | for each 32 values u16: 4 x 3 high
// bits, a scale of 3, and the sign of their shift. Device row: d of all blocks, zero-filled to 16 bytes | 16 bytes of every block | the low
// bits of every block = 2 words of 16 bytes. Unit = 32 values in order. value = d * (2 * scale + 1) * (coordinate +- 1/8).
#define WORDS 1024
#define P(a, b) a | b << 16,
const uint points[WORDS] = {
#include "grid_iq1_s.inc"
};
#include "quant/digits.glsl"
#include "quant/grid.glsl"

struct raw_unit { uint index, high, d; };

uint unit_run(uint u, uint h) { return 32 * u + 16 * h; }

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  uint n_block = n_unit / 8, last = row + (n_block + 7) / 8;
  return raw_unit(weights4[arena].v[4 * (last + n_block) + u], weights4[arena].v[4 * last + u / 2] >> (16 * (u & 1u)),
                  weights4[arena].v[4 * row + u / 16]);
}

vec4 unit_values(raw_unit raw, uint u, uint i) {
  uint e = i / 2, point = grid_point((raw.index >> (8 * e)) & 255u | ((raw.high >> (3 * e)) & 7u) << 8);
  return bytes(spread_digits((point >> (8 * (i & 1u))) & 255u)) - ((raw.high & 0x8000u) != 0u ? 1.125 : 0.875);
}

vec2 unit_scale(raw_unit raw, uint u) {
  return vec2(half_to_float((raw.d >> (16 * ((u / 8) & 1u))) & 0xffffu) * float(2 * ((raw.high >> 12) & 7u) + 1));
}
vec2 unit_offset(raw_unit raw, uint u) { return vec2(0.0); }
