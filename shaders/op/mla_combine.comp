// Joins the splits of mla_attention: y[r][h] = sum_s e^(max_s - max) sums_s / sum_s e^(max_s - max) total_s. Groups: (1, heads, rows).

#include "abi/mla_attention.h"
#include "op/mla_split.glsl"

layout(constant_id = 2) const uint TILE = 32;  // workgroup size of mla_attention

layout(push_constant) uniform Push { pm_push_mla_attention p; };

void main() {
  uint head = gl_WorkGroupID.y, row = gl_WorkGroupID.z;
  if (row >= step_rows()) return;
  uint n_cell = step_row(row).pos + 1, run = split_cells(n_cell, TILE), n_split = (n_cell + run - 1) / run;
  uint stride = p.n_latent + 2, from = p.partial_at + (row * p.n_head + head) * N_SPLIT * stride;

  float top = scratch.v[from + p.n_latent], total = 0.0;
  for (uint s = 1; s < n_split; s++) top = max(top, scratch.v[from + s * stride + p.n_latent]);
  for (uint s = 0; s < n_split; s++)
    total += exp(scratch.v[from + s * stride + p.n_latent] - top) * scratch.v[from + s * stride + p.n_latent + 1];
  for (uint i = gl_LocalInvocationID.x; i < p.n_latent; i += gl_WorkGroupSize.x) {
    float sum = 0.0;
    for (uint s = 0; s < n_split; s++) sum += exp(scratch.v[from + s * stride + p.n_latent] - top) * scratch.v[from + s * stride + i];
    scratch.v[p.y.at + row * p.y.row + head * p.y.batch + i] = sum / total;
  }
}
