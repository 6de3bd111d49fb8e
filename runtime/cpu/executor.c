#include "executor.h"

#include <string.h>

#include "memory.h"

enum { MAX_WORKS = 16, N_SLOT = 4, ALIGN = 64 };

typedef struct phase {
  pm_cpu_spread spread;
  uint32_t n_work;
  pm_cpu_work works[MAX_WORKS];
} phase;

// Memory for prepared activations and what it holds at this point of the plan.
typedef struct slot {
  void *data;
  size_t bytes;
  pm_view view;  // tensor NULL: nothing
  pm_cpu_act act;
  uint32_t used_at;
} slot;

// What the rows of the newest step chose in a table, as the host sees it.
struct pm_cpu_choice {
  pm_cpu_executor *executor;
  uint32_t table;
  int32_t *ids;  // [max_rows][n_used]
};

struct pm_cpu_executor {
  const pm_program *program;
  pm_team *team;
  bool exact;
  const pm_cpu_loops *loops;

  phase *phases;
  uint32_t n_phase, phase_capacity;
  pm_status status;  // first failure while planning

  slot slots[N_SLOT];
  uint32_t clock;
  pm_cpu_sort sort;
  uint32_t n_expert, n_used;
  float *parts;
  size_t parts_floats, scratch_floats;  // scratch: of one thread
  float *scratch;
  size_t bytes;

  const pm_expert_host *host;  // NULL: all experts are where the tables say
  pm_cpu_choice *choices;      // [n_table]
  pm_status host_status;       // of the run in progress

  const pm_step *step;  // of the run in progress
  uint64_t n_barrier;
};

// ---- dependences ----

static void add_access(pm_cpu_work *w, pm_cpu_access a) { w->access[w->n_access++] = a; }

void pm_cpu_reads(pm_cpu_work *w, const pm_view *v) { add_access(w, (pm_cpu_access){v->tensor, *v, false}); }

void pm_cpu_writes(pm_cpu_work *w, const pm_view *v) { add_access(w, (pm_cpu_access){v->tensor, *v, true}); }

void pm_cpu_touches(pm_cpu_work *w, const void *what, bool write) { add_access(w, (pm_cpu_access){.what = what, .write = write}); }

// Two views of one tensor are apart if they are different columns of the same items (the latent and the rotated part of the heads).
static bool apart(const pm_view *a, const pm_view *b) {
  if (!a->tensor || !b->tensor || a->stride_batch != b->stride_batch || a->stride_row != b->stride_row || a->n_batch != b->n_batch)
    return false;
  const pm_view *low = a->offset < b->offset ? a : b, *high = low == a ? b : a;
  return low->offset + low->n <= high->offset && high->offset + high->n <= low->offset + low->stride_batch;
}

static bool overlap(const pm_cpu_access *a, const pm_cpu_access *b) { return a->what == b->what && !apart(&a->view, &b->view); }

static bool conflict(const pm_cpu_work *a, const pm_cpu_work *b) {
  for (uint32_t i = 0; i < a->n_access; i++)
    for (uint32_t j = 0; j < b->n_access; j++)
      if ((a->access[i].write || b->access[j].write) && overlap(&a->access[i], &b->access[j])) return true;
  return false;
}

static bool conflicts_with_phase(const pm_cpu_work *w, const phase *p) {
  for (uint32_t i = 0; i < p->n_work; i++)
    if (conflict(w, &p->works[i])) return true;
  return false;
}

// What a write makes stale: prepared activations and sorted choices of the same values.
static void forget(pm_cpu_executor *e, const pm_cpu_work *w) {
  for (uint32_t i = 0; i < w->n_access; i++) {
    const pm_cpu_access *a = &w->access[i];
    if (!a->write) continue;
    for (int s = 0; s < N_SLOT; s++)
      if (e->slots[s].view.tensor == a->what && !apart(&e->slots[s].view, &a->view)) e->slots[s].view.tensor = NULL;
    if (e->sort.holds.tensor == a->what) e->sort.holds.tensor = NULL;
  }
}

static pm_status out_of_memory(void) { PM_FAIL(PM_ERR_MEMORY, "out of memory while planning the phases of a step"); }

static phase *new_phase(pm_cpu_executor *e, pm_cpu_spread spread) {
  if (e->n_phase == e->phase_capacity) {
    uint32_t capacity = e->phase_capacity ? 2 * e->phase_capacity : 64;
    phase *bigger = pm_realloc(e->phases, capacity * sizeof *bigger);
    if (!bigger) return e->status = out_of_memory(), NULL;
    e->phases = bigger, e->phase_capacity = capacity;
  }
  phase *p = &e->phases[e->n_phase++];
  p->spread = spread, p->n_work = 0;
  return p;
}

