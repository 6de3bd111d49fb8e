// Q6_K. File block of 256 values in 210 bytes: low nibbles 128 | high bits 64 | 16 signed scales | d f16. Device row: d of all blocks,
// zero-filled to 16 bytes | the first 208 bytes of every block = 13 words of 16 bytes.
// Unit u = word i = u % 8 of the nibbles of block u / 8: with n = i / 4, b = i / 2 % 2, h = i % 2, its low nibbles are values
// 16h .. 16h+15 of 32-value group 4n + b, its high nibbles those of group 4n + b + 2. value = d * scale * (six bits - 32).
#define HAS_OFFSET 1
#define PADDED 0

struct raw_unit { uvec4 low, high; uvec2 scales; uint d; };

uint unit_run(uint u, uint h) { return 32 * (u & ~3u) + 16 * (u & 3u) + 64 * h; }

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  uint n_block = n_unit / 8, block = row + (n_block + 7) / 8 + 13 * (u / 8), i = u & 7u, n = i / 4;
  uint scales = 4 * (block + 12) + 2 * n;
  return raw_unit(weights16[arena].v[block + i], weights16[arena].v[block + 8 + 2 * n + (i & 1u)],
                  uvec2(weights4[arena].v[scales], weights4[arena].v[scales + 1]), weights4[arena].v[4 * row + u / 16]);
}

uint unit_bytes(raw_unit raw, uint u, uint i) {
  uint shift = (u & 2u) + (i & 4u);
  return (raw.low[i & 3] >> (i & 4u)) & 0x0f0f0f0fu | ((raw.high[i & 3] >> shift) & 0x03030303u) << 4;
}
vec4 unit_values(raw_unit raw, uint u, uint i) { return bytes(unit_bytes(raw, u, i)); }

vec2 unit_scale(raw_unit raw, uint u) {
  float d = half_to_float((raw.d >> (16 * ((u / 8) & 1u))) & 0xffffu);
  ivec2 scales = (ivec2(raw.scales) << int(24 - 8 * (u & 3u))) >> 24;
  return d * vec2(scales);
}
vec2 unit_offset(raw_unit raw, uint u) { return -32.0 * unit_scale(raw, u); }
