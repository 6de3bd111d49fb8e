// Values i .. i+3 of a row of x, whose first value is at a multiple of 4. Rows of formats without blocks may end inside a unit of 32:
// zeros follow there, as in the weights.
vec4 load_x4(uint at, uint i, uint n_in) {
  if (PADDED == 0) return scratch16.v[(at + i) / 4];
  vec4 v = scratch16.v[(i < n_in ? at + i : at) / 4];
  return i < n_in ? v : vec4(0.0);
}