void pm_cpu_append(pm_cpu_executor *e, const pm_cpu_work *w) {
  if (e->status) return;
  forget(e, w);
  uint32_t first = e->n_phase;  // first phase that the work may join
  while (first && !conflicts_with_phase(w, &e->phases[first - 1])) first--;
  // Row by row, or on one thread, a work may follow what it depends on within a phase.
  if (first && w->spread != PM_CPU_TILES && e->phases[first - 1].spread == w->spread) first--;
  phase *p = NULL;
  for (uint32_t i = first; i < e->n_phase && !p; i++)
    if (e->phases[i].spread == w->spread && e->phases[i].n_work < MAX_WORKS) p = &e->phases[i];
  if (!p) p = new_phase(e, w->spread);
  if (p) p->works[p->n_work++] = *w;
}

// ---- memory that works share ----

bool pm_cpu_same_view(const pm_view *a, const pm_view *b) {
  return a->tensor == b->tensor && a->offset == b->offset && a->n == b->n && a->n_batch == b->n_batch &&
         a->stride_batch == b->stride_batch && a->stride_row == b->stride_row;
}

static void prepare_row(const pm_cpu_work *w, const pm_cpu_ctx *c, uint32_t row) {
  (void)c;
  for (uint32_t b = 0; b < w->source->n_batch; b++)
    pm_cpu_act_make(w->in[0].act, pm_cpu_at(w->source, row, b), (void *)(uintptr_t)pm_cpu_input_at(&w->in[0], row, b), w->source->n);
}

// The slot that holds the view already, or the one unused for longest.
static slot *find_slot(pm_cpu_executor *e, const pm_view *v, pm_cpu_act act, bool *ready) {
  slot *oldest = &e->slots[0];
  for (slot *s = e->slots; s < e->slots + N_SLOT; s++) {
    *ready = s->view.tensor && s->act == act && pm_cpu_same_view(&s->view, v);
    if (*ready) return s;
    if (s->used_at < oldest->used_at) oldest = s;
  }
  return oldest;
}

void pm_cpu_prepare(pm_cpu_executor *e, pm_cpu_work *w, int i, const pm_view *source, pm_type weight, bool precise, pm_rows rows) {
  pm_cpu_act act = pm_cpu_act_for(weight, e->exact || precise);
  bool ready;
  slot *s = find_slot(e, source, act, &ready);
  size_t item_bytes = pm_cpu_act_bytes(act, source->n), row_bytes = item_bytes * source->n_batch;
  w->in[i] = (pm_cpu_input){act, &s->data, row_bytes, item_bytes};
  s->used_at = ++e->clock;
  pm_cpu_touches(w, s, false);
  if (ready) return;
  if (s->bytes < row_bytes * e->program->max_rows) s->bytes = row_bytes * e->program->max_rows;
  pm_cpu_work make = {
      .spread = rows == PM_ROWS_LOGITS ? PM_CPU_ROWS_LOGITS : PM_CPU_ROWS, .run = prepare_row, .source = source, .in = {w->in[i]}};
  pm_cpu_reads(&make, source);
  pm_cpu_touches(&make, s, true);
  pm_cpu_append(e, &make);
  s->view = *source, s->act = act;
}

pm_cpu_sort *pm_cpu_want_sort(pm_cpu_executor *e, uint32_t n_expert, uint32_t n_used) {
  if (e->n_expert < n_expert) e->n_expert = n_expert;
  if (e->n_used < n_used) e->n_used = n_used;
  return &e->sort;
}

static void ask_host(const pm_cpu_work *w, const pm_cpu_ctx *c, uint32_t index) {
  (void)index;
  pm_cpu_choice *choice = w->choice;
  pm_cpu_executor *e = choice->executor;
  uint32_t n_used = w->source->n, n_row = c->step->n_row;
  if (e->host_status) return;
  for (uint32_t row = 0; row < n_row; row++)
    memcpy(choice->ids + (size_t)row * n_used, pm_cpu_at(w->source, row, 0), n_used * sizeof *choice->ids);
  double ready;  // of no meaning here: what need has brought is in memory
  e->host_status = e->host->need(e->host->user, choice->table, choice->ids, n_row * n_used, &ready);
}

