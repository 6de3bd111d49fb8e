// Slots, homes and ring records that change hands all the time: small steps whose experts come and go at random while moves reach the
// device late, gates open late, homes are overwritten and slots have to be given back. Who looks at a record before it is there, or after
// it is another's, computes with wrong weights: every row of every step is compared with what its experts give.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "gpu.h"
#include "memory.h"
#include "rng.h"
#include "slots.h"
#include "testbed.h"
#include "vulkan_faults.h"

enum {
  SKIP = 77,
  N_TABLE = 3,
  N_EXPERT = 24,
  N_USED = 3,
  WIDTH = 32,  // of the model, and of its experts
  MAX_ROW = PM_EXPERT_FEW_ROWS + 4,
  N_SLOT = 7,    // of a class
  N_RING = 6,    // misses of two rows
  N_STEP = 200,  // of a round
  BATCHES = 3,   // of moves under way
  MOVES = 4,     // of a batch
};
static const double late = 1e-3;  // seconds, at most

static const char *device;
static pm_rng rng;

static uint32_t below(uint32_t n) { return (uint32_t)(pm_rng_next(&rng) % n); }
static bool one_in(uint32_t n) { return below(n) == 0; }
static double soon(void) { return pm_clock_seconds() + late * pm_rng_uniform(&rng); }

