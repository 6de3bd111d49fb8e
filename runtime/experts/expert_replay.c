#include "expert_replay.h"

#include <string.h>

#include "memory.h"
#include "slots.h"

const char *pm_replay_name(pm_replay_policy policy) {
  static const char *const names[] = {
      [PM_REPLAY_OURS] = "ours",     [PM_REPLAY_RECORDED] = "recorded", [PM_REPLAY_LRU] = "lru",      [PM_REPLAY_LFU] = "lfu",
      [PM_REPLAY_STATIC] = "static", [PM_REPLAY_ORACLE] = "oracle",     [PM_REPLAY_BELADY] = "belady"};
  return names[policy];
}

void pm_replay_divide(const pm_trace_shape *s, uint64_t total, uint32_t *n_slot) {
  uint64_t experts = 0, given = 0, all = (uint64_t)s->n_table * s->n_expert;
  if (total > all) total = all;
  for (uint32_t c = 0; c < s->n_class; c++) {
    for (uint32_t t = 0; t < s->n_table; t++) experts += s->class_of[t] == c ? s->n_expert : 0;
    n_slot[c] = (uint32_t)(total * experts / all - given);
    given += n_slot[c];
  }
}

static void add_tokens(pm_replay_result *r, const pm_trace_record *step) { r->tokens[step->b] += step->a; }

// ---- our own policy ----

typedef struct boards {
  pm_expert_board *of;  // [n_table]
  uint32_t *words;
  bool *warm;
} boards;

static void finish_boards(boards *b) {
  pm_free(b->of);
  pm_free(b->words);
  pm_free(b->warm);
}

// Boards on which every expert has a home.
static pm_status make_boards(const pm_trace_shape *s, boards *b) {
  size_t n = (size_t)s->n_table * s->n_expert;
  PM_NEW(&b->of, s->n_table, "boards of a replay");
  PM_NEW(&b->words, 3 * n, "boards of a replay");
  PM_NEW(&b->warm, n, "boards of a replay");
  for (uint32_t t = 0; t < s->n_table; t++) {
    uint32_t *w = b->words + 3 * (size_t)t * s->n_expert;
    b->of[t] = (pm_expert_board){.slot = w, .home = w + s->n_expert, .victim = w + 2 * s->n_expert, .warm = b->warm + t * s->n_expert};
  }
  return PM_OK;
}

static void follow_event(pm_slots *s, const pm_trace_record *r) {
  pm_slots_move move = {r->a, r->b, r->c};
  switch (r->kind) {
    case PM_TRACE_SEED: pm_slots_seed(s, (const uint32_t *)(const void *)r->data); break;
    case PM_TRACE_ADMIT: pm_slots_admit(s, r->a, r->b); break;
    case PM_TRACE_RESIZE: pm_slots_resize(s, r->a, r->b); break;
    case PM_TRACE_BEGIN: pm_slots_begin(s, &move); break;
    case PM_TRACE_ARRIVE: pm_slots_arrive(s, &move); break;
    case PM_TRACE_DROP: pm_slots_drop(s, &move); break;
    case PM_TRACE_STEP:
    case PM_TRACE_KINDS: break;
  }
}

static void follow_step(const pm_trace *t, const pm_trace_record *r, pm_slots *s, const boards *b, int32_t *ids) {
  const pm_trace_shape *shape = pm_trace_get_shape(t);
  pm_slots_write(s, b->of, r->b);
  for (uint32_t i = 0; i < shape->n_table; i++) {
    pm_trace_ids(t, r, i, ids);
    pm_slots_use(s, &b->of[i], i, ids, r->a, r->b);
  }
  pm_slots_next(s);
}

static void count_slots(const pm_trace_shape *shape, const pm_slots *s, pm_replay_result *r) {
  for (int many = 0; many < 2; many++)
    for (uint32_t t = 0; t < shape->n_table; t++) {
      const uint64_t *fate = pm_slots_counts(s, t, many)->fate;
      uint64_t misses = fate[PM_EXPERT_VICTIM] + fate[PM_EXPERT_RING] + fate[PM_EXPERT_HOST];
      r->hits[many] += fate[PM_EXPERT_HIT];
      r->misses[many] += misses;
      r->miss_bytes[many] += misses * shape->record_bytes[shape->class_of[t]];
      r->fills += fate[PM_EXPERT_VICTIM];
    }
}

static pm_status replay_slots(const pm_trace *t, bool events, const uint32_t *n_slot, int32_t *ids, pm_replay_result *result) {
  const pm_trace_shape *shape = pm_trace_get_shape(t);
  pm_slots_desc desc = {shape->n_table, shape->n_expert, shape->n_used, shape->n_class, shape->class_of, n_slot};
  pm_slots *slots = NULL;
  boards b = {0};
  pm_status status = make_boards(shape, &b);
  if (status == PM_OK) status = pm_slots_create(&desc, &slots);
  pm_trace_record r = {0};
  while (status == PM_OK && pm_trace_get(t, r.next, &r)) {
    if (r.kind == PM_TRACE_STEP) {
      follow_step(t, &r, slots, &b, ids);
      add_tokens(result, &r);
    } else if (events) {
      follow_event(slots, &r);
    }
  }
  if (status == PM_OK) count_slots(shape, slots, result);
  pm_slots_destroy(slots);
  finish_boards(&b);
  return status;
}

