// Q2_K. File block of 256 values in 84 bytes: 16 bytes, scale in the low and min in the high nibble | pairs of bits 64 | d f16 | dmin f16.
// Device row: d and dmin of all blocks, zero-filled to 16 bytes | the first 80 bytes of every block = 5 words of 16 bytes.
// Unit u = half of a word of pairs, see pairs.glsl. value = d * scale * pair - dmin * min.
#include "quant/pairs.glsl"
#define HAS_OFFSET 1

struct raw_unit { uvec4 q; uint scales, dm; };

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  uint block = row + (n_unit / 8 + 3) / 4 + 5 * (u / 8);
  return raw_unit(weights16[arena].v[block + 1 + pairs_word(u)], weights4[arena].v[4 * block + pairs_scales(u)],
                  weights4[arena].v[4 * row + u / 8]);
}

uint unit_bytes(raw_unit raw, uint u, uint i) { return pairs(raw.q, u, i); }
vec4 unit_values(raw_unit raw, uint u, uint i) { return bytes(unit_bytes(raw, u, i)); }

vec2 unit_scale(raw_unit raw, uint u) {
  return half_to_float(raw.dm & 0xffffu) * vec2(pairs_bytes(raw.scales & 0x0f0f0f0fu, u));
}
vec2 unit_offset(raw_unit raw, uint u) {
  return -half_to_float(raw.dm >> 16) * vec2(pairs_bytes((raw.scales >> 4) & 0x0f0f0f0fu, u));
}