#define OK(call) \
  if (call) fail_msg("%s: %s", #call, pm_fail_message())

// ---- what the driver reports of its memory ----

static uint64_t pressure;  // bytes that are to be given back

pm_gpu_room __wrap_pm_gpu_heap_room(const pm_gpu_probe *probe, uint32_t heap);
pm_gpu_room __wrap_pm_gpu_heap_room(const pm_gpu_probe *probe, uint32_t heap) {
  (void)probe, (void)heap;
  return (pm_gpu_room){.limit = 1u << 30, .used = (1u << 30) + pressure};
}

// ---- a program of nothing but experts ----

typedef struct batch {
  uint32_t n;
  uint64_t ticket;
  pm_slots_move moves[MOVES];
} batch;

typedef struct rig {
  pm_program program;
  pm_expert_plan plan;
  pm_backend *backend;
  pm_slots *slots;
  uint32_t class_of[N_TABLE];
  pm_tensor *x, *h, *ids[N_TABLE], *weights[N_TABLE], *y[N_TABLE];
  pm_expert_board boards[N_TABLE];
  uint32_t slot[N_TABLE][N_EXPERT], home[N_TABLE][N_EXPERT], victim[N_TABLE][N_USED];
  bool warm[N_TABLE][N_EXPERT];
  bool held[N_TABLE][N_EXPERT];  // homes that moves read
  batch batches[BATCHES];
  uint32_t topic[N_TABLE];  // around which experts are chosen
  int32_t chosen[N_TABLE][MAX_ROW][N_USED];
  uint32_t n_row;
  bool many;
  uint32_t n_moved, n_shrunk, n_need, n_answer, n_sent;
} rig;

static const pm_type types[N_TABLE] = {PM_TYPE_F32, PM_TYPE_Q8_0, PM_TYPE_F32};
static uint8_t *files[N_TABLE][3];                            // of gate, up, down: all experts
static float x[MAX_ROW][WIDTH], weight[MAX_ROW][N_USED];      // the same in every step
static double expert_sum[N_TABLE][N_EXPERT][MAX_ROW][WIDTH];  // what an expert makes of a row, not weighted
static const uint64_t matrix[3] = {WIDTH, WIDTH, N_EXPERT};

static double dot(const float *a, const double *b) {
  double sum = 0;
  for (int i = 0; i < WIDTH; i++) sum += (double)a[i] * b[i];
  return sum;
}

static void compute_expert(uint32_t t, uint32_t e) {
  static float w[3][WIDTH][WIDTH];
  size_t bytes = pm_format_bytes(types[t], WIDTH * WIDTH);
  for (int m = 0; m < 3; m++) pm_format_get(types[t])->decode(files[t][m] + e * bytes, &w[m][0][0], WIDTH * WIDTH);
  for (uint32_t r = 0; r < MAX_ROW; r++) {
    double in[WIDTH], h[WIDTH];
    for (int i = 0; i < WIDTH; i++) in[i] = x[r][i];
    for (int i = 0; i < WIDTH; i++) {
      double gate = dot(w[0][i], in);
      h[i] = gate / (1 + exp(-gate)) * dot(w[1][i], in);
    }
    for (int i = 0; i < WIDTH; i++) expert_sum[t][e][r][i] = dot(w[2][i], h);
  }
}

static int make_experts(void **state) {
  (void)state;
  for (uint32_t r = 0; r < MAX_ROW; r++) {
    for (int i = 0; i < WIDTH; i++) x[r][i] = (float)pm_rng_uniform(&rng) - 0.5f;
    for (int k = 0; k < N_USED; k++) weight[r][k] = 0.5f + (float)pm_rng_uniform(&rng);
  }
  for (uint32_t t = 0; t < N_TABLE; t++) {
    for (int m = 0; m < 3; m++) {
      size_t n = (size_t)WIDTH * WIDTH * N_EXPERT;
      files[t][m] = malloc(pm_format_bytes(types[t], n));
      pm_format_get(types[t])->random(&rng, 0.5f, files[t][m], n);
    }
    for (uint32_t e = 0; e < N_EXPERT; e++) compute_expert(t, e);
  }
  return 0;
}

static int free_experts(void **state) {
  (void)state;
  for (uint32_t t = 0; t < N_TABLE; t++)
    for (int m = 0; m < 3; m++) free(files[t][m]);
  return 0;
}

static void describe(rig *g) {
  pm_program *p = &g->program;
  pm_program_init(p, MAX_ROW, 1, 0);
  g->x = pm_program_scratch(p, "x", WIDTH);
  g->h = pm_program_scratch(p, "h", N_USED * WIDTH);
  for (uint32_t t = 0; t < N_TABLE; t++) {
    static const char *const names[] = {"gate", "up", "down", "ids", "weights", "y"};
    char name[6][16];
    for (int i = 0; i < 6; i++) snprintf(name[i], sizeof name[i], "%s.%u", names[i], t);
    const pm_tensor *w[3];
    for (int m = 0; m < 3; m++) w[m] = pm_program_weight(p, name[m], types[t], matrix, files[t][m], 0);
    const pm_expert_table *table = pm_program_experts(p, w[0], w[1], w[2]);
    g->ids[t] = pm_program_scratch(p, name[3], N_USED);
    g->weights[t] = pm_program_scratch(p, name[4], N_USED);
    g->y[t] = pm_program_scratch(p, name[5], WIDTH);
    pm_view ids = pm_view_rows(g->ids[t]), h = pm_view_batch(g->h, N_USED);
    pm_program_append(p, (pm_op){.kind = PM_OP_EXPERTS_GLU, .experts_glu = {table, pm_view_rows(g->x), ids, h}});
    pm_program_append(
        p, (pm_op){.kind = PM_OP_EXPERTS_DOWN, .experts_down = {table, h, ids, pm_view_rows(g->weights[t]), pm_view_rows(g->y[t])}});
  }
  OK(pm_program_check(p));
}

// ---- homes ----

// Among the homes of its class: tables of a class one after another.
static uint32_t home_of(const rig *g, uint32_t t, uint32_t e) {
  uint32_t before = 0;
  for (uint32_t i = 0; i < t; i++) before += g->class_of[i] == g->class_of[t];
  return before * N_EXPERT + e;
}

static uint8_t *home_bytes(const rig *g, uint32_t t, uint32_t e) {
  return g->backend->ops->home(g->backend, g->class_of[t], home_of(g, t, e));
}

static void read_home(rig *g, uint32_t t, uint32_t e) {
  if (g->home[t][e] != PM_EXPERT_NOWHERE) return;
  size_t bytes = pm_format_bytes(types[t], WIDTH * WIDTH);
  uint8_t *to = home_bytes(g, t, e);
  for (int m = 0; m < 3; m++) memcpy(to + (size_t)m * bytes, files[t][m] + e * bytes, bytes);
  g->home[t][e] = home_of(g, t, e);
  g->boards[t].dirty = true;
}

// What lies there then is not a number.
static void lose_home(rig *g, uint32_t t, uint32_t e) {
  if (g->home[t][e] == PM_EXPERT_NOWHERE || g->held[t][e]) return;
  memset(home_bytes(g, t, e), 0xff, 3 * pm_format_bytes(types[t], WIDTH * WIDTH));
  g->home[t][e] = PM_EXPERT_NOWHERE;
  g->boards[t].dirty = true;
}

// ---- what the backend asks ----

static pm_status need(void *user, uint32_t t, const int32_t *ids, uint32_t n_id, double *ready) {
  rig *g = user;
  assert_int_equal(n_id, g->n_row * N_USED);
  assert_memory_equal(ids, g->chosen[t], n_id * sizeof *ids);
  for (uint32_t i = 0; i < n_id; i++) read_home(g, t, (uint32_t)ids[i]);
  if (one_in(2)) *ready = soon();
  g->n_need++;
  return PM_OK;
}

static double send_wave(void *user, uint32_t t, uint32_t n) {
  rig *g = user;
  assert_true(t < N_TABLE && n > 0 && n <= N_EXPERT);
  g->n_sent += n;
  return soon();
}

static pm_status answer(void *user, const pm_expert_ask *ask) {
  rig *g = user;
  uint32_t t = ask->table;
  pm_expert_place places[N_EXPERT];
  bool mine[N_EXPERT] = {false};
  assert_memory_equal(ask->ids, g->chosen[t], g->n_row * sizeof *g->chosen[t]);
  assert_memory_equal(ask->x, x, g->n_row * sizeof *x);
  uint32_t n = pm_expert_resolve(&g->boards[t], N_EXPERT, ask->ids, g->n_row * N_USED, false, places);
  for (uint32_t i = 0; i < n; i++) mine[places[i].expert] = places[i].fate == PM_EXPERT_HOST;
  for (uint32_t i = 0; i < ask->n_row * WIDTH; i++) {
    uint32_t r = i / WIDTH;
    double sum = 0;
    for (int k = 0; k < N_USED; k++)
      if (mine[ask->ids[r * N_USED + k]]) sum += ask->weights[r * N_USED + k] * expert_sum[t][ask->ids[r * N_USED + k]][r][i % WIDTH];
    ask->y[i] = (float)sum;
  }
  pm_clock_wait(soon());
  g->n_answer++;
  return PM_OK;
}

// ---- rounds ----

typedef struct kind {
  const char *name;
  bool ahead, paced;  // steps of many rows: whole tables before their turn; waves that are sent
  bool pieces;        // each dispatch in a submission of its own
} kind;

static void open_rig(rig *g, const kind *way) {
  *g = (rig){0};
  describe(g);
  g->plan = (pm_expert_plan){.n_class = pm_program_expert_classes(&g->program, g->class_of),
                             .class_of = g->class_of,
                             .boards = g->boards,
                             .ahead_rows = way->ahead,
                             .host = {g, answer, need, way->paced ? send_wave : NULL}};
  uint32_t n_slot[PM_EXPERT_CLASSES];
  for (uint32_t c = 0; c < g->plan.n_class; c++) {
    g->plan.classes[c] = (pm_expert_class){.n_slot = N_SLOT, .n_ring = N_RING, .n_home = N_TABLE * N_EXPERT};
    n_slot[c] = N_SLOT;
  }
  for (uint32_t t = 0; t < N_TABLE; t++) {
    g->boards[t] = (pm_expert_board){g->slot[t], g->home[t], g->warm[t], g->victim[t]};
    for (uint32_t e = 0; e < N_EXPERT; e++) g->slot[t][e] = g->home[t][e] = PM_EXPERT_NOWHERE;
  }
  OK(pm_slots_create(&(pm_slots_desc){N_TABLE, N_EXPERT, N_USED, g->plan.n_class, g->class_of, n_slot}, &g->slots));
  OK(pm_gpu_create(&(pm_gpu_desc){.device = device, .validate = testbed_validates()}, &g->backend));
  pm_gpu *gpu = (pm_gpu *)g->backend;
  if (way->pieces) gpu->piece_cost = 0, gpu->submit_seconds = 0;
  OK(g->backend->ops->load(g->backend, &g->program, &g->plan, NULL, NULL));
  OK(g->backend->ops->write(g->backend, g->x, 0, x, sizeof x));
  for (uint32_t t = 0; t < N_TABLE; t++) OK(g->backend->ops->write(g->backend, g->weights[t], 0, weight, sizeof weight));
  fault_delay(gpu->moves.passed, late);
}

static void close_rig(rig *g) {
  fault_delay(VK_NULL_HANDLE, 0);
  g->backend->ops->destroy(g->backend);
  pm_slots_destroy(g->slots);
  pm_program_finish(&g->program);
  assert_int_equal(fault_live_objects(), 0);
  assert_int_equal(fault_live_memory(), 0);
}

// ---- steps ----

// Most rows stay around a topic that changes now and then; the experts of a row are distinct.
static void choose(rig *g) {
  g->n_row = one_in(2) ? 1 : one_in(2) ? 1 + below(PM_EXPERT_FEW_ROWS) : PM_EXPERT_FEW_ROWS + 1 + below(MAX_ROW - PM_EXPERT_FEW_ROWS);
  g->many = g->n_row > PM_EXPERT_FEW_ROWS;
  for (uint32_t t = 0; t < N_TABLE; t++) {
    if (one_in(30)) g->topic[t] = below(N_EXPERT);
    for (uint32_t r = 0; r < g->n_row; r++) {
      uint32_t first = one_in(4) ? below(N_EXPERT) : g->topic[t] + below(3), stride = 1 + below(3);
      for (uint32_t k = 0; k < N_USED; k++) g->chosen[t][r][k] = (int32_t)((first + k * stride) % N_EXPERT);
    }
    OK(g->backend->ops->write(g->backend, g->ids[t], 0, g->chosen[t], g->n_row * sizeof *g->chosen[t]));
  }
}

static void set_board(rig *g, uint32_t t) {
  pm_expert_board *b = &g->boards[t], before = *b;
  bool ahead = g->many && g->plan.ahead_rows;
  b->wait = !ahead && one_in(2);
  b->assist = !g->many && (g->n_row * N_USED > N_RING || one_in(2));
  b->n_ring = b->assist ? below(N_RING + 1) : N_RING;
  b->dirty |= b->wait != before.wait || b->assist != before.assist || b->n_ring != before.n_ring;
  for (uint32_t e = 0; e < N_EXPERT; e++) {
    if (!b->wait)
      read_home(g, t, e);
    else if (one_in(4))
      lose_home(g, t, e);
  }
  if (one_in(20)) pm_slots_admit(g->slots, t, one_in(2));
}

static void check_rows(const rig *g, uint32_t t) {
  float y[MAX_ROW][WIDTH];
  OK(g->backend->ops->read(g->backend, g->y[t], 0, y, g->n_row * sizeof *y));
  for (uint32_t r = 0; r < g->n_row; r++) {
    double error = 0, square = 0;
    for (int i = 0; i < WIDTH; i++) {
      double sum = 0;
      for (int k = 0; k < N_USED; k++) sum += weight[r][k] * expert_sum[t][g->chosen[t][r][k]][r][i];
      error += pow(y[r][i] - sum, 2), square += sum * sum;
    }
    if (!(error <= 1e-10 * square)) fail_msg("table %u, row %u of %u: NMSE %.3g", t, r, g->n_row, error / square);
  }
}

static void run_step(rig *g) {
  static const float zero[MAX_ROW][WIDTH];
  uint32_t taken[N_SLOT];
  pm_row rows[MAX_ROW] = {0};
  choose(g);
  for (uint32_t t = 0; t < N_TABLE; t++) set_board(g, t);
  pm_slots_write(g->slots, g->boards, g->many);
  for (uint32_t c = 0; c < g->plan.n_class; c++)
    OK(pm_expert_boards_check(g->boards, g->class_of, N_TABLE, c, N_EXPERT, N_USED, pm_slots_size(g->slots, c), taken));
  for (uint32_t t = 0; t < N_TABLE; t++) OK(g->backend->ops->write(g->backend, g->y[t], 0, zero, sizeof zero));
  OK(g->backend->ops->run(g->backend, &(pm_step){.n_row = g->n_row, .rows = rows}));
  for (uint32_t t = 0; t < N_TABLE; t++) {
    assert_memory_equal(g->backend->ops->chosen(g->backend, t), g->chosen[t], g->n_row * sizeof *g->chosen[t]);
    check_rows(g, t);
    pm_slots_use(g->slots, &g->boards[t], t, &g->chosen[t][0][0], g->n_row, g->many);
  }
  pm_slots_next(g->slots);
}

// ---- between steps ----

static void end_batch(rig *g, batch *b, bool arrived) {
  for (uint32_t i = 0; i < b->n; i++) {
    g->held[b->moves[i].table][b->moves[i].expert] = false;
    (arrived ? pm_slots_arrive : pm_slots_drop)(g->slots, &b->moves[i]);
    g->n_moved += arrived;
  }
  b->n = 0;
}

static void begin_batch(rig *g, batch *b) {
  pm_expert_move moves[MOVES];
  b->n = pm_slots_promote(g->slots, g->boards, 1 + below(MOVES), b->moves);
  for (uint32_t i = 0; i < b->n; i++) {
    const pm_slots_move *m = &b->moves[i];
    moves[i] = (pm_expert_move){m->table, g->home[m->table][m->expert], m->slot};
    g->held[m->table][m->expert] = true;
  }
  if (b->n) OK(g->backend->ops->move(g->backend, moves, b->n, &b->ticket));
}

// Now and then a move that has passed is taken for one that has failed.
static void move_some(rig *g) {
  for (batch *b = g->batches; b < g->batches + BATCHES; b++) {
    if (b->n && g->backend->ops->moved(g->backend, b->ticket)) end_batch(g, b, !one_in(8));
    if (!b->n && one_in(2)) begin_batch(g, b);
  }
}

static void give_back(rig *g) {
  uint32_t n_slot[PM_EXPERT_CLASSES];
  pressure = 1;
  OK(g->backend->ops->shrink(g->backend, n_slot));
  pressure = 0;
  for (uint32_t c = 0; c < g->plan.n_class; c++) {
    g->n_shrunk += pm_slots_size(g->slots, c) - n_slot[c];
    pm_slots_resize(g->slots, c, n_slot[c]);
  }
}

static void check_round(const rig *g, const kind *way) {
  pm_slots_counters few = pm_slots_total(g->slots, false), many = pm_slots_total(g->slots, true);
  print_message(
      "# %s: few rows %llu hits, %llu victims, %llu ring, %llu host; many %llu hits, %llu ring; %u moves, %u submissions late; %u needs, "
      "%u answers, %u sent; %u slots given back\n",
      way->name, (unsigned long long)few.fate[PM_EXPERT_HIT], (unsigned long long)few.fate[PM_EXPERT_VICTIM],
      (unsigned long long)few.fate[PM_EXPERT_RING], (unsigned long long)few.fate[PM_EXPERT_HOST],
      (unsigned long long)many.fate[PM_EXPERT_HIT], (unsigned long long)many.fate[PM_EXPERT_RING], g->n_moved, fault_delayed(), g->n_need,
      g->n_answer, g->n_sent, g->n_shrunk);
  for (int f = 0; f < PM_EXPERT_FATES; f++) assert_true(few.fate[f] > N_STEP / 10);
  assert_true(many.fate[PM_EXPERT_HIT] > 0 && many.fate[PM_EXPERT_RING] > 0);
  assert_true(g->n_moved > 0 && fault_delayed() > 0 && g->n_need > 0 && g->n_answer > 0 && g->n_shrunk > 0);
  assert_int_equal(g->n_sent > 0, way->paced);
}

static void slots_change_hands(void **state) {
  const kind *way = *state;
  static rig g;
  open_rig(&g, way);
  for (int i = 0; i < N_STEP; i++) {
    run_step(&g);
    move_some(&g);
    if (one_in(N_STEP / 3)) give_back(&g);
  }
  check_round(&g, way);
  close_rig(&g);
}

int main(void) {
  device = getenv("PUMICE_TEST_DEVICE");
  if (!device) return puts("skip: no device"), SKIP;
  static kind rounds[] = {
      {"after the router, in pieces", .pieces = true},
      {"sent in waves", .paced = true},
      {"ahead", .ahead = true},
      {"ahead, sent in waves", .ahead = true, .paced = true},
  };
  enum { N_ROUND = sizeof rounds / sizeof *rounds };
  struct CMUnitTest tests[N_ROUND];
  for (int i = 0; i < N_ROUND; i++) tests[i] = (struct CMUnitTest){rounds[i].name, slots_change_hands, NULL, NULL, &rounds[i]};
  rng = pm_rng_seed(20260121);
  return cmocka_run_group_tests_name("slot_stress", tests, make_experts, free_experts);
}
