// TQ1_0. File block of 256 values in 54 bytes: five ternary digits in each of 48 bytes, four in each of 4 | d f16. Device row: d of all
// blocks, zero-filled to 16 bytes | the 4 bytes of all blocks, zero-filled to 16 bytes | 3 words of 16 bytes of every block.
// Unit u of block u / 8: for i = u % 8 < 5, digit i of words 0 and 1; then digits 2(i - 5) and 2(i - 5) + 1 of word 2; in the last
// unit the second run is the 4 bytes' digits. Digit n of a byte is ((byte * 3^n mod 256) * 3) >> 8; value = d * (digit - 1).
#define HAS_OFFSET 1
#define PADDED 0

struct raw_unit { uvec4 q[2]; uint d; };

uint unit_run(uint u, uint h) { return 32 * u + 16 * h; }

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  uint n_block = n_unit / 8, i = u & 7u, fours = row + (n_block + 7) / 8;
  uint block = fours + (n_block + 3) / 4 + 3 * (u / 8);
  raw_unit raw;
  raw.q[0] = weights16[arena].v[block + (i < 5 ? 0 : 2)];
  raw.q[1] = weights16[arena].v[block + (i < 5 ? 1 : 2)];
  if (i == 7) raw.q[1] = uvec4(weights4[arena].v[4 * fours + u / 8]);
  raw.d = weights4[arena].v[4 * row + u / 16];
  return raw;
}

vec4 unit_values(raw_unit raw, uint u, uint i) {
  uint k = u & 7u, h = i / 4, n = k < 5 ? k : k == 7 && h == 1 ? i & 3u : 2 * (k - 5) + h;
  uint power = n == 0 ? 1 : n == 1 ? 3 : n == 2 ? 9 : n == 3 ? 27 : 81;
  uvec4 digits = (uvec4(raw.q[h][i & 3]) >> uvec4(0, 8, 16, 24)) & 255u;
  return vec4((((digits * power) & 255u) * 3) >> 8);
}

vec2 unit_scale(raw_unit raw, uint u) { return vec2(half_to_float((raw.d >> (16 * ((u / 8) & 1u))) & 0xffffu)); }
vec2 unit_offset(raw_unit raw, uint u) { return -unit_scale(raw, u); }
