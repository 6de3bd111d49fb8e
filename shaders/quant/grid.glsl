// A codebook waits in shared memory: a format's `points`, WORDS of them. Either two points of 16 bits share a word, or the format's P has
// spread their coordinates to bytes.
#define HAS_OFFSET 0
#define PADDED 0
#define PREPARED 1

shared uint grid[WORDS];

void unit_prepare() {
  uint all[WORDS] = points;  // outside of the loop, or drivers do not see that it is constant
  [[dont_unroll]] for (uint i = gl_LocalInvocationID.x; i < WORDS; i += gl_WorkGroupSize.x) grid[i] = all[i];
  barrier();
}

uint grid_point(uint i) { return (grid[i / 2] >> (16 * (i & 1u))) & 0xffffu; }  // of those that share words

// Bits 0..3 of s: negative.
vec4 signed_values(vec4 v, uint s) {
  uvec3 signs = (uvec3(s) << uvec3(30, 29, 28)) & 0x80000000u;
  return uintBitsToFloat(floatBitsToUint(v) | uvec4(s << 31, signs));
}

// The same of bytes that are not 0.
uint signed_bytes_of(uint v, uint s) {
  uint negative = ((s & 15u) * 0x204081u) & 0x01010101u;
  return (v ^ (negative << 8) - negative) + negative;
}

// Seven bits and one that makes their number even.
uint even_signs(uint s) { return (s & 127u) | (uint(bitCount(s & 127u)) & 1u) << 7; }
