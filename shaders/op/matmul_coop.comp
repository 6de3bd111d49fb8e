// The products of matmul.comp by cooperative matrices (VK_KHR_cooperative_matrix): weights and rows of x as halves in shared memory,
// sums in f32. x comes as rows of halves that halve.comp has made. Groups: (tiles of outputs, tiles of rows, batch items).
//
// SIDE subgroups share a tile's outputs, the others its rows. A subgroup has OUTS x ROWS matrices of sums, its k-th along the outputs
// SIDE * M apart from the next: so with GATED, where the first half of a tile's outputs are gate rows and the second the up rows of the
// same outputs, both meet in one subgroup (OUTS is even then).

#include "abi/matmul.h"

layout(constant_id = 1) const uint SUBGROUP = 32;  // divides the workgroup, and SIDE the subgroups
layout(constant_id = 2) const uint SIDE = 4;
layout(constant_id = 3) const uint OUTS = 2;
layout(constant_id = 4) const uint ROWS = 4;
layout(constant_id = 5) const bool GATED = false;
layout(constant_id = 6) const bool ACCUMULATE = false;
layout(constant_id = 7) const bool GROUPED = false;  // rows are pairs (row, k) of one expert
layout(constant_id = 8) const uint M = 16;           // the device's matrices: M x K times K x N; K divides 32
layout(constant_id = 9) const uint N = 16;
layout(constant_id = 10) const uint K = 16;

const uint SUBGROUPS = gl_WorkGroupSize.x / SUBGROUP, ROW_SIDE = SUBGROUPS / SIDE;
const uint TILE_OUT = M * OUTS * SIDE, TILE_ROW = N * ROWS * ROW_SIDE;
const uint OUTPUTS = GATED ? TILE_OUT / 2 : TILE_OUT;  // of y, per tile
const uint STRIDE = 10;                                // of tiles, in four halves: a unit, and some more against bank conflicts
const uint PARTS = GATED ? 2 : 1, VALUES = M * N / SUBGROUP;

shared f16vec4 w_tile[TILE_OUT * STRIDE];  // [output][value]
shared f16vec4 x_tile[TILE_ROW * STRIDE];  // [row][value]
shared float sums[SUBGROUPS * M * N];
shared float x_scale[TILE_ROW];
shared uint x_rows[TILE_ROW], y_rows[TILE_ROW];

#include "op/coop.glsl"

layout(push_constant) uniform Push { pm_push_matmul p; };
layout(set = 0, binding = 1, std430) readonly buffer Halves { uvec4 v[]; } halves;

// Decodes unit u of OUTPUTS rows of one matrix to the tile's outputs from m_first on; an item is one run of 16 values of one output.
void fill_w(matrix from, uint m_first, uint out_first, uint u) {
  for (uint item = gl_LocalInvocationID.x; item < 2 * OUTPUTS; item += gl_WorkGroupSize.x) {
    uint o = item % OUTPUTS, h = item / OUTPUTS;
    raw_unit raw = unit_load(from.arena, from.at + min(out_first + o, p.w.n_out - 1) * p.w.row, p.w.n_unit, u);
    vec2 scale = unit_scale(raw, u), offset = unit_offset(raw, u);
    [[unroll]] for (uint i = 0; i < 4; i++) {
      vec4 v = h == 0 ? scale.x * unit_values(raw, u, i) + offset.x : scale.y * unit_values(raw, u, 4 + i) + offset.y;
      w_tile[(m_first + o) * STRIDE + 4 * h + i] = f16vec4(v);
    }
  }
}

// The values of x that go with unit u, for the first n_row rows; an item is eight of them.
void fill_x(uint u, uint n_row) {
  for (uint item = gl_LocalInvocationID.x; item < 4 * n_row; item += gl_WorkGroupSize.x) {
    uint i = item % 4, n = item / 4;
    uvec4 v = halves.v[(x_rows[n] + unit_run(u, i / 2) / 2) / 4 + (i & 1u)];
    x_tile[n * STRIDE + 2 * i] = f16vec4(unpackFloat2x16(v.x), unpackFloat2x16(v.y));
    x_tile[n * STRIDE + 2 * i + 1] = f16vec4(unpackFloat2x16(v.z), unpackFloat2x16(v.w));
  }
}

// One matrix of sums [row][output], which the subgroup has stored, goes to y, from output out_at and row n_at of the tile on.
void write_sums(uint from, float gate[VALUES], uint out_at, uint n_at, uint count) {
  [[unroll]] for (uint k = 0; k < VALUES; k++) {
    uint i = k * SUBGROUP + gl_SubgroupInvocationID, n = n_at + i / M, out_self = out_at + i % M;
    if (n >= count || out_self >= p.w.n_out) continue;
    uint y = y_rows[n] + out_self;
    float v = sums[from + i] * x_scale[n];
    if (GATED) v *= silu(gate[k] * x_scale[n]);
    scratch.v[y] = ACCUMULATE ? scratch.v[y] + v : v;
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
    x_scale[n] = scratch.v[x_rows[n] + p.w.n_unit * 16];
  }
  barrier();

  uint out_self = gl_SubgroupID % SIDE * M, row_self = gl_SubgroupID / SIDE * N, n_row = (count + N - 1) / N * N;
  coop_sums acc[OUTS * ROWS];  // of outputs o and rows r at o * ROWS + r
  [[unroll]] for (uint i = 0; i < OUTS * ROWS; i++) acc[i] = coop_fill(0.0);
  for (uint u = 0; u < p.w.n_unit; u++) {
    for (uint side = 0; side < PARTS; side++)
      fill_w(matrix(side == 0 ? w.arena : up.arena, side == 0 ? w.at : up.at), side * OUTPUTS, out_first, u);
    fill_x(u, n_row);
    barrier();
    for (uint step = 0; step < 32 / K; step++) {
      uint k = step * K / 4;
      coop_weights a[OUTS];
      [[unroll]] for (uint o = 0; o < OUTS; o++) a[o] = coop_load_weights(w_tile[(o * SIDE * M + out_self) * STRIDE + k], BY_ROW, STRIDE, COOP_LOAD, WORKGROUP_SCOPE);
      [[unroll]] for (uint r = 0; r < ROWS; r++) {
        uint n = r * ROW_SIDE * N + row_self;
        if (n >= n_row) continue;
        coop_rows b = coop_load_rows(x_tile[n * STRIDE + k], BY_COLUMN, STRIDE, COOP_LOAD, WORKGROUP_SCOPE);
        [[unroll]] for (uint o = 0; o < OUTS; o++) acc[o * ROWS + r] = coop_multiply_add(a[o], b, acc[o * ROWS + r]);
      }
    }
    barrier();
  }

  uint from = gl_SubgroupID * M * N;
  [[unroll]] for (uint o = 0; o < OUTS / PARTS; o++)
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
      float gate[VALUES];
      if (GATED) {
        coop_store(sums[from], acc[o * ROWS + r], BY_COLUMN, M, COOP_STORE, WORKGROUP_SCOPE);
        subgroupBarrier();
        [[unroll]] for (uint k = 0; k < VALUES; k++) gate[k] = sums[from + k * SUBGROUP + gl_SubgroupInvocationID];
        subgroupBarrier();
      }
      coop_store(sums[from], acc[((PARTS - 1) * OUTS / 2 + o) * ROWS + r], BY_COLUMN, M, COOP_STORE, WORKGROUP_SCOPE);
      subgroupBarrier();
      write_sums(from, gate, out_first + o * SIDE * M + out_self, r * ROW_SIDE * N + row_self, count);
      subgroupBarrier();
    }
}
