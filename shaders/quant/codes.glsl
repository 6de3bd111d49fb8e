// Nibbles that stand for sixteen numbers. A format says by CODES which function knows them; what both nibbles of a byte stand for waits in
// shared memory, as two halves, exact.
#define HAS_OFFSET 0
#define PADDED 0
#define PREPARED 1

// Those of IQ4_NL and IQ4_XS lie as bytes in four words: a few selections are cheaper than a table in memory.
vec4 iq4_values(uint w) {
  uvec4 q = (uvec4(w) >> uvec4(0, 8, 16, 24)) & 15u;
  uvec4 low = mix(uvec4(0xbfad9881u), uvec4(0xf6eaddcfu), greaterThan(q & 4u, uvec4(0)));
  uvec4 high = mix(uvec4(0x26190d01u), uvec4(0x71594535u), greaterThan(q & 4u, uvec4(0)));
  uvec4 four = mix(low, high, greaterThan(q, uvec4(7)));
  return vec4(ivec4(four << (24 - 8 * (q & 3u))) >> 24);
}

// Those of MXFP4 and NVFP4 are twice the 4-bit floats: a sign, two bits of exponent, one of mantissa.
vec4 fp4_values(uint w) {
  uvec4 q = (uvec4(w) >> uvec4(0, 8, 16, 24)) & 15u, m = q & 7u;
  vec4 v = vec4(mix(m, (2 | (m & 1u)) << (max(m, 2) / 2 - 1), greaterThan(m, uvec4(1))));
  return mix(v, -v, greaterThan(q, uvec4(7)));
}

shared uint code_pairs[256];

void unit_prepare() {
  for (uint i = gl_LocalInvocationID.x; i < 256; i += gl_WorkGroupSize.x) code_pairs[i] = packHalf2x16(CODES(i | i >> 4 << 8).xy);
  barrier();
}

// Of the low (0) or the high (1) nibbles of a word's bytes.
vec4 code_values(uint w, uint side) {
  uvec4 at = (uvec4(w) >> uvec4(0, 8, 16, 24)) & 255u;
  vec2 a = unpackHalf2x16(code_pairs[at.x]), b = unpackHalf2x16(code_pairs[at.y]), c = unpackHalf2x16(code_pairs[at.z]),
       d = unpackHalf2x16(code_pairs[at.w]);
  return vec4(a[side], b[side], c[side], d[side]);
}
