// Models whose experts do not all fit: at every budget the logits are the same to the bit when misses are streamed, and those of the
// reference when the host computes them; hooks that fail or are late, moves beside steps, what is counted.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "cpu_assist.h"
#include "expert_board.h"
#include "gpu.h"
#include "gpu_under_test.h"
#include "memory.h"
#include "model.h"
#include "testbed.h"

enum { MAX_ROW = 12, N_CELL = 48 };

#define OK(call)                                                                         \
  do {                                                                                   \
    pm_status ok_status_ = (call);                                                       \
    if (ok_status_) fail_msg("%s: status %d: %s", #call, ok_status_, pm_fail_message()); \
  } while (0)

static const char *device_name, *const model_name = "mini-v3.gguf";

// ---- a model with a plan, and a host that obeys it ----

enum { MAX_TABLE = 64 };

typedef struct world {
  pm_model_file *file;
  pm_model model;
  pm_program program;
  pm_backend *backend;
  pm_expert_plan plan;
  pm_cpu_assist *assist;
  uint32_t class_of[MAX_TABLE];
  uint32_t pos;
  float *expected, *got;  // logits of every step of the script
  pm_expert_place *places;
  // What the hooks do.
  double delay;    // seconds until experts are there
  int fail_after;  // calls; 0: never
  uint32_t n_need, n_answer;
  bool late_homes;  // `need` gives the chosen experts their homes
  uint64_t n_sent;  // experts that `send` heard of
  bool unchecked;   // without the validation layer, under which every dispatch has a barrier
} world;

static void *array(size_t n, size_t size) {
  void *p = pm_alloc_zero(n, size);
  assert_non_null(p);
  return p;
}

static const pm_expert_table *table_of(const world *w, uint32_t t) { return w->program.tables[t]; }

static uint32_t n_used_of(const world *w) { return w->model.config.n_expert_used; }

// Index among the homes of its class: tables of a class one after another. Slots of the same number are kept for the same experts.
static uint32_t home_of(const world *w, uint32_t table, uint32_t expert) {
  uint32_t n = expert;
  for (uint32_t t = 0; t < table; t++) n += w->class_of[t] == w->class_of[table] ? table_of(w, t)->n_expert : 0;
  return n;
}

// ---- hooks ----

static pm_status count_call(world *w) {
  if (w->fail_after && (int)(w->n_need + w->n_answer) >= w->fail_after) PM_FAIL(PM_ERR_IO, "the disk is gone");
  return PM_OK;
}

static pm_status need(void *user, uint32_t table, const int32_t *ids, uint32_t n_id, double *ready) {
  world *w = user;
  w->n_need++;
  pm_expert_board *b = &w->plan.boards[table];
  for (uint32_t i = 0; i < n_id && w->late_homes; i++) b->home[ids[i]] = home_of(w, table, (uint32_t)ids[i]), b->dirty = true;
  if (w->delay > 0) *ready = pm_clock_seconds() + w->delay;
  return count_call(w);
}

static double send_wave(void *user, uint32_t table, uint32_t n) {
  world *w = user;
  assert_true(table < w->program.n_table && n > 0);
  w->n_sent += n;
  return pm_clock_seconds() + w->delay;
}

static pm_status answer(void *user, const pm_expert_ask *ask) {
  world *w = user;
  const pm_expert_board *b = &w->plan.boards[ask->table];
  bool mine[PM_EXPERTS_MAX] = {0};
  w->n_answer++;
  PM_TRY(count_call(w));
  uint32_t n_expert = table_of(w, ask->table)->n_expert;
  uint32_t n = pm_expert_resolve(b, n_expert, ask->ids, ask->n_row * n_used_of(w), false, w->places);
  for (uint32_t i = 0; i < n; i++) mine[w->places[i].expert] = w->places[i].fate == PM_EXPERT_HOST;
  return pm_cpu_assist_run(w->assist, ask, mine);
}

// ---- plans ----

// Room for every expert in slots and at home, and ring records for three tokens; boards decide how much of it is used.
static void make_plan(world *w) {
  const pm_program *p = &w->program;
  w->plan = (pm_expert_plan){.n_class = pm_program_expert_classes(p, w->class_of),
                             .class_of = w->class_of,
                             .boards = array(p->n_table, sizeof *w->plan.boards),
                             .host = {w, answer, need}};
  for (uint32_t t = 0; t < p->n_table; t++) {
    pm_expert_board *b = &w->plan.boards[t];
    pm_expert_class *c = &w->plan.classes[w->class_of[t]];
    uint32_t n = table_of(w, t)->n_expert;
    c->n_slot += n, c->n_home += n, c->n_ring = 3 * n_used_of(w);
    b->slot = array(n, sizeof *b->slot), b->home = array(n, sizeof *b->home), b->warm = array(n, sizeof *b->warm);
    b->victim = array(n, sizeof *b->victim);
  }
}

static void free_plan(world *w) {
  for (uint32_t i = 0; i < w->program.n_table; i++) {
    pm_expert_board *b = &w->plan.boards[i];
    pm_free(b->slot), pm_free(b->home), pm_free(b->warm), pm_free(b->victim);
  }
  pm_free(w->plan.boards);
}

// The victims of the next step: slots of experts of the table itself, from its end.
static void choose_victims(world *w, uint32_t table, uint32_t n) {
  pm_expert_board *b = &w->plan.boards[table];
  b->n_victim = 0;
  for (uint32_t e = table_of(w, table)->n_expert; e-- > 0 && b->n_victim < n;)
    if (b->slot[e] != PM_EXPERT_NOWHERE) b->victim[b->n_victim++] = b->slot[e];
  b->dirty = true;
}

// The first `percent` of each table's experts in slots.
static void set_boards(world *w, uint32_t percent, uint32_t n_victim, bool assist) {
  for (uint32_t t = 0; t < w->program.n_table; t++) {
    pm_expert_board *b = &w->plan.boards[t];
    uint32_t n = table_of(w, t)->n_expert;
    for (uint32_t e = 0; e < n; e++) {
      b->home[e] = home_of(w, t, e);
      b->slot[e] = e < n * percent / 100 ? b->home[e] : PM_EXPERT_NOWHERE;
      b->warm[e] = e % 3 != 0;
    }
    b->n_ring = assist ? 0 : w->plan.classes[w->class_of[t]].n_ring;
    b->assist = assist, b->wait = false;
    choose_victims(w, t, n_victim);
  }
}

static void wait_moved(const world *w, uint64_t ticket) {
  for (double end = pm_clock_seconds() + 60; !w->backend->ops->moved(w->backend, ticket);) assert_true(pm_clock_seconds() < end);
}

// Homes from the file, slots from homes.
static void fill(world *w) {
  pm_expert_move moves[PM_EXPERTS_MAX];
  uint64_t ticket = 0;
  for (uint32_t t = 0; t < w->program.n_table; t++) {
    const pm_expert_table *table = table_of(w, t);
    for (uint32_t e = 0; e < table->n_expert; e++) {
      uint32_t at = home_of(w, t, e);
      uint8_t *to = w->backend->ops->home(w->backend, w->class_of[t], at);
      for (int m = 0; m < 3; m++) {
        const pm_tensor *matrix = pm_expert_matrix(table, m);
        memcpy(to, (const uint8_t *)matrix->host + e * matrix->slab_bytes, pm_tensor_slab_bytes(matrix));
        to += pm_tensor_slab_bytes(matrix);
      }
      moves[e] = (pm_expert_move){t, at, at};
    }
    OK(w->backend->ops->move(w->backend, moves, table->n_expert, &ticket));
  }
  wait_moved(w, ticket);
}

// ---- steps ----

static pm_status step(world *w, uint32_t n_row) {
  pm_row rows[MAX_ROW];
  float rope[MAX_ROW * 2 * PM_MAX_ROPE_PAIRS];
  uint32_t last = n_row - 1;
  for (uint32_t i = 0; i < n_row; i++) {
    rows[i] = (pm_row){.token = 17 + 5 * (w->pos + i), .pos = w->pos + i};
    pm_rope_fill(&w->model.config.rope, rows[i].pos, rope + i * w->program.n_rope);
  }
  w->pos += n_row;
  return w->backend->ops->run(w->backend, &(pm_step){.n_row = n_row, .n_logit = 1, .rows = rows, .logit_row = &last, .rope = rope});
}

// What the floor above does after a step: the same rule, from the choices alone. Returns the fills.
static uint64_t mirror(world *w, uint32_t n_row, uint32_t n_victim) {
  bool ahead = w->plan.ahead_rows && n_row > PM_EXPERT_FEW_ROWS;
  uint64_t fills = 0, slotless = 0;
  for (uint32_t t = 0; t < w->program.n_table; t++) {
    pm_expert_board *b = &w->plan.boards[t];
    uint32_t n_expert = table_of(w, t)->n_expert;
    for (uint32_t e = 0; e < n_expert; e++) slotless += b->slot[e] == PM_EXPERT_NOWHERE;
    uint32_t n = pm_expert_resolve(b, n_expert, w->backend->ops->chosen(w->backend, t), n_row * n_used_of(w), n_row > PM_EXPERT_FEW_ROWS,
                                   w->places);
    for (uint32_t i = 0; i < n; i++) {
      const pm_expert_place *p = &w->places[i];
      fills += p->fate == PM_EXPERT_VICTIM || p->fate == PM_EXPERT_RING;
      for (uint32_t e = 0; e < n_expert && p->fate == PM_EXPERT_VICTIM; e++)
        if (b->slot[e] == p->index) b->slot[e] = PM_EXPERT_NOWHERE;
      if (p->fate == PM_EXPERT_VICTIM) b->slot[p->expert] = p->index;
    }
    choose_victims(w, t, n_victim);
  }
  return ahead ? slotless : fills;
}

// A prompt in one step, a step of a few rows, and some tokens.
static const uint32_t script[] = {MAX_ROW, 3, 1, 1};
enum { N_STEP = sizeof script / sizeof *script };

// Keeps every step's logits; checks that the backend counts the fills that the rule names.
static void run_script(world *w, float *logits, uint32_t n_victim) {
  size_t row = pm_tensor_row_bytes(w->program.logits);
  w->pos = 0;
  for (int i = 0; i < N_STEP; i++) {
    uint64_t before = w->backend->ops->counters(w->backend).fills;
    OK(step(w, script[i]));
    memcpy((uint8_t *)logits + i * row, w->backend->ops->logits(w->backend), row);
    if (w->plan.boards) assert_int_equal(w->backend->ops->counters(w->backend).fills - before, mirror(w, script[i], n_victim));
  }
}

static double difference(const world *w) {
  double error = 0, square = 0;
  for (uint64_t i = 0; i < N_STEP * w->program.logits->ne[0]; i++)
    error += pow((double)w->got[i] - w->expected[i], 2), square += pow(w->expected[i], 2);
  assert_true(square > 0);
  return error / square;
}

static bool is_same(const world *w) { return !memcmp(w->got, w->expected, N_STEP * pm_tensor_row_bytes(w->program.logits)); }

static void load(world *w) {
  pm_gpu_desc desc = {.device = device_name, .validate = testbed_validates() && !w->unchecked};
  OK(pm_gpu_create(&desc, &w->backend));
  OK(w->backend->ops->load(w->backend, &w->program, w->plan.boards ? &w->plan : NULL, NULL, NULL));
}

static int setup(void **state) {
  static world w;
  char path[512];
  snprintf(path, sizeof path, "%s/models/%s", PM_TEST_DATA, model_name);
  OK(pm_model_file_open(path, &(pm_model_file_desc){0}, &w.file));
  OK(pm_model_init(&w.model, w.file, false));
  OK(pm_model_build(&w.model, MAX_ROW, 1, PM_TYPE_F16, N_CELL, &w.program));
  w.expected = array(N_STEP, pm_tensor_row_bytes(w.program.logits));
  w.got = array(N_STEP, pm_tensor_row_bytes(w.program.logits));
  w.places = array(PM_EXPERTS_MAX, sizeof *w.places);
  load(&w);
  run_script(&w, w.expected, 0);
  w.backend->ops->destroy(w.backend);
  make_plan(&w);
  OK(pm_cpu_assist_create(&(pm_cpu_assist_desc){.program = &w.program, .max_rows = PM_EXPERT_FEW_ROWS, .n_thread = 1, .exact = true},
                          &w.assist));
  load(&w);
  fill(&w);
  *state = &w;
  return 0;
}

static int teardown(void **state) {
  world *w = *state;
  w->backend->ops->destroy(w->backend);
  pm_cpu_assist_destroy(w->assist);
  free_plan(w);
  pm_free(w->expected), pm_free(w->got), pm_free(w->places);
  pm_program_finish(&w->program);
  pm_model_finish(&w->model);
  pm_model_file_close(w->file);
  return 0;
}

// ---- tests ----

static void streams_at_every_budget(void **state) {
  world *w = *state;
  static const struct { uint32_t percent, n_victim; } cases[] = {{100, 0}, {50, 2}, {25, 3}, {10, 1}, {0, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    set_boards(w, cases[i].percent, cases[i].n_victim, false);
    fill(w);
    run_script(w, w->got, cases[i].n_victim);
    if (!is_same(w)) fail_msg("%u %% in slots, %u victims: NMSE %.3g", cases[i].percent, cases[i].n_victim, difference(w));
  }
}

static void the_host_computes_what_finds_no_place(void **state) {
  world *w = *state;
  static const struct { uint32_t percent, n_victim, n_ring; } cases[] = {{50, 0, 0}, {25, 2, 1}, {0, 0, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pm_backend_counters before = w->backend->ops->counters(w->backend), after;
    set_boards(w, cases[i].percent, cases[i].n_victim, true);
    for (uint32_t t = 0; t < w->program.n_table; t++) w->plan.boards[t].n_ring = cases[i].n_ring;
    fill(w);
    run_script(w, w->got, cases[i].n_victim);
    after = w->backend->ops->counters(w->backend);
    print_message("# %u %% in slots, %u victims, ring of %u: NMSE %.3g\n", cases[i].percent, cases[i].n_victim, cases[i].n_ring,
                  difference(w));
    assert_true(difference(w) <= 1e-10);
    assert_int_equal(after.asks - before.asks, (N_STEP - 1) * w->program.n_table);
    assert_true(after.ask_seconds > before.ask_seconds && after.join_seconds > before.join_seconds);
  }
}

// Homes that come when they are needed, at once or after a while that the step must wait: seen in the time it takes, not in the logits.
static void waits_for_experts(void **state) {
  world *w = *state;
  set_boards(w, 25, 2, false);
  fill(w);
  for (uint32_t t = 0; t < w->program.n_table; t++) {
    w->plan.boards[t].wait = true;
    for (uint32_t e = 0; e < table_of(w, t)->n_expert; e++) w->plan.boards[t].home[e] = PM_EXPERT_NOWHERE;
  }
  w->late_homes = true;
  w->n_need = 0;
  run_script(w, w->got, 2);
  assert_true(is_same(w));
  assert_int_equal(w->n_need, N_STEP * w->program.n_table);
  w->late_homes = false;

  set_boards(w, 100, 0, false);
  fill(w);
  for (uint32_t t = 0; t < w->program.n_table; t++) w->plan.boards[t].wait = true;
  w->delay = 0.03;
  double start = pm_clock_seconds();
  run_script(w, w->got, 0);
  assert_true(pm_clock_seconds() - start >= w->delay * N_STEP * w->program.n_table);
  assert_true(is_same(w));
  w->delay = 0;
}

// The host's share is asked for while the experts of the device are still on their way.
static void computes_while_experts_come(void **state) {
  world *w = *state;
  set_boards(w, 50, 0, true);
  fill(w);
  for (uint32_t t = 0; t < w->program.n_table; t++) w->plan.boards[t].wait = true;
  w->delay = 0.01;
  w->n_need = w->n_answer = 0;
  run_script(w, w->got, 0);
  assert_true(difference(w) <= 1e-10);
  assert_int_equal(w->n_need, N_STEP * w->program.n_table);
  assert_int_equal(w->n_answer, (N_STEP - 1) * w->program.n_table);
  w->delay = 0;
}

// Whichever call fails, the step ends with that failure, and the next one is right again.
static void a_failing_host_ends_the_step(void **state) {
  world *w = *state;
  for (int fail_after = 1; fail_after <= 4; fail_after++) {
    set_boards(w, 50, 0, true);
    fill(w);
    for (uint32_t t = 0; t < w->program.n_table; t++) w->plan.boards[t].wait = true;
    w->delay = fail_after == 2 ? 1000 : 0;  // what was to open later opens too
    w->pos = 0;
    w->n_need = w->n_answer = 0;
    w->fail_after = fail_after;
    pm_status status = step(w, 3);
    w->fail_after = 0;
    w->delay = 0;
    assert_int_equal(status, PM_ERR_IO);
    assert_non_null(strstr(pm_fail_message(), "the disk is gone"));
    run_script(w, w->got, 0);
    assert_true(difference(w) <= 1e-10);
  }
}

// ---- what barriers leave free ----

static bool is_taken(const pm_gpu *g, const pm_gpu_piece *p, pm_gpu_boards_step kind) {
  uint32_t n_wave = p->when ? pm_gpu_boards_waves(&g->boards, p->table, pm_gpu_boards_misses(&g->boards, p->table, kind)) : 0;
  if (p->when == PM_GPU_LAST) return p->wave + 1 == (n_wave ? n_wave : 1);
  return p->when == PM_GPU_ALWAYS || (p->when == PM_GPU_WAVE && p->wave < n_wave);
}

static void reverse(pm_gpu_piece *p, uint32_t n) {
  for (uint32_t i = 0; i < n / 2; i++) {
    pm_gpu_piece kept = p[i];
    p[i] = p[n - 1 - i], p[n - 1 - i] = kept;
  }
}

// A step of many rows, a piece per dispatch: what lies between two barriers runs backwards.
static void step_backwards(world *w) {
  pm_gpu *g = (pm_gpu *)w->backend;
  pm_gpu_recording *r;
  OK(pm_gpu_recording_get(g, MAX_ROW, 1, &r));
  pm_gpu_boards_step kind = {MAX_ROW, r->ahead};
  pm_gpu_boards_write(&g->boards, &g->plan, kind);
  uint32_t n = r->n_piece, taken = 0, first = 0, n_barrier = 0;
  pm_gpu_piece *all = array(n, sizeof *all);
  memcpy(all, r->pieces, n * sizeof *all);
  for (uint32_t i = 0; i < n; i++) {
    if (!is_taken(g, &all[i], kind)) continue;
    r->pieces[taken] = all[i];
    r->pieces[taken++].when = PM_GPU_ALWAYS;
  }
  for (uint32_t i = 1; i <= taken; i++) {
    if (i < taken && !r->pieces[i].n_barrier) continue;
    reverse(r->pieces + first, i - first);
    n_barrier++;
    first = i;
  }
  print_message("# %s: %u pieces, %u barriers\n", r->ahead ? "ahead" : "after the router", taken, n_barrier);
  assert_true(n_barrier < taken);
  r->n_piece = taken;
  w->pos = 0;
  OK(step(w, MAX_ROW));
  assert_memory_equal(w->backend->ops->logits(w->backend), w->expected, pm_tensor_row_bytes(w->program.logits));
  memcpy(r->pieces, all, n * sizeof *all);
  r->n_piece = n;
  pm_free(all);
}

static void check_backwards(world *w) {
  static const uint32_t percents[] = {90, 70, 50, 25, 0};
  for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
    set_boards(w, percents[i], 0, false);
    if (percents[i] == 70)
      for (uint32_t e = 0; e < table_of(w, 1)->n_expert; e++) w->plan.boards[1].slot[e] = home_of(w, 1, e);
    fill(w);
    step_backwards(w);
  }
}

// With another backend of the same plan, in which steps of many rows bring whole tables before their turn (ahead), or the host says when
// waves of experts may be used (paced).
static void with_backend(world *w, bool ahead, bool paced, void (*check)(world *w)) {
  pm_backend *kept = w->backend;
  w->plan.ahead_rows = ahead, w->plan.host.send = paced ? send_wave : NULL;
  load(w);
  if (w->unchecked) {  // a piece for each dispatch
    pm_gpu *g = (pm_gpu *)w->backend;
    g->piece_cost = 0;
    for (uint32_t i = 0; i < PM_GPU_BUCKETS; i++) pm_gpu_recording_finish(&g->device, &g->recordings[0][i]);
  }
  check(w);
  w->backend->ops->destroy(w->backend);
  w->backend = kept;
  w->plan.ahead_rows = 0, w->plan.host.send = NULL;
}

static void check_prompts(world *w) {
  static const uint32_t percents[] = {100, 70, 25};
  for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
    set_boards(w, percents[i], 1, false);
    if (percents[i] == 70)  // a table that needs none between two that do
      for (uint32_t e = 0; e < table_of(w, 1)->n_expert; e++) w->plan.boards[1].slot[e] = home_of(w, 1, e);
    fill(w);
    w->pos = 0;
    OK(step(w, MAX_ROW));
    assert_memory_equal(w->backend->ops->logits(w->backend), w->expected, pm_tensor_row_bytes(w->program.logits));
  }
}

// One step of many rows, all of whose experts come in waves of half a ring; each is sent once, when there is room, and waited for.
static void check_pace(world *w) {
  set_boards(w, 0, 0, false);
  fill(w);
  w->delay = 0.02;
  w->n_sent = 0;
  uint64_t fills = w->backend->ops->counters(w->backend).fills;
  double begin = pm_clock_seconds();
  w->pos = 0;
  OK(step(w, MAX_ROW));
  assert_true(pm_clock_seconds() - begin >= w->delay * w->program.n_table);
  assert_int_equal(w->n_sent, w->backend->ops->counters(w->backend).fills - fills);
  assert_int_equal(w->n_sent, mirror(w, MAX_ROW, 0));
  w->delay = 0;
  check_prompts(w);
}

static void waves_arrive_when_the_host_says(void **state) {
  with_backend(*state, false, true, check_pace);
  with_backend(*state, true, true, check_pace);
}

static void barriers_are_enough(void **state) {
  world *w = *state;
  w->unchecked = true;
  with_backend(w, false, false, check_backwards);
  with_backend(w, true, false, check_backwards);
  w->unchecked = false;
}

// Slots change hands beside the steps: half of each table's experts move to the slots of the other half and back while tokens are made.
static void moves_beside_steps(void **state) {
  world *w = *state;
  set_boards(w, 50, 0, false);
  fill(w);
  size_t row = pm_tensor_row_bytes(w->program.logits);
  w->pos = 0;
  for (int i = 0; i < N_STEP; i++) {
    pm_expert_move moves[PM_EXPERTS_MAX];
    uint32_t table = (uint32_t)i % w->program.n_table, n = table_of(w, table)->n_expert;
    uint64_t ticket;
    pm_expert_board *b = &w->plan.boards[table];
    for (uint32_t e = 0; e < n / 2; e++) {
      moves[e] = (pm_expert_move){table, home_of(w, table, n - 1 - e), b->slot[e]};
      b->slot[e] = PM_EXPERT_NOWHERE;
    }
    b->dirty = true;
    OK(w->backend->ops->move(w->backend, moves, n / 2, &ticket));
    OK(step(w, script[i]));
    memcpy((uint8_t *)w->got + i * row, w->backend->ops->logits(w->backend), row);
    wait_moved(w, ticket);
    for (uint32_t e = 0; e < n / 2; e++) b->slot[n - 1 - e] = moves[e].slot;
    for (uint32_t e = n / 2; e < n - n / 2; e++) b->slot[e] = PM_EXPERT_NOWHERE;
    b->dirty = true;
    for (uint32_t e = 0; e < n / 2; e++) {  // the other way around the next time
      uint32_t slot = b->slot[n - 1 - e];
      moves[e] = (pm_expert_move){table, home_of(w, table, e), slot};
      b->slot[n - 1 - e] = PM_EXPERT_NOWHERE;
      b->slot[e] = slot;
    }
    OK(w->backend->ops->move(w->backend, moves, n / 2, &ticket));
    wait_moved(w, ticket);
  }
  assert_true(is_same(w));
}

static void allocates_nothing(void **state) {
  world *w = *state;
  set_boards(w, 25, 2, true);
  fill(w);
  run_script(w, w->got, 2);
  uint64_t before = pm_alloc_count(), ticket;
  run_script(w, w->got, 2);
  OK(w->backend->ops->move(w->backend, &(pm_expert_move){0, 0, 0}, 1, &ticket));
  wait_moved(w, ticket);
  assert_int_equal(pm_alloc_count() - before, 0);
}

// A token's whole step is one submission, whatever the host has to do in between.
static void a_step_is_one_submission(void **state) {
  world *w = *state;
  pm_gpu *g = (pm_gpu *)w->backend;
  double limit = g->submit_seconds;
  g->submit_seconds = 1e6;
  set_boards(w, 50, 0, true);
  fill(w);
  run_script(w, w->got, 0);
  pm_backend_counters before = w->backend->ops->counters(w->backend), after;
  OK(step(w, 1));
  after = w->backend->ops->counters(w->backend);
  assert_int_equal(after.submissions - before.submissions, 1);
  assert_int_equal(after.asks - before.asks, w->program.n_table);
  g->submit_seconds = limit;
}

static void refuses_more_misses_than_it_has_room_for(void **state) {
  world *w = *state;
  set_boards(w, 0, 0, false);
  w->plan.boards[0].n_ring = n_used_of(w);
  w->plan.boards[0].dirty = true;
  w->pos = 0;
  OK(step(w, 1));
  assert_int_equal(step(w, 2), PM_ERR_ARGUMENT);
  assert_non_null(strstr(pm_fail_message(), "ring records"));
}

// What a program needs is known before it is loaded, and what cannot be had is said.
static void plans_before_it_loads(void **state) {
  world *w = *state;
  pm_backend *b;
  pm_backend_needs needs;
  pm_gpu_desc desc = {.device = device_name};
  OK(pm_gpu_create(&desc, &b));
  OK(b->ops->needs(b, &w->program, &needs));
  pm_memory_use use = w->backend->ops->memory(w->backend);
  assert_int_equal(needs.weights, use.weights);
  assert_int_equal(needs.kv, use.kv);
  assert_true(needs.scratch >= use.scratch && needs.scratch < use.scratch + (1 << 20));
  assert_int_equal(needs.staging, use.staging);
  assert_true(needs.budget > needs.weights);
  assert_int_equal(needs.n_class, w->plan.n_class);
  uint64_t slots = 0, homes = 0;
  for (uint32_t c = 0; c < needs.n_class; c++) {
    const pm_expert_class *class = &w->plan.classes[c];
    slots += needs.classes[c].slot_bytes * (class->n_slot + class->n_ring);
    homes += needs.classes[c].home_bytes * class->n_home;
  }
  assert_int_equal(use.slots, slots);
  assert_int_equal(use.homes, homes);
  assert_true(needs.classes[0].home_bytes >= pm_expert_bytes(table_of(w, 0)));

  pm_expert_plan greedy = w->plan;
  greedy.classes[0].n_home = 1u << 24;
  assert_int_equal(b->ops->load(b, &w->program, &greedy, NULL, NULL), PM_ERR_MEMORY);
  assert_non_null(strstr(pm_fail_message(), "experts"));
  b->ops->destroy(b);
}

static PFN_vkAllocateMemory real_allocate;
static uint64_t refused_bytes;

static VkResult refuse_homes(VkDevice d, const VkMemoryAllocateInfo *info, const VkAllocationCallbacks *a, VkDeviceMemory *out) {
  bool refused = info->allocationSize >= refused_bytes && info->allocationSize < refused_bytes + 65536;
  return refused ? VK_ERROR_OUT_OF_HOST_MEMORY : real_allocate(d, info, a, out);
}

// Drivers pin less memory than there is: the planner hears how much was had.
static void says_how_much_was_had(void **state) {
  world *w = *state;
  pm_backend *b;
  pm_gpu_desc desc = {.device = device_name};
  OK(pm_gpu_create(&desc, &b));
  pm_gpu *g = (pm_gpu *)b;
  refused_bytes = w->backend->ops->memory(w->backend).homes;  // one buffer holds them all
  real_allocate = g->device.fn.vkAllocateMemory;
  g->device.fn.vkAllocateMemory = refuse_homes;
  assert_int_equal(b->ops->load(b, &w->program, &w->plan, NULL, NULL), PM_ERR_MEMORY);
  assert_non_null(strstr(pm_fail_message(), "the driver gave 0.00 of"));
  b->ops->destroy(b);
}

static VkResult lose_device(VkDevice d, VkSemaphore s, uint64_t *value) {
  (void)d, (void)s, (void)value;
  return VK_ERROR_DEVICE_LOST;
}

// The last test: a device that is lost while it waits for the host. Nothing hangs, now or at the end.
static void a_device_is_lost(void **state) {
  world *w = *state;
  set_boards(w, 50, 0, true);
  fill(w);
  w->pos = 0;
  ((pm_gpu *)w->backend)->device.fn.vkGetSemaphoreCounterValue = lose_device;
  for (int i = 0; i < 2; i++) assert_int_equal(step(w, 1), PM_ERR_DEVICE_LOST);
}

int main(void) {
  int result = choose_gpu(&device_name);
  if (result) return result;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(streams_at_every_budget),
      cmocka_unit_test(the_host_computes_what_finds_no_place),
      cmocka_unit_test(waits_for_experts),
      cmocka_unit_test(computes_while_experts_come),
      cmocka_unit_test(a_failing_host_ends_the_step),
      cmocka_unit_test(waves_arrive_when_the_host_says),
      cmocka_unit_test(barriers_are_enough),
      cmocka_unit_test(moves_beside_steps),
      cmocka_unit_test(allocates_nothing),
      cmocka_unit_test(a_step_is_one_submission),
      cmocka_unit_test(refuses_more_misses_than_it_has_room_for),
      cmocka_unit_test(plans_before_it_loads),
      cmocka_unit_test(says_how_much_was_had),
      cmocka_unit_test(a_device_is_lost),
  };
  return cmocka_run_group_tests_name("gpu_experts", tests, setup, teardown);
}
