// The policy of homes: what must always hold, and how well it does where plain LRU is at its worst.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "homes.h"
#include "memory.h"
#include "rng.h"

enum { N_TABLE = 6, N_EXPERT = 24, N_USED = 3, MAX_ROWS = 5 };

static const uint32_t ONE_CLASS[N_TABLE] = {0}, TWO_CLASSES[N_TABLE] = {0, 1, 0, 1, 0, 1};

static pm_homes *make(const uint32_t *class_of, uint32_t n_class, uint32_t n_home) {
  pm_homes *h;
  uint32_t n[PM_EXPERT_CLASSES];
  for (uint32_t c = 0; c < PM_EXPERT_CLASSES; c++) n[c] = n_home;
  pm_homes_desc desc = {N_TABLE, N_EXPERT, N_USED, n_class, class_of, n};
  assert_int_equal(pm_homes_create(&desc, &h), PM_OK);
  return h;
}

// Some experts of a table are chosen far more often than others; rows choose distinct ones.
static void draw(pm_rng *rng, uint32_t table, uint32_t n_row, int32_t *ids) {
  for (uint32_t r = 0; r < n_row; r++, ids += N_USED)
    for (uint32_t k = 0; k < N_USED; k++) {
      bool again = true;
      while (again) {
        double u = pm_rng_uniform(rng);
        ids[k] = (int32_t)(((uint32_t)(u * u * u * N_EXPERT) + table * 7) % N_EXPERT);
        again = false;
        for (uint32_t j = 0; j < k; j++) again = again || ids[j] == ids[k];
      }
    }
}

// Every home has one expert at most and every expert knows its own.
static void check_all(const pm_homes *h, const uint32_t *class_of, uint32_t n_home) {
  bool taken[PM_EXPERT_CLASSES][N_TABLE * N_EXPERT] = {{0}};
  for (uint32_t t = 0; t < N_TABLE; t++)
    for (uint32_t e = 0; e < N_EXPERT; e++) {
      uint32_t i = pm_homes_of(h, t, e);
      if (i == PM_EXPERT_NOWHERE) continue;
      assert_true(i < n_home);
      assert_false(taken[class_of[t]][i]);
      taken[class_of[t]][i] = true;
    }
}

static void what_must_hold(void **state) {
  (void)state;
  pm_rng rng = pm_rng_seed(3);
  for (uint32_t n_home = N_USED * MAX_ROWS; n_home < 100; n_home += 17) {
    const uint32_t *class_of = n_home % 2 ? TWO_CLASSES : ONE_CLASS;
    pm_homes *h = make(class_of, n_home % 2 ? 2 : 1, n_home);
    for (uint32_t i = 0; i < 3000; i++) {
      uint32_t table = i % N_TABLE, n_row = i % 50 < 6 ? MAX_ROWS : 1, slot[N_EXPERT], n_fill, n_hit, n_fresh = 0, before[N_EXPERT];
      int32_t ids[MAX_ROWS * N_USED];
      pm_homes_fill fills[N_EXPERT];
      draw(&rng, table, n_row, ids);
      for (uint32_t e = 0; e < N_EXPERT; e++) slot[e] = pm_rng_next(&rng) % 4 ? PM_EXPERT_NOWHERE : 0, before[e] = pm_homes_of(h, table, e);
      assert_int_equal(pm_homes_need(h, table, ids, n_row, slot, fills, &n_fill, &n_hit), PM_OK);
      bool seen[N_EXPERT] = {0};
      for (uint32_t k = 0; k < n_row * N_USED; k++) {
        uint32_t e = (uint32_t)ids[k];
        if (slot[e] != PM_EXPERT_NOWHERE) continue;
        assert_true(pm_homes_of(h, table, e) != PM_EXPERT_NOWHERE);
        assert_true(before[e] == PM_EXPERT_NOWHERE || pm_homes_of(h, table, e) == before[e]);
        n_fresh += !seen[e];
        seen[e] = true;
      }
      assert_int_equal(n_fresh, n_hit + n_fill);
      for (uint32_t f = 0; f < n_fill; f++) {
        assert_true(f == 0 || fills[f].expert > fills[f - 1].expert);
        assert_int_equal(fills[f].home, pm_homes_of(h, table, fills[f].expert));
        assert_int_equal(before[fills[f].expert], PM_EXPERT_NOWHERE);
        if (fills[f].old_table != PM_EXPERT_NOWHERE)
          assert_int_equal(pm_homes_of(h, fills[f].old_table, fills[f].old_expert), PM_EXPERT_NOWHERE);
      }
      check_all(h, class_of, n_home);
      if (i % 7 == 0) pm_homes_drop(h, table, (uint32_t)ids[0]);
    }
    pm_homes_destroy(h);
  }
}

