#include "homes.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"

enum { HALVE_TOKENS = 16 };

typedef struct expert {
  uint32_t home;
  uint32_t score;   // as of `period`
  uint32_t period;  // of its table
  uint32_t mark;    // of the newest need that chose it
} expert;

typedef struct home {
  uint32_t table, expert;  // table PM_EXPERT_NOWHERE: free
  uint32_t n_hold;
} home;

struct pm_homes {
  uint32_t n_table, n_expert, n_used, n_class;
  uint32_t *class_of;
  uint64_t *tokens;  // [n_table] rows seen
  expert *experts;   // [n_table][n_expert]
  uint32_t n_home[PM_EXPERT_CLASSES], n_held[PM_EXPERT_CLASSES];
  home *homes[PM_EXPERT_CLASSES];
  uint32_t mark;
};

static expert *expert_at(const pm_homes *h, uint32_t table, uint32_t e) { return &h->experts[(size_t)table * h->n_expert + e]; }

static pm_status make(pm_homes *h, const pm_homes_desc *d) {
  h->n_table = d->n_table, h->n_expert = d->n_expert, h->n_used = d->n_used, h->n_class = d->n_class;
  PM_NEW(&h->class_of, d->n_table, "homes of experts");
  PM_NEW(&h->tokens, d->n_table, "homes of experts");
  PM_NEW(&h->experts, (size_t)d->n_table * d->n_expert, "homes of experts");
  memcpy(h->class_of, d->class_of, d->n_table * sizeof *h->class_of);
  for (size_t i = 0; i < (size_t)d->n_table * d->n_expert; i++) h->experts[i].home = PM_EXPERT_NOWHERE;
  for (uint32_t c = 0; c < d->n_class; c++) {
    h->n_home[c] = d->n_home[c];
    PM_NEW(&h->homes[c], d->n_home[c], "homes of experts");
    for (uint32_t i = 0; i < d->n_home[c]; i++) h->homes[c][i].table = PM_EXPERT_NOWHERE;
  }
  return PM_OK;
}

pm_status pm_homes_create(const pm_homes_desc *desc, pm_homes **out) {
  *out = NULL;
  pm_homes *h;
  PM_NEW(&h, 1, "homes of experts");
  pm_status status = make(h, desc);
  if (status) {
    pm_homes_destroy(h);
    return status;
  }
  *out = h;
  return PM_OK;
}

void pm_homes_destroy(pm_homes *h) {
  if (!h) return;
  for (uint32_t c = 0; c < PM_EXPERT_CLASSES; c++) pm_free(h->homes[c]);
  pm_free(h->class_of);
  pm_free(h->tokens);
  pm_free(h->experts);
  pm_free(h);
}

uint32_t pm_homes_of(const pm_homes *h, uint32_t table, uint32_t e) { return expert_at(h, table, e)->home; }

// ---- scores ----

static uint32_t period_of(const pm_homes *h, uint32_t table) { return (uint32_t)(h->tokens[table] / HALVE_TOKENS); }

static uint32_t score_now(const pm_homes *h, uint32_t table, const expert *x) {
  uint32_t n = period_of(h, table) - x->period;
  return n < 32 ? x->score >> n : 0;
}

// Rows are counted one after the other, as if each had been a step. What has a slot is used there: its home cools down.
static void count_use(pm_homes *h, uint32_t table, const int32_t *ids, uint32_t n_row, const uint32_t *slot) {
  for (uint32_t r = 0; r < n_row; r++, h->tokens[table]++)
    for (uint32_t k = 0; k < h->n_used; k++, ids++) {
      if (slot && slot[*ids] != PM_EXPERT_NOWHERE) continue;
      expert *x = expert_at(h, table, (uint32_t)*ids);
      x->score = score_now(h, table, x) + PM_HOMES_USE;
      x->period = period_of(h, table);
    }
}

// ---- taking homes ----

static void put(pm_homes *h, uint32_t table, uint32_t e, uint32_t index) {
  home *at = &h->homes[h->class_of[table]][index];
  at->table = table, at->expert = e;
  expert_at(h, table, e)->home = index;
}

// How many tables run before this one does again, when `running` is running.
static uint32_t turns_until(const pm_homes *h, uint32_t table, uint32_t running) {
  return table > running ? table - running : table + h->n_table - running;
}

// The home that can best be spared; there is one. Experts of the running need are marked.
static uint32_t victim(const pm_homes *h, uint32_t table) {
  uint32_t class = h->class_of[table], best = PM_EXPERT_NOWHERE, best_score = 0, best_turns = 0;
  for (uint32_t i = 0; i < h->n_home[class]; i++) {
    const home *at = &h->homes[class][i];
    if (at->n_hold) continue;
    if (at->table == PM_EXPERT_NOWHERE) return i;
    const expert *x = expert_at(h, at->table, at->expert);
    if (at->table == table && x->mark == h->mark) continue;
    uint32_t score = score_now(h, at->table, x), turns = turns_until(h, at->table, table);
    if (best != PM_EXPERT_NOWHERE && (score > best_score || (score == best_score && turns <= best_turns))) continue;
    best = i, best_score = score, best_turns = turns;
  }
  return best;
}

