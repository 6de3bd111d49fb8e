// F32. Device row: n_in floats, zero-filled to a multiple of 32. Unit u = values 32u .. 32u+31.
#define HAS_OFFSET 0
#define PADDED 1

struct raw_unit { uint arena, at; };  // read when decoded: nothing is smaller than the values themselves

uint unit_run(uint u, uint h) { return 32 * u + 16 * h; }

raw_unit unit_load(uint arena, uint row, uint n_unit, uint u) {
  return raw_unit(arena, row + 8 * u);
}

vec4 unit_values(raw_unit raw, uint u, uint i) { return uintBitsToFloat(weights16[raw.arena].v[raw.at + i]); }

vec2 unit_scale(raw_unit raw, uint u) { return vec2(1.0); }
vec2 unit_offset(raw_unit raw, uint u) { return vec2(0.0); }
