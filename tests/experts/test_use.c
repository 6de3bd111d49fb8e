// Files of expert use: traces and heat, whole, cut and damaged; and what policies make of a recorded use.
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
#include "file.h"
#include "heat.h"
#include "memory.h"
#include "rng.h"

static char folder[] = "/tmp/pm-use-XXXXXX", path[64];

static int make_folder(void **state) {
  (void)state;
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/file", folder);
  return 0;
}

static int remove_folder(void **state) {
  (void)state;
  unlink(path);
  return rmdir(folder);
}

static size_t read_bytes(uint8_t *bytes, size_t most) {
  FILE *f = fopen(path, "rb");
  assert_non_null(f);
  size_t n = fread(bytes, 1, most, f);
  fclose(f);
  return n;
}

static void write_bytes(const uint8_t *bytes, size_t n) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(bytes, 1, n, f), n);
  fclose(f);
}

// ---- traces ----

enum { N_TABLE = 3, N_USED = 2, MOST_BYTES = 20000 };
static const uint32_t class_of[N_TABLE] = {0, 1, 0};

static void write_trace(uint32_t n_expert) {
  pm_trace_shape shape = {.fingerprint = 42,
                          .n_table = N_TABLE,
                          .n_expert = n_expert,
                          .n_used = N_USED,
                          .n_class = 2,
                          .record_bytes = {10, 20},
                          .n_slot = {6, 3},
                          .class_of = class_of};
  pm_trace_writer *w;
  pm_rng r = pm_rng_seed(5);
  uint32_t *heat = pm_alloc_zero(N_TABLE * n_expert, sizeof *heat);
  assert_int_equal(pm_trace_create(path, &shape, 10, &w), PM_OK);
  uint64_t allocations = pm_alloc_count();
  assert_int_equal(pm_trace_seed(w, heat), PM_OK);
  for (uint32_t step = 0; step < 20; step++) {
    uint32_t n_row = step % 7 ? 1 : 10;
    for (uint32_t t = 0; t < N_TABLE; t++) {
      int32_t ids[10 * N_USED];
      for (uint32_t i = 0; i < n_row * N_USED; i++) ids[i] = (int32_t)(pm_rng_next(&r) % n_expert);
      if (t == 0) ids[0] = (int32_t)(n_expert - 1 - step);
      assert_int_equal(pm_trace_step(w, t, ids, n_row, n_row > 1), PM_OK);
    }
    assert_int_equal(pm_trace_event(w, PM_TRACE_BEGIN, 0, 1, 2), PM_OK);
    assert_int_equal(pm_trace_event(w, PM_TRACE_DROP, 0, 1, 2), PM_OK);
  }
  assert_int_equal(pm_trace_event(w, PM_TRACE_RESIZE, 1, 2, 0), PM_OK);
  assert_int_equal(pm_alloc_count(), allocations);
  pm_trace_finish(w);
  pm_free(heat);
}

static void what_is_written_is_read(void **state) {
  (void)state;
  static const uint32_t EXPERTS[] = {32, 256, 257, 512};
  for (size_t k = 0; k < sizeof EXPERTS / sizeof *EXPERTS; k++) {
    write_trace(EXPERTS[k]);
    pm_trace *t;
    assert_int_equal(pm_trace_open(path, &t), PM_OK);
    const pm_trace_shape *s = pm_trace_get_shape(t);
    assert_true(s->fingerprint == 42 && s->n_table == N_TABLE && s->n_expert == EXPERTS[k] && s->n_used == N_USED && s->n_class == 2);
    assert_true(s->record_bytes[1] == 20 && s->n_slot[0] == 6 && s->class_of[1] == 1 && pm_trace_max_rows(t) == 10);
    uint32_t steps = 0, others = 0;
    for (pm_trace_record r = {0}; pm_trace_get(t, r.next, &r);) {
      int32_t ids[10 * N_USED];
      if (r.kind != PM_TRACE_STEP) {
        others++;
        continue;
      }
      pm_trace_ids(t, &r, 0, ids);
      assert_int_equal(ids[0], EXPERTS[k] - 1 - steps);
      assert_int_equal(r.a, steps % 7 ? 1 : 10);
      assert_int_equal(r.b, steps % 7 == 0);
      steps++;
    }
    assert_int_equal(steps, 20);
    assert_int_equal(others, 1 + 2 * 20 + 1);
    pm_trace_close(t);
  }
}

