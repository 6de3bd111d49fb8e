#include "expert_board.h"

#include <string.h>

typedef struct expert_set {
  uint64_t bits[PM_EXPERTS_MAX / 64];
} expert_set;

// Distinct chosen experts in ascending order, as hits where they have a slot and as the host's where not.
static uint32_t distinct(const pm_expert_board *board, uint32_t n_expert, const expert_set *chosen, pm_expert_place *places) {
  uint32_t n = 0;
  for (uint32_t w = 0; w < (n_expert + 63) / 64; w++)
    for (uint64_t bits = chosen->bits[w]; bits; bits &= bits - 1) {
      uint32_t e = w * 64 + (uint32_t)__builtin_ctzll(bits), slot = board->slot[e];
      bool hit = slot != PM_EXPERT_NOWHERE;
      places[n++] = (pm_expert_place){e, hit ? PM_EXPERT_HIT : PM_EXPERT_HOST, hit ? slot : 0};
    }
  return n;
}

static bool is_hit(const pm_expert_place *places, uint32_t n, uint32_t slot) {
  for (uint32_t i = 0; i < n; i++)
    if (places[i].fate == PM_EXPERT_HIT && places[i].index == slot) return true;
  return false;
}

static void take_victims(const pm_expert_board *board, pm_expert_place *places, uint32_t n) {
  for (uint32_t i = 0, next = 0; i < n; i++) {
    uint32_t e = places[i].expert;
    if (places[i].fate != PM_EXPERT_HOST || !board->warm[e] || board->home[e] == PM_EXPERT_NOWHERE) continue;
    while (next < board->n_victim && is_hit(places, n, board->victim[next])) next++;
    if (next == board->n_victim) return;
    places[i].fate = PM_EXPERT_VICTIM, places[i].index = board->victim[next++];
  }
}

uint32_t pm_expert_resolve(const pm_expert_board *board, uint32_t n_expert, const int32_t *ids, uint32_t n_id, bool many,
                           pm_expert_place *places) {
  expert_set chosen;
  memset(chosen.bits, 0, (n_expert + 63) / 64 * sizeof *chosen.bits);
  for (uint32_t i = 0; i < n_id; i++) chosen.bits[(uint32_t)ids[i] / 64] |= 1ull << (uint32_t)ids[i] % 64;
  uint32_t n = distinct(board, n_expert, &chosen, places), ring = 0;
  if (!many) take_victims(board, places, n);
  for (uint32_t i = 0; i < n && (many || ring < board->n_ring); i++)
    if (places[i].fate == PM_EXPERT_HOST && board->home[places[i].expert] != PM_EXPERT_NOWHERE)
      places[i].fate = PM_EXPERT_RING, places[i].index = ring++;
  return n;
}

enum { NOMINATED = 1u << 31 };  // beside 1 + the table that an expert in the slot belongs to

static pm_status check_slots(const pm_expert_board *b, uint32_t t, uint32_t n_expert, uint32_t n_slot, uint32_t *taken) {
  for (uint32_t e = 0; e < n_expert; e++) {
    uint32_t slot = b->slot[e];
    if (slot == PM_EXPERT_NOWHERE) continue;
    if (slot >= n_slot) PM_FAIL(PM_ERR_ARGUMENT, "table %u, expert %u: slot %u of %u", t, e, slot, n_slot);
    if (taken[slot]) PM_FAIL(PM_ERR_ARGUMENT, "table %u, expert %u: slot %u has an expert of table %u", t, e, slot, taken[slot] - 1);
    taken[slot] = t + 1;
  }
  return PM_OK;
}

static pm_status check_victims(const pm_expert_board *b, uint32_t t, uint32_t n_used, uint32_t n_slot, uint32_t *taken) {
  if (b->n_victim > n_used) PM_FAIL(PM_ERR_ARGUMENT, "table %u: %u victims, at most %u make sense", t, b->n_victim, n_used);
  for (uint32_t i = 0; i < b->n_victim; i++) {
    uint32_t slot = b->victim[i];
    if (slot >= n_slot) PM_FAIL(PM_ERR_ARGUMENT, "table %u: victim %u of %u slots", t, slot, n_slot);
    if (taken[slot] & NOMINATED) PM_FAIL(PM_ERR_ARGUMENT, "table %u: slot %u is a victim already", t, slot);
    if (taken[slot] && taken[slot] != t + 1) PM_FAIL(PM_ERR_ARGUMENT, "table %u: victim %u is of table %u", t, slot, taken[slot] - 1);
    taken[slot] |= NOMINATED;
  }
  return PM_OK;
}

pm_status pm_expert_boards_check(const pm_expert_board *boards, const uint32_t *class_of, uint32_t n_table, uint32_t class,
                                 uint32_t n_expert, uint32_t n_used, uint32_t n_slot, uint32_t *taken) {
  memset(taken, 0, n_slot * sizeof *taken);
  for (uint32_t t = 0; t < n_table; t++)
    if (class_of[t] == class) PM_TRY(check_slots(&boards[t], t, n_expert, n_slot, taken));
  for (uint32_t t = 0; t < n_table; t++)
    if (class_of[t] == class) PM_TRY(check_victims(&boards[t], t, n_used, n_slot, taken));
  return PM_OK;
}