static void too_few(void **state) {
  (void)state;
  pm_homes *h = make(ONE_CLASS, 1, 5);
  pm_homes_fill fills[N_EXPERT];
  uint32_t n_fill, n_hit;
  assert_int_equal(pm_homes_need(h, 0, (int32_t[]){1, 2, 3, 1, 2, 4}, 2, NULL, fills, &n_fill, &n_hit), PM_OK);
  assert_int_equal(pm_homes_need(h, 0, (int32_t[]){1, 5, 6, 7, 8, 9}, 2, NULL, fills, &n_fill, &n_hit), PM_ERR_MEMORY);
  for (uint32_t e = 1; e < 5; e++) assert_true(pm_homes_of(h, 0, e) != PM_EXPERT_NOWHERE);
  // Two homes are being read from: of the five, three are left, and one of those is a hit's.
  for (uint32_t e = 2; e < 4; e++) pm_homes_hold(h, 0, pm_homes_of(h, 0, e));
  assert_int_equal(pm_homes_need(h, 0, (int32_t[]){1, 5, 6}, 1, NULL, fills, &n_fill, &n_hit), PM_OK);
  assert_int_equal(pm_homes_need(h, 0, (int32_t[]){7, 8, 9, 10, 11, 7}, 2, NULL, fills, &n_fill, &n_hit), PM_ERR_MEMORY);
  assert_int_equal(pm_homes_need(h, 0, (int32_t[]){2, 3, 7, 8, 9, 2}, 2, NULL, fills, &n_fill, &n_hit), PM_OK);
  assert_int_equal(n_hit, 2);
  for (uint32_t e = 2; e < 4; e++) pm_homes_release(h, 0, pm_homes_of(h, 0, e));
  assert_int_equal(pm_homes_need(h, 0, (int32_t[]){11, 12, 13, 14, 15, 11}, 2, NULL, fills, &n_fill, &n_hit), PM_OK);
  assert_int_equal(n_fill, 5);
  pm_homes_destroy(h);
}

// Experts that a device has got slots for leave their homes to others in the end.
static void slots_free_homes(void **state) {
  (void)state;
  pm_homes *h = make(ONE_CLASS, 1, 6);
  pm_homes_fill fills[N_EXPERT];
  uint32_t n_fill, n_hit, slot[N_EXPERT];
  for (uint32_t e = 0; e < N_EXPERT; e++) slot[e] = e < 3 ? e : PM_EXPERT_NOWHERE;
  for (int i = 0; i < 50; i++) assert_int_equal(pm_homes_need(h, 0, (int32_t[]){0, 1, 2}, 1, NULL, fills, &n_fill, &n_hit), PM_OK);
  for (int i = 0; i < 100; i++) assert_int_equal(pm_homes_need(h, 0, (int32_t[]){0, 1, 3 + i % 6}, 1, slot, fills, &n_fill, &n_hit), PM_OK);
  for (uint32_t e = 0; e < 9; e++) assert_int_equal(pm_homes_of(h, 0, e) == PM_EXPERT_NOWHERE, e < 3);
  pm_homes_destroy(h);
}

