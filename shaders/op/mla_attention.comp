// Attention of HEADS heads of one row over a run of latent cache rows, which all heads share (DeepSeek-V2, arXiv 2405.04434), with a
// running maximum (Milakov and Gimelshein 2018). Groups: (splits, blocks of heads, rows).
//
// A tile is as many cells as the workgroup has invocations. Scores: one cell per invocation, all heads, so that q is uniform.
// Sums: one or more pairs of latent values per invocation, all heads, so that a cache row is read coalesced and once.

#include "abi/mla_attention.h"
#include "op/mla_split.glsl"

layout(constant_id = 2) const uint HEADS = 8;     // a multiple of 4
layout(constant_id = 3) const uint PAIRS = 1;     // pairs of latent values per invocation
layout(constant_id = 4) const bool HALF = true;   // cache of F16
layout(constant_id = 5) const bool WIDE = true;   // q and cache rows may be read 16 bytes at a time, and are multiples of 8 values
layout(constant_id = 6) const uint SUBGROUP = 32; // invocations of a subgroup, at least

const float NONE = -3.402823466e38;
const uint TILE = gl_WorkGroupSize.x;

shared vec4 weights[TILE * HEADS / 4];              // softmax numerators of the tile, [cell][head]
shared float parts[TILE / SUBGROUP * HEADS + 1];    // [subgroup][head], of a reduction over the workgroup

layout(push_constant) uniform Push { pm_push_mla_attention p; };

struct eight { vec4 a, b; };

eight load_q(uint at, uint i, uint n) {
  if (WIDE) return eight(scratch16.v[(at + i) / 4], scratch16.v[(at + i) / 4 + 1]);
  eight q = eight(vec4(0.0), vec4(0.0));
  [[unroll]] for (uint k = 0; k < 4; k++) {
    if (i + k < n) q.a[k] = scratch.v[at + i + k];
    if (i + 4 + k < n) q.b[k] = scratch.v[at + i + 4 + k];
  }
  return q;
}

vec2 load_pair(uint at, uint pair) {
  if (HALF) return unpackHalf2x16(cache4[p.kv_arena].v[at + pair]);
  return uintBitsToFloat(uvec2(cache4[p.kv_arena].v[at + 2 * pair], cache4[p.kv_arena].v[at + 2 * pair + 1]));
}

eight load_kv(uint at, uint i, uint n) {
  if (WIDE && HALF) {
    uvec4 w = cache16[p.kv_arena].v[(at + i / 2) / 4];
    return eight(vec4(unpackHalf2x16(w.x), unpackHalf2x16(w.y)), vec4(unpackHalf2x16(w.z), unpackHalf2x16(w.w)));
  }
  if (WIDE) return eight(uintBitsToFloat(cache16[p.kv_arena].v[(at + i) / 4]), uintBitsToFloat(cache16[p.kv_arena].v[(at + i) / 4 + 1]));
  vec2 v[4];
  [[unroll]] for (uint k = 0; k < 4; k++) v[k] = i + 2 * k < n ? load_pair(at, i / 2 + k) : vec2(0.0);
  return eight(vec4(v[0], v[1]), vec4(v[2], v[3]));
}

