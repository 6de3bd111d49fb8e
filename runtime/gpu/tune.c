// Each operation of the program is recorded alone, with one row of pick.def after the other, and timed on the device's own clock. The rows
// take turns, so that a clock that falls or rises favours none; a row counts as its best turn, since other programs only ever add time.
#include "tune.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "layout.h"
#include "memory.h"
#include "ops.h"
#include "step.h"
#include "thread.h"

enum { OPS = 16, ROUNDS = 7, ROWS = 64 };          // of a recording; of all rows; rows of a shape, at most
static const double recording_cost = 64e6;         // at most, unless one operation has more: some milliseconds on the slowest devices
static const double doubtful = 3, hopeless = 1.5;  // times as long as the best, cold and warm: not tried again
static const double margin = 0.05;                 // what a winner must gain, or twice the noise
static const uint32_t attention_cells = 4096;      // that positions of decode steps lead to

// Operations of one shape.
typedef struct job {
  pm_gpu_shape shape;
  uint32_t rows, n_op, n_known;
  const pm_op *ops[OPS];  // the first n_known of them, over the same choice of experts
  double cost;            // of one
} job;

typedef struct candidate {
  uint32_t row;
  pm_gpu_pick pick;
  pm_gpu_recording recording;
  double seconds[ROUNDS], best;  // of one operation
  uint32_t n;
} candidate;

typedef struct tuner {
  pm_gpu *g;
  const pm_tune_desc *desc;
  pm_team *team;
  double end;  // pm_clock_seconds; infinite without a limit
  VkQueryPool queries;
  VkCommandBuffer begin, finish;  // write the two timestamps
  job *jobs;
  uint32_t n_job, capacity;
  candidate candidates[ROWS];
  uint32_t n_candidate;
} tuner;

// ---- what there is to tune ----

static const pm_view *ids_of(const pm_op *op) {
  return op->kind == PM_OP_EXPERTS_GLU ? &op->experts_glu.ids : op->kind == PM_OP_EXPERTS_DOWN ? &op->experts_down.ids : NULL;
}

static const pm_expert_table *table_of(const pm_op *op) {
  return op->kind == PM_OP_EXPERTS_GLU ? op->experts_glu.experts : op->kind == PM_OP_EXPERTS_DOWN ? op->experts_down.experts : NULL;
}

// Experts that come and go are where a step finds them, and only there.
static bool moves(const tuner *t, const pm_op *op) {
  const pm_program *p = t->g->program;
  const pm_gpu_boards *b = &t->g->boards;
  for (uint32_t i = 0; b->plan && table_of(op) && i < p->n_table; i++)
    if (p->tables[i] == table_of(op)) return b->tables[i].moves;
  return false;
}

static pm_status add(tuner *t, const pm_op *op, const pm_gpu_shape *shape, uint32_t rows, double cost) {
  uint32_t i = 0;
  while (i < t->n_job && !pm_gpu_shape_is_same(&t->jobs[i].shape, shape)) i++;
  if (i == t->capacity) {
    uint32_t wanted = t->capacity ? 2 * t->capacity : 64;
    job *more = pm_realloc(t->jobs, wanted * sizeof *more);
    if (!more) PM_FAIL(PM_ERR_MEMORY, "out of memory: shapes to tune");
    t->jobs = more, t->capacity = wanted;
  }
  job *j = &t->jobs[i];
  if (i == t->n_job) *j = (job){.shape = *shape, .rows = rows, .cost = cost}, t->n_job++;
  if (j->rows != rows) return PM_OK;
  const pm_view *ids = ids_of(op);
  if (j->n_known < OPS && (!ids || !j->n_known || ids->tensor == ids_of(j->ops[0])->tensor)) j->ops[j->n_known++] = op;
  j->n_op++;
  return PM_OK;
}

// A recorder that sees neither boards nor the scratch of the load: what it asks for is not kept.
static pm_gpu_recorder dry_recorder(const tuner *t, pm_gpu_temps *temps) {
  pm_gpu_recorder r = pm_gpu_recorder_of(t->g);
  r.boards = NULL, r.temps = temps, r.dry = true;
  return r;
}

static pm_status collect(tuner *t, uint32_t rows) {
  const pm_program *p = t->g->program;
  pm_gpu_temps temps = {0};
  pm_status status = PM_OK;
  for (uint32_t i = 0; i < p->n_op && !status; i++) {
    const pm_op *op = &p->ops[i];
    pm_gpu_asked asked = {0};
    pm_gpu_recorder r = dry_recorder(t, &temps);
    pm_gpu_recording nothing;
    r.asked = &asked;
    if (moves(t, op)) continue;
    status = pm_gpu_record_ops(&r, &op, 1, rows, &nothing);
    for (uint32_t k = 0; k < asked.n && !status; k++) status = add(t, op, &asked.shapes[k], rows, r.cost);
  }
  pm_gpu_temps_finish(&temps);
  return status;
}

