// MXFP4. File block: exponent u8 | 16 bytes. Device row: exponents of all blocks, zero-filled to 16 bytes | 16 bytes of every block.
// Unit = block: value k = 2^(exponent - 128) * code[nibble]; low nibbles are values 0..15, high nibbles 16..31.
#define CODES fp4_values
#include "quant/codes.glsl"

struct raw_unit { uvec4 q; uint e; };

uint unit_run(uint u, uint h) { return 32 * u + 16 * h; }

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  return raw_unit(weights16[arena].v[row + (n_unit + 15) / 16 + u], weights4[arena].v[4 * row + u / 4]);
}

vec4 unit_values(raw_unit raw, uint u, uint i) { return code_values(raw.q[i & 3], i / 4); }

// In two factors, because the smallest powers are not normal numbers.
vec2 unit_scale(raw_unit raw, uint u) {
  uint e = (raw.e >> (8 * (u & 3u))) & 255u;
  return vec2(uintBitsToFloat((e / 2 + 63) << 23) * uintBitsToFloat((e - e / 2 + 63) << 23));
}
vec2 unit_offset(raw_unit raw, uint u) { return vec2(0.0); }