// Every policy gets through it; a trace that opens has nothing in it that could lead astray.
static void replay_everything(const pm_trace *t) {
  uint32_t n_slot[PM_EXPERT_CLASSES];
  pm_replay_divide(pm_trace_get_shape(t), 9, n_slot);
  for (int p = 0; p < PM_REPLAY_POLICIES; p++) {
    pm_replay_result r;
    assert_int_equal(pm_replay_run(t, (pm_replay_policy)p, n_slot, &r), PM_OK);
  }
}

static void a_cut_trace_counts_as_far_as_it_is_whole(void **state) {
  (void)state;
  static uint8_t bytes[MOST_BYTES];
  write_trace(32);
  size_t n = read_bytes(bytes, sizeof bytes);
  uint32_t most = 0;
  for (size_t length = 0; length < n; length += 7) {
    write_bytes(bytes, length);
    pm_trace *t;
    if (pm_trace_open(path, &t)) {
      assert_true(length < 300 && !t);
      continue;
    }
    uint32_t records = 0;
    for (pm_trace_record r = {0}; pm_trace_get(t, r.next, &r);) records++;
    assert_true(records >= most);
    most = records;
    if (length % 35 == 0) replay_everything(t);
    pm_trace_close(t);
  }
  assert_true(most >= 60);
}

static void a_damaged_trace_does_no_harm(void **state) {
  (void)state;
  static uint8_t bytes[MOST_BYTES];
  write_trace(32);
  size_t n = read_bytes(bytes, sizeof bytes);
  pm_rng r = pm_rng_seed(11);
  uint32_t refused = 0, read = 0;
  for (size_t at = 0; at < n; at += at < 300 ? 1 : 3) {
    uint8_t was = bytes[at];
    bytes[at] = at % 2 ? 0xff : (uint8_t)pm_rng_next(&r);
    write_bytes(bytes, n);
    bytes[at] = was;
    pm_trace *t;
    if (pm_trace_open(path, &t)) {
      assert_true(!t && pm_fail_message()[0]);
      refused++;
      continue;
    }
    read++;
    if (pm_trace_get_shape(t)->n_table * pm_trace_get_shape(t)->n_expert < 10000) replay_everything(t);
    pm_trace_close(t);
  }
  assert_true(refused > 200 && read > 100);
}

static void memory_can_be_short(void **state) {
  (void)state;
  write_trace(32);
  uint64_t k = 0;
  for (pm_status status = PM_ERR_MEMORY; status; k++) {
    pm_trace *t;
    pm_alloc_fail_at(k + 1);
    status = pm_trace_open(path, &t);
    pm_replay_result r;
    uint32_t n_slot[2] = {4, 2};
    if (!status) status = pm_replay_run(t, PM_REPLAY_BELADY, n_slot, &r);
    if (!status) status = pm_replay_run(t, PM_REPLAY_OURS, n_slot, &r);
    pm_alloc_fail_at(0);
    assert_true(!status || status == PM_ERR_MEMORY);
    pm_trace_close(t);
  }
  assert_true(k > 15);
}

// ---- heat ----

static void heat_comes_back_or_not_at_all(void **state) {
  (void)state;
  enum { N = 50 };
  uint32_t heat[N], got[N], untouched[N];
  uint8_t bytes[500], was;
  for (uint32_t i = 0; i < N; i++) heat[i] = i * i * 1000, untouched[i] = 7;
  unlink(path);
  memcpy(got, untouched, sizeof got);
  assert_false(pm_heat_read(path, 1, N, got));
  assert_int_equal(pm_heat_write(path, 1, N, heat), PM_OK);
  assert_false(pm_heat_read(path, 2, N, got));
  assert_false(pm_heat_read(path, 1, N - 1, got));
  size_t n = read_bytes(bytes, sizeof bytes);
  for (size_t at = 0; at < n; at++) {
    was = bytes[at], bytes[at] ^= 0x10;
    write_bytes(bytes, n);
    bytes[at] = was;
    assert_false(pm_heat_read(path, 1, N, got));
    write_bytes(bytes, at);
    assert_false(pm_heat_read(path, 1, N, got));
  }
  assert_memory_equal(got, untouched, sizeof got);
  write_bytes(bytes, n);
  assert_true(pm_heat_read(path, 1, N, got));
  assert_memory_equal(got, heat, sizeof got);
  assert_int_equal(pm_heat_write("/nonexistent/heat", 1, N, heat), PM_ERR_IO);
}

