#include "experts.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "cpu_assist.h"
#include "file.h"
#include "memory.h"

enum {
  MOVES = 16,       // beside the steps at once
  LOOK_STEPS = 32,  // between two looks at what memory is left
};

static const double move_share = 0.25;  // of the time, at most, that moves may take of the link

struct pm_experts {
  pm_experts_desc desc;
  uint32_t n_table, n_expert, n_used;
  pm_slots *slots;  // NULL without a device
  pm_pace *pace;    // likewise
  pm_cpu_assist *assist;
  pm_store *store;
  pm_expert_board *boards;
  bool *admits;             // [n_table]
  bool *mine;               // [n_expert] of an ask: the host's
  pm_expert_place *places;  // [n_expert] of an ask
  uint32_t *heat, *past;    // [n_table][n_expert], now and of earlier runs
  bool has_past;
  char *heat_path;       // NULL: nothing is remembered
  uint64_t n_step;       // of the device
  bool partial;          // there are fewer homes than experts
  bool scarce;           // and not enough for all of a layer beside those that moves hold
  uint32_t *homes_then;  // [n_table][n_expert] when the step came to the table; later ones may have taken homes from it since
  bool many;             // the running step has many rows
  double link_free_at;   // of a simulated link: when what was sent has left
  pm_slots_move moves[MOVES];
  uint32_t n_move;  // under way
  uint64_t move_ticket;
  double move_arrival;  // over a simulated link
  double move_credit;   // seconds of the link that moves may take now
  pm_experts_report report;
};

// Whether the host may compute experts.
static bool helps(const pm_experts *x) { return x->desc.ways != 1 << PM_PACE_STREAM; }

// Sends bytes over the simulated link; when they arrive.
static double send(pm_experts *x, uint64_t bytes) {
  double now = pm_clock_seconds(), begin = now > x->link_free_at ? now : x->link_free_at;
  x->link_free_at = begin + (double)bytes / x->desc.link.rate;
  return x->link_free_at + x->desc.link.latency;
}

// ---- what a backend asks ----

static pm_status need(void *user, uint32_t table, const int32_t *ids, uint32_t n_id, double *ready) {
  pm_experts *x = user;
  const pm_expert_class *c = &x->desc.plan->classes[x->desc.plan->class_of[table]];
  PM_TRY(pm_store_need(x->store, table, ids, n_id));
  if (x->boards) memcpy(x->homes_then + table * x->n_expert, x->boards[table].home, x->n_expert * sizeof *x->homes_then);
  if (ready) *ready = 0;
  if (!x->boards || !x->desc.link.rate || x->many) return PM_OK;
  uint32_t n = pm_expert_resolve(&x->boards[table], x->n_expert, ids, n_id, false, x->places), n_fill = 0;
  for (uint32_t i = 0; i < n; i++) n_fill += x->places[i].fate == PM_EXPERT_VICTIM || x->places[i].fate == PM_EXPERT_RING;
  if (!n_fill) return PM_OK;
  *ready = send(x, n_fill * c->home_bytes);
  return PM_OK;
}

// Over the simulated link, a wave of a prompt's experts.
static double send_wave(void *user, uint32_t table, uint32_t n) {
  pm_experts *x = user;
  return send(x, n * x->desc.plan->classes[x->desc.plan->class_of[table]].home_bytes);
}

static pm_status answer(void *user, const pm_expert_ask *ask) {
  pm_experts *x = user;
  double begin = pm_clock_seconds();
  uint32_t n = pm_expert_resolve(&x->boards[ask->table], x->n_expert, ask->ids, ask->n_row * x->n_used, false, x->places), n_mine = 0;
  memset(x->mine, 0, x->n_expert * sizeof *x->mine);
  for (uint32_t i = 0; i < n; i++) n_mine += x->mine[x->places[i].expert] = x->places[i].fate == PM_EXPERT_HOST;
  PM_TRY(pm_cpu_assist_run(x->assist, ask, x->mine));
  if (x->desc.link.host_rate)
    pm_clock_wait(begin + (double)(n_mine * x->desc.plan->classes[x->desc.plan->class_of[ask->table]].home_bytes) / x->desc.link.host_rate);
  x->report.answer_seconds += pm_clock_seconds() - begin;
  return PM_OK;
}

// ---- create ----

