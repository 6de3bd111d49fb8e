// TQ2_0. File block of 256 values in 66 bytes: pairs of bits 64 | d f16. Device row: d of all blocks, zero-filled to 16 bytes | the pairs
// of every block = 4 words of 16 bytes. Unit u = half of a word of pairs, see pairs.glsl. value = d * (pair - 1).
#include "quant/pairs.glsl"
#define HAS_OFFSET 1

struct raw_unit { uvec4 q; uint d; };

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  return raw_unit(weights16[arena].v[row + (n_unit / 8 + 7) / 8 + 4 * (u / 8) + pairs_word(u)], weights4[arena].v[4 * row + u / 16]);
}

vec4 unit_values(raw_unit raw, uint u, uint i) { return bytes(pairs(raw.q, u, i)); }

vec2 unit_scale(raw_unit raw, uint u) { return vec2(half_to_float((raw.d >> (16 * ((u / 8) & 1u))) & 0xffffu)); }
vec2 unit_offset(raw_unit raw, uint u) { return -unit_scale(raw, u); }