static void heat_is_merged_by_shares(void **state) {
  (void)state;
  uint32_t now[4] = {4000, 0, 0, 0}, past[4] = {0, 10, 30, 0}, none[4] = {0};
  pm_heat_merge(now, past, 4);
  const uint32_t merged[4] = {3000, 250, 750, 0};
  assert_memory_equal(now, merged, sizeof now);
  pm_heat_merge(now, none, 4);
  assert_memory_equal(now, merged, sizeof now);
  pm_heat_merge(none, past, 4);
  assert_memory_equal(none, past, sizeof past);
}

// ---- policies, on the use that the demo model makes of its experts for 6,144 tokens of real text ----

static double hit_rate(const pm_trace *t, pm_replay_policy policy, uint32_t slots) {
  pm_replay_result r;
  uint32_t n_slot[PM_EXPERT_CLASSES];
  const pm_trace_shape *s = pm_trace_get_shape(t);
  pm_replay_divide(s, slots, n_slot);
  assert_int_equal(n_slot[0] + n_slot[1], slots);
  assert_int_equal(pm_replay_run(t, policy, n_slot, &r), PM_OK);
  assert_true(policy == PM_REPLAY_STATIC || (r.tokens[0] == 6144 && r.hits[0] + r.misses[0] == 6144 * 20));
  assert_true(r.miss_bytes[0] > r.misses[0] * s->record_bytes[0] && r.miss_bytes[0] < r.misses[0] * s->record_bytes[1]);
  return 100.0 * (double)r.hits[0] / (double)(r.hits[0] + r.misses[0]);
}

static pm_trace *open_recorded(void) {
  pm_trace *t;
  assert_int_equal(pm_trace_open(PM_TEST_DATA "/pebble-use.trace", &t), PM_OK);
  assert_int_equal(pm_trace_get_shape(t)->n_class, 2);
  return t;
}

static void ours_is_above_the_others_and_near_the_best(void **state) {
  (void)state;
  static const struct {
    uint32_t percent;
    double least, below_belady;
  } CASES[] = {{10, 19, 22}, {25, 41, 23.5}, {50, 67, 17.5}, {75, 86, 8.5}};
  pm_trace *t = open_recorded();
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
    uint32_t slots = 160 * CASES[i].percent / 100;
    double ours = hit_rate(t, PM_REPLAY_OURS, slots), best = hit_rate(t, PM_REPLAY_BELADY, slots);
    print_message("%u %%: ours %.2f, Belady %.2f\n", CASES[i].percent, ours, best);
    assert_true(ours >= CASES[i].least && ours >= best - CASES[i].below_belady && ours <= best);
    for (int p = PM_REPLAY_LRU; p < PM_REPLAY_BELADY; p++) assert_true(ours > hit_rate(t, (pm_replay_policy)p, slots) + 1);
  }
  pm_trace_close(t);
}

// From half a token's experts to three tokens': more slots never make it worse, and no policy that is fixed or forgets is better.
static void there_is_no_cliff(void **state) {
  (void)state;
  pm_trace *t = open_recorded();
  double before = 0;
  for (uint32_t slots = 10; slots <= 60; slots += 10) {
    double ours = hit_rate(t, PM_REPLAY_OURS, slots);
    assert_true(ours > before + 5);
    assert_true(ours > hit_rate(t, PM_REPLAY_STATIC, slots) && ours > hit_rate(t, PM_REPLAY_ORACLE, slots));
    before = ours;
  }
  assert_true(hit_rate(t, PM_REPLAY_LRU, 10) < 0.1);  // where the plain policy falls
  pm_trace_close(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_written_is_read),
      cmocka_unit_test(a_cut_trace_counts_as_far_as_it_is_whole),
      cmocka_unit_test(a_damaged_trace_does_no_harm),
      cmocka_unit_test(memory_can_be_short),
      cmocka_unit_test(heat_comes_back_or_not_at_all),
      cmocka_unit_test(heat_is_merged_by_shares),
      cmocka_unit_test(ours_is_above_the_others_and_near_the_best),
      cmocka_unit_test(there_is_no_cliff),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
