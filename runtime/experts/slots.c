#include "slots.h"

#include <string.h>

#include "memory.h"

// In place of the expert in a slot. Either kind belongs to a table; free ones are victims, pending ones wait for a move.
#define FREE UINT32_MAX
#define PENDING (UINT32_MAX - 1)

// A use counts USE when it happens and half as much every 16 tokens.
#define USE (PM_SLOTS_USE << 8)
static const uint32_t DECAY = 4112874773u;  // 2^32 * 2^(-1 / 16)
// One slot of each class may change its table every so many steps: looking for it costs as much as the rest of a step.
enum { WANDER_STEPS = 8 };
// What a miss adds to its expert's score before the comparison with the coldest victim: its own use, and more, since an expert that was
// just used comes again sooner than its count says (on recorded use of the demo model 2.5 is best, and 1.5 to 8 cost less than a point).
#define NEWCOMER (USE / 2 * 5)

typedef struct owner {
  uint32_t table, expert;  // expert: or FREE, PENDING
} owner;

typedef struct class_state {
  owner *slots;  // [capacity]
  uint32_t n, capacity, n_table, n_free;
} class_state;

typedef struct table_state {
  uint32_t *slot;          // [n_expert] PM_EXPERT_NOWHERE: none
  uint32_t *score;         // [n_expert]
  bool *coming;            // [n_expert] by a pending move
  uint32_t class, n_slot;  // slots that belong to the table
  bool admit;
  pm_slots_counters counters[2];
} table_state;

struct pm_slots {
  uint32_t n_table, n_expert, n_used, n_class;
  uint64_t step;
  class_state classes[PM_EXPERT_CLASSES];
  table_state *tables;
  uint32_t *experts;  // memory of the tables' arrays
  bool *coming;
  pm_expert_place *places;  // [n_expert]
};

static pm_status create_into(pm_slots *s, const pm_slots_desc *d) {
  PM_NEW(&s->tables, d->n_table, "state of expert tables");
  PM_NEW(&s->experts, (size_t)d->n_table * d->n_expert * 2, "state of experts");
  PM_NEW(&s->coming, (size_t)d->n_table * d->n_expert, "state of experts");
  PM_NEW(&s->places, d->n_expert, "state of experts");
  for (uint32_t t = 0; t < d->n_table; t++) {
    uint32_t *e = s->experts + (size_t)t * d->n_expert * 2;
    s->tables[t] = (table_state){
        .slot = e, .score = e + d->n_expert, .coming = s->coming + (size_t)t * d->n_expert, .class = d->class_of[t], .admit = true};
    memset(e, 0xff, d->n_expert * sizeof *e);
    s->classes[d->class_of[t]].n_table++;
  }
  for (uint32_t c = 0; c < d->n_class; c++) {
    class_state *k = &s->classes[c];
    k->capacity = d->n_slot[c];
    PM_NEW(&k->slots, k->capacity, "state of expert slots");
    pm_slots_resize(s, c, k->capacity);
  }
  return PM_OK;
}

pm_status pm_slots_create(const pm_slots_desc *d, pm_slots **out) {
  *out = NULL;
  if (d->n_expert > PM_EXPERTS_MAX)
    PM_FAIL(PM_ERR_UNSUPPORTED, "%u experts in a layer, at most %d can be handled", d->n_expert, PM_EXPERTS_MAX);
  pm_slots *s;
  PM_NEW(&s, 1, "state of expert slots");
  s->n_table = d->n_table, s->n_expert = d->n_expert, s->n_used = d->n_used, s->n_class = d->n_class;
  pm_status status = create_into(s, d);
  if (status) return pm_slots_destroy(s), status;
  *out = s;
  return PM_OK;
}

void pm_slots_destroy(pm_slots *s) {
  if (!s) return;
  for (uint32_t c = 0; c < s->n_class; c++) pm_free(s->classes[c].slots);
  pm_free(s->tables);
  pm_free(s->experts);
  pm_free(s->coming);
  pm_free(s->places);
  pm_free(s);
}

// ---- slots and their owners ----

// The i-th table of a class, counted around.
static uint32_t table_of_class(const pm_slots *s, uint32_t class, uint32_t i) {
  uint32_t nth = i % s->classes[class].n_table, t = 0;
  for (;; t++)
    if (s->tables[t].class == class && nth-- == 0) return t;
}

static void evict(pm_slots *s, class_state *k, uint32_t slot) {
  owner *o = &k->slots[slot];
  s->tables[o->table].slot[o->expert] = PM_EXPERT_NOWHERE;
  o->expert = FREE;
  k->n_free++;
}