static int by_falling_share(const void *a, const void *b) {
  double x = ((const job *)a)->cost * ((const job *)a)->n_op, y = ((const job *)b)->cost * ((const job *)b)->n_op;
  return (x < y) - (x > y);
}

// ---- candidates ----

static bool is_over(const tuner *t) { return pm_clock_seconds() > t->end; }

// Rows of a table whose experts come and go are picked by the same shapes, and tiles cannot serve a step of few rows there.
static bool suits(const job *j, const pm_gpu_pick *first, const pm_gpu_pick *pick) {
  bool experts = j->shape.op == PM_OP_EXPERTS_GLU || j->shape.op == PM_OP_EXPERTS_DOWN;
  return !experts || j->shape.n_row > 1 || pm_gpu_is_tiled(first) == pm_gpu_is_tiled(pick);
}

static bool is_new(const tuner *t, const pm_gpu_pick *pick) {
  for (uint32_t i = 0; i < t->n_candidate; i++) {
    const pm_gpu_pick *old = &t->candidates[i].pick;
    if (!strcmp(old->kernel, pick->kernel) && old->workgroup == pick->workgroup && old->a == pick->a && old->b == pick->b &&
        old->c == pick->c)
      return false;
  }
  return true;
}

// The row that is picked without tuning comes first. Rows whose kernel this device cannot run are left out, and when time is up the rest.
// Kernels are made by all threads at once, a few at a time, since nothing stops a driver that compiles.
static void find_candidates(tuner *t, const job *j) {
  pm_gpu_temps temps = {0};
  pm_gpu_recorder r = dry_recorder(t, &temps);
  uint32_t first = pm_gpu_pick_first(&r, &j->shape);
  uint32_t n_wanted = 0;
  t->n_candidate = 0;
  for (uint32_t i = 0; i <= pm_gpu_pick_count() && t->n_candidate < ROWS && !is_over(t); i++) {
    uint32_t row = i ? i - 1 : first;
    candidate *c = &t->candidates[t->n_candidate];
    pm_gpu_recording nothing;
    *c = (candidate){.row = row, .best = INFINITY};
    if (!pm_gpu_pick_may(&r, &j->shape, row, &c->pick) || !is_new(t, &c->pick) || !suits(j, &t->candidates[0].pick, &c->pick)) continue;
    r.only = &row, r.want = true;
    if (pm_gpu_record_ops(&r, j->ops, 1, j->rows, &nothing)) continue;
    t->n_candidate++;
    if (++n_wanted % pm_team_size(t->team) == 0) pm_gpu_pipelines_make(&t->g->device, &t->g->pipelines, t->team);
  }
  pm_gpu_temps_finish(&temps);
}

// One that asks for more scratch than there is fails here, and is out.
static void record_candidates(tuner *t, const job *j, uint32_t n_op) {
  for (uint32_t i = 0; i < t->n_candidate; i++) {
    candidate *c = &t->candidates[i];
    pm_gpu_recorder r = pm_gpu_recorder_of(t->g);
    const pm_op *ops[OPS];
    r.boards = NULL, r.only = &c->row;
    for (uint32_t k = 0; k < n_op; k++) ops[k] = j->ops[k % j->n_known];
    if (pm_gpu_record_ops(&r, ops, n_op, j->rows, &c->recording) || c->recording.n_piece != 1)
      pm_gpu_recording_finish(&t->g->device, &c->recording);
  }
}

static void drop_candidates(tuner *t) {
  for (uint32_t i = 0; i < t->n_candidate; i++) pm_gpu_recording_finish(&t->g->device, &t->candidates[i].recording);
  t->n_candidate = 0;
}

// ---- the clock ----

static pm_status make_clock(tuner *t) {
  pm_gpu_device *d = &t->g->device;
  VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, .queryType = VK_QUERY_TYPE_TIMESTAMP, .queryCount = 2};
  if (!d->probe.timestamp_bits) return PM_OK;
  PM_GPU(d, d->fn.vkCreateQueryPool(d->handle, &info, NULL, &t->queries), "vkCreateQueryPool");
  PM_TRY(pm_gpu_commands_begin(d, d->pool, &t->begin));
  d->fn.vkCmdResetQueryPool(t->begin, t->queries, 0, 2);
  d->fn.vkCmdWriteTimestamp(t->begin, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, t->queries, 0);
  PM_TRY(pm_gpu_commands_end(d, t->begin));
  PM_TRY(pm_gpu_commands_begin(d, d->pool, &t->finish));
  d->fn.vkCmdWriteTimestamp(t->finish, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, t->queries, 1);
  return pm_gpu_commands_end(d, t->finish);
}

