// F32. Device row: n_in floats, zero-filled to a multiple of 32. Unit u = values 32u .. 32u+31.
#define HAS_OFFSET 0
#define PADDED 1

struct raw_unit { uvec4 w[8]; };

uint unit_run(uint u, uint h) { return 32 * u + 16 * h; }

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  raw_unit raw;
  [[unroll]] for (uint i = 0; i < 8; i++) raw.w[i] = weights16[arena].v[row + 8 * u + i];
  return raw;
}

vec4 unit_values(raw_unit raw, uint u, uint i) { return uintBitsToFloat(raw.w[i]); }

vec2 unit_scale(raw_unit raw, uint u) { return vec2(1.0); }
vec2 unit_offset(raw_unit raw, uint u) { return vec2(0.0); }