static void give(pm_slots *s, class_state *k, uint32_t slot, uint32_t expert) {
  owner *o = &k->slots[slot];
  if (o->expert == FREE)
    k->n_free--;
  else if (o->expert != PENDING)
    s->tables[o->table].slot[o->expert] = PM_EXPERT_NOWHERE;
  o->expert = expert;
  if (expert != PENDING) s->tables[o->table].slot[expert] = slot;
}

static void change_table(pm_slots *s, class_state *k, uint32_t slot, uint32_t t) {
  s->tables[k->slots[slot].table].n_slot--;
  s->tables[t].n_slot++;
  k->slots[slot].table = t;
}

void pm_slots_resize(pm_slots *s, uint32_t class, uint32_t n) {
  class_state *k = &s->classes[class];
  if (n > k->capacity) n = k->capacity;
  for (; k->n < n && k->n_table; k->n++) {
    uint32_t t = table_of_class(s, class, k->n);
    k->slots[k->n] = (owner){t, FREE};
    k->n_free++;
    s->tables[t].n_slot++;
  }
  while (k->n > n) {
    owner *o = &k->slots[k->n - 1];
    if (o->expert < PENDING) evict(s, k, k->n - 1);
    k->n_free -= o->expert == FREE;
    s->tables[o->table].n_slot--;
    k->n--;
  }
}

uint32_t pm_slots_size(const pm_slots *s, uint32_t class) { return s->classes[class].n; }
uint32_t pm_slots_of(const pm_slots *s, uint32_t t, uint32_t expert) { return s->tables[t].slot[expert]; }
void pm_slots_admit(pm_slots *s, uint32_t t, bool admit) { s->tables[t].admit = admit; }

// ---- before a step ----

static void nominate_free(pm_slots *s, pm_expert_board *boards) {
  for (uint32_t c = 0; c < s->n_class; c++) {
    class_state *k = &s->classes[c];
    for (uint32_t i = 0; i < k->n && k->n_free; i++) {
      pm_expert_board *b = &boards[k->slots[i].table];
      if (k->slots[i].expert == FREE && s->tables[k->slots[i].table].admit && b->n_victim < s->n_used) b->victim[b->n_victim++] = i;
    }
  }
}

// Appends the slots of the table's coldest experts, coldest first, and returns the score that a miss must beat.
static uint32_t nominate_cold(const pm_slots *s, const table_state *t, pm_expert_board *b) {
  uint32_t score[PM_EXPERTS_MAX + 1], first = b->n_victim, n = first, worst = UINT32_MAX, *victim = b->victim;
  const uint32_t *scores = t->score, *slot = t->slot, n_expert = s->n_expert, n_used = s->n_used;
  for (uint32_t e = 0; e < n_expert; e++) {
    if (scores[e] >= worst || slot[e] == PM_EXPERT_NOWHERE || first == n_used) continue;
    uint32_t i = n < n_used ? n++ : n - 1;
    for (; i > first && score[i - 1] > scores[e]; i--) score[i] = score[i - 1], victim[i] = victim[i - 1];
    score[i] = scores[e], victim[i] = slot[e];
    if (n == n_used) worst = score[n - 1];
  }
  b->n_victim = n;
  return first || !n ? 0 : score[0];
}

static void write_warm(const pm_slots *s, const table_state *t, pm_expert_board *b, uint32_t bar) {
  const uint32_t *score = t->score, n = s->n_expert;
  const bool *coming = t->coming, any = b->n_victim;
  bool *warm = b->warm, changed = false;
  for (uint32_t e = 0; e < n; e++) {
    bool is = any & !coming[e] & (score[e] + NEWCOMER > bar);
    changed |= warm[e] != is;
    warm[e] = is;
  }
  b->dirty |= changed;
}

void pm_slots_write(pm_slots *s, pm_expert_board *boards, bool many) {
  for (uint32_t i = 0; i < s->n_table; i++) boards[i].dirty |= boards[i].n_victim != 0, boards[i].n_victim = 0;
  if (!many) nominate_free(s, boards);
  for (uint32_t i = 0; i < s->n_table; i++) {
    pm_expert_board *b = &boards[i];
    const table_state *t = &s->tables[i];
    uint32_t bar = !many && t->admit ? nominate_cold(s, t, b) : 0;
    b->dirty |= b->n_victim || memcmp(b->slot, t->slot, s->n_expert * sizeof *b->slot);
    memcpy(b->slot, t->slot, s->n_expert * sizeof *b->slot);
    write_warm(s, t, b, bar);
  }
}

