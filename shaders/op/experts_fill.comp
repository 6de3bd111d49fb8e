// Brings one matrix of every listed expert from its home in host memory, rows of blocks as in the file, to its slot, rows of parts as
// quant/<format>.glsl wants them. Any number of workgroups, which share the work evenly.
//
// Host memory lies behind a link: consecutive invocations read consecutive 16-byte words, each once. Rows begin at any byte, so a chunk of
// whole blocks goes through shared memory, from where every 16-byte word of the slot is gathered. A matrix whose rows are the same in
// both, and begin at a word, is copied as it is.

#include "abi/bring.h"

layout(constant_id = 1) const uint HOMES = 1;       // arenas of host memory
layout(constant_id = 2) const bool PLAIN = false;   // copied as it is
layout(constant_id = 3) const uint BLOCK = 2;       // bytes of a block in the file
layout(constant_id = 4) const uint CHUNK = 16;      // blocks, a multiple of 16: so every part of a chunk is whole words
layout(constant_id = 5) const uint FROM_0 = 0;      // of each part: its first byte in a block, its bytes; none: 0
layout(constant_id = 6) const uint BYTES_0 = 2;
layout(constant_id = 7) const uint FROM_1 = 0;
layout(constant_id = 8) const uint BYTES_1 = 0;
layout(constant_id = 9) const uint FROM_2 = 0;
layout(constant_id = 10) const uint BYTES_2 = 0;

const uint STAGE = PLAIN ? 1 : CHUNK * BLOCK / 4 + 9;
shared uint stage[STAGE];  // a chunk from the word on in which it begins; one word more than is looked at

layout(push_constant) uniform Push { pm_push_fill p; };
layout(set = 0, binding = 0, std430) writeonly buffer Slots { uvec4 v[]; } slots[ARENAS];
layout(set = 0, binding = 6, std430) readonly buffer Homes { uvec4 v[]; } homes[HOMES];

struct fill { uint home, from, slot, to; };

fill load_fill(uint i) {
  uint at = p.fills_at + 1 + 4 * (p.first + i);
  return fill(min(scratch_u.v[at], HOMES - 1), scratch_u.v[at + 1], bounded_arena(scratch_u.v[at + 2]), scratch_u.v[at + 3] + p.slot_at);
}

void copy_plain(uint n_fill) {
  const uint STEP = gl_WorkGroupSize.x;
  uint n = p.slot_row * p.n_row, n_piece = (n + 4 * STEP - 1) / (4 * STEP);
  for (uint item = gl_WorkGroupID.x; item < n_fill * n_piece; item += gl_NumWorkGroups.x) {
    fill f = load_fill(item / n_piece);
    uint first = item % n_piece * 4 * STEP + gl_LocalInvocationID.x;
    uvec4 v[4];
    [[unroll]] for (uint i = 0; i < 4; i++) v[i] = homes[f.home].v[f.from + p.home_at / 16 + min(first + i * STEP, n - 1)];
    [[unroll]] for (uint i = 0; i < 4; i++)
      if (first + i * STEP < n) slots[f.slot].v[f.to + first + i * STEP] = v[i];
  }
}

// Four bytes of the stage, from any byte on.
uint staged(uint b) {
  uint s = 8 * (b & 3u);
  return s == 0 ? stage[b / 4] : stage[b / 4] >> s | stage[b / 4 + 1] << (32 - s);
}

// Four bytes of a part of the chunk, of which `used` come from the file and the rest are zeros.
uint gather4(uint skip, uint from, uint bytes, uint at, uint used) {
  uint piece = bytes % 4 == 0 ? 4 : bytes % 2 == 0 ? 2 : 1, word = 0;
  for (uint i = 0; i < 4; i += piece) {
    uint b = at + i;
    if (b < used) word |= bitfieldExtract(staged(skip + b / bytes * BLOCK + from + b % bytes), 0, int(8 * piece)) << (8 * i);
  }
  return word;
}

// Chunk c, n blocks long, of one part, which begins at word `to` of the slot and has n_word words in all.
void put_part(fill f, uint to, uint n_word, uint c, uint n, uint skip, uint from, uint bytes) {
  uint first = c * CHUNK * bytes / 16, end = (c + 1) * CHUNK < p.n_block ? first + CHUNK * bytes / 16 : n_word;
  for (uint w = first + gl_LocalInvocationID.x; w < end; w += gl_WorkGroupSize.x) {
    uvec4 v;
    [[unroll]] for (uint i = 0; i < 4; i++) v[i] = gather4(skip, from, bytes, 16 * (w - first) + 4 * i, n * bytes);
    slots[f.slot].v[to + w] = v;
  }
}

void copy_rows(uint n_fill) {
  uint n_chunk = (p.n_block + CHUNK - 1) / CHUNK;
  for (uint item = gl_WorkGroupID.x; item < n_fill * p.n_row * n_chunk; item += gl_NumWorkGroups.x) {
    uint c = item % n_chunk, row = item / n_chunk % p.n_row, n = min(CHUNK, p.n_block - c * CHUNK);
    fill f = load_fill(item / n_chunk / p.n_row);
    uint byte = p.home_at + row * p.home_row + c * CHUNK * BLOCK, skip = byte & 15u, to = f.to + row * p.slot_row;
    for (uint w = gl_LocalInvocationID.x; w < (skip + n * BLOCK + 15) / 16; w += gl_WorkGroupSize.x) {
      uvec4 v = homes[f.home].v[f.from + byte / 16 + w];
      [[unroll]] for (uint i = 0; i < 4; i++) stage[4 * w + i] = v[i];
    }
    barrier();
    put_part(f, to, p.part_words[0], c, n, skip, FROM_0, BYTES_0);
    to += p.part_words[0];
    if (BYTES_1 != 0) put_part(f, to, p.part_words[1], c, n, skip, FROM_1, BYTES_1);
    to += p.part_words[1];
    if (BYTES_2 != 0) put_part(f, to, p.part_words[2], c, n, skip, FROM_2, BYTES_2);
    barrier();
  }
}

void main() {
  uint n_listed = scratch_u.v[p.fills_at], n_fill = min(n_listed - min(n_listed, p.first), p.n_fill);
  if (PLAIN)
    copy_plain(n_fill);
  else
    copy_rows(n_fill);
}