// ---- caches of one class that evict what has the least priority ----

typedef struct cache {
  uint32_t n, capacity;
  uint32_t *heap;      // keys, the one of least priority first
  uint32_t *at;        // [n_key] place in the heap, or PM_EXPERT_NOWHERE
  uint64_t *priority;  // [n_key] only that of cached keys counts
} cache;

static void put(cache *c, uint32_t i, uint32_t key) { c->heap[i] = key, c->at[key] = i; }

static void settle(cache *c, uint32_t i) {
  uint32_t key = c->heap[i];
  for (; i && c->priority[c->heap[(i - 1) / 2]] > c->priority[key]; i = (i - 1) / 2) put(c, i, c->heap[(i - 1) / 2]);
  for (uint32_t child; (child = 2 * i + 1) < c->n; i = child) {
    if (child + 1 < c->n && c->priority[c->heap[child + 1]] < c->priority[c->heap[child]]) child++;
    if (c->priority[c->heap[child]] >= c->priority[key]) break;
    put(c, i, c->heap[child]);
  }
  put(c, i, key);
}

static void insert(cache *c, uint32_t key) {
  uint32_t i = c->n;
  if (c->n < c->capacity)
    c->n++;
  else
    c->at[c->heap[i = 0]] = PM_EXPERT_NOWHERE;
  put(c, i, key);
  settle(c, i);
}

typedef struct replay {
  const pm_trace *trace;
  const pm_trace_shape *shape;
  pm_replay_policy policy;
  pm_replay_result *result;
  cache classes[PM_EXPERT_CLASSES];
  uint32_t n_step, first;  // steps, the first one that counts
  uint64_t n_use;
  uint32_t *next_use;       // [n_use] the step in which the expert comes again
  uint32_t *heap, *at;      // [n_key] memory of the caches; a key is table * n_expert + expert
  uint32_t *seen;           // [n_key] the newest step
  uint64_t *priority;       // [n_key]
  uint64_t *uses, *latest;  // [n_key] in decode so far, number of the newest use
  int32_t *ids;
} replay;

typedef struct use {
  uint64_t number;  // counted over the trace
  uint32_t step, table, key;
  bool many;
} use;

typedef void use_fn(replay *p, const use *u);

// Calls fn for every distinct expert of every step and table, in the order of the trace.
static void for_each_use(replay *p, use_fn *fn) {
  const pm_trace_shape *s = p->shape;
  use u = {0};
  memset(p->seen, 0xff, (size_t)s->n_table * s->n_expert * sizeof *p->seen);
  for (pm_trace_record r = {0}; pm_trace_get(p->trace, r.next, &r);) {
    if (r.kind != PM_TRACE_STEP) continue;
    u.many = r.b;
    for (u.table = 0; u.table < s->n_table; u.table++) {
      pm_trace_ids(p->trace, &r, u.table, p->ids);
      for (uint32_t i = 0; i < r.a * s->n_used; i++) {
        u.key = u.table * s->n_expert + (uint32_t)p->ids[i];
        if (p->seen[u.key] == u.step) continue;
        p->seen[u.key] = u.step;
        fn(p, &u);
        u.number++;
      }
    }
    u.step++;
  }
  p->n_use = u.number, p->n_step = u.step;
}

static void count_use(replay *p, const use *u) { p->uses[u->key] += !u->many && (p->policy == PM_REPLAY_ORACLE || u->step < p->first); }

static void link_use(replay *p, const use *u) {
  if (p->latest[u->key]) p->next_use[p->latest[u->key] - 1] = u->step;
  p->latest[u->key] = u->number + 1;
  p->next_use[u->number] = UINT32_MAX;
}

static void look_at_nothing(replay *p, const use *u) { (void)p, (void)u; }

static uint64_t priority_of(const replay *p, const use *u) {
  switch (p->policy) {
    case PM_REPLAY_LRU: return u->number;
    case PM_REPLAY_LFU: return p->uses[u->key] << 40 | u->number;
    default: return UINT64_MAX - p->next_use[u->number];  // Belady
  }
}

static void count(replay *p, const use *u, bool hit, bool filled) {
  pm_replay_result *r = p->result;
  if (u->step < p->first) return;
  r->hits[u->many] += hit;
  r->misses[u->many] += !hit;
  r->miss_bytes[u->many] += hit ? 0 : p->shape->record_bytes[p->shape->class_of[u->table]];
  r->fills += filled;
}