void pm_cpu_ask_host(pm_cpu_executor *e, const pm_op *op, const pm_expert_table *t, const pm_view *ids) {
  if (!e->host) return;
  uint32_t i = 0;
  while (e->program->tables[i] != t) i++;
  pm_cpu_choice *choice = &e->choices[i];
  *choice = (pm_cpu_choice){.executor = e, .table = i, .ids = pm_alloc_zero((size_t)e->program->max_rows * ids->n, sizeof *choice->ids)};
  if (!choice->ids) e->status = out_of_memory();
  pm_cpu_work w = {.spread = PM_CPU_CALLER, .run = ask_host, .op = op, .source = ids, .choice = choice};
  pm_cpu_reads(&w, ids);
  pm_cpu_touches(&w, e, true);
  pm_cpu_append(e, &w);
}

void pm_cpu_want_scratch(pm_cpu_executor *e, size_t floats) {
  if (e->scratch_floats < floats) e->scratch_floats = floats;
}

void pm_cpu_want_parts(pm_cpu_executor *e, pm_cpu_work *w, size_t floats) {
  if (e->parts_floats < floats) e->parts_floats = floats;
  w->parts = &e->parts;
}

uint32_t pm_cpu_out_tile(uint64_t n_in, uint64_t n_out, uint64_t n_item, uint32_t n_thread) {
  enum { STEP = 16, CACHED = 1 << 18, SMALL = 1 << 18 };  // rows come in steps; values that the second-level cache holds; not worth cutting
  uint64_t per_thread = n_in * n_out * n_item / n_thread < SMALL ? 1 : 8;
  uint64_t tile = pm_cpu_div_up(n_out * n_item, per_thread * n_thread), most = CACHED / n_in;
  tile = tile < most ? tile : most;
  tile = tile < n_out ? tile : n_out;
  return pm_cpu_div_up(tile ? tile : 1, STEP) * STEP;
}

// ---- making and running the plan ----

static pm_cpu_plan_fn *const plan_table[PM_OP_COUNT] = {
#define PM_OP(NAME, member, text) [PM_OP_##NAME] = pm_cpu_plan_##member,
#include "ops.def"
#undef PM_OP
};

static pm_status want(pm_cpu_executor *e, void *out, size_t bytes) {
  void *p = pm_alloc_aligned(bytes + ALIGN, ALIGN);
  if (!p) PM_FAIL(PM_ERR_MEMORY, "out of memory: working memory of the CPU backend, %zu bytes", bytes);
  memset(p, 0, bytes + ALIGN);
  memcpy(out, &p, sizeof p);
  e->bytes += bytes;
  return PM_OK;
}

static pm_status make_memory(pm_cpu_executor *e) {
  size_t n_pair = (size_t)e->n_used * e->program->max_rows;
  e->scratch_floats = (e->scratch_floats + 15) / 16 * 16;
  for (int i = 0; i < N_SLOT; i++) PM_TRY(want(e, &e->slots[i].data, e->slots[i].bytes));
  PM_TRY(want(e, &e->parts, e->parts_floats * sizeof(float)));
  PM_TRY(want(e, &e->scratch, e->scratch_floats * sizeof(float) * pm_team_size(e->team)));
  PM_TRY(want(e, &e->sort.runs, (e->n_expert + n_pair / PM_CPU_ROW_TILE) * sizeof *e->sort.runs));
  PM_TRY(want(e, &e->sort.order, n_pair * sizeof *e->sort.order));
  return want(e, &e->sort.count, e->n_expert * sizeof *e->sort.count);
}

pm_status pm_cpu_executor_create(const pm_program *p, pm_team *team, bool exact, const pm_expert_host *host, pm_cpu_executor **out) {
  pm_cpu_executor *e;
  PM_NEW(&e, 1, "the executor of the CPU backend");
  *out = e;  // the owner destroys it, whatever happens below
  e->program = p, e->team = team, e->exact = exact, e->host = host, e->loops = pm_cpu_loops_get();
  if (host) PM_NEW(&e->choices, p->n_table, "choices of experts");
  for (uint32_t i = 0; i < p->n_op; i++) {
    if (p->observer) pm_cpu_plan_observe(e, &p->ops[i], p->observer);
    plan_table[p->ops[i].kind](e, &p->ops[i]);
  }
  PM_TRY(e->status);
  return make_memory(e);
}

void pm_cpu_executor_destroy(pm_cpu_executor *e) {
  if (!e) return;
  for (uint32_t i = 0; e->choices && i < e->program->n_table; i++) pm_free(e->choices[i].ids);
  pm_free(e->choices);
  for (int i = 0; i < N_SLOT; i++) pm_free(e->slots[i].data);
  pm_free(e->parts);
  pm_free(e->scratch);
  pm_free(e->sort.runs);
  pm_free(e->sort.order);
  pm_free(e->sort.count);
  pm_free(e->phases);
  pm_free(e);
}

