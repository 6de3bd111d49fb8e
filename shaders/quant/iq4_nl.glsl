// IQ4_NL. File block: d f16 | 16 bytes. Device row: d of all blocks, zero-filled to 16 bytes | 16 bytes of every block.
// Unit = block: value k = d * code[nibble]; low nibbles are values 0..15, high nibbles 16..31.
#define CODES iq4_values
#include "quant/codes.glsl"

struct raw_unit { uvec4 q; uint d; };

uint unit_run(uint u, uint h) { return 32 * u + 16 * h; }

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  return raw_unit(weights16[arena].v[row + (n_unit + 7) / 8 + u], weights4[arena].v[4 * row + u / 2]);
}

vec4 unit_values(raw_unit raw, uint u, uint i) { return code_values(raw.q[i & 3], i / 4); }

vec2 unit_scale(raw_unit raw, uint u) { return vec2(half_to_float((raw.d >> (16 * (u & 1u))) & 0xffffu)); }
vec2 unit_offset(raw_unit raw, uint u) { return vec2(0.0); }
