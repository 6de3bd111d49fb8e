// Q4_K, as in the file: blocks of 256 values in 144 bytes = 9 words of 16 bytes: head | 8 words of nibbles.
// Unit u = word u % 8 of block u / 8: with j = (u % 8) / 2 and h = u % 2, its low nibbles are values 16h .. 16h+15 of sub-block 2j, its
// high nibbles those of sub-block 2j + 1. value = d * scale * nibble - dmin * min.
#include "quant/k_scales.glsl"
#define HAS_OFFSET 1
#define PADDED 0

struct raw_unit { uvec4 q, head; };

uint unit_run(uint u, uint h) { return 64 * (u / 2) + 16 * (u & 1u) + 32 * h; }

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  uint block = row + 9 * (u / 8);
  return raw_unit(weights16[arena].v[block + 1 + (u & 7u)], weights16[arena].v[block]);
}

uint unit_bytes(raw_unit raw, uint u, uint i) { return (raw.q[i & 3] >> (i & 4u)) & 0x0f0f0f0fu; }
vec4 unit_values(raw_unit raw, uint u, uint i) { return bytes(unit_bytes(raw, u, i)); }

vec2 unit_scale(raw_unit raw, uint u) { return k_scales(raw.head, u & 6u); }
vec2 unit_offset(raw_unit raw, uint u) { return k_mins(raw.head, u & 6u); }
