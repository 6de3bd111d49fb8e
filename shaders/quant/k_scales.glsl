// The 16-byte head that Q4_K and Q5_K share: d f16, dmin f16, and 8 pairs (scale, min) of 6 bits in 12 bytes.

// Scales (x) or mins (y) of sub-blocks s and s + 1, s even: for s < 4 plain 6-bit values, else low nibble and two high bits apart.
uvec2 k_scale_pair(uvec4 head, uint s, bool mins) {
  uint shift = 8 * (s & 3u);
  uint early = mins ? head.z : head.y;
  uint late = (mins ? (head.w >> 4) & 0x0f0f0f0fu : head.w & 0x0f0f0f0fu) | (early >> 2) & 0x30303030u;
  uint six = (s < 4u ? early & 0x3f3f3f3fu : late) >> shift;
  return uvec2(six & 63u, (six >> 8) & 63u);
}

vec2 k_scales(uvec4 head, uint s) { return half_to_float(head.x & 0xffffu) * vec2(k_scale_pair(head, s, false)); }
vec2 k_mins(uvec4 head, uint s) { return -half_to_float(head.x >> 16) * vec2(k_scale_pair(head, s, true)); }