static void drop_clock(tuner *t) {
  pm_gpu_device *d = &t->g->device;
  if (t->begin) pm_gpu_commands_free(d, d->pool, t->begin);
  if (t->finish) pm_gpu_commands_free(d, d->pool, t->finish);
  if (t->queries) d->fn.vkDestroyQueryPool(d->handle, t->queries, NULL);
}

// Seconds that a recording takes on the device, or from its submission to its end where a queue has no clock.
static pm_status time_recording(tuner *t, const pm_gpu_recording *r, double *seconds) {
  pm_gpu_device *d = &t->g->device;
  const VkCommandBuffer commands[] = {t->begin, r->pieces[0].commands, t->finish};
  bool clock = t->queries != VK_NULL_HANDLE;
  uint64_t ticks[2];
  double start = pm_clock_seconds();
  PM_TRY(clock ? pm_gpu_submit(d, commands, 3) : pm_gpu_submit(d, commands + 1, 1));
  PM_TRY(pm_gpu_wait(d, d->ticket));
  *seconds = pm_clock_seconds() - start;
  if (!clock) return PM_OK;
  VkResult result = d->fn.vkGetQueryPoolResults(d->handle, t->queries, 0, 2, sizeof ticks, ticks, sizeof *ticks, VK_QUERY_RESULT_64_BIT);
  if (result == VK_NOT_READY || (!result && ticks[0] == ticks[1])) return PM_OK;  // no clock after all
  PM_GPU(d, result, "vkGetQueryPoolResults");
  uint64_t mask = d->probe.timestamp_bits < 64 ? (1ull << d->probe.timestamp_bits) - 1 : UINT64_MAX;
  *seconds = (double)((ticks[1] - ticks[0]) & mask) * d->probe.timestamp_seconds;
  return PM_OK;
}

// ---- what the operations work on ----

// Tokens at positions from attention_cells on, or as near as the cache goes. Scratch and cache are all finite numbers.
static void write_step(tuner *t, uint32_t rows) {
  const pm_program *p = t->g->program;
  uint32_t *words = (uint32_t *)(void *)t->g->step.mapped;
  uint64_t cells = attention_cells + rows;
  for (uint32_t i = 0; i < p->n_op; i++)
    if (p->ops[i].kind == PM_OP_MLA_ATTENTION && p->ops[i].mla_attention.kv->ne[1] < cells) cells = p->ops[i].mla_attention.kv->ne[1];
  uint32_t first = cells > rows ? (uint32_t)cells - rows : 0;
  memset(words, 0, 4ull * PM_STEP_WORDS(rows, 1, p->n_rope));
  words[PM_STEP_N_ROW] = rows, words[PM_STEP_N_LOGIT] = 1, words[PM_STEP_N_ROPE] = p->n_rope;
  for (uint32_t i = 0; i < rows; i++) words[PM_STEP_ROWS + PM_STEP_ROW_WORDS * i + 1] = first + i < cells ? first + i : 0;
}

// A choice of experts that uses all of them alike.
static pm_status write_choice(tuner *t, const job *j) {
  const pm_view *ids = ids_of(j->ops[0]);
  if (!ids) return PM_OK;
  uint32_t n_expert = table_of(j->ops[0])->n_expert;
  uint64_t n = (uint64_t)j->rows * ids->stride_row;
  int32_t *choice;
  PM_NEW(&choice, n, "a choice of experts");
  for (uint64_t i = 0; i < n; i++) choice[i] = (int32_t)((i / ids->stride_row * ids->n + i % ids->stride_row) % n_expert);
  pm_status status = pm_gpu_transfer_write(&t->g->device, &t->g->transfer, &t->g->scratch, ids->tensor->place.offset + 4ull * ids->offset,
                                           choice, 4 * (n - ids->stride_row + ids->n));
  pm_free(choice);
  return status;
}

// ---- the contest ----

