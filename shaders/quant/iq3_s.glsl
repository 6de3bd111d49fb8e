// IQ3_S. File block of 256 values in 110 bytes: d f16 | for each 4 values the low 8 bits of a point 64 | the ninth bits 8 | signs 32 | 8
// scales of 4 bits. Device row: d of all blocks, zero-filled to 16 bytes | the last 44 bytes of all blocks, zero-filled to 16 bytes | 64
// bytes of every block. Unit = 32 values in order. value = d * (2 * scale + 1) * coordinate.
#define WORDS 512
// Coordinates of the alphabet 1, 3 .. 15 as bytes.
#define DIGIT(p, i) ((1 + 2 * ((p >> 3 * (i)) & 7)) << 8 * (i))
#define P(a, b) DIGIT(a, 0) | DIGIT(a, 1) | DIGIT(a, 2) | DIGIT(a, 3), DIGIT(b, 0) | DIGIT(b, 1) | DIGIT(b, 2) | DIGIT(b, 3),
const uint points[WORDS] = {
#include "grid_iq3_s.inc"
};
#include "quant/grid.glsl"

struct raw_unit { uvec2 index; uint high, signs, scales, d; };

uint unit_run(uint u, uint h) { return 32 * u + 16 * h; }

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  uint n_block = n_unit / 8, last = row + (n_block + 7) / 8, at = 4 * (last + (11 * n_block + 3) / 4) + 2 * u;
  uint block = 4 * last + 11 * (u / 8);
  return raw_unit(uvec2(weights4[arena].v[at], weights4[arena].v[at + 1]), weights4[arena].v[block + (u & 7u) / 4],
                  weights4[arena].v[block + 2 + (u & 7u)], weights4[arena].v[block + 10], weights4[arena].v[4 * row + u / 16]);
}

uint unit_point(raw_unit raw, uint u, uint i) {
  uint ninth = raw.high >> (8 * (u & 3u) + i);
  return grid[(raw.index[i / 4] >> (8 * (i & 3u))) & 255u | (ninth & 1u) << 8];
}
vec4 unit_values(raw_unit raw, uint u, uint i) { return signed_values(bytes(unit_point(raw, u, i)), raw.signs >> (4 * i)); }
uint unit_bytes(raw_unit raw, uint u, uint i) { return signed_bytes_of(unit_point(raw, u, i), raw.signs >> (4 * i)); }

vec2 unit_scale(raw_unit raw, uint u) {
  uint scale = (raw.scales >> (4 * (u & 7u))) & 15u;
  return vec2(half_to_float((raw.d >> (16 * ((u / 8) & 1u))) & 0xffffu) * float(2 * scale + 1));
}
vec2 unit_offset(raw_unit raw, uint u) { return vec2(0.0); }
