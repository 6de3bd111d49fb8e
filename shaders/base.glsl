// What every kernel sees: the bindings, the step, conversions, reductions. The same for all kernels, so that one descriptor set
// layout and one pipeline layout serve them all.

#include "abi/types.h"
#include "abi/step.h"
#include "abi/weight.h"
#include "abi/board.h"

layout(local_size_x_id = 0) in;

// Weights are read as 16-byte words wherever the layout allows it, never as 8- or 16-bit elements. The arena index is the same for a
// whole workgroup.
const uint ARENAS = 16, CACHE_ARENAS = 8;
layout(set = 0, binding = 0, std430) readonly buffer Weights16 { uvec4 v[]; } weights16[ARENAS];
layout(set = 0, binding = 0, std430) readonly buffer Weights4 { uint v[]; } weights4[ARENAS];
layout(set = 0, binding = 1, std430) buffer Scratch { float v[]; } scratch;
layout(set = 0, binding = 1, std430) buffer Scratch16 { vec4 v[]; } scratch16;
layout(set = 0, binding = 1, std430) buffer ScratchU { uint v[]; } scratch_u;
layout(set = 0, binding = 2, std430) buffer Cache4 { uint v[]; } cache4[CACHE_ARENAS];
layout(set = 0, binding = 2, std430) buffer Cache16 { uvec4 v[]; } cache16[CACHE_ARENAS];
layout(set = 0, binding = 3, std430) readonly buffer Step { uint v[]; } step_words;
layout(set = 0, binding = 4, std430) readonly buffer Tables { uvec2 v[]; } tables;

// Where a matrix begins, in 16-byte units of an arena.
struct matrix { uint arena, at; };

bool is_nowhere(uint entry) { return tables.v[entry].x == PM_NOWHERE; }

// For an arena index that comes from memory or out of a branch: SwiftShader forms the address of the descriptor even where control
// flow has left, with whatever the registers hold.
uint bounded_arena(uint arena) { return min(arena, ARENAS - 1); }

matrix expert_matrix(uint entry) { return matrix(bounded_arena(tables.v[entry].x & PM_ENTRY_ARENA), tables.v[entry].y); }

// In which pass over a table's experts an entry counts; in none if it says NOWHERE.
uint entry_pass(uint entry) { return tables.v[entry].x >> PM_ENTRY_PASS_SHIFT; }

// ---- the step ----

struct pm_row { uint token, pos, base; };

uint step_rows() { return step_words.v[PM_STEP_N_ROW]; }
uint step_logits() { return step_words.v[PM_STEP_N_LOGIT]; }

pm_row step_row(uint r) {
  uint at = PM_STEP_ROWS + PM_STEP_ROW_WORDS * r;
  return pm_row(step_words.v[at], step_words.v[at + 1], step_words.v[at + 2]);
}

uint step_logit_row(uint i) { return step_words.v[PM_STEP_LOGIT_ROWS(step_rows()) + i]; }

// The pair (x, y) turned by the angle of pair `i` at row r's position.
vec2 step_rotate(uint r, uint i, vec2 v) {
  uint at = PM_STEP_ROPE(step_rows(), step_logits()) + r * step_words.v[PM_STEP_N_ROPE] + 2 * i;
  float c = uintBitsToFloat(step_words.v[at]), s = uintBitsToFloat(step_words.v[at + 1]);
  return vec2(v.x * c - v.y * s, v.x * s + v.y * c);
}

// ---- conversions ----

// binary16 to binary32 with denormals kept: block scales are often denormal, and unpackHalf2x16 may flush them.
float half_to_float(uint h) {
  uint magnitude = h & 0x7fffu;
  float f = magnitude < 0x400u ? float(magnitude) * 5.9604644775390625e-8 : uintBitsToFloat((magnitude << 13) + 0x38000000u);
  return (h & 0x8000u) != 0u ? -f : f;
}

// binary32 to binary16, round to nearest even (packHalf2x16 may round either way). Finite values only.
uint float_to_half(float f) {
  uint u = floatBitsToUint(f), sign = (u >> 16) & 0x8000u, magnitude = u & 0x7fffffffu;
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;
  if (magnitude < 0x38800000u) return sign | uint(roundEven(uintBitsToFloat(magnitude) * 16777216.0));
  return sign | ((magnitude + 0xfffu + ((magnitude >> 13) & 1u) - 0x38000000u) >> 13);
}

// The four bytes of a word, as unsigned and as signed values.
vec4 bytes(uint w) { return vec4(w & 255u, (w >> 8) & 255u, (w >> 16) & 255u, w >> 24); }
vec4 signed_bytes(uint w) { return vec4((ivec4(int(w)) << ivec4(24, 16, 8, 0)) >> 24); }

// The last bytes of four numbers.
uint pack_bytes(ivec4 v) { return uint(v.x & 255 | (v.y & 255) << 8 | (v.z & 255) << 16 | v.w << 24); }

// Bits 0..3 as 0 or 1 in the four bytes of a word.
uint bits_to_bytes(uint b) { return b & 1u | (b & 2u) << 7 | (b & 4u) << 14 | (b & 8u) << 21; }

float silu(float x) { return x / (1.0 + exp(-x)); }
