// Experts that come and go, on the device that PUMICE_TEST_DEVICE names (default "0"): what is found where and brought from where to where,
// against the rule of runtime/experts and the bytes of pm_gpu_repack; products of what is there against a plain reference.
//
// Boards are given to the recorder here, at link time, and the op that is recorded may be replaced by a function of a test.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "board.h"
#include "expert_board.h"
#include "heap.h"
#include "memory.h"
#include "ops.h"
#include "place.h"
#include "recorder.h"
#include "step.h"
#include "testbed.h"

enum { SKIP = 77, ARENAS = 2, STEP_WORDS = 1024, ANSWER_WORDS = 4096 };

#define OK(call)                                                                         \
  do {                                                                                   \
    pm_status ok_status_ = (call);                                                       \
    if (ok_status_) fail_msg("%s: status %d: %s", #call, ok_status_, pm_fail_message()); \
  } while (0)

static pm_gpu_device device;
static pm_gpu_pipelines pipelines;
static pm_rng rng;

static uint32_t below(uint32_t n) { return (uint32_t)(pm_rng_next(&rng) % n); }

// ---- what recorders ask ----

typedef void record_fn(pm_gpu_recorder *r);
static pm_gpu_board board;
static record_fn *record_instead;  // of EXPERTS_GLU

bool __wrap_pm_gpu_board_find(const pm_gpu_recorder *r, const pm_expert_table *t, pm_gpu_board *out);
bool __wrap_pm_gpu_board_find(const pm_gpu_recorder *r, const pm_expert_table *t, pm_gpu_board *out) {
  (void)r, (void)t;
  *out = board;
  return true;
}

void __wrap_pm_gpu_record_when(pm_gpu_recorder *r, pm_gpu_when when, const pm_expert_table *t, uint32_t wave);
void __wrap_pm_gpu_record_when(pm_gpu_recorder *r, pm_gpu_when when, const pm_expert_table *t, uint32_t wave) {
  (void)r, (void)t, (void)wave;
  assert_true(when == PM_GPU_WAVE || when == PM_GPU_ALWAYS);  // every piece is run here, in order: nothing is to be done
}

void __real_pm_gpu_op_experts_glu(pm_gpu_recorder *r, const pm_op *op);
void __wrap_pm_gpu_op_experts_glu(pm_gpu_recorder *r, const pm_op *op);
void __wrap_pm_gpu_op_experts_glu(pm_gpu_recorder *r, const pm_op *op) {
  if (record_instead)
    record_instead(r);
  else
    __real_pm_gpu_op_experts_glu(r, op);
}

// ---- a table, its records, and a recording ----

typedef struct matrix {
  pm_type type;
  uint32_t n_in, n_out;
} matrix;

typedef struct shape {
  matrix gate, up, down;
  uint32_t n_expert, n_used, n_row;  // rows of the recording
  uint32_t n_slot, n_ring, max_victim;
} shape;

typedef struct rig {
  shape s;
  pm_program program;
  pm_gpu_temps temps;
  pm_expert_table *table;
  uint8_t *files[3];  // of gate, up, down: all experts
  pm_tensor *x, *ids, *weights, *h, *y;
  pm_op glu, down;
  size_t slot_bytes, home_bytes;  // of a record, a multiple of 256
  pm_gpu_buffer slots[ARENAS], homes[ARENAS], scratch, step, tables, host;
  VkDescriptorPool pool;
  VkDescriptorSet set;
  pm_gpu_recording recording;
  pm_tensor hazards[4];
  pm_expert_board board;
  int32_t *chosen;            // [n_row][n_used]
  uint8_t *expected[ARENAS];  // of the slots
} rig;

static rig *current;
static uint32_t first_half;  // of the ring, in which waves begin

static uint32_t n_record(const rig *g) { return g->s.n_slot + g->s.n_ring; }

// Records take turns in two arenas.
static pm_gpu_entry record_entry(uint32_t i, size_t bytes) { return (pm_gpu_entry){i % ARENAS, (uint32_t)(i / ARENAS * bytes / 16)}; }

static pm_gpu_entry slot_entry(const rig *g, uint32_t i) { return record_entry(i, g->slot_bytes); }
static uint8_t *expected_slot(const rig *g, uint32_t i) { return g->expected[i % ARENAS] + i / ARENAS * g->slot_bytes; }

static const pm_tensor *add_matrix(rig *g, int m) {
  const matrix *k = &(&g->s.gate)[m];
  const pm_format *f = pm_format_get(k->type);
  size_t n = (size_t)k->n_in * k->n_out * g->s.n_expert;
  g->files[m] = pm_alloc(pm_format_bytes(k->type, n));
  assert_non_null(g->files[m]);
  f->random(&rng, 0.1f, g->files[m], n);
  static const char *const names[] = {"gate", "up", "down"};
  const uint64_t ne[3] = {k->n_in, k->n_out, g->s.n_expert};
  return pm_program_weight(&g->program, names[m], k->type, ne, g->files[m], 0);
}

static void describe(rig *g) {
  const shape *s = &g->s;
  pm_program *p = &g->program;
  pm_program_init(p, s->n_row, 1, 0);
  const pm_tensor *gate = add_matrix(g, 0), *up = add_matrix(g, 1), *down = add_matrix(g, 2);
  g->table = pm_program_experts(p, gate, up, down);
  g->x = pm_program_scratch(p, "x", s->gate.n_in);
  g->ids = pm_program_scratch(p, "ids", s->n_used);
  g->weights = pm_program_scratch(p, "weights", s->n_used);
  g->h = pm_program_scratch(p, "h", (uint64_t)s->n_used * s->gate.n_out);
  g->y = pm_program_scratch(p, "y", s->down.n_out);
  OK(pm_program_check(p));
  pm_view ids = pm_view_rows(g->ids), h = pm_view_batch(g->h, s->n_used);
  g->glu = (pm_op){.kind = PM_OP_EXPERTS_GLU, .experts_glu = {g->table, pm_view_rows(g->x), ids, h}};
  g->down = (pm_op){.kind = PM_OP_EXPERTS_DOWN, .experts_down = {g->table, h, ids, pm_view_rows(g->weights), pm_view_rows(g->y)}};
  g->slot_bytes = pm_gpu_slot_bytes(g->table);
  g->home_bytes = pm_gpu_home_bytes(g->table);
}

static void place(uint64_t *end, pm_tensor *t) {
  t->place.offset = *end;
  *end += (pm_tensor_bytes(t) + 255) / 256 * 256;
}

static uint32_t answer_word(const rig *g) { return PM_BOARD_WORDS(g->s.n_expert, g->s.max_victim, g->s.n_ring); }

static void allocate(rig *g) {
  uint64_t end = 0;
  for (uint32_t i = 0; i < g->program.n_tensor; i++)
    if (g->program.tensors[i]->role == PM_ROLE_SCRATCH) place(&end, g->program.tensors[i]);
  for (uint32_t i = 0; i < g->temps.n; i++) place(&end, g->temps.items[i]);
  OK(pm_gpu_buffer_init(&device, &g->scratch, PM_GPU_DEVICE, end, "scratch"));
  OK(pm_gpu_buffer_init(&device, &g->step, PM_GPU_STEP, 4 * STEP_WORDS, "step"));
  OK(pm_gpu_buffer_init(&device, &g->tables, PM_GPU_DEVICE, 3 * sizeof(pm_gpu_entry) * g->s.n_expert, "tables"));
  OK(pm_gpu_buffer_init(&device, &g->host, PM_GPU_STEP, 4ull * (answer_word(g) + ANSWER_WORDS), "boards"));
  for (uint32_t a = 0; a < ARENAS; a++) {
    size_t n = (n_record(g) + ARENAS - 1) / ARENAS * g->slot_bytes;
    OK(pm_gpu_buffer_init(&device, &g->slots[a], PM_GPU_DEVICE, n, "slots"));
    OK(pm_gpu_buffer_init(&device, &g->homes[a], PM_GPU_HOST, (g->s.n_expert + ARENAS - 1) / ARENAS * g->home_bytes, "homes"));
    g->expected[a] = pm_alloc(n);
    assert_non_null(g->expected[a]);
    memset(g->expected[a], 0xa5, n);
  }
}

static void make_set(rig *g) {
  const struct {
    const pm_gpu_buffer *buffers;
    uint32_t n, used;
  } bindings[] = {{g->slots, PM_GPU_ARENAS, ARENAS},
                  {&g->scratch, 1, 1},
                  {&g->scratch, PM_GPU_KV_ARENAS, 1},
                  {&g->step, 1, 1},
                  {&g->tables, 1, 1},
                  {&g->host, 1, 1},
                  {g->homes, device.probe.traits.home_arenas, ARENAS}};
  enum { N = sizeof bindings / sizeof *bindings, MOST = PM_GPU_ARENAS + PM_GPU_KV_ARENAS + PM_GPU_HOME_ARENAS + 4 };
  VkDescriptorPoolSize size = {.type = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, .descriptorCount = MOST};
  VkDescriptorPoolCreateInfo pool = {
      .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, .maxSets = 1, .poolSizeCount = 1, .pPoolSizes = &size};
  assert_int_equal(device.fn.vkCreateDescriptorPool(device.handle, &pool, NULL, &g->pool), VK_SUCCESS);
  VkDescriptorSetAllocateInfo set = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                     .descriptorPool = g->pool,
                                     .descriptorSetCount = 1,
                                     .pSetLayouts = &pipelines.set_layout};
  assert_int_equal(device.fn.vkAllocateDescriptorSets(device.handle, &set, &g->set), VK_SUCCESS);
  VkDescriptorBufferInfo infos[MOST], *next = infos;
  VkWriteDescriptorSet writes[N];
  for (uint32_t b = 0; b < N; b++) {
    writes[b] = (VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                       .dstSet = g->set,
                                       .dstBinding = b,
                                       .descriptorCount = bindings[b].n,
                                       .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                       .pBufferInfo = next};
    for (uint32_t i = 0; i < bindings[b].n; i++)
      *next++ = (VkDescriptorBufferInfo){.buffer = (i < bindings[b].used ? &bindings[b].buffers[i] : &g->scratch)->handle,
                                         .range = VK_WHOLE_SIZE};
  }
  device.fn.vkUpdateDescriptorSets(device.handle, N, writes, 0, NULL);
}

