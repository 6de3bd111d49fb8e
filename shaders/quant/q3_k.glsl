// Q3_K. File block of 256 values in 110 bytes: third bits 32 | pairs of bits 64 | 16 scales of 6 bits 12 | d f16. Device row: d of all
// blocks, zero-filled to 16 bytes | scales of all blocks, zero-filled to 16 bytes | the first 96 bytes of every block = 6 words of 16
// bytes. Unit u = half of a word of pairs, see pairs.glsl; bit 4n + j of third-bit byte 16b + l goes with pair j of byte l of word 2n + b.
// value = d * (scale - 32) * (three bits - 4).
#include "quant/pairs.glsl"
#define HAS_OFFSET 1

struct raw_unit { uvec4 q, high; uvec2 scales; uint d; };

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  uint n_block = n_unit / 8, scales = row + (n_block + 7) / 8;
  uint block = scales + (3 * n_block + 3) / 4 + 6 * (u / 8), words = 4 * scales + 3 * (u / 8);
  return raw_unit(weights16[arena].v[block + 2 + pairs_word(u)], weights16[arena].v[block + (pairs_word(u) & 1u)],
                  uvec2(weights4[arena].v[words + (u & 1u)], weights4[arena].v[words + 2]), weights4[arena].v[4 * row + u / 16]);
}

uint unit_bytes(raw_unit raw, uint u, uint i) {
  uint bit = (u & 4u) + 2 * (u & 1u) + i / 4;
  return pairs(raw.q, u, i) | ((raw.high[i & 3] >> bit) & 0x01010101u) << 2;
}
vec4 unit_values(raw_unit raw, uint u, uint i) { return bytes(unit_bytes(raw, u, i)); }

// Scale s: low nibble s / 8 of byte s % 8, high pair s / 4 of byte 8 + s % 4.
vec2 unit_scale(raw_unit raw, uint u) {
  uint six = (raw.scales.x >> (u & 4u)) & 0x0f0f0f0fu | ((raw.scales.y >> (2 * pairs_scales(u))) & 0x03030303u) << 4;
  return half_to_float((raw.d >> (16 * ((u / 8) & 1u))) & 0xffffu) * (vec2(pairs_bytes(six, u)) - 32.0);
}
vec2 unit_offset(raw_unit raw, uint u) { return -4.0 * unit_scale(raw, u); }
