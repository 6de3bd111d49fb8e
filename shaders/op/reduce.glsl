// Sums over lanes: consecutive invocations, counted by subgroup so that nothing is assumed about how invocations map to subgroups.
// LANES and SUBGROUP are powers of two; the workgroup is a multiple of both.

uint invocation() { return gl_SubgroupID * gl_SubgroupSize + gl_SubgroupInvocationID; }

// Sum over each run of `lanes` consecutive invocations inside a subgroup, in all of them.
float subgroup_lanes_sum(float v, uint lanes) {
  [[unroll]] for (uint o = 1; o < lanes; o <<= 1) v += subgroupShuffleXor(v, o);
  return v;
}

// Sum, or maximum, over the whole workgroup, in every invocation. Called by all invocations.
shared float reduce_parts[64];

float workgroup_sum(float v) {
  v = subgroupAdd(v);
  barrier();  // of an earlier call's reads
  if (subgroupElect()) reduce_parts[gl_SubgroupID] = v;
  barrier();
  v = 0.0;
  for (uint s = 0; s < gl_NumSubgroups; s++) v += reduce_parts[s];
  return v;
}

float workgroup_max(float v) {
  v = subgroupMax(v);
  barrier();
  if (subgroupElect()) reduce_parts[gl_SubgroupID] = v;
  barrier();
  v = reduce_parts[0];
  for (uint s = 1; s < gl_NumSubgroups; s++) v = max(v, reduce_parts[s]);
  return v;
}
