// A codebook waits in shared memory, two points of 16 bits to a word. Included by a format after its `points`.
#define HAS_OFFSET 0
#define PADDED 0
#define PREPARED 1

shared uint grid[POINTS / 2];

void unit_prepare() {
  for (uint i = gl_LocalInvocationID.x; i < POINTS / 2; i += gl_WorkGroupSize.x) grid[i] = points[i];
  barrier();
}

uint grid_point(uint i) { return (grid[i / 2] >> (16 * (i & 1u))) & 0xffffu; }

// Four digits of two bits, in the bytes of a word.
uint spread_digits(uint c) {
  c = (c | c << 12) & 0x000f000fu;
  return (c | c << 6) & 0x03030303u;
}

// The alphabet 8, 25, 43.
vec4 grid_values2(uint digits) {
  uint w = spread_digits(digits & 255u);
  return bytes(w * 17 + ((w >> 1) & 0x01010101u) + 0x08080808u);
}

// Bits 0..3 of s: negative.
vec4 signed_values(vec4 v, uint s) { return mix(v, -v, notEqual(uvec4(s) & uvec4(1, 2, 4, 8), uvec4(0))); }

// Seven bits and one that makes their number even.
uint even_signs(uint s) { return (s & 127u) | (uint(bitCount(s & 127u)) & 1u) << 7; }
