// Q5_0. File block: d f16 | high bits u32 | 16 bytes. Device row: d of all blocks, zero-filled to 16 bytes | high bits of all blocks,
// zero-filled to 16 bytes | 16 bytes of every block. Unit = block: value k = d * (nibble + 16 * bit k - 16); low nibbles are values
// 0..15, high nibbles 16..31.
#define HAS_OFFSET 1
#define PADDED 0

struct raw_unit { uvec4 q; uint high, d; };

uint unit_run(uint u, uint h) { return 32 * u + 16 * h; }

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  uint high = row + (n_unit + 7) / 8, quants = high + (n_unit + 3) / 4;
  return raw_unit(weights16[arena].v[quants + u], weights4[arena].v[4 * high + u], weights4[arena].v[4 * row + u / 2]);
}

vec4 unit_values(raw_unit raw, uint u, uint i) {
  return bytes(((raw.q[i & 3] >> (i & 4u)) & 0x0f0f0f0fu) | bits_to_bytes(raw.high >> (4 * i)) << 4);
}

vec2 unit_scale(raw_unit raw, uint u) { return vec2(half_to_float((raw.d >> (16 * (u & 1u))) & 0xffffu)); }
vec2 unit_offset(raw_unit raw, uint u) { return -16.0 * unit_scale(raw, u); }