// ---- after a step ----

static uint32_t times(uint32_t a, uint32_t fraction) { return (uint32_t)((uint64_t)a * fraction >> 32); }

// Time goes on by n_row tokens; row r's choices count as if it had been a step of its own.
static void count_use(const pm_slots *s, table_state *t, const int32_t *ids, uint32_t n_row) {
  uint32_t decay = UINT32_MAX, weight = USE;
  for (uint32_t r = 0; r < n_row && decay; r++) decay = times(decay, DECAY);
  for (uint32_t e = 0; e < s->n_expert; e++) t->score[e] = times(t->score[e], decay);
  for (uint32_t r = n_row; r-- > 0 && weight; weight = times(weight, DECAY))
    for (uint32_t i = 0; i < s->n_used; i++) t->score[ids[r * s->n_used + i]] += weight;
}

void pm_slots_use(pm_slots *s, const pm_expert_board *board, uint32_t i, const int32_t *ids, uint32_t n_row, bool many) {
  table_state *t = &s->tables[i];
  uint32_t n = pm_expert_resolve(board, s->n_expert, ids, n_row * s->n_used, many, s->places);
  for (uint32_t k = 0; k < n; k++) {
    const pm_expert_place *p = &s->places[k];
    t->counters[many].fate[p->fate]++;
    if (p->fate != PM_EXPERT_VICTIM) continue;
    give(s, &s->classes[t->class], p->index, p->expert);
  }
  count_use(s, t, ids, n_row);
}

const pm_slots_counters *pm_slots_counts(const pm_slots *s, uint32_t t, bool many) { return &s->tables[t].counters[many]; }

pm_slots_counters pm_slots_total(const pm_slots *s, bool many) {
  pm_slots_counters sum = {0};
  for (uint32_t t = 0; t < s->n_table; t++)
    for (int f = 0; f < PM_EXPERT_FATES; f++) sum.fate[f] += s->tables[t].counters[many].fate[f];
  return sum;
}

void pm_slots_heat(const pm_slots *s, uint32_t *heat) {
  for (uint32_t t = 0; t < s->n_table; t++)
    for (uint32_t e = 0; e < s->n_expert; e++) heat[t * s->n_expert + e] = s->tables[t].score[e] / (USE / PM_SLOTS_USE);
}

void pm_slots_seed(pm_slots *s, const uint32_t *heat) {
  const uint32_t scale = USE / PM_SLOTS_USE, most = UINT32_MAX / 4 / scale;
  for (uint32_t t = 0; t < s->n_table; t++)
    for (uint32_t e = 0; e < s->n_expert; e++) {
      uint32_t h = heat[t * s->n_expert + e];
      s->tables[t].score[e] = (h < most ? h : most) * scale;
    }
}

// ---- between tables, and beside the steps ----

typedef struct spot {
  uint32_t table, expert, score;
} spot;

static uint32_t floor_of(const pm_slots *s, const class_state *k) {
  uint32_t share = k->n / k->n_table / 2;
  return share < s->n_used ? share : s->n_used;
}

// The hottest expert of a class without a slot (and, with boards, with a home); false if there is none that was ever used.
static bool find_hottest(const pm_slots *s, uint32_t class, const pm_expert_board *boards, spot *best) {
  *best = (spot){0};
  for (uint32_t i = 0; i < s->n_table; i++) {
    const table_state *t = &s->tables[i];
    for (uint32_t e = 0; e < s->n_expert && t->class == class; e++)
      if (t->score[e] > best->score && t->slot[e] == PM_EXPERT_NOWHERE && !t->coming[e] &&
          (!boards || boards[i].home[e] != PM_EXPERT_NOWHERE))
        *best = (spot){i, e, t->score[e]};
  }
  return best->score;
}

// The coldest expert of a class with a slot, in table `own` or in one that has slots to spare; false if there is none.
static bool find_coldest(const pm_slots *s, uint32_t class, uint32_t own, spot *best) {
  const class_state *k = &s->classes[class];
  *best = (spot){.score = UINT32_MAX};
  for (uint32_t i = 0; i < s->n_table; i++) {
    const table_state *t = &s->tables[i];
    if (t->class != class || (i != own && t->n_slot <= floor_of(s, k))) continue;
    for (uint32_t e = 0; e < s->n_expert; e++)
      if (t->score[e] < best->score && t->slot[e] != PM_EXPERT_NOWHERE) *best = (spot){i, e, t->score[e]};
  }
  return best->score < UINT32_MAX;
}