// Marks the distinct chosen experts. Those with a home are hits; the others' number is returned, and how many of the homes of hits are
// held anyway.
static uint32_t mark_chosen(pm_homes *h, uint32_t table, const int32_t *ids, uint32_t n_id, const uint32_t *slot, uint32_t *n_hit,
                            uint32_t *n_hit_held) {
  uint32_t n_miss = 0;
  *n_hit = *n_hit_held = 0;
  h->mark++;
  for (uint32_t i = 0; i < n_id; i++) {
    expert *x = expert_at(h, table, (uint32_t)ids[i]);
    if (x->mark == h->mark || (slot && slot[ids[i]] != PM_EXPERT_NOWHERE)) continue;
    x->mark = h->mark;
    if (x->home == PM_EXPERT_NOWHERE) {
      n_miss++;
    } else {
      ++*n_hit;
      *n_hit_held += h->homes[h->class_of[table]][x->home].n_hold > 0;
    }
  }
  return n_miss;
}

pm_status pm_homes_need(pm_homes *h, uint32_t table, const int32_t *ids, uint32_t n_row, const uint32_t *slot, pm_homes_fill *fills,
                        uint32_t *n_fill, uint32_t *n_hit) {
  uint32_t class = h->class_of[table], n_hit_held, n_miss = mark_chosen(h, table, ids, n_row * h->n_used, slot, n_hit, &n_hit_held);
  uint32_t n_kept = *n_hit + h->n_held[class] - n_hit_held;
  *n_fill = 0;
  if (n_miss > h->n_home[class] - n_kept)
    PM_FAIL(PM_ERR_MEMORY, "%u rows chose %u experts of one layer, there is room for %u; take fewer rows to a step", n_row, *n_hit + n_miss,
            h->n_home[class] - n_kept + *n_hit);
  for (uint32_t e = 0; e < h->n_expert && n_miss; e++) {
    expert *x = expert_at(h, table, e);
    if (x->mark != h->mark || x->home != PM_EXPERT_NOWHERE) continue;
    uint32_t i = victim(h, table);
    home old = h->homes[class][i];
    if (old.table != PM_EXPERT_NOWHERE) expert_at(h, old.table, old.expert)->home = PM_EXPERT_NOWHERE;
    put(h, table, e, i);
    fills[(*n_fill)++] = (pm_homes_fill){e, i, old.table, old.expert};
    n_miss--;
  }
  count_use(h, table, ids, n_row, slot);
  return PM_OK;
}

typedef struct ranked {
  uint32_t heat, table, expert;
} ranked;

static int hotter_first(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->heat != y->heat) return x->heat > y->heat ? -1 : 1;
  if (x->expert != y->expert) return x->expert < y->expert ? -1 : 1;
  return x->table < y->table ? -1 : x->table > y->table;
}

pm_status pm_homes_seed(pm_homes *h, const uint32_t *heat) {
  size_t n = (size_t)h->n_table * h->n_expert;
  uint32_t next[PM_EXPERT_CLASSES] = {0};
  ranked *list;
  PM_NEW(&list, n, "homes of experts");
  for (size_t i = 0; i < n; i++) list[i] = (ranked){heat ? heat[i] : 0, (uint32_t)(i / h->n_expert), (uint32_t)(i % h->n_expert)};
  qsort(list, n, sizeof *list, hotter_first);
  for (const ranked *r = list; r < list + n; r++) {
    uint32_t class = h->class_of[r->table];
    expert *x = expert_at(h, r->table, r->expert);
    x->score = r->heat, x->period = period_of(h, r->table);
    while (next[class] < h->n_home[class] && h->homes[class][next[class]].table != PM_EXPERT_NOWHERE) next[class]++;
    if (x->home == PM_EXPERT_NOWHERE && next[class] < h->n_home[class]) put(h, r->table, r->expert, next[class]);
  }
  pm_free(list);
  return PM_OK;
}

void pm_homes_drop(pm_homes *h, uint32_t table, uint32_t e) {
  expert *x = expert_at(h, table, e);
  if (x->home == PM_EXPERT_NOWHERE) return;
  h->homes[h->class_of[table]][x->home].table = PM_EXPERT_NOWHERE;
  x->home = PM_EXPERT_NOWHERE;
}

void pm_homes_hold(pm_homes *h, uint32_t class, uint32_t index) { h->n_held[class] += h->homes[class][index].n_hold++ == 0; }

void pm_homes_release(pm_homes *h, uint32_t class, uint32_t index) { h->n_held[class] -= --h->homes[class][index].n_hold == 0; }
