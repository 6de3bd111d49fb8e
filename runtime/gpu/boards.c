#include "boards.h"

#include <string.h>

#include "board.h"
#include "memory.h"

static uint64_t align_up(uint64_t bytes) { return (bytes + PM_GPU_ALIGN - 1) / PM_GPU_ALIGN * PM_GPU_ALIGN; }

static uint32_t min32(uint32_t a, uint32_t b) { return a < b ? a : b; }

// ---- layout ----

static bool is_dense(const pm_view *v) { return !v->offset && v->n_batch == 1 && v->stride_row == v->n; }

static pm_status find_ops(pm_gpu_boards *b) {
  const pm_program *p = b->program;
  for (uint32_t t = 0; t < p->n_table; t++) {
    pm_gpu_table *table = &b->tables[t];
    for (uint32_t i = 0; i < p->n_op; i++) {
      const pm_op *op = &p->ops[i];
      if (op->kind == PM_OP_EXPERTS_GLU && op->experts_glu.experts == p->tables[t]) table->glu = &op->experts_glu;
      if (op->kind == PM_OP_EXPERTS_DOWN && op->experts_down.experts == p->tables[t]) table->down = &op->experts_down;
    }
    if (!table->glu || !table->down || !is_dense(&table->glu->ids) || !is_dense(&table->glu->x) || !is_dense(&table->down->weights))
      PM_FAIL(PM_ERR_UNSUPPORTED, "the experts of table %u cannot come and go: their operations are not of the usual form", t);
  }
  return PM_OK;
}

// Boards, one after another, then the answers; choices of every table, then weights and activations of the one that is asked about.
static pm_status lay_out(pm_gpu_boards *b) {
  const pm_program *p = b->program;
  uint64_t words = 0, x_bytes = 0, weight_bytes = 0;
  uint32_t most = 0;
  for (uint32_t i = 0; i < p->n_table; i++) {
    pm_gpu_table *t = &b->tables[i];
    uint32_t n_expert = p->tables[i]->n_expert, n_used = t->glu->ids.n;
    t->class = b->plan->class_of[i];
    t->moves = pm_gpu_class_moves(p, b->plan, t->class);
    t->n_half = b->plan->classes[t->class].n_ring > 1 ? 2 : 1;
    t->wave = b->plan->classes[t->class].n_ring / t->n_half;
    t->entries.role = PM_ROLE_SCRATCH;
    t->board_at = (uint32_t)words;
    t->chosen_at = b->choice_bytes;
    if (t->moves) words += PM_BOARD_WORDS((uint64_t)n_expert, n_used, b->plan->classes[t->class].n_ring);
    b->choice_bytes += align_up(4ull * p->max_rows * n_used);
    uint64_t x = 4ull * PM_EXPERT_FEW_ROWS * t->glu->x.n, w = 4ull * PM_EXPERT_FEW_ROWS * n_used;
    if (x > x_bytes) x_bytes = x;
    if (w > weight_bytes) weight_bytes = w;
    if (n_expert > most) most = n_expert;
  }
  words = (words + 3) / 4 * 4;
  if (words > UINT32_MAX / 4) PM_FAIL(PM_ERR_UNSUPPORTED, "the expert tables take more than 4 GiB");
  b->answer_at = (uint32_t)words;
  b->lists_at = 4 * words + x_bytes;
  b->board_bytes = b->lists_at + 4ull * PM_GPU_LANES * PM_FILL_WORDS(PM_GPU_LANE_MOVES);
  b->weights_at = b->choice_bytes;
  b->x_at = b->weights_at + align_up(weight_bytes);
  b->choice_bytes = b->x_at + x_bytes;
  PM_NEW(&b->answer, x_bytes / 4, "answers about experts");
  PM_NEW(&b->seen, most, "marks of experts");
  return PM_OK;
}