static uint32_t n_row_of(const phase *p, const pm_step *s) {
  return p->spread == PM_CPU_ROWS ? s->n_row : p->spread == PM_CPU_ROWS_LOGITS ? s->n_logit : 1;
}

static void run_rows(const phase *p, const pm_cpu_ctx *c, uint32_t first, uint32_t end) {
  for (uint32_t row = first; row < end; row++)
    for (uint32_t i = 0; i < p->n_work; i++) p->works[i].run(&p->works[i], c, row);
}

static void run_share(const phase *p, const pm_cpu_ctx *c, uint32_t thread) {
  uint32_t n = n_row_of(p, c->step);
  run_rows(p, c, (uint32_t)((uint64_t)n * thread / c->n_thread), (uint32_t)((uint64_t)n * (thread + 1) / c->n_thread));
}

static void run_tile(const phase *p, const pm_cpu_ctx *c, const uint32_t *n_tile, uint32_t tile) {
  const pm_cpu_work *w = p->works;
  for (; tile >= *n_tile; n_tile++, w++) tile -= *n_tile;
  w->run(w, c, tile);
}

// Tiles of a short phase, and three quarters of a long one, are dealt out beforehand: a ticket costs a trip between caches. The rest of
// a long phase goes to whoever is free. `tickets` is how many were taken in earlier phases: every thread's last try counts as one.
static void run_tiles(const phase *p, const pm_cpu_ctx *c, pm_team *team, uint32_t thread, uint32_t *tickets) {
  enum { SHORT = 4 };  // tiles per thread
  uint32_t n_tile[MAX_WORKS], n = 0, n_thread = c->n_thread;
  for (uint32_t i = 0; i < p->n_work; i++) n += n_tile[i] = p->works[i].count(&p->works[i], c);
  bool is_short = n <= SHORT * n_thread;
  uint64_t n_dealt = is_short ? n : n / 4 * 3;
  for (uint64_t t = n_dealt * thread / n_thread; t < n_dealt * (thread + 1) / n_thread; t++) run_tile(p, c, n_tile, (uint32_t)t);
  if (is_short) return;
  uint32_t n_open = n - (uint32_t)n_dealt;
  for (uint32_t t; (t = pm_team_take(team) - *tickets) < n_open;) run_tile(p, c, n_tile, (uint32_t)n_dealt + t);
  *tickets += n_open + n_thread;
}

// Phases of one row each, run by one thread inside a barrier.
typedef struct solo {
  const phase *first, *end;
  const pm_cpu_ctx *c;
} solo;

static void run_solo(void *arg) {
  const solo *s = arg;
  for (const phase *p = s->first; p < s->end; p++) run_rows(p, s->c, 0, n_row_of(p, s->c->step));
}

static void run_step(void *arg, uint32_t thread, uint32_t n_thread) {
  pm_cpu_executor *e = arg;
  pm_cpu_ctx c = {e->step, e->loops, e->program->n_rope, n_thread, e->scratch + thread * e->scratch_floats};
  const phase *p = e->phases, *end = p + e->n_phase;
  uint32_t tickets = 0, n_barrier = 0;
  bool after_team = false;  // the whole team has run something since the last barrier
  bool after_host = false;
  while (p < end) {
    solo s = {p, p, &c};
    while (s.end < end && s.end->spread < PM_CPU_CALLER && n_row_of(s.end, c.step) <= 1) s.end++;
    p = s.end;
    if (s.end > s.first) {
      pm_team_barrier_solo(e->team, run_solo, &s);
    } else if (after_team) {
      pm_team_barrier(e->team);
    }
    n_barrier += s.end > s.first || after_team;
    after_team = p < end;
    if (p == end || (after_host && e->host_status)) break;
    after_host = p->spread == PM_CPU_CALLER;
    if (p->spread == PM_CPU_TILES) {
      run_tiles(p, &c, e->team, thread, &tickets);
    } else if (after_host) {
      if (thread == 0) run_rows(p, &c, 0, 1);
    } else {
      run_share(p, &c, thread);
    }
    p++;
  }
  if (thread == 0) e->n_barrier += n_barrier;
}

pm_status pm_cpu_executor_run(pm_cpu_executor *e, const pm_step *step) {
  e->step = step, e->host_status = PM_OK;
  pm_team_take_reset(e->team);
  pm_team_run(e->team, run_step, e);
  return e->host_status;
}

const int32_t *pm_cpu_executor_chosen(const pm_cpu_executor *e, uint32_t table) { return e->choices ? e->choices[table].ids : NULL; }

size_t pm_cpu_executor_bytes(const pm_cpu_executor *e) { return e->bytes; }

uint64_t pm_cpu_executor_barriers(const pm_cpu_executor *e) { return e->n_barrier; }