// Homes hold every expert; boards decide whether they say so.
static void fill_homes(const rig *g) {
  for (uint32_t e = 0; e < g->s.n_expert; e++)
    for (int m = 0; m < 3; m++) {
      size_t bytes = pm_tensor_slab_bytes(pm_expert_matrix(g->table, m));
      uint8_t *to = g->homes[e % ARENAS].mapped + e / ARENAS * g->home_bytes + pm_gpu_home_at(g->table, m);
      memcpy(to, g->files[m] + e * bytes, bytes);
    }
}

static void expect_in_slot(const rig *g, uint32_t slot, uint32_t e) {
  for (int m = 0; m < 3; m++) {
    const pm_tensor *w = pm_expert_matrix(g->table, m);
    pm_gpu_repack(w->type, w->ne[0], w->ne[1], g->files[m] + e * pm_tensor_slab_bytes(w),
                  expected_slot(g, slot) + pm_gpu_slot_at(g->table, m));
  }
}

// Waves in which a step of many rows may need the ring of a shape.
static uint32_t count_waves(const shape *s) {
  uint32_t wave = s->n_ring > 1 ? s->n_ring / 2 : s->n_ring, most = s->n_row * s->n_used;
  if (most > s->n_expert) most = s->n_expert;
  return (most + wave - 1) / wave;
}

