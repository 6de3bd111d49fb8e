// Who is in which slot: the rule against a plain reading of it, and long random lives of a device and a host that never talk.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// cmocka needs some of the above
#include <cmocka.h>

#include "expert_replay.h"
#include "memory.h"
#include "rng.h"
#include "slots.h"

enum { N_TABLE = 5, N_EXPERT = 24, N_USED = 3, N_CLASS = 2, MOST_ROWS = 20, MOST_SLOTS = 64 };
static const uint32_t class_of[N_TABLE] = {0, 1, 0, 0, 1};

static uint32_t below(pm_rng *r, uint32_t n) { return (uint32_t)(pm_rng_uniform(r) * n); }

typedef struct boards {
  pm_expert_board of[N_TABLE];
  uint32_t slot[N_TABLE][N_EXPERT], home[N_TABLE][N_EXPERT], victim[N_TABLE][N_USED];
  bool warm[N_TABLE][N_EXPERT];
} boards;

static void init_boards(boards *b) {
  memset(b, 0, sizeof *b);
  for (int t = 0; t < N_TABLE; t++)
    b->of[t] = (pm_expert_board){.slot = b->slot[t], .home = b->home[t], .warm = b->warm[t], .victim = b->victim[t], .n_ring = 1};
}

// Distinct rows of N_USED experts, a few of them favourites that change with time.
static void choose(pm_rng *r, uint32_t table, uint32_t time, uint32_t n_row, int32_t *ids) {
  for (uint32_t i = 0; i < n_row * N_USED; i++) {
    bool again;
    do {
      bool favourite = pm_rng_uniform(r) < 0.7;
      ids[i] = (int32_t)(favourite ? (time / 50 * 7 + table * 3 + below(r, 5)) % N_EXPERT : below(r, N_EXPERT));
      again = false;
      for (uint32_t k = i / N_USED * N_USED; k < i; k++) again |= ids[k] == ids[i];
    } while (again);
  }
}

// ---- the rule ----

// The words of expert_board.h, one expert at a time.
static pm_expert_place fate_of(const pm_expert_board *b, const bool *chosen, uint32_t expert, bool many) {
  uint32_t taken = 0, ring = 0;
  for (uint32_t e = 0; e <= expert; e++) {
    if (!chosen[e]) continue;
    pm_expert_place p = {e, PM_EXPERT_HOST, 0};
    if (b->slot[e] != PM_EXPERT_NOWHERE) {
      p.fate = PM_EXPERT_HIT, p.index = b->slot[e];
    } else if (b->home[e] != PM_EXPERT_NOWHERE) {
      bool needed = true;
      while (!many && b->warm[e] && taken < b->n_victim && needed) {
        needed = false;
        for (uint32_t k = 0; k < N_EXPERT; k++) needed |= chosen[k] && b->slot[k] == b->victim[taken];
        if (!needed) p.fate = PM_EXPERT_VICTIM, p.index = b->victim[taken];
        taken++;
      }
      if (p.fate == PM_EXPERT_HOST && (many || ring < b->n_ring)) p.fate = PM_EXPERT_RING, p.index = ring++;
    }
    if (e == expert) return p;
  }
  return (pm_expert_place){0};
}

static void random_board(pm_rng *r, pm_expert_board *b) {
  b->n_victim = below(r, N_USED + 1), b->n_ring = below(r, N_USED + 1);
  for (uint32_t e = 0; e < N_EXPERT; e++) {
    b->slot[e] = below(r, 2) ? e + 7 : PM_EXPERT_NOWHERE;
    b->home[e] = below(r, 5) ? e : PM_EXPERT_NOWHERE;
    b->warm[e] = below(r, 3);
  }
  uint32_t first = 7 + below(r, N_EXPERT);
  for (uint32_t i = 0; i < b->n_victim; i++) b->victim[i] = first + 3 * i;
}

