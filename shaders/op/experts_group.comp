// Orders the pairs (row, k) of a step by expert, and cuts every expert's pairs into tiles. One workgroup.
// The order of an expert's pairs is free: every pair's result goes to its own place.

#include "abi/matmul.h"

const uint MAX_EXPERTS = 512;
shared uint n_pair[MAX_EXPERTS], next[MAX_EXPERTS];

layout(push_constant) uniform Push { pm_push_group p; };

uint expert_of(uint pair) { return min(scratch_u.v[p.ids_at + pair / p.n_used * p.ids_row + pair % p.n_used], p.n_expert - 1); }

void main() {
  uint self = gl_LocalInvocationID.x, by = gl_WorkGroupSize.x, all = step_rows() * p.n_used;
  for (uint e = self; e < p.n_expert; e += by) n_pair[e] = 0;
  barrier();
  for (uint pair = self; pair < all; pair += by) atomicAdd(n_pair[expert_of(pair)], 1);
  barrier();
  for (uint e = self; e < p.n_expert; e += by) {
    uint first = 0, tile = 0;  // pairs and tiles of the experts before this one
    for (uint o = 0; o < e; o++) {
      first += n_pair[o];
      tile += (n_pair[o] + p.tile - 1) / p.tile;
    }
    next[e] = first;
    for (uint i = 0; i < n_pair[e]; i += p.tile, tile++) {
      uint at = p.groups_at + 1 + 3 * tile;
      scratch_u.v[at] = e;
      scratch_u.v[at + 1] = first + i;
      scratch_u.v[at + 2] = min(p.tile, n_pair[e] - i);
    }
    if (e == p.n_expert - 1) scratch_u.v[p.groups_at] = tile;
  }
  barrier();
  for (uint pair = self; pair < all; pair += by) scratch_u.v[p.list_at + atomicAdd(next[expert_of(pair)], 1)] = pair;
}