void main() {
  uint split = gl_WorkGroupID.x, head_first = gl_WorkGroupID.y * HEADS, row = gl_WorkGroupID.z, self = gl_LocalInvocationID.x;
  if (row >= step_rows()) return;
  pm_row r = step_row(row);
  uint n_cell = r.pos + 1, run = split_cells(n_cell, TILE), first = split * run, end = min(first + run, n_cell);
  if (first >= end) return;

  uint n = p.n_latent + p.n_rope, kv = p.kv_at + r.base * p.kv_row;
  float top[HEADS], total[HEADS];  // running maximum, and this invocation's share of the sum of numerators
  vec2 sum[HEADS * PAIRS];
  [[unroll]] for (uint h = 0; h < HEADS; h++) top[h] = NONE, total[h] = 0.0;
  [[unroll]] for (uint i = 0; i < HEADS * PAIRS; i++) sum[i] = vec2(0.0);

  for (uint tile = first; tile < end; tile += TILE) {
    float score[HEADS];
    [[unroll]] for (uint h = 0; h < HEADS; h++) score[h] = 0.0;
    uint mine = min(tile + self, end - 1);
    for (uint i = 0; i < n; i += 8) {
      eight k = load_kv(kv + mine * p.kv_row, i, n);
      [[unroll]] for (uint h = 0; h < HEADS; h++) {
        eight q = load_q(p.q.at + row * p.q.row + min(head_first + h, p.n_head - 1) * p.q.batch, i, n);
        score[h] += dot(q.a, k.a) + dot(q.b, k.b);
      }
    }
    barrier();  // of the previous tile's reads
    [[unroll]] for (uint h = 0; h < HEADS; h++) {
      score[h] = tile + self < end ? score[h] * p.scale : NONE;
      float most = subgroupMax(score[h]);
      if (subgroupElect()) parts[gl_SubgroupID * HEADS + h] = most;
    }
    barrier();
    float best[HEADS];
    [[unroll]] for (uint h = 0; h < HEADS; h++) best[h] = top[h];
    for (uint s = 0; s < gl_NumSubgroups; s++)
      [[unroll]] for (uint h = 0; h < HEADS; h++) best[h] = max(best[h], parts[s * HEADS + h]);
    [[unroll]] for (uint h = 0; h < HEADS; h++) {
      float shrink = exp(top[h] - best[h]), w = tile + self < end ? exp(score[h] - best[h]) : 0.0;
      top[h] = best[h];
      total[h] = total[h] * shrink + w;
      weights[self * (HEADS / 4) + h / 4][h % 4] = w;
      [[unroll]] for (uint j = 0; j < PAIRS; j++) sum[h * PAIRS + j] *= shrink;
    }
    barrier();
    for (uint c = 0; c < min(TILE, end - tile); c++) {
      uint at = kv + (tile + c) * p.kv_row;
      [[unroll]] for (uint j = 0; j < PAIRS; j++) {
        vec2 v = load_pair(at, min(self + j * TILE, p.n_latent / 2 - 1));
        [[unroll]] for (uint h = 0; h < HEADS; h++) sum[h * PAIRS + j] += weights[c * (HEADS / 4) + h / 4][h % 4] * v;
      }
    }
  }

  barrier();  // of the last tile's reads
  [[unroll]] for (uint h = 0; h < HEADS; h++) {
    float share = subgroupAdd(total[h]);
    if (subgroupElect()) parts[gl_SubgroupID * HEADS + h] = share;
    total[h] = 0.0;
  }
  barrier();
  for (uint s = 0; s < gl_NumSubgroups; s++)
    [[unroll]] for (uint h = 0; h < HEADS; h++) total[h] += parts[s * HEADS + h];

  [[unroll]] for (uint h = 0; h < HEADS; h++)
    if (head_first + h < p.n_head) {
      uint head = head_first + h;
      uint y = N_SPLIT == 1 ? p.y.at + row * p.y.row + head * p.y.batch
                            : p.partial_at + ((row * p.n_head + head) * N_SPLIT + split) * (p.n_latent + 2);
      float scale = N_SPLIT == 1 ? 1.0 / total[h] : 1.0;
      [[unroll]] for (uint j = 0; j < PAIRS; j++) {
        uint pair = self + j * TILE;
        if (2 * pair < p.n_latent) {
          scratch.v[y + 2 * pair] = sum[h * PAIRS + j].x * scale;
          scratch.v[y + 2 * pair + 1] = sum[h * PAIRS + j].y * scale;
        }
      }
      if (N_SPLIT > 1 && self == 0) {
        scratch.v[y + p.n_latent] = top[h];
        scratch.v[y + p.n_latent + 1] = total[h];
      }
    }
}
