// Rows of x in fixed point (op/fix.comp), for formats whose values are bytes: the sum of four products of bytes is one instruction
// (VK_KHR_shader_integer_dot_product), which glslang 12 knows by its number only.
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019], id = 4450)
int dot_bytes(int a, int b, spirv_literal int packed);

layout(set = 0, binding = 1, std430) readonly buffer Fixed16 { uvec4 v[]; } fixed16;
layout(set = 0, binding = 1, std430) readonly buffer Fixed2 { vec2 v[]; } fixed2;

// As in dot_float.glsl, but what is live are packed weights and one row's values of a unit: nothing has to be taken in quarters.
void dot_rows(inout sums acc, matrix w, uint rows[OUTS], uint x_at[ROWS], uint n_unit, uint n_in, uint lane) {
  for (uint u = lane; u < n_unit; u += LANES) {
    raw_unit raw[OUTS];
    [[unroll]] for (uint o = 0; o < OUTS; o++) raw[o] = unit_load(w.arena, w.at + rows[o], n_unit, u);
    [[unroll]] for (uint n = 0; n < ROWS; n++) {
      uvec4 high[2], low[2];
      vec2 of_run[2];  // scale, sum
      [[unroll]] for (uint h = 0; h < 2; h++) {
        uint run = unit_run(u, h) / 16, at = x_at[n] / 4 + 2 * run;
        high[h] = fixed16.v[at], low[h] = fixed16.v[at + 1], of_run[h] = fixed2.v[x_at[n] / 2 + 8 * n_unit + run];
      }
      [[unroll]] for (uint o = 0; o < OUTS; o++) {
        ivec2 q = ivec2(0), q_low = ivec2(0);  // of both runs
        [[unroll]] for (uint i = 0; i < 4; i++) {
          int a = int(unit_bytes(raw[o], u, i)), b = int(unit_bytes(raw[o], u, 4 + i));
          q += ivec2(dot_bytes(a, int(high[0][i]), 0), dot_bytes(b, int(high[1][i]), 0));
          q_low += ivec2(dot_bytes(a, int(low[0][i]), 0), dot_bytes(b, int(low[1][i]), 0));
        }
        acc.v[o * ROWS + n] += dot(unit_scale(raw[o], u) * vec2(of_run[0].x, of_run[1].x), vec2(256 * q + q_low));
        if (HAS_OFFSET != 0) acc.v[o * ROWS + n] += dot(unit_offset(raw[o], u), vec2(of_run[0].y, of_run[1].y));
      }
    }
  }
}
