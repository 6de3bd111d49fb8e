// sum + a . b, in this order: a compiler that is left to choose keeps products apart, each in a register.
float add_dot(float sum, vec4 a, vec4 b) { return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum)))); }

// Weights times scale plus offset cost less than the same for the sums of every row, once there are a few.
const bool SCALED = ROWS > 2;

// acc += products of this lane's units; `rows` is where the output rows begin in the matrix, x_at the first value of each row of x.
//
// A unit is taken in quarters, four values of each run: what is live at a time are the raw weights, a quarter of them decoded, and
// eight values of x. Compilers move loads up as far as registers allow, but do not find this order by themselves.
void dot_rows(inout sums acc, matrix w, uint rows[OUTS], uint x_at[ROWS], uint n_unit, uint n_in, uint lane) {
  for (uint u = lane; u < n_unit; u += LANES) {
    raw_unit raw[OUTS];
    vec2 q[N_ACC], s[ROWS];  // of both runs: products with plain values, and sums of x
    [[unroll]] for (uint o = 0; o < OUTS; o++) raw[o] = unit_load(w.arena, w.at + rows[o], n_unit, u);
    [[unroll]] for (uint k = 0; k < N_ACC; k++) q[k] = vec2(0.0);
    [[unroll]] for (uint n = 0; n < ROWS; n++) s[n] = vec2(0.0);
    [[unroll]] for (uint i = 0; i < 4; i++) {
      vec4 v[OUTS], v1[OUTS];
      [[unroll]] for (uint o = 0; o < OUTS; o++) {
        v[o] = unit_values(raw[o], u, i), v1[o] = unit_values(raw[o], u, 4 + i);
        if (SCALED) {
          vec2 scale = unit_scale(raw[o], u), offset = unit_offset(raw[o], u);
          v[o] = fma(v[o], scale.xxxx, offset.xxxx), v1[o] = fma(v1[o], scale.yyyy, offset.yyyy);
        }
      }
      [[unroll]] for (uint n = 0; n < ROWS; n++) {
        vec4 x = load_x4(x_at[n], unit_run(u, 0) + 4 * i, n_in), x1 = load_x4(x_at[n], unit_run(u, 1) + 4 * i, n_in);
        if (HAS_OFFSET != 0) s[n] += vec2(dot(x, vec4(1.0)), dot(x1, vec4(1.0)));
        [[unroll]] for (uint o = 0; o < OUTS; o++) {
          uint k = o * ROWS + n;
          if (SCALED)
            acc.v[k] = add_dot(add_dot(acc.v[k], v[o], x), v1[o], x1);
          else
            q[k] = vec2(add_dot(q[k].x, v[o], x), add_dot(q[k].y, v1[o], x1));
        }
      }
    }
    if (SCALED) continue;
    [[unroll]] for (uint o = 0; o < OUTS; o++) {
      vec2 scale = unit_scale(raw[o], u), offset = unit_offset(raw[o], u);
      [[unroll]] for (uint n = 0; n < ROWS; n++) {
        acc.v[o * ROWS + n] += dot(scale, q[o * ROWS + n]);
        if (HAS_OFFSET != 0) acc.v[o * ROWS + n] += dot(offset, s[n]);
      }
    }
  }
}