// instead: records what stands for the two ops, or NULL.
static rig *make_rig(const shape *s, bool few, record_fn *instead) {
  rig *g = current = pm_alloc_zero(1, sizeof *g);
  assert_non_null(g);
  g->s = *s;
  describe(g);
  for (int i = 0; i < 4; i++) g->hazards[i].role = PM_ROLE_SCRATCH;
  uint32_t n_half = s->n_ring > 1 ? 2 : 1;
  board = (pm_gpu_board){.max_victim = s->max_victim,
                         .answer_at = answer_word(g),
                         .wave = s->n_ring / n_half,
                         .n_half = n_half,
                         .n_wave = few ? 0 : count_waves(s),
                         .few = few,
                         .slots = few ? g->hazards : NULL,
                         .entries = &g->hazards[3]};
  record_instead = instead;
  pm_op ops[2] = {g->glu, g->down};
  pm_program program = g->program;
  program.ops = ops, program.n_op = instead ? 1 : 2;
  pm_gpu_recorder r = {
      .device = &device, .pipelines = &pipelines, .program = &program, .temps = &g->temps, .pool = device.pool, .piece_cost = 1e12};
  OK(pm_gpu_record_dry(&r, s->n_row, 1));
  allocate(g);
  make_set(g);
  fill_homes(g);
  r.set = g->set;
  OK(pm_gpu_record_program(&r, s->n_row, 1, &g->recording));
  size_t n = s->n_expert;
  g->board = (pm_expert_board){
      .slot = pm_alloc(4 * n), .home = pm_alloc(4 * n), .warm = pm_alloc(n), .victim = pm_alloc(4 * (size_t)s->max_victim)};
  g->chosen = pm_alloc(4ull * s->n_row * s->n_used);
  assert_true(g->board.slot && g->board.home && g->board.warm && g->board.victim && g->chosen);
  return g;
}