static void the_rule_is_what_it_says(void **state) {
  (void)state;
  pm_rng r = pm_rng_seed(1);
  boards b;
  init_boards(&b);
  uint64_t seen[PM_EXPERT_FATES] = {0};
  for (int round = 0; round < 5000; round++) {
    random_board(&r, &b.of[0]);
    int32_t ids[MOST_ROWS * N_USED];
    pm_expert_place places[N_EXPERT];
    bool chosen[N_EXPERT] = {0}, many = below(&r, 3) == 0;
    uint32_t n_row = 1 + below(&r, many ? MOST_ROWS : 3), expected = 0;
    choose(&r, 0, (uint32_t)round, n_row, ids);
    for (uint32_t i = 0; i < n_row * N_USED; i++) chosen[ids[i]] = true;
    uint32_t n = pm_expert_resolve(&b.of[0], N_EXPERT, ids, n_row * N_USED, many, places);
    for (uint32_t e = 0; e < N_EXPERT; e++) {
      if (!chosen[e]) continue;
      assert_true(expected < n);
      pm_expert_place p = fate_of(&b.of[0], chosen, e, many);
      assert_memory_equal(&p, &places[expected++], sizeof p);
      seen[p.fate]++;
    }
    assert_int_equal(n, expected);
  }
  for (int f = 0; f < PM_EXPERT_FATES; f++) assert_true(seen[f] > 1000);
}

static void boards_are_checked(void **state) {
  (void)state;
  uint32_t taken[MOST_SLOTS];
  boards b;
  for (int wrong = 0; wrong < 7; wrong++) {
    init_boards(&b);
    memset(b.slot, 0xff, sizeof b.slot);
    b.slot[0][1] = 5, b.slot[2][0] = 6, b.victim[0][0] = 5, b.victim[2][0] = 9, b.of[0].n_victim = b.of[2].n_victim = 1;
    if (wrong == 1) b.slot[3][3] = 5;     // two experts
    if (wrong == 2) b.slot[3][3] = 10;    // no such slot
    if (wrong == 3) b.victim[2][0] = 5;   // nominated twice, and of another table
    if (wrong == 4) b.victim[2][0] = 10;  // no such slot
    if (wrong == 5) b.of[0].n_victim = N_USED + 1;
    if (wrong == 6) b.of[0].n_victim = 2, b.victim[0][1] = 6;  // of another table
    pm_status status = pm_expert_boards_check(b.of, class_of, N_TABLE, 0, N_EXPERT, N_USED, 10, taken);
    assert_int_equal(status, wrong ? PM_ERR_ARGUMENT : PM_OK);
  }
}

// ---- a device and a host ----

typedef struct life {
  pm_slots *slots;
  boards b;
  uint32_t content[N_CLASS][MOST_SLOTS];  // what the device really has in its slots: table * N_EXPERT + expert
  uint64_t fate[2][PM_EXPERT_FATES];
  pm_trace_writer *trace;  // or NULL
  pm_slots_move moves[8];
  uint32_t n_move;
  pm_rng rng;
} life;

static void event(life *l, pm_trace_kind kind, uint32_t a, uint32_t b, uint32_t c) {
  if (l->trace) assert_int_equal(pm_trace_event(l->trace, kind, a, b, c), PM_OK);
}

static void check_boards(life *l) {
  uint32_t taken[MOST_SLOTS];
  for (uint32_t c = 0; c < N_CLASS; c++)
    assert_int_equal(pm_expert_boards_check(l->b.of, class_of, N_TABLE, c, N_EXPERT, N_USED, pm_slots_size(l->slots, c), taken), PM_OK);
}

// The device: hits must be what the board says, and what takes a slot is there from then on.
static void device_step(life *l, uint32_t t, const int32_t *ids, uint32_t n_row, bool many) {
  pm_expert_place places[N_EXPERT];
  uint32_t n = pm_expert_resolve(&l->b.of[t], N_EXPERT, ids, n_row * N_USED, many, places), *content = l->content[class_of[t]];
  for (uint32_t i = 0; i < n; i++) {
    uint32_t key = t * N_EXPERT + places[i].expert;
    if (places[i].fate == PM_EXPERT_HIT) assert_int_equal(content[places[i].index], key);
    l->fate[many][places[i].fate]++;
  }
  for (uint32_t i = 0; i < n; i++)
    if (places[i].fate == PM_EXPERT_VICTIM) content[places[i].index] = t * N_EXPERT + places[i].expert;
}

static void step(life *l, uint32_t time) {
  bool many = below(&l->rng, 20) == 0;
  uint32_t n_row = many ? 9 + below(&l->rng, MOST_ROWS - 8) : 1 + (below(&l->rng, 10) == 0);
  int32_t ids[MOST_ROWS * N_USED];
  pm_slots_write(l->slots, l->b.of, many);
  check_boards(l);
  for (uint32_t t = 0; t < N_TABLE; t++) {
    if (many) assert_int_equal(l->b.of[t].n_victim, 0);
    choose(&l->rng, t, time, n_row, ids);
    device_step(l, t, ids, n_row, many);
    pm_slots_use(l->slots, &l->b.of[t], t, ids, n_row, many);
    if (l->trace) assert_int_equal(pm_trace_step(l->trace, t, ids, n_row, many), PM_OK);
  }
  pm_slots_next(l->slots);
}