pm_status pm_gpu_boards_init(pm_gpu_boards *b, const pm_program *p, pm_expert_plan *plan) {
  *b = (pm_gpu_boards){.plan = plan, .program = p};
  if (!plan) return PM_OK;
  for (uint32_t c = 0; c < PM_EXPERT_CLASSES; c++)
    for (int m = 0; m < 3; m++) b->slots[c][m].role = PM_ROLE_SCRATCH;
  PM_NEW(&b->tables, p->n_table, "expert tables");
  PM_TRY(find_ops(b));
  return lay_out(b);
}

void pm_gpu_boards_finish(pm_gpu_device *d, pm_gpu_boards *b) {
  if (d->handle) {
    pm_gpu_buffer_finish(d, &b->words);
    pm_gpu_buffer_finish(d, &b->choice);
    for (uint32_t i = 0; i < PM_GPU_HOME_ARENAS; i++) pm_gpu_buffer_finish(d, &b->homes[i]);
  }
  pm_free(b->tables);
  pm_free(b->answer);
  pm_free(b->seen);
  *b = (pm_gpu_boards){0};
}

pm_status pm_gpu_boards_allocate(pm_gpu_device *d, pm_gpu_boards *b, const pm_gpu_plan *plan) {
  if (!b->plan) return PM_OK;
  PM_TRY(pm_gpu_buffer_init(d, &b->words, PM_GPU_STEP, b->board_bytes, "boards of experts"));
  PM_TRY(pm_gpu_buffer_init(d, &b->choice, PM_GPU_HOST, b->choice_bytes, "choices of experts"));
  uint64_t done = 0;
  for (uint32_t i = 0; i < plan->homes.n; i++) {
    pm_status status = pm_gpu_buffer_init(d, &b->homes[i], PM_GPU_HOST, plan->homes.used[i], "homes of experts");
    if (status)
      return pm_fail_prefix(status, "the driver gave %.2f of %.2f GiB of the machine's memory for experts", (double)done / (1 << 30),
                            (double)pm_gpu_packed(&plan->homes) / (1 << 30));
    done += plan->homes.used[i];
  }
  return PM_OK;
}

// ---- writing ----

static uint32_t *put(uint32_t *to, const pm_gpu_entry *places, uint32_t index, uint32_t flags) {
  bool nowhere = index == PM_EXPERT_NOWHERE;
  *to++ = nowhere ? PM_NOWHERE : places[index].arena | flags;
  *to++ = nowhere ? 0 : places[index].unit;
  return to;
}

// What differs between steps of few and of many rows.
static void write_header(pm_gpu_boards *b, uint32_t table) {
  const pm_gpu_table *t = &b->tables[table];
  const pm_expert_board *board = &b->plan->boards[table];
  uint32_t *words = (uint32_t *)(void *)b->words.mapped + t->board_at, n_ring = b->plan->classes[t->class].n_ring;
  words[PM_BOARD_N_VICTIM] = b->many ? 0 : min32(board->n_victim, t->glu->ids.n);
  words[PM_BOARD_N_RING] = b->many ? n_ring : min32(board->n_ring, n_ring);
}

static void write_ring(pm_gpu_boards *b, const pm_gpu_plan *plan, uint32_t table) {
  const pm_gpu_table *t = &b->tables[table];
  const pm_expert_class *class = &b->plan->classes[t->class];
  uint32_t *to = (uint32_t *)(void *)b->words.mapped + t->board_at + PM_BOARD_RING(b->program->tables[table]->n_expert, t->glu->ids.n);
  for (uint32_t i = 0; i < class->n_ring; i++) to = put(to, plan->classes[t->class].records, class->n_slot + i, 0);
}