static void free_rig(rig *g) {
  OK(pm_gpu_device_check(&device));
  pm_gpu_recording_finish(&device, &g->recording);
  device.fn.vkDestroyDescriptorPool(device.handle, g->pool, NULL);
  pm_gpu_buffer *rest[] = {&g->scratch, &g->step, &g->tables, &g->host};
  for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) pm_gpu_buffer_finish(&device, rest[i]);
  for (uint32_t a = 0; a < ARENAS; a++) {
    pm_gpu_buffer_finish(&device, &g->slots[a]);
    pm_gpu_buffer_finish(&device, &g->homes[a]);
    pm_free(g->expected[a]);
  }
  for (int m = 0; m < 3; m++) pm_free(g->files[m]);
  pm_free(g->board.slot);
  pm_free(g->board.home);
  pm_free(g->board.warm);
  pm_free(g->board.victim);
  pm_free(g->chosen);
  pm_gpu_temps_finish(&g->temps);
  pm_program_finish(&g->program);
  pm_free(g);
}

// ---- steps ----

static float *values(const rig *g, const pm_tensor *t) { return (float *)(void *)(g->scratch.mapped + t->place.offset); }

static void put_place(uint32_t *words, bool is, pm_gpu_entry e, uint32_t bits) {
  words[0] = is ? e.arena | bits : PM_NOWHERE;
  words[1] = is ? e.unit : 0;
}

static void write_board(const rig *g) {
  const pm_expert_board *b = &g->board;
  uint32_t *words = (uint32_t *)(void *)g->host.mapped, n = g->s.n_expert;
  words[PM_BOARD_N_VICTIM] = b->n_victim, words[PM_BOARD_N_RING] = b->n_ring, words[PM_BOARD_HALF] = first_half;
  for (uint32_t e = 0; e < n; e++) {
    put_place(words + PM_BOARD_PLACES + 2 * e, b->slot[e] != PM_EXPERT_NOWHERE, slot_entry(g, b->slot[e]), 0);
    put_place(words + PM_BOARD_HOMES(n) + 2 * e, b->home[e] != PM_EXPERT_NOWHERE, record_entry(b->home[e], g->home_bytes),
              b->warm[e] ? PM_HOME_WARM : 0);
  }
  for (uint32_t i = 0; i < b->n_victim; i++) put_place(words + PM_BOARD_VICTIMS(n) + 2 * i, true, slot_entry(g, b->victim[i]), 0);
  for (uint32_t i = 0; i < g->s.n_ring; i++)
    put_place(words + PM_BOARD_RING(n, g->s.max_victim) + 2 * i, true, slot_entry(g, g->s.n_slot + i), 0);
}

// Runs n_row rows on what the board and the expected slots say.
static void run(const rig *g, uint32_t n_row) {
  uint32_t *step = (uint32_t *)(void *)g->step.mapped;
  step[PM_STEP_N_ROW] = n_row, step[PM_STEP_N_LOGIT] = 0, step[PM_STEP_N_ROPE] = 0, step[PM_STEP_ZERO] = 0;
  write_board(g);
  memcpy(values(g, g->ids), g->chosen, 4ull * n_row * g->s.n_used);
  for (uint32_t a = 0; a < ARENAS; a++) memcpy(g->slots[a].mapped, g->expected[a], (n_record(g) + ARENAS - 1) / ARENAS * g->slot_bytes);
  memset(g->tables.mapped, 0x5a, g->tables.bytes);
  assert_int_equal(g->recording.n_piece, 1);
  OK(pm_gpu_submit(&device, &g->recording.pieces->commands, 1));
  OK(pm_gpu_wait(&device, device.ticket));
}

static void check_entry(const rig *g, uint32_t e, bool is, uint32_t slot, uint32_t pass) {
  const pm_gpu_entry *entries = (const pm_gpu_entry *)(const void *)g->tables.mapped;
  for (uint32_t m = 0; m < 3; m++) {
    const pm_gpu_entry *found = &entries[m * g->s.n_expert + e];
    pm_gpu_entry wanted = slot_entry(g, slot);
    wanted.unit += (uint32_t)(pm_gpu_slot_at(g->table, (int)m) / 16);
    wanted.arena |= pass << PM_ENTRY_PASS_SHIFT;
    if (is ? memcmp(found, &wanted, sizeof wanted) != 0 : found->arena != PM_NOWHERE)
      fail_msg("expert %u, matrix %u: entry (%x, %x), wanted %s slot %u", e, m, found->arena, found->unit, is ? "" : "not", slot);
  }
}

static void check_slots(const rig *g) {
  for (uint32_t i = 0; i < n_record(g); i++) {
    const uint8_t *found = g->slots[i % ARENAS].mapped + i / ARENAS * g->slot_bytes, *wanted = expected_slot(g, i);
    for (size_t b = 0; b < g->slot_bytes; b++)
      if (found[b] != wanted[b]) fail_msg("record %u, byte %zu of %zu: %02x, expected %02x", i, b, g->slot_bytes, found[b], wanted[b]);
  }
}

