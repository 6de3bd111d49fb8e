// F16. Device row: n_in halves, zero-filled to a multiple of 32. Unit u = values 32u .. 32u+31.
#define HAS_OFFSET 0
#define PADDED 1

struct raw_unit { uvec4 w[4]; };

uint unit_run(uint u, uint h) { return 32 * u + 16 * h; }

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  raw_unit raw;
  [[unroll]] for (uint i = 0; i < 4; i++) raw.w[i] = weights16[arena].v[row + 4 * u + i];
  return raw;
}

vec4 unit_values(raw_unit raw, uint u, uint i) {
  uvec2 w = (i & 1u) == 0u ? raw.w[i >> 1].xy : raw.w[i >> 1].zw;
  return vec4(unpackHalf2x16(w.x), unpackHalf2x16(w.y));
}

vec2 unit_scale(raw_unit raw, uint u) { return vec2(1.0); }
vec2 unit_offset(raw_unit raw, uint u) { return vec2(0.0); }
