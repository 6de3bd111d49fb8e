// Values of x in fours. The includer declares WIDE: rows may be read as aligned vec4s, and n_in is a multiple of 32.

vec4 load_x4(uint at, uint i, uint n_in) {
  if (WIDE) return scratch16.v[(at + i) / 4];
  vec4 v = vec4(0.0);
  [[unroll]] for (uint k = 0; k < 4; k++)
    if (i + k < n_in) v[k] = scratch.v[at + i + k];
  return v;
}
