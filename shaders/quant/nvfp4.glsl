// NVFP4. File block of 64 values: 4 scales E4M3, one per 16 values | 32 bytes. Device row: scales of all blocks, zero-filled to 16 bytes |
// 32 bytes of every block. Unit = 16 bytes: each 8 are a run, low nibbles its first 8 values, high nibbles the others.
// value = scale / 2 * code[nibble].
#define CODES fp4_values
#include "quant/codes.glsl"

struct raw_unit { uvec4 q; uint scales; };

uint unit_run(uint u, uint h) { return 32 * u + 16 * h; }

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  return raw_unit(weights16[arena].v[row + (n_unit / 2 + 3) / 4 + u], weights4[arena].v[4 * row + u / 2]);
}

vec4 unit_values(raw_unit raw, uint u, uint i) { return code_values(raw.q[2 * (i / 4) + (i & 1u)], (i / 2) & 1u); }

// Exponent and mantissa of four and three bits; 127 means 0.
float half_e4m3(uint x) {
  uint e = (x >> 3) & 15u, m = x & 7u;
  if ((x & 127u) == 127u) return 0.0;
  return e == 0 ? float(m) / 1024.0 : float(8 + m) * uintBitsToFloat((e + 116) << 23);
}

vec2 unit_scale(raw_unit raw, uint u) {
  uint pair = raw.scales >> (16 * (u & 1u));
  return vec2(half_e4m3(pair), half_e4m3(pair >> 8));
}
vec2 unit_offset(raw_unit raw, uint u) { return vec2(0.0); }