static pm_status make_boards(pm_experts *x) {
  PM_NEW(&x->boards, x->n_table, "boards of experts");
  PM_NEW(&x->homes_then, x->n_table * x->n_expert, "boards of experts");
  for (uint32_t t = 0; t < x->n_table; t++) {
    pm_expert_board *b = &x->boards[t];
    PM_NEW(&b->slot, x->n_expert, "boards of experts");
    PM_NEW(&b->home, x->n_expert, "boards of experts");
    PM_NEW(&b->warm, x->n_expert, "boards of experts");
    PM_NEW(&b->victim, x->n_used, "boards of experts");
    for (uint32_t e = 0; e < x->n_expert; e++) b->slot[e] = b->home[e] = PM_EXPERT_NOWHERE;
    b->dirty = true;
  }
  PM_NEW(&x->admits, x->n_table, "boards of experts");
  for (uint32_t t = 0; t < x->n_table; t++) x->admits[t] = true;
  x->desc.plan->boards = x->boards;
  return PM_OK;
}

static pm_status make_device_side(pm_experts *x) {
  const pm_expert_plan *plan = x->desc.plan;
  const pm_machine *m = &x->desc.machine;
  uint32_t n_slot[PM_EXPERT_CLASSES];
  for (uint32_t c = 0; c < plan->n_class; c++) n_slot[c] = plan->classes[c].n_slot;
  pm_slots_desc slots = {x->n_table, x->n_expert, x->n_used, plan->n_class, plan->class_of, n_slot};
  PM_TRY(pm_slots_create(&slots, &x->slots));
  double record = (double)plan->classes[0].home_bytes, link = x->desc.link.rate ? x->desc.link.rate : m->link_rate;
  pm_pace_desc pace = {
      .n_table = x->n_table, .n_used = x->n_used, .fill = record / link, .host = record / m->cpu_rate, .ask = m->handshake};
  pace.ways = x->desc.ways;
  PM_TRY(pm_pace_create(&pace, &x->pace));
  if (!helps(x)) return PM_OK;
  pm_cpu_assist_desc assist = {x->desc.program, PM_EXPERT_FEW_ROWS, x->desc.n_thread, x->desc.exact};
  return pm_cpu_assist_create(&assist, &x->assist);
}

static pm_status make_heat_path(pm_experts *x) {
  size_t n = strlen(x->desc.heat_dir) + 32;
  x->heat_path = pm_alloc(n);
  if (!x->heat_path) PM_FAIL(PM_ERR_MEMORY, "out of memory: name of the heat file");
  snprintf(x->heat_path, n, "%s/heat-%016llx", x->desc.heat_dir, (unsigned long long)x->desc.fingerprint);
  return PM_OK;
}

static pm_status create_into(pm_experts *x) {
  const pm_program *p = x->desc.program;
  x->n_table = p->n_table, x->n_expert = p->tables[0]->n_expert;
  for (uint32_t i = 0; i < p->n_op; i++)
    if (p->ops[i].kind == PM_OP_EXPERTS_GLU) x->n_used = p->ops[i].experts_glu.ids.n;
  x->desc.plan->host = (pm_expert_host){.user = x, .answer = answer, .need = need, .send = x->desc.link.rate ? send_wave : NULL};
  PM_NEW(&x->mine, x->n_expert, "experts of a step");
  PM_NEW(&x->places, x->n_expert, "experts of a step");
  PM_NEW(&x->heat, x->n_table * x->n_expert, "use of experts");
  PM_NEW(&x->past, x->n_table * x->n_expert, "use of experts");
  uint32_t n_home[PM_EXPERT_CLASSES] = {0};
  for (uint32_t t = 0; t < x->n_table; t++) n_home[x->desc.plan->class_of[t]] += x->n_expert;
  for (uint32_t c = 0; c < x->desc.plan->n_class; c++) {
    uint32_t n = x->desc.plan->classes[c].n_home;
    x->partial |= n < n_home[c];
    x->scarce |= n < n_home[c] && n < x->n_expert + MOVES;
  }
  if (x->partial) x->desc.plan->ahead_rows = 0;
  if (x->desc.device) {
    PM_TRY(make_boards(x));
    PM_TRY(make_device_side(x));
    if (x->desc.heat_dir) PM_TRY(make_heat_path(x));
  }
  pm_store_desc store = {.program = x->desc.program, .file = x->desc.file, .plan = x->desc.plan};
  return pm_store_create(&store, &x->store);
}