// Of miss i of a step of many rows.
static uint32_t ring_slot(const rig *g, uint32_t i) {
  return g->s.n_slot + (first_half + i / board.wave) % board.n_half * board.wave + i % board.wave;
}

// The rule's places; entries as it wants them, and slots after waves 0 .. wave of misses (a step of few rows has one).
static uint32_t check_places(rig *g, uint32_t n_row, bool few, uint32_t wave, pm_expert_place places[512]) {
  uint32_t n = pm_expert_resolve(&g->board, g->s.n_expert, g->chosen, n_row * g->s.n_used, !few, places);
  for (uint32_t i = 0; i < n; i++) {
    const pm_expert_place *p = &places[i];
    bool ring = p->fate == PM_EXPERT_RING, victim = p->fate == PM_EXPERT_VICTIM;
    uint32_t slot = !ring ? p->index : few ? g->s.n_slot + p->index : ring_slot(g, p->index);
    check_entry(g, p->expert, ring || victim || p->fate == PM_EXPERT_HIT, slot, ring && !few ? 1 + p->index / board.wave : 0);
    if (victim || (ring && (few || p->index / board.wave <= wave))) expect_in_slot(g, slot, p->expert);
  }
  check_slots(g);
  return n;
}

// Distinct experts for every row.
static void choose(rig *g, uint32_t n_row) {
  for (uint32_t r = 0; r < n_row; r++)
    for (uint32_t k = 0; k < g->s.n_used; k++) {
      int32_t *row = g->chosen + r * g->s.n_used;
      bool again = true;
      while (again) {
        row[k] = (int32_t)below(g->s.n_expert);
        again = false;
        for (uint32_t j = 0; j < k; j++) again |= row[j] == row[k];
      }
    }
}

// A board in which experts have slots, homes and warmth with these chances of 8; victims are slots in random order, theirs or free.
static void draw_board(rig *g, uint32_t slots, uint32_t homes, uint32_t warm) {
  pm_expert_board *b = &g->board;
  uint32_t order[512], n_slot = g->s.n_slot;
  for (uint32_t i = 0; i < n_slot; i++) {
    uint32_t j = below(i + 1);
    order[i] = order[j], order[j] = i;
  }
  uint32_t next = 0;
  for (uint32_t e = 0; e < g->s.n_expert; e++) {
    b->slot[e] = next < n_slot && below(8) < slots ? order[next++] : PM_EXPERT_NOWHERE;
    b->home[e] = below(8) < homes ? e : PM_EXPERT_NOWHERE;
    b->warm[e] = below(8) < warm;
    if (b->slot[e] != PM_EXPERT_NOWHERE) expect_in_slot(g, b->slot[e], e);
  }
  b->n_victim = g->s.max_victim < n_slot ? below(g->s.max_victim + 1) : 0;
  for (uint32_t i = 0; i < b->n_victim; i++) b->victim[i] = order[(i * 3 + 1) % n_slot];
  for (uint32_t i = 0; i < b->n_victim; i++)
    for (uint32_t j = 0; j < i; j++)
      if (b->victim[i] == b->victim[j]) b->n_victim = i;
  b->n_ring = below(g->s.n_ring + 1);
}

// ---- resolve ----

static void bring_waves(pm_gpu_recorder *r, uint32_t n) {
  const pm_view *ids = &current->glu.experts_glu.ids;
  pm_gpu_record_resolve(r, current->table, ids);
  for (uint32_t w = 0; w < n; w++) {
    pm_gpu_record_fence(r);
    pm_gpu_record_fill(r, current->table, ids->n, w, 0, 2);
    pm_gpu_record_fill(r, current->table, ids->n, w, 2, 3);
  }
}

static void bring_chosen(pm_gpu_recorder *r) { bring_waves(r, 1); }

#define TINY \
  {PM_TYPE_F32, 32, 4}, {PM_TYPE_F32, 32, 4}, { PM_TYPE_F32, 4, 3 }

