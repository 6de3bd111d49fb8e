// Q5_K, as in the file: blocks of 256 values in 176 bytes = 11 words of 16 bytes: head | 2 words of high bits | 8 words of nibbles.
// Units as in Q4_K; bit s of high-bit byte k belongs to value k of sub-block s. value = d * scale * (nibble + 16 * bit) - dmin * min.
#include "quant/k_scales.glsl"
#define HAS_OFFSET 1
#define PADDED 0

struct raw_unit { uvec4 q, high, head; };

uint unit_run(uint u, uint h) { return 64 * (u / 2) + 16 * (u & 1u) + 32 * h; }

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  uint block = row + 11 * (u / 8);
  return raw_unit(weights16[arena].v[block + 3 + (u & 7u)], weights16[arena].v[block + 1 + (u & 1u)], weights16[arena].v[block]);
}

uint unit_bytes(raw_unit raw, uint u, uint i) {
  uint s = (u & 6u) + i / 4;
  return (raw.q[i & 3] >> (i & 4u)) & 0x0f0f0f0fu | ((raw.high[i & 3] >> s) & 0x01010101u) << 4;
}
vec4 unit_values(raw_unit raw, uint u, uint i) { return bytes(unit_bytes(raw, u, i)); }

vec2 unit_scale(raw_unit raw, uint u) { return k_scales(raw.head, u & 6u); }
vec2 unit_offset(raw_unit raw, uint u) { return k_mins(raw.head, u & 6u); }
