// IQ2_S. File block of 256 values in 82 bytes: d f16 | for each 8 values the low 8 bits of a point 32 | signs 32 | bits 9 and 10 of the
// points 8 | 16 scales of 4 bits 8. Device row: d of all blocks, zero-filled to 16 bytes | the last 16 bytes of every block | points and
// signs of every block = 4 words of 16 bytes. Unit = 32 values in order. value = d / 8 * (2 * scale + 1) * coordinate.
#define WORDS 512
#define P(a, b) a | b << 16,
const uint points[WORDS] = {
#include "grid_iq2_s.inc"
};
#include "quant/digits.glsl"
#include "quant/grid.glsl"

struct raw_unit { uint index, signs, high, scales, d; };

uint unit_run(uint u, uint h) { return 32 * u + 16 * h; }

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  uint n_block = n_unit / 8, last = row + (n_block + 7) / 8, at = 4 * (last + n_block) + 16 * (u / 8) + (u & 7u);
  uint high = 4 * (last + u / 8) + (u & 7u) / 4;
  return raw_unit(weights4[arena].v[at], weights4[arena].v[at + 8], weights4[arena].v[high], weights4[arena].v[high + 2],
                  weights4[arena].v[4 * row + u / 16]);
}

// The alphabet 8, 25, 43.
uint alphabet_bytes(uint digits) {
  uint w = spread_digits(digits & 255u);
  return w * 17 + ((w >> 1) & 0x01010101u) + 0x08080808u;
}

uint unit_point(raw_unit raw, uint u, uint i) {
  uint high = raw.high >> (8 * (u & 3u) + (i & 6u)), shift = 4 * (i & 6u);
  return alphabet_bytes(grid_point((raw.index >> shift) & 255u | (high & 3u) << 8) >> (8 * (i & 1u)));
}
vec4 unit_values(raw_unit raw, uint u, uint i) { return signed_values(bytes(unit_point(raw, u, i)), raw.signs >> (4 * i)); }
uint unit_bytes(raw_unit raw, uint u, uint i) { return signed_bytes_of(unit_point(raw, u, i), raw.signs >> (4 * i)); }

vec2 unit_scale(raw_unit raw, uint u) {
  uint scale = raw.scales >> (8 * (u & 3u));
  return half_to_float((raw.d >> (16 * ((u / 8) & 1u))) & 0xffffu) * vec2(2 * (uvec2(scale, scale >> 4) & 15u) + 1u) / 8.0;
}
vec2 unit_offset(raw_unit raw, uint u) { return vec2(0.0); }
