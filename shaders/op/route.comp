// Chooses experts: probabilities, groups, the n_used best, their weights. One workgroup per row, invocations loop over experts.
// An expert's rank is the number of experts that beat it: no sort, and equal scores give way to the lower index by construction.

#include "abi/route.h"
#include "op/reduce.glsl"

layout(constant_id = 1) const uint GATING = 1;  // pm_gating: 1 softmax, 2 sigmoid, 3 softmax over the chosen
layout(constant_id = 2) const bool BIAS = false;
layout(constant_id = 3) const bool NORMALIZE = false;

const uint MAX_EXPERTS = 512, MAX_USED = 64, MAX_GROUPS = 64;
const float NONE = -3.402823466e38;  // score of an expert that takes no part

shared float score[MAX_EXPERTS], prob[MAX_EXPERTS], group_score[MAX_GROUPS], chosen[MAX_USED];

layout(push_constant) uniform Push { pm_push_route p; };

void make_probs(uint row) {
  uint at = p.logits_at + row * p.logits_row, first = gl_LocalInvocationID.x, by = gl_WorkGroupSize.x;
  float top = 0.0, sum = 1.0;
  if (GATING == 1) {
    top = NONE;
    for (uint e = first; e < p.n_expert; e += by) top = max(top, scratch.v[at + e]);
    top = workgroup_max(top);
    sum = 0.0;
    for (uint e = first; e < p.n_expert; e += by) sum += exp(scratch.v[at + e] - top);
    sum = workgroup_sum(sum);
  }
  for (uint e = first; e < p.n_expert; e += by) {
    float x = scratch.v[at + e];
    prob[e] = GATING == 1 ? exp(x - top) / sum : GATING == 2 ? 1.0 / (1.0 + exp(-x)) : x;
    float s = BIAS ? prob[e] + uintBitsToFloat(weights4[p.bias_arena].v[p.bias_at + e]) : prob[e];
    score[e] = s > NONE ? s : NONE;  // not a number: last, so that every rank is still taken exactly once
  }
  barrier();
}

// Experts of the groups that are not among the n_group_used best lose their score.
void drop_groups() {
  uint size = p.n_expert / p.n_group, first = gl_LocalInvocationID.x, by = gl_WorkGroupSize.x;
  for (uint g = first; g < p.n_group; g += by) {
    float best = NONE, second = NONE;
    for (uint e = g * size; e < (g + 1) * size; e++) {
      second = max(second, min(best, score[e]));
      best = max(best, score[e]);
    }
    group_score[g] = BIAS && size > 1 ? best + second : best;
  }
  barrier();
  for (uint e = first; e < p.n_expert; e += by) {
    uint g = e / size, rank = 0;
    for (uint o = 0; o < p.n_group; o++) rank += uint(group_score[o] > group_score[g] || (group_score[o] == group_score[g] && o < g));
    if (rank >= p.n_group_used) score[e] = NONE;
  }
  barrier();
}

void main() {
  uint row = gl_WorkGroupID.x, first = gl_LocalInvocationID.x, by = gl_WorkGroupSize.x;
  if (row >= step_rows()) return;
  make_probs(row);
  if (p.n_group > 1) drop_groups();

  for (uint e = first; e < p.n_expert; e += by) {
    float mine = score[e];
    uint rank = 0;
    for (uint o = 0; o < p.n_expert; o++) rank += uint(score[o] > mine || (score[o] == mine && o < e));
    if (rank < p.n_used) {
      chosen[rank] = prob[e];
      scratch_u.v[p.ids_at + row * p.ids_row + rank] = e;
    }
  }
  barrier();

  float top = chosen[0], sum = 0.0;  // sums in order, alike in every invocation
  for (uint k = 0; k < p.n_used; k++) {
    if (GATING == 3) top = max(top, chosen[k]);
  }
  for (uint k = 0; k < p.n_used; k++) sum += GATING == 3 ? exp(chosen[k] - top) : chosen[k];
  for (uint k = first; k < p.n_used; k += by) {
    float w = GATING == 3 ? exp(chosen[k] - top) / sum : chosen[k];
    if (NORMALIZE) w /= max(GATING == 3 ? 1.0 : sum, 6.103515625e-5);
    scratch.v[p.weights_at + row * p.weights_row + k] = w * p.scale;
  }
}