static void few_rows(void **state) {
  (void)state;
  static const shape shapes[] = {
      {TINY, 5, 5, 1, 3, 2, 5},     {TINY, 33, 4, 3, 9, 12, 4},   {TINY, 64, 6, 1, 20, 6, 6},
      {TINY, 160, 6, 4, 60, 24, 6}, {TINY, 512, 8, 2, 100, 9, 8}, {TINY, 512, 8, 1, 100, 8, 8},
  };
  static const uint32_t chances[][3] = {{4, 6, 4}, {4, 8, 0}, {0, 8, 8}, {7, 8, 8}, {2, 0, 4}, {0, 0, 0}, {1, 7, 6}};
  uint32_t n_fate[PM_EXPERT_FATES] = {0};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    rig *g = make_rig(&shapes[i], true, bring_chosen);
    for (uint32_t k = 0; k < 3 * sizeof chances / sizeof *chances; k++) {
      const uint32_t *chance = chances[k % 7];
      uint32_t n_row = 1 + below(g->s.n_row);
      pm_expert_place places[512];
      draw_board(g, chance[0], chance[1], chance[2]);
      choose(g, n_row);
      run(g, n_row);
      uint32_t n = check_places(g, n_row, true, 0, places);
      for (uint32_t j = 0; j < n; j++) n_fate[places[j].fate]++;
    }
    free_rig(g);
  }
  for (int f = 0; f < PM_EXPERT_FATES; f++) assert_true(n_fate[f] >= 20);  // all of the rule was met
}

// A victim whose expert was chosen keeps it.
static void spares_hits(void **state) {
  (void)state;
  rig *g = make_rig(&(shape){TINY, 8, 4, 1, 4, 1, 4}, true, bring_chosen);
  for (uint32_t e = 0; e < 8; e++) g->board.slot[e] = e < 3 ? e : PM_EXPERT_NOWHERE, g->board.home[e] = e, g->board.warm[e] = true;
  for (uint32_t e = 0; e < 3; e++) expect_in_slot(g, e, e);
  const uint32_t victims[] = {1, 0, 2, 3};
  memcpy(g->board.victim, victims, sizeof victims);
  const int32_t ids[] = {7, 0, 1, 4};
  memcpy(g->chosen, ids, sizeof ids);
  g->board.n_victim = 4, g->board.n_ring = 1;
  run(g, 1);
  check_entry(g, 0, true, 0, 0);
  check_entry(g, 1, true, 1, 0);
  check_entry(g, 4, true, 2, 0);
  check_entry(g, 7, true, 3, 0);
  pm_expert_place places[512];
  check_places(g, 1, true, 0, places);
  g->board.n_victim = 3;
  run(g, 1);
  check_entry(g, 7, true, 4, 0);  // the ring
  free_rig(g);
}

static uint32_t last_wave;

static void bring_to_last(pm_gpu_recorder *r) { bring_waves(r, last_wave + 1); }