static void end_moves(life *l) {
  for (uint32_t i = 0; i < l->n_move; i++) {
    const pm_slots_move *m = &l->moves[i];
    bool arrived = below(&l->rng, 4);
    if (arrived) l->content[class_of[m->table]][m->slot] = m->table * N_EXPERT + m->expert;
    event(l, arrived ? PM_TRACE_ARRIVE : PM_TRACE_DROP, m->table, m->expert, m->slot);
    (arrived ? pm_slots_arrive : pm_slots_drop)(l->slots, m);
  }
  l->n_move = 0;
}

// What a conductor does between steps.
static void meddle(life *l) {
  if (l->n_move && below(&l->rng, 3) == 0) end_moves(l);
  if (!l->n_move && below(&l->rng, 3) == 0) {
    l->n_move = pm_slots_promote(l->slots, l->b.of, 1 + below(&l->rng, 8), l->moves);
    for (uint32_t i = 0; i < l->n_move; i++) event(l, PM_TRACE_BEGIN, l->moves[i].table, l->moves[i].expert, l->moves[i].slot);
  }
  if (below(&l->rng, 40) == 0) {
    uint32_t t = below(&l->rng, N_TABLE), admit = below(&l->rng, 3) > 0;
    event(l, PM_TRACE_ADMIT, t, admit, 0);
    pm_slots_admit(l->slots, t, admit);
  }
  if (below(&l->rng, 100) == 0) {
    uint32_t c = below(&l->rng, N_CLASS), n = below(&l->rng, MOST_SLOTS / (c + 1) + 1);
    event(l, PM_TRACE_RESIZE, c, n, 0);
    pm_slots_resize(l->slots, c, n);
    assert_int_equal(pm_slots_size(l->slots, c), n);
  }
}

static const uint32_t n_slot[N_CLASS] = {MOST_SLOTS, MOST_SLOTS / 2};

static void live(life *l, uint64_t seed, uint32_t steps) {
  pm_slots_desc d = {N_TABLE, N_EXPERT, N_USED, N_CLASS, class_of, n_slot};
  l->rng = pm_rng_seed(seed);
  init_boards(&l->b);
  assert_int_equal(pm_slots_create(&d, &l->slots), PM_OK);
  uint64_t allocations = pm_alloc_count();
  for (uint32_t i = 0; i < steps; i++) step(l, i), meddle(l);
  assert_int_equal(pm_alloc_count(), allocations);
  for (int many = 0; many < 2; many++) {
    pm_slots_counters total = pm_slots_total(l->slots, many);
    assert_memory_equal(total.fate, l->fate[many], sizeof total.fate);
  }
}

static void host_and_device_agree(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 20; seed++) {
    life l = {0};
    live(&l, seed, 1500);
    assert_true(l.fate[0][PM_EXPERT_HIT] > l.fate[0][PM_EXPERT_VICTIM] / 2 && l.fate[0][PM_EXPERT_VICTIM] > 100);
    pm_slots_destroy(l.slots);
  }
}

static void a_replay_counts_the_same(void **state) {
  (void)state;
  char path[] = "/tmp/pm-slots-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  pm_trace_shape shape = {.fingerprint = 7,
                          .n_table = N_TABLE,
                          .n_expert = N_EXPERT,
                          .n_used = N_USED,
                          .n_class = N_CLASS,
                          .record_bytes = {100, 1000},
                          .n_slot = {n_slot[0], n_slot[1]},
                          .class_of = class_of};
  life l = {0};
  assert_int_equal(pm_trace_create(path, &shape, MOST_ROWS, &l.trace), PM_OK);
  live(&l, 99, 2000);
  pm_trace_finish(l.trace);
  pm_trace *t;
  pm_replay_result r;
  assert_int_equal(pm_trace_open(path, &t), PM_OK);
  assert_int_equal(pm_replay_run(t, PM_REPLAY_RECORDED, NULL, &r), PM_OK);
  for (int many = 0; many < 2; many++) {
    const uint64_t *fate = l.fate[many];
    assert_int_equal(r.hits[many], fate[PM_EXPERT_HIT]);
    assert_int_equal(r.misses[many], fate[PM_EXPERT_VICTIM] + fate[PM_EXPERT_RING] + fate[PM_EXPERT_HOST]);
  }
  assert_int_equal(r.fills, l.fate[0][PM_EXPERT_VICTIM]);
  pm_trace_close(t);
  pm_slots_destroy(l.slots);
  unlink(path);
}