pm_status pm_experts_create(const pm_experts_desc *desc, pm_experts **out) {
  pm_experts *x;
  *out = NULL;
  PM_NEW(&x, 1, "experts");
  x->desc = *desc;
  pm_status status = create_into(x);
  if (status) return pm_experts_destroy(x), status;
  *out = x;
  return PM_OK;
}

// Failing to costs a cold start and nothing else.
static void remember(pm_experts *x) {
  uint32_t n = x->n_table * x->n_expert;
  if (!x->heat_path || !x->n_step || x->desc.whole_layers) return;
  pm_slots_heat(x->slots, x->heat);
  if (x->has_past) pm_heat_merge(x->heat, x->past, n);
  if (pm_file_make_dirs(x->desc.heat_dir) == PM_OK) (void)!pm_heat_write(x->heat_path, x->desc.fingerprint, n, x->heat);
}

void pm_experts_destroy(pm_experts *x) {
  if (!x) return;
  remember(x);
  for (uint32_t t = 0; x->boards && t < x->n_table; t++) {
    pm_free(x->boards[t].slot);
    pm_free(x->boards[t].home);
    pm_free(x->boards[t].warm);
    pm_free(x->boards[t].victim);
  }
  pm_free(x->boards);
  pm_free(x->homes_then);
  pm_free(x->admits);
  pm_free(x->mine);
  pm_free(x->places);
  pm_free(x->heat);
  pm_free(x->past);
  pm_free(x->heat_path);
  pm_store_destroy(x->store);
  pm_cpu_assist_destroy(x->assist);
  pm_pace_destroy(x->pace);
  pm_slots_destroy(x->slots);
  pm_free(x);
}

// ---- what is recorded ----

// Tells a trace of a decision, by the name of the call in slots.h.
static pm_status record(pm_experts *x, pm_trace_kind kind, uint32_t a, uint32_t b, uint32_t c) {
  return x->desc.trace ? pm_trace_event(x->desc.trace, kind, a, b, c) : PM_OK;
}

static pm_status record_move(pm_experts *x, pm_trace_kind kind, const pm_slots_move *m) {
  return record(x, kind, m->table, m->expert, m->slot);
}

static pm_status record_step(pm_experts *x, pm_backend *b, uint32_t n_row) {
  for (uint32_t t = 0; x->desc.trace && t < x->n_table; t++) PM_TRY(pm_trace_step(x->desc.trace, t, b->ops->chosen(b, t), n_row, x->many));
  return PM_OK;
}

// ---- moves beside the steps ----

static uint64_t move_bytes(const pm_experts *x, const pm_slots_move *m) {
  return x->desc.plan->classes[x->desc.plan->class_of[m->table]].home_bytes;
}

static bool moves_are_there(pm_experts *x, pm_backend *b) {
  return pm_clock_seconds() >= x->move_arrival && b->ops->moved(b, x->move_ticket);
}

// Ends the moves that are under way: their experts have their slots, or the slots are free again.
static pm_status end_moves(pm_experts *x, bool arrived) {
  uint32_t n = x->n_move;
  x->n_move = 0;
  for (const pm_slots_move *m = x->moves; m < x->moves + n; m++) {
    (arrived ? pm_slots_arrive : pm_slots_drop)(x->slots, m);
    pm_store_release(x->store, m->table, x->boards[m->table].home[m->expert]);
    PM_TRY(record_move(x, arrived ? PM_TRACE_ARRIVE : PM_TRACE_DROP, m));
  }
  return PM_OK;
}

static pm_status begin_moves(pm_experts *x, pm_backend *b, uint32_t n) {
  pm_expert_move moves[MOVES];
  uint64_t bytes = 0;
  x->n_move = pm_slots_promote(x->slots, x->boards, n < MOVES ? n : MOVES, x->moves);
  if (!x->n_move) return PM_OK;
  for (uint32_t i = 0; i < x->n_move; i++) {
    const pm_slots_move *m = &x->moves[i];
    PM_TRY(record_move(x, PM_TRACE_BEGIN, m));
    moves[i] = (pm_expert_move){m->table, x->boards[m->table].home[m->expert], m->slot};
    pm_store_hold(x->store, m->table, moves[i].home);
    bytes += move_bytes(x, m);
  }
  x->report.move_bytes += bytes;
  x->move_arrival = 0;
  if (x->desc.link.rate) x->move_arrival = send(x, bytes);
  pm_status status = b->ops->move(b, moves, x->n_move, &x->move_ticket);
  if (status) PM_TRY(end_moves(x, false));
  return status;
}