void pm_gpu_board_write(pm_gpu_boards *b, const pm_gpu_plan *plan, uint32_t table) {
  pm_gpu_table *t = &b->tables[table];
  pm_expert_board *board = &b->plan->boards[table];
  const pm_gpu_entry *records = plan->classes[t->class].records, *homes = plan->classes[t->class].homes;
  uint32_t n_expert = b->program->tables[table]->n_expert, n_victim = min32(board->n_victim, t->glu->ids.n);
  uint32_t *to = (uint32_t *)(void *)b->words.mapped + t->board_at + PM_BOARD_PLACES;
  t->n_slotless = 0;
  for (uint32_t e = 0; e < n_expert; e++) {
    t->n_slotless += board->slot[e] == PM_EXPERT_NOWHERE;
    to = put(to, records, board->slot[e], 0);
  }
  for (uint32_t e = 0; e < n_expert; e++) to = put(to, homes, board->home[e], board->warm[e] ? PM_HOME_WARM : 0);
  for (uint32_t i = 0; i < n_victim; i++) to = put(to, records, board->victim[i], 0);
  write_header(b, table);
  board->dirty = false;
}

// Waves take turns with the halves of the ring, from one table to the next too: what is brought ahead goes to the half that is not read.
static void write_halves(const pm_gpu_boards *b, pm_gpu_boards_step step) {
  uint32_t half = 0;
  for (uint32_t i = 0; i < b->program->n_table; i++) {
    if (!b->tables[i].moves) continue;
    ((uint32_t *)(void *)b->words.mapped)[b->tables[i].board_at + PM_BOARD_HALF] = half;
    half = (half + pm_gpu_boards_waves(b, i, pm_gpu_boards_misses(b, i, step))) % 2;
  }
}

void pm_gpu_boards_write(pm_gpu_boards *b, const pm_gpu_plan *plan, pm_gpu_boards_step step) {
  bool many = step.n_row > PM_EXPERT_FEW_ROWS, turned = b->many != many, first = !b->written;
  b->many = many, b->written = true;
  for (uint32_t i = 0; b->plan && i < b->program->n_table; i++) {
    if (!b->tables[i].moves) continue;
    if (first) write_ring(b, plan, i);
    if (first || b->plan->boards[i].dirty)
      pm_gpu_board_write(b, plan, i);
    else if (turned)
      write_header(b, i);
  }
  if (b->plan && many) write_halves(b, step);
}

pm_status pm_gpu_boards_answer(pm_gpu_boards *b, uint32_t table, uint32_t n_row) {
  uint32_t n = b->tables[table].glu->x.n;
  pm_expert_ask ask = {
      .table = table,
      .n_row = n_row,
      .ids = pm_gpu_boards_chosen(b, table),
      .weights = (const float *)(const void *)(b->choice.mapped + b->weights_at),
      .x = (const float *)(const void *)(b->choice.mapped + b->x_at),
      .y = b->answer,
  };
  PM_TRY(b->plan->host.answer(b->plan->host.user, &ask));
  memcpy(b->words.mapped + 4ull * b->answer_at, b->answer, 4ull * n_row * n);
  return PM_OK;
}

// ---- what a step needs, and what it did ----

bool pm_gpu_boards_ahead(const pm_gpu_boards *b, uint32_t rows) {
  bool ahead = b->plan && b->plan->ahead_rows && rows >= b->plan->ahead_rows && rows > PM_EXPERT_FEW_ROWS;
  for (uint32_t i = 0; ahead && i < b->program->n_table; i++) ahead = !b->tables[i].moves || b->tables[i].n_half == 2;
  return ahead;
}

uint32_t pm_gpu_boards_next(const pm_gpu_boards *b, uint32_t table) {
  while (table < b->program->n_table && !b->tables[table].moves) table++;
  return table;
}

uint32_t pm_gpu_boards_misses(const pm_gpu_boards *b, uint32_t table, pm_gpu_boards_step step) {
  const pm_gpu_table *t = &b->tables[table];
  uint64_t pairs = (uint64_t)step.n_row * t->glu->ids.n;
  uint32_t slotless = b->plan->boards[table].wait ? b->program->tables[table]->n_expert : t->n_slotless;  // the host may still move them
  return !step.ahead && pairs < slotless ? (uint32_t)pairs : slotless;
}