// ---- what the policy is for ----

// A class of one table that always wants the same experts, and one that wants all alike: slots go where they help, but for a floor.
static void slots_wander_to_where_they_help(void **state) {
  (void)state;
  static const uint32_t classes[2] = {0, 0}, n = 12;
  pm_slots_desc d = {2, N_EXPERT, N_USED, 1, classes, &n};
  pm_slots *s;
  assert_int_equal(pm_slots_create(&d, &s), PM_OK);
  boards b;
  init_boards(&b);
  pm_rng r = pm_rng_seed(3);
  uint32_t owned[2] = {0};
  for (uint32_t i = 0; i < 2000; i++) {
    int32_t ids[2][N_USED] = {{0, 1, 2}};
    pm_slots_write(s, b.of, false);
    choose(&r, 1, 0, 1, ids[1]);
    ids[1][0] = (int32_t)(i % 8), ids[1][1] = (int32_t)((i + 3) % 8), ids[1][2] = (int32_t)((i + 5) % 8);
    for (uint32_t t = 0; t < 2; t++) pm_slots_use(s, &b.of[t], t, ids[t], 1, false);
    pm_slots_next(s);
  }
  for (uint32_t t = 0; t < 2; t++)
    for (uint32_t e = 0; e < N_EXPERT; e++) owned[t] += pm_slots_of(s, t, e) != PM_EXPERT_NOWHERE;
  assert_true(owned[0] >= 3 && owned[1] >= 8);
  assert_true(pm_slots_counts(s, 0, false)->fate[PM_EXPERT_HIT] > 3 * 1990);
  assert_true(pm_slots_counts(s, 1, false)->fate[PM_EXPERT_HIT] > 3 * 1900);
  pm_slots_destroy(s);
}

// Heat from a former run, and moves as long as there is room: the hottest experts are there before the first step.
static void a_warm_start(void **state) {
  (void)state;
  static uint32_t heat[N_TABLE * N_EXPERT], back[N_TABLE * N_EXPERT];
  pm_slots_desc d = {N_TABLE, N_EXPERT, N_USED, N_CLASS, class_of, (const uint32_t[]){9, 4}};
  pm_slots *s;
  assert_int_equal(pm_slots_create(&d, &s), PM_OK);
  boards b;
  init_boards(&b);
  for (uint32_t t = 0; t < N_TABLE; t++)
    for (uint32_t e = 0; e < N_EXPERT; e++) heat[t * N_EXPERT + e] = e < 3 ? 1000 * (3 - e) : 1;
  pm_slots_seed(s, heat);
  pm_slots_heat(s, back);
  assert_memory_equal(heat, back, sizeof heat);
  pm_slots_move moves[32];
  b.home[0][1] = PM_EXPERT_NOWHERE;  // out of reach
  uint32_t n = pm_slots_promote(s, b.of, 32, moves);
  assert_int_equal(n, 13);
  assert_int_equal(moves[0].expert, 0);
  for (uint32_t i = 0; i < n; i++) pm_slots_arrive(s, &moves[i]);
  for (uint32_t t = 0; t < N_TABLE; t++) assert_int_not_equal(pm_slots_of(s, t, 0), PM_EXPERT_NOWHERE);
  assert_int_equal(pm_slots_of(s, 0, 1), PM_EXPERT_NOWHERE);
  assert_int_equal(pm_slots_promote(s, b.of, 32, moves), 0);  // the rest is not worth a move
  pm_slots_destroy(s);
}

static void memory_can_be_short(void **state) {
  (void)state;
  pm_slots_desc d = {N_TABLE, N_EXPERT, N_USED, N_CLASS, class_of, n_slot};
  pm_slots *s;
  pm_status status = PM_ERR_MEMORY;
  for (uint64_t k = 1; status; k++) {
    pm_alloc_fail_at(k);
    status = pm_slots_create(&d, &s);
    pm_alloc_fail_at(0);
    assert_true(status == PM_ERR_MEMORY ? !s : k > 5);
  }
  pm_slots_destroy(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_rule_is_what_it_says),
      cmocka_unit_test(boards_are_checked),
      cmocka_unit_test(host_and_device_agree),
      cmocka_unit_test(a_replay_counts_the_same),
      cmocka_unit_test(slots_wander_to_where_they_help),
      cmocka_unit_test(a_warm_start),
      cmocka_unit_test(memory_can_be_short),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