// Experts that steps do not fill on their way come closer in the background, on a share of the link.
static pm_status move_some(pm_experts *x, pm_backend *b, double seconds) {
  double record = pm_pace_look(x->pace).fill;
  x->move_credit += move_share * seconds;
  if (x->move_credit > MOVES * record) x->move_credit = MOVES * record;
  if (x->n_move && moves_are_there(x, b)) PM_TRY(end_moves(x, true));
  uint32_t n = record > 0 ? (uint32_t)(x->move_credit / record) : MOVES;
  if (x->n_move || !n) return PM_OK;
  PM_TRY(begin_moves(x, b, n));
  x->move_credit -= x->n_move * record;
  return PM_OK;
}

static pm_status await_moves(pm_experts *x, pm_backend *b) {
  while (x->n_move && !moves_are_there(x, b)) continue;
  return end_moves(x, true);
}

// Fills the slots before the first step, hottest first; all experts alike where nothing is known.
static pm_status fill_slots(pm_experts *x, pm_backend *b) {
  do {
    PM_TRY(await_moves(x, b));
    PM_TRY(begin_moves(x, b, MOVES));
  } while (x->n_move);
  return b->ops->move(b, NULL, 0, &x->move_ticket);  // a device that was lost meanwhile says so
}

pm_status pm_experts_load(pm_experts *x, pm_backend *b, pm_progress_fn *progress, void *user) {
  uint32_t n = x->n_table * x->n_expert;
  for (uint32_t i = 0; i < n; i++) x->heat[i] = 1;
  x->has_past = x->heat_path && pm_heat_read(x->heat_path, x->desc.fingerprint, n, x->heat);
  memcpy(x->past, x->heat, n * sizeof *x->past);
  for (uint32_t i = 0; i < n && x->desc.whole_layers; i++) x->heat[i] = (x->n_table - i / x->n_expert) * PM_SLOTS_USE;
  PM_TRY(pm_store_load(x->store, b, x->heat, progress, user));
  if (!x->slots) return PM_OK;
  pm_slots_seed(x->slots, x->heat);
  if (x->desc.trace) PM_TRY(pm_trace_seed(x->desc.trace, x->heat));
  return fill_slots(x, b);
}

// ---- memory ----

// Slots that had to be given back are nobody's from here on; so are those to which moves are under way.
static pm_status make_way(pm_experts *x, pm_backend *b) {
  uint32_t n_slot[PM_EXPERT_CLASSES];
  PM_TRY(b->ops->shrink(b, n_slot));
  for (uint32_t c = 0; c < x->desc.plan->n_class; c++) {
    if (n_slot[c] >= pm_slots_size(x->slots, c)) continue;
    pm_slots_resize(x->slots, c, n_slot[c]);
    PM_TRY(record(x, PM_TRACE_RESIZE, c, n_slot[c], 0));
  }
  return PM_OK;
}

// ---- a step ----

static pm_status begin_step(pm_experts *x, uint32_t n_row) {
  const pm_expert_plan *plan = x->desc.plan;
  uint32_t n_miss = n_row * x->n_used < x->n_expert ? n_row * x->n_used : x->n_expert;
  for (uint32_t t = 0; t < x->n_table; t++) {
    pm_expert_board *b = &x->boards[t], before = *b;
    pm_pace_choice c = pm_pace_choose(x->pace, t);
    uint32_t ring = plan->classes[plan->class_of[t]].n_ring;
    b->n_ring = c.assist && c.n_ring < ring ? c.n_ring : ring;
    b->assist = !x->many && helps(x) && (c.assist || n_miss > ring);
    b->wait = x->partial || (x->desc.link.rate > 0 && !x->many);
    b->dirty |= b->n_ring != before.n_ring || b->assist != before.assist || b->wait != before.wait;
    bool admit = !b->assist && !x->desc.whole_layers;
    if (admit == x->admits[t]) continue;
    x->admits[t] = admit;
    pm_slots_admit(x->slots, t, admit);
    PM_TRY(record(x, PM_TRACE_ADMIT, t, admit, 0));
  }
  pm_slots_write(x->slots, x->boards, x->many);
  return PM_OK;
}

