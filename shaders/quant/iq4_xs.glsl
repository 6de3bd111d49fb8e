// IQ4_XS. File block of 256 values in 136 bytes: d f16 | high pairs of 8 scales u16 | their low nibbles u32 | nibbles 128. Device row: the
// first 8 bytes of all blocks, zero-filled to 16 bytes | the nibbles of every block = 8 words of 16 bytes. Unit u = word u % 8 of block
// u / 8: low nibbles are values 0..15, high nibbles 16..31. value = d * (scale - 32) * code[nibble].
#define CODES iq4_values
#include "quant/codes.glsl"

struct raw_unit { uvec4 q; uvec2 head; };

uint unit_run(uint u, uint h) { return 32 * u + 16 * h; }

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  uint head = 4 * row + 2 * (u / 8);
  return raw_unit(weights16[arena].v[row + (n_unit / 8 + 1) / 2 + u], uvec2(weights4[arena].v[head], weights4[arena].v[head + 1]));
}

vec4 unit_values(raw_unit raw, uint u, uint i) { return code_values(raw.q[i & 3], i / 4); }

vec2 unit_scale(raw_unit raw, uint u) {
  uint g = u & 7u, scale = (raw.head.y >> (4 * g)) & 15u | ((raw.head.x >> (16 + 2 * g)) & 3u) << 4;
  return vec2(half_to_float(raw.head.x & 0xffffu) * (float(scale) - 32.0));
}
vec2 unit_offset(raw_unit raw, uint u) { return vec2(0.0); }
