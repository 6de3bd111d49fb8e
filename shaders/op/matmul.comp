// y[r][b] (+)= W[b] x[r][b], or silu(W x) * (W_up x), for many rows; and the same over rows grouped by expert. Tiles of outputs x rows;
// weights are decoded once per tile into shared memory, a unit of 32 values of all its outputs at a time.
// Groups: (tiles of outputs, tiles of rows, batch items).
//
// An invocation owns OUT4 x ROW4 blocks of 4 outputs x 4 rows. With GATED the first half of a tile's outputs are gate rows and the
// second side the up rows of the same outputs, so that both meet in one invocation (OUT4 is 2 then).

#include "abi/matmul.h"

layout(constant_id = 1) const uint OUT_SIDE = 16;  // invocations along the outputs; divides the workgroup
layout(constant_id = 2) const uint OUT4 = 2;
layout(constant_id = 3) const uint ROW4 = 1;
layout(constant_id = 4) const bool GATED = false;
layout(constant_id = 5) const bool ACCUMULATE = false;
layout(constant_id = 6) const bool GROUPED = false;  // rows are pairs (row, k) of one expert

#include "op/load.glsl"

const uint ROW_SIDE = gl_WorkGroupSize.x / OUT_SIDE;
const uint TILE_OUT = 4 * OUT4 * OUT_SIDE, TILE_ROW = 4 * ROW4 * ROW_SIDE;
const uint OUTPUTS = GATED ? TILE_OUT / 2 : TILE_OUT;  // of y, per tile

shared vec4 w_tile[32 * TILE_OUT / 4];  // [value][output]
shared vec4 x_tile[32 * TILE_ROW / 4];  // [value][row]
shared uint x_rows[TILE_ROW], y_rows[TILE_ROW];

layout(push_constant) uniform Push { pm_push_matmul p; };

// Decodes unit u of OUTPUTS rows of one matrix to the tile's outputs from m_first on; an item is one run of 16 values of one output.
void fill_w(matrix from, uint m_first, uint out_first, uint u) {
  for (uint item = gl_LocalInvocationID.x; item < 2 * OUTPUTS; item += gl_WorkGroupSize.x) {
    uint o = item % OUTPUTS, h = item / OUTPUTS, m = m_first + o;
    raw_unit raw = unit_load(from.arena, from.at + min(out_first + o, p.w.n_out - 1) * p.w.row, p.w.n_unit, u);
    vec2 scale = unit_scale(raw, u), offset = unit_offset(raw, u);
    [[unroll]] for (uint i = 0; i < 4; i++) {
      vec4 v = h == 0 ? scale.x * unit_values(raw, u, i) + offset.x : scale.y * unit_values(raw, u, 4 + i) + offset.y;
      [[unroll]] for (uint c = 0; c < 4; c++) w_tile[((16 * h + 4 * i + c) * TILE_OUT + m) / 4][m % 4] = v[c];
    }
  }
}

void fill_x(uint u) {
  for (uint item = gl_LocalInvocationID.x; item < 8 * TILE_ROW; item += gl_WorkGroupSize.x) {
    uint i = item % 8, n = item / 8;
    vec4 v = load_x4(x_rows[n], unit_run(u, i / 4) + 4 * (i & 3u), p.w.n_in);
    [[unroll]] for (uint c = 0; c < 4; c++) x_tile[((4 * i + c) * TILE_ROW + n) / 4][n % 4] = v[c];
  }
}

void main() {
  uint batch = gl_WorkGroupID.z, out_first = gl_WorkGroupID.x * OUTPUTS, self = gl_LocalInvocationID.x;
  matrix w = matrix(p.w.arena, p.w.at + batch * p.w.slab), up = matrix(p.up_arena, p.up_at + batch * p.w.slab);
  uint first = gl_WorkGroupID.y * TILE_ROW, count;  // rows of this tile
  if (GROUPED) {
    if (gl_WorkGroupID.y >= scratch_u.v[p.groups_at]) return;
    uint tile = p.groups_at + 1 + 3 * gl_WorkGroupID.y, expert = scratch_u.v[tile];
    if (entry_pass(p.w.at + expert) != p.pass) return;
    first = scratch_u.v[tile + 1];
    count = scratch_u.v[tile + 2];
    w = expert_matrix(p.w.at + expert);
    up = expert_matrix(p.up_at + expert);
  } else {
    uint n_row = p.logits != 0 ? step_logits() : step_rows();
    if (first >= n_row) return;
    count = min(TILE_ROW, n_row - first);
  }
  w.arena = bounded_arena(w.arena);
  up.arena = bounded_arena(up.arena);
  for (uint n = self; n < TILE_ROW; n += gl_WorkGroupSize.x) {  // past the end: the last row again, not written
    uint row = first + min(n, count - 1), item = batch;
    if (GROUPED) {
      uint pair = scratch_u.v[p.list_at + row];
      row = pair / p.n_used;
      item = pair % p.n_used;
    }
    x_rows[n] = p.x.at + row * p.x.row + item * p.x.batch;
    y_rows[n] = p.y.at + row * p.y.row + item * p.y.batch;
  }
  barrier();

  uint out_self = self % OUT_SIDE, row_self = self / OUT_SIDE;
  vec4 acc[OUT4 * ROW4 * 4];  // four outputs of row 4r + c of block (o, r) at (o * ROW4 + r) * 4 + c
  [[unroll]] for (uint i = 0; i < OUT4 * ROW4 * 4; i++) acc[i] = vec4(0.0);
  for (uint u = 0; u < p.w.n_unit; u++) {
    for (uint side = 0; side < (GATED ? 2 : 1); side++)
      fill_w(matrix(side == 0 ? w.arena : up.arena, side == 0 ? w.at : up.at), side * OUTPUTS, out_first, u);
    fill_x(u);
    barrier();
    for (uint k4 = 0; k4 < 32; k4 += 4) {  // four at a time: enough loads in flight, little code
      [[unroll]] for (uint k = k4; k < k4 + 4; k++) {
        vec4 x[ROW4];
        [[unroll]] for (uint r = 0; r < ROW4; r++) x[r] = x_tile[k * (TILE_ROW / 4) + r * ROW_SIDE + row_self];
        [[unroll]] for (uint o = 0; o < OUT4; o++) {
          vec4 v = w_tile[k * (TILE_OUT / 4) + o * OUT_SIDE + out_self];
          [[unroll]] for (uint i = 0; i < ROW4 * 4; i++) acc[o * ROW4 * 4 + i] += v * x[i / 4][i % 4];
        }
      }
    }
    barrier();
  }

  [[unroll]] for (uint o = 0; o < (GATED ? OUT4 / 2 : OUT4); o++)
    [[unroll]] for (uint i = 0; i < ROW4 * 4; i++) {
      uint n = 4 * (i / 4 * ROW_SIDE + row_self) + i % 4, out_at = out_first + 4 * (o * OUT_SIDE + out_self);
      if (n >= count) continue;
      [[unroll]] for (uint c = 0; c < 4; c++)
        if (out_at + c < p.w.n_out) {
          uint y = y_rows[n] + out_at + c;
          float v = acc[o * ROW4 * 4 + i][c];
          if (GATED) v = silu(v) * acc[(o + OUT4 / 2) * ROW4 * 4 + i][c];
          scratch.v[y] = ACCUMULATE ? scratch.v[y] + v : v;
        }
    }
}
