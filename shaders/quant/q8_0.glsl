// Q8_0. File block: d f16 | 32 signed bytes. Device row: d of all blocks, zero-filled to 16 bytes | 32 bytes of every block.
// Unit = block: value k = d * q[k].
#define HAS_OFFSET 0
#define PADDED 0

struct raw_unit { uvec4 q[2]; uint d; };

uint unit_run(uint u, uint h) { return 32 * u + 16 * h; }

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  uint quants = row + (n_unit + 7) / 8 + 2 * u;
  return raw_unit(uvec4[2](weights16[arena].v[quants], weights16[arena].v[quants + 1]), weights4[arena].v[4 * row + u / 2]);
}

uint unit_bytes(raw_unit raw, uint u, uint i) { return raw.q[i >> 2][i & 3]; }
vec4 unit_values(raw_unit raw, uint u, uint i) { return signed_bytes(unit_bytes(raw, u, i)); }

vec2 unit_scale(raw_unit raw, uint u) { return vec2(half_to_float((raw.d >> (16 * (u & 1u))) & 0xffffu)); }
vec2 unit_offset(raw_unit raw, uint u) { return vec2(0.0); }
