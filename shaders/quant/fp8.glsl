// FP8. File block of 128 values: scale f32 | 128 E4M3. Device row: scales of all blocks, zero-filled to 16 bytes | 128 bytes of every
// block. Unit = a quarter of a block.
#define HAS_OFFSET 0
#define PADDED 0

struct raw_unit { uvec4 q[2]; uint scale; };

uint unit_run(uint u, uint h) { return 32 * u + 16 * h; }

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  uint quants = row + (n_unit / 4 + 3) / 4 + 2 * u;
  return raw_unit(uvec4[2](weights16[arena].v[quants], weights16[arena].v[quants + 1]), weights4[arena].v[4 * row + u / 4]);
}

// Exponent and mantissa of four and three bits moved to where a float has them; denormals are multiples of 2^-9.
vec4 unit_values(raw_unit raw, uint u, uint i) {
  uvec4 code = uvec4(raw.q[i >> 2][i & 3]) >> uvec4(0, 8, 16, 24), magnitude = code & 127u;
  vec4 normal = uintBitsToFloat((magnitude << 20) + (120u << 23)), denormal = vec4(magnitude) / 512.0;
  vec4 v = mix(normal, denormal, lessThan(magnitude, uvec4(8)));
  return uintBitsToFloat(floatBitsToUint(v) | ((code & 128u) << 24));
}

vec2 unit_scale(raw_unit raw, uint u) { return vec2(uintBitsToFloat(raw.scale)); }
vec2 unit_offset(raw_unit raw, uint u) { return vec2(0.0); }