static uint64_t count(const pm_slots_counters *c, pm_expert_fate fate) { return c->fate[fate]; }

static void mirror(pm_experts *x, pm_backend *b, uint32_t n_row, double seconds) {
  bool learns = n_row == 1;
  for (uint32_t t = 0; t < x->n_table; t++) {
    pm_slots_counters before = *pm_slots_counts(x->slots, t, x->many);
    pm_expert_board then = x->boards[t];
    if (then.wait) then.home = x->homes_then + t * x->n_expert;
    pm_slots_use(x->slots, &then, t, b->ops->chosen(b, t), n_row, x->many);
    const pm_slots_counters *now = pm_slots_counts(x->slots, t, x->many);
    uint64_t n_host = count(now, PM_EXPERT_HOST) - count(&before, PM_EXPERT_HOST);
    uint64_t n_fill = count(now, PM_EXPERT_VICTIM) + count(now, PM_EXPERT_RING) - count(&before, PM_EXPERT_VICTIM) -
                      count(&before, PM_EXPERT_RING);
    x->report.host_records += n_host;
    if (!x->many) x->report.link_bytes += n_fill * x->desc.plan->classes[x->desc.plan->class_of[t]].home_bytes;
    if (learns) pm_pace_saw(x->pace, t, (uint32_t)n_fill, (uint32_t)n_host);
  }
  pm_slots_next(x->slots);
  if (learns) pm_pace_end(x->pace, seconds);
  x->n_step++;
}

// After a step that failed on its way nobody knows which victims it has overwritten: all slots are empty. What was said of the failure
// stays.
static void forget(pm_experts *x, pm_backend *b) {
  char message[512];
  snprintf(message, sizeof message, "%s", pm_fail_message());
  while (x->n_move && !b->ops->moved(b, x->move_ticket)) continue;
  (void)!end_moves(x, false);
  for (uint32_t c = 0; c < x->desc.plan->n_class; c++) {
    uint32_t n = pm_slots_size(x->slots, c);
    pm_slots_resize(x->slots, c, 0);
    pm_slots_resize(x->slots, c, n);
    (void)!record(x, PM_TRACE_RESIZE, c, 0, 0);
    (void)!record(x, PM_TRACE_RESIZE, c, n, 0);
  }
}

pm_status pm_experts_run(pm_experts *x, pm_backend *b, const pm_step *step) {
  x->many = step->n_row > PM_EXPERT_FEW_ROWS;
  if (!x->slots) {
    PM_TRY(b->ops->run(b, step));
    return record_step(x, b, step->n_row);
  }
  if (x->scarce && step->n_row > 1) PM_TRY(await_moves(x, b));  // such a step may need the homes that moves hold
  PM_TRY(begin_step(x, step->n_row));
  uint64_t brought = b->ops->counters(b).fill_bytes;
  double begin = pm_clock_seconds();
  pm_status status = b->ops->run(b, step);
  if (status) return forget(x, b), status;
  double seconds = pm_clock_seconds() - begin;
  mirror(x, b, step->n_row, seconds);
  if (x->many) x->report.prompt_link_bytes += b->ops->counters(b).fill_bytes - brought;
  PM_TRY(record_step(x, b, step->n_row));
  if (x->many || x->n_step % LOOK_STEPS == 0) PM_TRY(make_way(x, b));
  return x->desc.whole_layers ? PM_OK : move_some(x, b, seconds);
}

// ---- what happened ----

pm_experts_report pm_experts_look(const pm_experts *x) {
  pm_experts_report r = x->report;
  r.store = pm_store_count(x->store);
  if (!x->slots) return r;
  for (uint32_t c = 0; c < x->desc.plan->n_class; c++) r.n_slot += pm_slots_size(x->slots, c);
  r.few = pm_slots_total(x->slots, false), r.many = pm_slots_total(x->slots, true);
  r.pace = pm_pace_look(x->pace);
  return r;
}

pm_experts_table pm_experts_look_table(const pm_experts *x, uint32_t t) {
  if (!x->slots) return (pm_experts_table){0};
  return (pm_experts_table){pm_pace_choose(x->pace, t), *pm_slots_counts(x->slots, t, false)};
}