static void many_rows(void **state) {
  (void)state;
  static const shape shapes[] = {{TINY, 33, 4, 24, 9, 7, 4}, {TINY, 512, 8, 100, 60, 64, 8}, {TINY, 5, 2, 9, 0, 1, 2}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    for (last_wave = 0; last_wave < 3; last_wave++) {
      rig *g = make_rig(&shapes[i], false, bring_to_last);
      for (uint32_t k = 0; k < 6; k++) {
        uint32_t n_row = g->s.n_row - below(3);
        draw_board(g, 2 + k, 8, 4);
        first_half = k % 2;
        for (uint32_t e = 0; e < g->s.n_expert; e++) g->board.home[e] = e;
        choose(g, n_row);
        run(g, n_row);
        pm_expert_place places[512];
        check_places(g, n_row, false, last_wave, places);
      }
      free_rig(g);
    }
}

// Ahead of a layer's turn: every expert without a slot, whatever was chosen.
static void bring_all(pm_gpu_recorder *r) {
  board.ahead = true;
  pm_gpu_record_resolve(r, current->table, NULL);
  for (uint32_t w = 0; w < 2; w++) pm_gpu_record_fill(r, current->table, 0, w, 0, 3);
}

static void everything_ahead(void **state) {
  (void)state;
  rig *g = make_rig(&(shape){TINY, 40, 4, 12, 11, 45, 4}, false, bring_all);
  for (uint32_t k = 0; k < 8; k++) {
    draw_board(g, k, 8, 4);
    choose(g, 12);
    first_half = k % 2;
    run(g, 12);
    for (uint32_t e = 0, miss = 0; e < 40; e++) {
      bool hit = g->board.slot[e] != PM_EXPERT_NOWHERE;
      if (!hit) expect_in_slot(g, ring_slot(g, miss), e);
      check_entry(g, e, true, hit ? g->board.slot[e] : ring_slot(g, miss), hit ? 0 : miss / board.wave);
      miss += !hit;
    }
    check_slots(g);
  }
  first_half = 0;
  free_rig(g);
}

// ---- fill ----

// Three misses, nothing else.
static void check_fill(const shape *s) {
  rig *g = make_rig(s, true, bring_chosen);
  draw_board(g, 0, 8, 0);
  g->board.n_ring = s->n_ring;
  choose(g, 1);
  run(g, 1);
  pm_expert_place places[512];
  check_places(g, 1, true, 0, places);
  free_rig(g);
}

static void every_format(void **state) {
  (void)state;
  const pm_format *f;
  for (size_t i = 0; (f = pm_format_row(i)); i++) {
    if (!f->decode) continue;
    uint32_t block = f->block_elements, narrow = block == 1 ? 36 : block, wide = block == 1 ? 2500 : 37 * block;
    printf("%s\n", f->name);
    // Rows of one chunk and of many; the third begins behind whatever the second's rows left over.
    check_fill(&(shape){{f->type, narrow, 33}, {f->type, 3 * narrow, 7}, {f->type, wide, 5}, 4, 3, 1, 1, 3, 3});
    check_fill(&(shape){{PM_TYPE_Q6_K, 256, 33}, {f->type, 1024, 9}, {f->type, 9472, 3}, 4, 3, 1, 0, 3, 3});
  }
}

// ---- products ----

static double silu(double x) { return x / (1 + exp(-x)); }

static float *decode(const rig *g, int m, uint32_t e) {
  const pm_tensor *w = pm_expert_matrix(g->table, m);
  size_t n = w->ne[0] * w->ne[1];
  float *out = pm_alloc(4 * n);
  assert_non_null(out);
  pm_format_get(w->type)->decode(g->files[m] + e * pm_tensor_slab_bytes(w), out, n);
  return out;
}

// y += the experts' sums for every row, but for those of `without`.
static void reference(const rig *g, uint32_t n_row, const bool *without, double *y) {
  uint32_t d = g->s.gate.n_in, d_ff = g->s.gate.n_out, n_out = g->s.down.n_out, n_used = g->s.n_used;
  double *h = pm_alloc(d_ff * sizeof *h);
  assert_non_null(h);
  for (uint32_t i = 0; i < n_row * n_used; i++) {
    uint32_t e = (uint32_t)g->chosen[i];
    if (without[e]) continue;
    float *gate = decode(g, 0, e), *up = decode(g, 1, e), *down = decode(g, 2, e);
    const float *x = values(g, g->x) + i / n_used * d;
    for (uint32_t o = 0; o < d_ff; o++) {
      double a = 0, b = 0;
      for (uint32_t c = 0; c < d; c++) a += (double)gate[o * d + c] * x[c], b += (double)up[o * d + c] * x[c];
      h[o] = silu(a) * b;
    }
    for (uint32_t o = 0; o < n_out; o++) {
      double sum = 0;
      for (uint32_t c = 0; c < d_ff; c++) sum += down[o * d_ff + c] * h[c];
      y[i / n_used * n_out + o] += values(g, g->weights)[i] * sum;
    }
    pm_free(gate), pm_free(up), pm_free(down);
  }
  pm_free(h);
}

static void draw_values(const rig *g) {
  const pm_tensor *drawn[] = {g->x, g->weights, g->y};
  for (size_t i = 0; i < 3; i++)
    for (size_t k = 0; k < pm_tensor_bytes(drawn[i]) / 4; k++) values(g, drawn[i])[k] = (float)pm_rng_uniform(&rng) - 0.5f;
  memset(values(g, g->h), 0xff, pm_tensor_bytes(g->h));  // not a number: what is nowhere must not be looked at
}

static void check_products(const rig *g, uint32_t n_row, const bool *without, const float *before) {
  uint32_t n = n_row * g->s.down.n_out;
  double *y = pm_alloc(n * sizeof *y), error = 0, square = 0;
  assert_non_null(y);
  for (uint32_t i = 0; i < n; i++) y[i] = before[i];
  reference(g, n_row, without, y);
  for (uint32_t i = 0; i < n; i++) {
    double d = values(g, g->y)[i] - y[i];
    error += d * d, square += y[i] * y[i];
  }
  if (!(error <= 1e-10 * square)) fail_msg("%s: error %g of %g", g->table->gate->name, error, square);
  pm_free(y);
}

// Few rows: the host's experts add nothing, and what others add is the same to the bit as without them in the row.
static void without_the_hosts(void **state) {
  (void)state;
  static const shape shapes[] = {
      {{PM_TYPE_Q4_K, 256, 256}, {PM_TYPE_Q4_K, 256, 256}, {PM_TYPE_Q6_K, 256, 68}, 9, 4, 3, 3, 2, 4},
      {{PM_TYPE_Q5_0, 64, 32}, {PM_TYPE_Q8_0, 64, 32}, {PM_TYPE_F16, 32, 20}, 9, 5, 1, 3, 2, 4},
  };
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    rig *g = make_rig(&shapes[i], true, NULL);
    uint32_t n_row = g->s.n_row, n_host = 0;
    for (uint32_t k = 0; k < 6; k++) {
      float before[3 * 68];
      pm_expert_place places[512];
      bool without[9] = {false};
      draw_board(g, 3, 4, 4);
      choose(g, n_row);
      draw_values(g);
      memcpy(before, values(g, g->y), pm_tensor_bytes(g->y));
      run(g, n_row);
      uint32_t n = check_places(g, n_row, true, 0, places);
      for (uint32_t j = 0; j < n; j++)
        if (places[j].fate == PM_EXPERT_HOST) without[places[j].expert] = true, n_host++;
      check_products(g, n_row, without, before);
    }
    assert_true(n_host > 3);
    free_rig(g);
  }
}