static void seeds_the_hottest(void **state) {
  (void)state;
  uint32_t heat[N_TABLE * N_EXPERT];
  for (uint32_t i = 0; i < N_TABLE * N_EXPERT; i++) heat[i] = i * 37 % 144;
  pm_homes *h = make(ONE_CLASS, 1, 50);
  assert_int_equal(pm_homes_seed(h, heat), PM_OK);
  for (uint32_t i = 0; i < N_TABLE * N_EXPERT; i++)
    assert_int_equal(pm_homes_of(h, i / N_EXPERT, i % N_EXPERT) != PM_EXPERT_NOWHERE, heat[i] >= 144 - 50);
  check_all(h, ONE_CLASS, 50);
  pm_homes_destroy(h);
}

// Hits of plain LRU on the same choices.
typedef struct lru {
  uint64_t used_at[N_TABLE * N_EXPERT], clock, hits;
  uint32_t n;
} lru;

static void lru_use(lru *l, uint32_t key, uint32_t n_home) {
  l->hits += l->used_at[key] > 0;
  if (!l->used_at[key] && l->n++ == n_home) {
    uint32_t oldest = PM_EXPERT_NOWHERE;
    for (uint32_t i = 0; i < N_TABLE * N_EXPERT; i++)
      if (l->used_at[i] && (oldest == PM_EXPERT_NOWHERE || l->used_at[i] < l->used_at[oldest])) oldest = i;
    l->used_at[oldest] = 0;
    l->n--;
  }
  l->used_at[key] = ++l->clock;
}

// Homes for half a token's experts to those of four: LRU has nothing below one.
static void better_than_lru(void **state) {
  (void)state;
  static const uint32_t N_HOME[] = {9, 18, 27, 36, 54, 72};
  for (size_t i = 0; i < sizeof N_HOME / sizeof *N_HOME; i++) {
    pm_homes *h = make(ONE_CLASS, 1, N_HOME[i]);
    pm_rng rng = pm_rng_seed(11);
    lru l = {.clock = 0};
    uint32_t n_hits = 0, n_uses = 0;
    for (uint32_t step = 0; step < 2000; step++)
      for (uint32_t t = 0; t < N_TABLE; t++) {
        int32_t ids[N_USED];
        uint32_t n_fill, n_hit;
        pm_homes_fill fills[N_EXPERT];
        draw(&rng, t, 1, ids);
        assert_int_equal(pm_homes_need(h, t, ids, 1, NULL, fills, &n_fill, &n_hit), PM_OK);
        n_hits += n_hit, n_uses += N_USED;
        for (uint32_t k = 0; k < N_USED; k++) lru_use(&l, t * N_EXPERT + (uint32_t)ids[k], N_HOME[i]);
      }
    print_message("# homes for %.1f tokens: %.1f %% hits, LRU %.1f %%\n", N_HOME[i] / 18.0, 100.0 * n_hits / n_uses,
                  100.0 * (double)l.hits / n_uses);
    assert_true(n_hits > l.hits);
    if (N_HOME[i] < 18) assert_true(n_hits > n_uses / 5);
    pm_homes_destroy(h);
  }
}

static void failed_allocations(void **state) {
  (void)state;
  uint32_t n_home[1] = {9};
  pm_homes_desc desc = {N_TABLE, N_EXPERT, N_USED, 1, ONE_CLASS, n_home};
  pm_status status = PM_ERR_MEMORY;
  uint64_t k = 0;
  while (status) {
    pm_homes *h;
    pm_alloc_fail_at(++k);
    status = pm_homes_create(&desc, &h);
    if (!status) status = pm_homes_seed(h, NULL);
    pm_alloc_fail_at(0);
    pm_homes_destroy(h);
  }
  assert_true(k > 5);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(what_must_hold),   cmocka_unit_test(too_few),
                                     cmocka_unit_test(slots_free_homes), cmocka_unit_test(seeds_the_hottest),
                                     cmocka_unit_test(better_than_lru),  cmocka_unit_test(failed_allocations)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