// The first turn of each warms it up, and shows who is hopeless.
static pm_status run_rounds(tuner *t, uint32_t n_op) {
  double best = INFINITY;
  for (uint32_t round = 0; round <= ROUNDS && !(round > 2 && is_over(t)); round++)
    for (uint32_t i = 0; i < t->n_candidate; i++) {
      candidate *c = &t->candidates[i];
      double seconds;
      if (!c->recording.n_piece || (i && round && c->best > (round == 1 ? doubtful : hopeless) * best)) continue;
      PM_TRY(time_recording(t, &c->recording, &seconds));
      seconds /= n_op;
      if (round) c->seconds[c->n++] = seconds;
      c->best = round < 2 ? seconds : fmin(c->best, seconds);
      best = fmin(best, c->best);
    }
  return PM_OK;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

// The fastest, if it is that for more reasons than luck.
static uint32_t judge(tuner *t) {
  candidate *first = &t->candidates[0];
  uint32_t winner = 0;
  if (!first->n) return 0;
  qsort(first->seconds, first->n, sizeof *first->seconds, ascending);
  double noise = first->seconds[first->n / 2] / first->best - 1;
  for (uint32_t i = 1; i < t->n_candidate; i++)
    if (t->candidates[i].n > 1 && t->candidates[i].best < t->candidates[winner].best) winner = i;
  return t->candidates[winner].best * (1 + fmax(margin, 2 * noise)) < first->best ? winner : 0;
}

static pm_status keep(tuner *t, const job *j, uint32_t row) { return pm_gpu_tuning_set(&t->g->pipelines.tuning, &j->shape, row); }

static pm_status run_job(tuner *t, const job *j, uint32_t *winner) {
  uint32_t n_op = (uint32_t)fmax(1, fmin(OPS, recording_cost / fmax(1, j->cost)));
  write_step(t, j->rows);
  PM_TRY(write_choice(t, j));
  record_candidates(t, j, n_op);
  PM_TRY(run_rounds(t, n_op));
  *winner = judge(t);
  return keep(t, j, t->candidates[*winner].row);
}

static bool report(const tuner *t, const job *j, uint32_t winner, float done) {
  const candidate *first = &t->candidates[0], *best = &t->candidates[winner];
  pm_tune_row row = {.op = j->shape.op,
                     .type = j->shape.type,
                     .n_row = j->shape.n_row,
                     .n_in = PM_GPU_UNIT * j->shape.n_unit,
                     .n_out = j->shape.n_out,
                     .n_op = j->n_op,
                     .before = pm_gpu_pick_text(first->row),
                     .after = pm_gpu_pick_text(best->row),
                     .before_seconds = first->best,
                     .after_seconds = best->best};
  return t->desc->report(t->desc->user, done, &row);
}

// Shapes that there is no choice for are passed over; those that there is no time for stay as they were.
static pm_status run_jobs(tuner *t) {
  for (uint32_t i = 0; i < t->n_job && !is_over(t); i++) {
    const job *j = &t->jobs[i];
    uint32_t winner = 0;
    find_candidates(t, j);
    bool choice = t->n_candidate > 1;
    pm_status status = choice ? run_job(t, j, &winner) : PM_OK;
    if (!status && choice && t->candidates[0].n && !report(t, j, winner, (float)(i + 1) / (float)t->n_job))
      status = pm_fail(PM_ERR_CANCELLED, "tuning was stopped");
    drop_candidates(t);
    PM_TRY(status);
  }
  return PM_OK;
}

// What was tuned, however little there was time for, is tuned: not again by itself.
static pm_status mark(tuner *t) {
  pm_gpu_temps temps = {0};
  pm_gpu_recorder r = dry_recorder(t, &temps);
  return t->n_job && !t->g->pipelines.tuning.n_winner ? keep(t, &t->jobs[0], pm_gpu_pick_first(&r, &t->jobs[0].shape)) : PM_OK;
}

static pm_status run(tuner *t) {
  PM_TRY(pm_team_create(0, &t->team));
  PM_TRY(make_clock(t));
  for (uint32_t i = 0; i < t->desc->n_size; i++) PM_TRY(collect(t, pm_gpu_bucket_rows(t->g->program, t->desc->sizes[i])));
  if (t->n_job) qsort(t->jobs, t->n_job, sizeof *t->jobs, by_falling_share);
  PM_TRY(run_jobs(t));
  return mark(t);
}

pm_status pm_gpu_tune(pm_gpu *g, const pm_tune_desc *desc) {
  tuner *t;
  PM_NEW(&t, 1, "tuner");
  t->g = g, t->desc = desc;
  t->end = desc->seconds > 0 ? pm_clock_seconds() + desc->seconds : INFINITY;
  pm_status status = run(t);
  if (status == PM_OK || status == PM_ERR_CANCELLED) {
    pm_status saved = pm_gpu_tuning_save(&g->pipelines.tuning, &g->device);
    if (!status && !desc->first_use) status = saved;  // else the next run does it again
  }
  drop_clock(t);
  if (t->team) pm_team_destroy(t->team);
  pm_free(t->jobs);
  pm_free(t);
  return status;
}