// A change pays if the newcomer was clearly more in use than whom it displaces.
static bool pays(const spot *hot, const spot *cold) { return hot->score / 2 > cold->score + USE / 4; }

// A free slot of a table that has slots to spare; NOWHERE if there is none, or if table `own` has one itself.
static uint32_t find_spare(const pm_slots *s, const class_state *k, uint32_t own) {
  uint32_t found = PM_EXPERT_NOWHERE;
  for (uint32_t i = 0; i < k->n; i++) {
    if (k->slots[i].expert != FREE) continue;
    if (k->slots[i].table == own) return PM_EXPERT_NOWHERE;
    if (found == PM_EXPERT_NOWHERE && s->tables[k->slots[i].table].n_slot > floor_of(s, k)) found = i;
  }
  return found;
}

// A slot, free then, that the table of `hot` should have instead of another one, or NOWHERE.
static uint32_t find_better_use(pm_slots *s, uint32_t class, const spot *hot) {
  class_state *k = &s->classes[class];
  spot cold = {0};
  if (k->n_free) return pays(hot, &cold) ? find_spare(s, k, hot->table) : PM_EXPERT_NOWHERE;
  if (!find_coldest(s, class, hot->table, &cold) || cold.table == hot->table || !pays(hot, &cold)) return PM_EXPERT_NOWHERE;
  uint32_t slot = s->tables[cold.table].slot[cold.expert];
  evict(s, k, slot);
  return slot;
}

void pm_slots_next(pm_slots *s) {
  if (++s->step % WANDER_STEPS) return;
  for (uint32_t c = 0; c < s->n_class; c++) {
    spot hot;
    if (!find_hottest(s, c, NULL, &hot) || !s->tables[hot.table].admit) continue;
    uint32_t slot = find_better_use(s, c, &hot);
    if (slot != PM_EXPERT_NOWHERE) change_table(s, &s->classes[c], slot, hot.table);
  }
}

static uint32_t find_free(const class_state *k) {
  uint32_t i = 0;
  while (k->slots[i].expert != FREE) i++;
  return i;
}

// Room for `hot`: a free slot, or that of a clearly colder expert.
static bool find_room(const pm_slots *s, uint32_t class, const spot *hot, uint32_t *slot) {
  const class_state *k = &s->classes[class];
  spot cold;
  if (k->n_free) return *slot = find_free(k), true;
  if (!find_coldest(s, class, hot->table, &cold) || !pays(hot, &cold)) return false;
  return *slot = s->tables[cold.table].slot[cold.expert], true;
}

static bool find_move(const pm_slots *s, const pm_expert_board *boards, pm_slots_move *m) {
  spot best = {0};
  for (uint32_t c = 0; c < s->n_class; c++) {
    spot hot;
    uint32_t slot;
    if (!find_hottest(s, c, boards, &hot) || hot.score <= best.score || !find_room(s, c, &hot, &slot)) continue;
    best = hot;
    *m = (pm_slots_move){hot.table, hot.expert, slot};
  }
  return best.score;
}

void pm_slots_begin(pm_slots *s, const pm_slots_move *m) {
  table_state *t = &s->tables[m->table];
  class_state *k = &s->classes[t->class];
  give(s, k, m->slot, PENDING);
  change_table(s, k, m->slot, m->table);
  t->coming[m->expert] = true;
}

uint32_t pm_slots_promote(pm_slots *s, const pm_expert_board *boards, uint32_t n, pm_slots_move *moves) {
  uint32_t done = 0;
  for (; done < n && find_move(s, boards, &moves[done]); done++) pm_slots_begin(s, &moves[done]);
  return done;
}

static void settle(pm_slots *s, const pm_slots_move *m, bool arrived) {
  table_state *t = &s->tables[m->table];
  class_state *k = &s->classes[t->class];
  t->coming[m->expert] = false;
  // The class may have shrunk meanwhile, and grown again.
  if (m->slot >= k->n || k->slots[m->slot].expert != PENDING || k->slots[m->slot].table != m->table) return;
  if (arrived)
    give(s, k, m->slot, m->expert);
  else
    k->slots[m->slot].expert = FREE, k->n_free++;
}

void pm_slots_arrive(pm_slots *s, const pm_slots_move *move) { settle(s, move, true); }
void pm_slots_drop(pm_slots *s, const pm_slots_move *move) { settle(s, move, false); }