// Many rows: however few experts pass at a time, the sums are the same to the bit.
static void same_in_waves(void **state) {
  (void)state;
  enum { N_ROW = 40, N_EXPERT = 13, N_OUT = 68 };
  static const matrix up_types[] = {{PM_TYPE_Q4_K, 256, 256}, {PM_TYPE_Q5_K, 256, 256}};
  for (int t = 0; t < 2; t++) {
    static float wanted[N_ROW * N_OUT], before[N_ROW * N_OUT];
    const bool without[N_EXPERT] = {false};
    pm_rng start = rng;
    for (uint32_t ring = 2 * N_EXPERT; ring > 0; ring = ring == 2 * N_EXPERT ? 10 : ring / 2) {
      rng = start;
      rig *g = make_rig(&(shape){{PM_TYPE_Q4_K, 256, 256}, up_types[t], {PM_TYPE_Q6_K, 256, N_OUT}, N_EXPERT, 3, N_ROW, 4, ring, 3}, false,
                        NULL);
      choose(g, N_ROW);
      draw_values(g);
      draw_board(g, ring == 2 * N_EXPERT ? 0 : 3, 8, 8);
      memcpy(before, values(g, g->y), sizeof before);
      run(g, N_ROW);
      if (ring == 2 * N_EXPERT) {
        check_products(g, N_ROW, without, before);
        memcpy(wanted, values(g, g->y), sizeof wanted);
      }
      assert_memory_equal(wanted, values(g, g->y), sizeof wanted);
      free_rig(g);
    }
  }
}

// ---- join ----

static void join(pm_gpu_recorder *r) { pm_gpu_record_join(r, current->table, &current->down.experts_down.y); }

static void adds_the_answer(void **state) {
  (void)state;
  rig *g = make_rig(&(shape){{PM_TYPE_F32, 32, 4}, {PM_TYPE_F32, 32, 4}, {PM_TYPE_F32, 4, 131}, 5, 2, 4, 1, 1, 2}, true, join);
  draw_board(g, 0, 0, 0);
  choose(g, 3);
  draw_values(g);
  float *answer = (float *)(void *)g->host.mapped + answer_word(g), wanted[4 * 131];
  for (uint32_t i = 0; i < 4 * 131; i++) {
    answer[i] = (float)pm_rng_uniform(&rng);
    wanted[i] = values(g, g->y)[i] + (i < 3 * 131 ? answer[i] : 0);  // the fourth row is not in the step
  }
  run(g, 3);
  assert_memory_equal(wanted, values(g, g->y), sizeof wanted);
  free_rig(g);
}

// The test looks into the device's memory, so it must be mapped, as it is on software devices.
static int open_device(void) {
  const char *wanted = getenv("PUMICE_TEST_DEVICE");
  pm_gpu_desc desc = {.device = wanted && wanted[0] ? wanted : "0", .validate = testbed_validates()};
  pm_status status = pm_gpu_device_init(&device, &desc);
  if (!status && !pm_gpu_memory_is_mapped(&device, PM_GPU_DEVICE)) {
    printf("skip: the memory of this device cannot be mapped\n");
    return SKIP;
  }
  if (!status) status = pm_gpu_pipelines_init(&device, &pipelines, NULL);
  if (!status) return 0;
  printf("%s: %s\n", status == PM_ERR_UNSUPPORTED ? "skip" : "failed", pm_fail_message());
  return status == PM_ERR_UNSUPPORTED ? SKIP : 1;
}

int main(void) {
  int result = open_device();
  if (!result) {
    rng = pm_rng_seed(20240607);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_rows),         cmocka_unit_test(spares_hits),     cmocka_unit_test(many_rows),
        cmocka_unit_test(everything_ahead), cmocka_unit_test(every_format),    cmocka_unit_test(without_the_hosts),
        cmocka_unit_test(same_in_waves),    cmocka_unit_test(adds_the_answer),
    };
    result = cmocka_run_group_tests_name("gpu_slots", tests, NULL, NULL);
    pm_gpu_pipelines_finish(&device, &pipelines);
  }
  pm_gpu_device_finish(&device);
  return result;
}
