// Which experts of a table a step finds where, and which must come first. One workgroup; everything is decided by counting in sets of
// bits, so that the outcome depends on nothing but the ids and the board.
//
// Misses: chosen experts without a slot, but with a home, in ascending order. With `few` the warm ones among them take victims (not one
// whose expert was chosen too) as long as there are some, and all that are left take ring records as long as the board allows. Else all
// take ring records, in waves: products are computed in passes, and an entry says in which its expert is where it says. Entries of chosen
// experts that find no place say NOWHERE.

#include "abi/bring.h"

const uint MAX_EXPERTS = 512, SET_WORDS = MAX_EXPERTS / 32;
const uint CHOSEN = 0, MISSES = 1, WARM = 2, SPARED = 3;  // the last of victims: those that are hits
shared uint sets[4][SET_WORDS];

layout(push_constant) uniform Push { pm_push_resolve p; };
layout(set = 0, binding = 4, std430) writeonly buffer Entries { uvec2 v[]; } entries;
layout(set = 0, binding = 5, std430) readonly buffer Boards { uint v[]; } boards;

uvec2 place(uint at) { return uvec2(boards.v[p.board_at + at], boards.v[p.board_at + at + 1]); }
uvec2 slot_of(uint e) { return place(PM_BOARD_PLACES + 2 * e); }
uvec2 home_of(uint e) { return place(PM_BOARD_HOMES(p.n_expert) + 2 * e); }
uvec2 victim(uint i) { return place(PM_BOARD_VICTIMS(p.n_expert) + 2 * i); }
uint n_victim() { return p.few != 0 ? boards.v[p.board_at + PM_BOARD_N_VICTIM] : 0; }

void insert(uint set, uint i) { atomicOr(sets[set][i / 32], 1u << (i & 31u)); }
bool is_in(uint set, uint i) { return (sets[set][i / 32] >> (i & 31u) & 1u) != 0; }

// Members of a set below i.
uint below(uint set, uint i) {
  uint n = 0;
  for (uint w = 0; w < i / 32; w++) n += bitCount(sets[set][w]);
  return i % 32 == 0 ? n : n + bitCount(sets[set][i / 32] << (32 - i % 32));
}

void choose() {
  uint n_pair = p.all != 0 ? 0 : step_rows() * p.n_used;
  for (uint i = gl_LocalInvocationID.x; i < SET_WORDS; i += gl_WorkGroupSize.x) {
    sets[CHOSEN][i] = p.all != 0 ? ~0u : 0;
    sets[MISSES][i] = sets[WARM][i] = sets[SPARED][i] = 0;
  }
  barrier();
  for (uint pair = gl_LocalInvocationID.x; pair < n_pair; pair += gl_WorkGroupSize.x)
    insert(CHOSEN, min(scratch_u.v[p.ids_at + pair / p.n_used * p.ids_row + pair % p.n_used], p.n_expert - 1));
  barrier();
}

void sort_out() {
  for (uint e = gl_LocalInvocationID.x; e < p.n_expert; e += gl_WorkGroupSize.x) {
    uvec2 slot = slot_of(e);
    uint home = home_of(e).x;
    if (!is_in(CHOSEN, e)) continue;
    if (slot.x != PM_NOWHERE) {
      for (uint i = 0; i < n_victim(); i++)
        if (victim(i) == slot) insert(SPARED, i);
    } else if (home != PM_NOWHERE) {
      insert(MISSES, e);
      if (p.few != 0 && (home & PM_HOME_WARM) != 0) insert(WARM, e);
    }
  }
  barrier();
}

// The n-th victim that may be taken.
uvec2 take_victim(uint n) {
  uint i = 0;
  while (is_in(SPARED, i) || i - below(SPARED, i) < n) i++;
  return victim(i);
}

// Of miss i of a step of many rows.
uint ring_record(uint i) { return (boards.v[p.board_at + PM_BOARD_HALF] + i / p.wave) % p.n_half * p.wave + i % p.wave; }

void list_fill(uint i, uvec2 home, uvec2 slot) {
  uint at = p.fills_at + 1 + 4 * i;
  scratch_u.v[at] = home.x & ~PM_HOME_WARM;
  scratch_u.v[at + 1] = home.y;
  scratch_u.v[at + 2] = slot.x;
  scratch_u.v[at + 3] = slot.y;
}

void main() {
  choose();
  sort_out();
  uint n_free = n_victim() - below(SPARED, MAX_EXPERTS), n_taken = min(below(WARM, MAX_EXPERTS), n_free);
  uint n_ring = p.few != 0 ? boards.v[p.board_at + PM_BOARD_N_RING] : MAX_EXPERTS;
  for (uint e = gl_LocalInvocationID.x; e < p.n_expert; e += gl_WorkGroupSize.x) {
    if (!is_in(CHOSEN, e)) continue;
    uvec2 at = slot_of(e);
    uint warmer = below(WARM, e), later = below(MISSES, e) - min(warmer, n_free);  // before this one, of its kind
    if (is_in(WARM, e) && warmer < n_free) {
      at = take_victim(warmer);
      list_fill(warmer, home_of(e), at);
    } else if (is_in(MISSES, e) && later < n_ring) {
      at = place(PM_BOARD_RING(p.n_expert, p.max_victim) + 2 * (p.few != 0 ? later : ring_record(later)));
      list_fill(n_taken + later, home_of(e), at);
      if (p.few == 0) at.x |= p.first_pass + later / p.wave << PM_ENTRY_PASS_SHIFT;
    }
    entries.v[p.table_at + e] = at;
    entries.v[p.table_at + p.n_expert + e] = uvec2(at.x, at.y + p.up_at);
    entries.v[p.table_at + 2 * p.n_expert + e] = uvec2(at.x, at.y + p.down_at);
  }
  if (gl_LocalInvocationID.x == 0) scratch_u.v[p.fills_at] = n_taken + min(below(MISSES, MAX_EXPERTS) - n_taken, n_ring);
}