static void use_fixed(replay *p, const use *u) { count(p, u, p->at[u->key] != PM_EXPERT_NOWHERE, false); }

static void use_cache(replay *p, const use *u) {
  cache *c = &p->classes[p->shape->class_of[u->table]];
  bool hit = c->at[u->key] != PM_EXPERT_NOWHERE, room = c->n < c->capacity;
  p->uses[u->key]++;
  c->priority[u->key] = priority_of(p, u);
  if (hit) settle(c, c->at[u->key]);
  bool bypass = p->policy == PM_REPLAY_BELADY && !room && c->capacity && c->priority[u->key] <= c->priority[c->heap[0]];
  bool fill = !hit && !u->many && c->capacity && !bypass;
  if (fill) insert(c, u->key);
  count(p, u, hit, fill);
}

// The most used experts of every class into its slots, for good.
static void fill_fixed(replay *p) {
  const pm_trace_shape *s = p->shape;
  for (uint32_t key = 0; key < s->n_table * s->n_expert; key++) {
    cache *c = &p->classes[s->class_of[key / s->n_expert]];
    c->priority[key] = p->uses[key];
    if (c->n < c->capacity || (c->capacity && c->priority[key] > c->priority[c->heap[0]])) insert(c, key);
  }
}

static void make_caches(replay *p, const uint32_t *n_slot) {
  for (uint32_t c = 0, first = 0; c < p->shape->n_class; first += p->classes[c++].capacity)
    p->classes[c] = (cache){.capacity = n_slot[c], .heap = p->heap + first, .at = p->at, .priority = p->priority};
}

static pm_status replay_cache(replay *p, const uint32_t *n_slot) {
  const pm_trace_shape *s = p->shape;
  size_t n_key = (size_t)s->n_table * s->n_expert;
  PM_NEW(&p->heap, n_key, "replay");
  PM_NEW(&p->at, n_key, "replay");
  PM_NEW(&p->seen, n_key, "replay");
  PM_NEW(&p->priority, n_key, "replay");
  PM_NEW(&p->uses, n_key, "replay");
  PM_NEW(&p->latest, n_key, "replay");
  memset(p->at, 0xff, n_key * sizeof *p->at);
  make_caches(p, n_slot);
  for_each_use(p, look_at_nothing);
  PM_NEW(&p->next_use, p->n_use, "replay");
  if (p->policy == PM_REPLAY_BELADY) for_each_use(p, link_use);
  if (p->policy == PM_REPLAY_STATIC) p->first = p->n_step / 2;
  bool fixed = p->policy == PM_REPLAY_STATIC || p->policy == PM_REPLAY_ORACLE;
  if (fixed) for_each_use(p, count_use), fill_fixed(p);
  for_each_use(p, fixed ? use_fixed : use_cache);
  uint32_t step = 0;
  for (pm_trace_record r = {0}; pm_trace_get(p->trace, r.next, &r);)
    if (r.kind == PM_TRACE_STEP && step++ >= p->first) add_tokens(p->result, &r);
  return PM_OK;
}

static void finish_replay(replay *p) {
  pm_free(p->next_use);
  pm_free(p->heap);
  pm_free(p->at);
  pm_free(p->seen);
  pm_free(p->priority);
  pm_free(p->uses);
  pm_free(p->latest);
  pm_free(p->ids);
}

// At most as many slots as there are experts.
static void limit_slots(const pm_trace_shape *s, const uint32_t *wanted, uint32_t *n_slot) {
  uint32_t all[PM_EXPERT_CLASSES] = {0};
  for (uint32_t t = 0; t < s->n_table; t++) all[s->class_of[t]] += s->n_expert;
  for (uint32_t c = 0; c < s->n_class; c++) n_slot[c] = wanted[c] < all[c] ? wanted[c] : all[c];
}

pm_status pm_replay_run(const pm_trace *t, pm_replay_policy policy, const uint32_t *n_slot, pm_replay_result *result) {
  const pm_trace_shape *s = pm_trace_get_shape(t);
  *result = (pm_replay_result){0};
  replay p = {.trace = t, .shape = s, .policy = policy, .result = result};
  p.ids = pm_alloc((size_t)pm_trace_max_rows(t) * s->n_used * sizeof *p.ids + 1);
  if (!p.ids) PM_FAIL(PM_ERR_MEMORY, "out of memory: replay");
  uint32_t slots[PM_EXPERT_CLASSES];
  limit_slots(s, policy == PM_REPLAY_RECORDED ? s->n_slot : n_slot, slots);
  bool ours = policy == PM_REPLAY_OURS || policy == PM_REPLAY_RECORDED;
  pm_status status = ours ? replay_slots(t, policy == PM_REPLAY_RECORDED, slots, p.ids, result) : replay_cache(&p, slots);
  finish_replay(&p);
  return status;
}