uint32_t pm_gpu_boards_waves(const pm_gpu_boards *b, uint32_t table, uint32_t n_miss) {
  uint32_t n_expert = b->program->tables[table]->n_expert, wave = b->tables[table].wave;
  return wave ? (min32(n_miss, n_expert) + wave - 1) / wave : 0;
}

pm_status pm_gpu_boards_check(const pm_gpu_boards *b, pm_gpu_boards_step step) {
  bool few = step.n_row <= PM_EXPERT_FEW_ROWS;
  for (uint32_t i = 0; b->plan && i < b->program->n_table; i++) {
    const pm_gpu_table *t = &b->tables[i];
    const pm_expert_board *board = &b->plan->boards[i];
    if (!t->moves || (few && board->assist)) continue;
    if (step.ahead && board->wait) PM_FAIL(PM_ERR_ARGUMENT, "table %u waits for the host: it cannot be brought ahead", i);
    uint32_t n_ring = b->plan->classes[t->class].n_ring, misses = pm_gpu_boards_misses(b, i, step);
    uint32_t room = few ? min32(board->n_ring, n_ring) : n_ring ? UINT32_MAX : 0;
    if (misses > room)
      PM_FAIL(PM_ERR_ARGUMENT, "a step of %u rows may miss %u experts of table %u, for which there are %u ring records", step.n_row, misses,
              i, room);
  }
  return PM_OK;
}

// Experts of one table that a step brought: the rule of pm_expert_board, of which only the numbers matter here.
static uint32_t count_fills(pm_gpu_boards *b, uint32_t table, pm_gpu_boards_step step) {
  const pm_gpu_table *t = &b->tables[table];
  const pm_expert_board *board = &b->plan->boards[table];
  const int32_t *ids = pm_gpu_boards_chosen(b, table);
  uint32_t n_expert = b->program->tables[table]->n_expert, n_warm = 0, n_cold = 0, n_victim = 0;
  memset(b->seen, step.ahead, n_expert * sizeof *b->seen);
  for (uint64_t i = 0; i < (uint64_t)step.n_row * t->glu->ids.n; i++) b->seen[min32((uint32_t)ids[i], n_expert - 1)] = true;
  for (uint32_t e = 0; e < n_expert; e++) {
    if (!b->seen[e] || board->slot[e] != PM_EXPERT_NOWHERE || board->home[e] == PM_EXPERT_NOWHERE) continue;
    if (board->warm[e])
      n_warm++;
    else
      n_cold++;
  }
  if (b->many) return n_warm + n_cold;
  for (uint32_t v = 0; v < board->n_victim; v++) {
    bool hit = false;
    for (uint32_t e = 0; e < n_expert && !hit; e++) hit = b->seen[e] && board->slot[e] == board->victim[v];
    n_victim += !hit;
  }
  uint32_t taken = min32(n_warm, n_victim);
  return taken + min32(n_warm - taken + n_cold, min32(board->n_ring, b->plan->classes[t->class].n_ring));
}

uint32_t pm_gpu_boards_wave(pm_gpu_boards *b, uint32_t table, uint32_t wave, pm_gpu_boards_step step) {
  uint32_t n = count_fills(b, table, step), size = b->tables[table].wave;
  return n > wave * size ? min32(n - wave * size, size) : 0;
}

void pm_gpu_boards_count(pm_gpu_boards *b, pm_gpu_boards_step step, pm_backend_counters *counters) {
  for (uint32_t i = 0; b->plan && i < b->program->n_table; i++) {
    if (!b->tables[i].moves) continue;
    uint32_t n = count_fills(b, i, step);
    counters->fills += n;
    counters->fill_bytes += n * pm_expert_bytes(b->program->tables[i]);
  }
}
