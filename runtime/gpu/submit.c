// A step on the device: its data is written, a recording replayed in one submission or several, the logits copied out.
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "gpu.h"
#include "memory.h"
#include "step.h"

// Cost per second that is expected of a device that has not been measured yet. Low, so that the first submissions are short.
static const double first_rate = 10e9;

static uint32_t bucket_index(uint32_t n_row) {
  uint32_t i = 0;
  while ((1ull << i) < n_row) i++;
  return i;
}

uint32_t pm_gpu_bucket_rows(const pm_program *p, uint32_t n_row) {
  uint64_t rows = 1ull << bucket_index(n_row);
  return rows < p->max_rows ? (uint32_t)rows : p->max_rows;
}

uint32_t pm_gpu_bucket_logits(const pm_program *p, uint32_t n_row, uint32_t n_logit) {
  if (n_logit <= 1) return 1;
  uint32_t rows = pm_gpu_bucket_rows(p, n_row);
  return rows < p->max_logits ? rows : p->max_logits;
}

static pm_status make_room(pm_gpu_run *run, uint32_t n) {
  PM_NEW(&run->pieces, n, "pieces of a step");
  PM_NEW(&run->gates, n, "pieces of a step");
  PM_NEW(&run->commands, n, "pieces of a step");
  PM_NEW(&run->infos, n, "pieces of a step");
  PM_NEW(&run->batches, n, "pieces of a step");
  run->capacity = n;
  return PM_OK;
}

// The room that there is stays until there is more: recordings that were made before count on it.
static pm_status reserve(pm_gpu_run *run, uint32_t n) {
  pm_gpu_run more = {0};
  if (n <= run->capacity) return PM_OK;
  pm_status status = make_room(&more, n);
  pm_gpu_run_finish(status ? &more : run);
  if (!status) *run = more;
  return status;
}

void pm_gpu_run_finish(pm_gpu_run *run) {
  pm_free(run->pieces);
  pm_free(run->gates);
  pm_free(run->commands);
  pm_free(run->infos);
  pm_free(run->batches);
  *run = (pm_gpu_run){0};
}

pm_gpu_recorder pm_gpu_recorder_of(pm_gpu *g) {
  return (pm_gpu_recorder){.device = &g->device,
                           .pipelines = &g->pipelines,
                           .program = g->program,
                           .temps = &g->temps,
                           .boards = &g->boards,
                           .set = g->set,
                           .pool = g->device.pool,
                           .scratch = g->scratch.handle,
                           .piece_cost = g->piece_cost,
                           .only = g->only_row ? &g->forced_row : NULL};
}

pm_status pm_gpu_recording_get(pm_gpu *g, uint32_t n_row, uint32_t n_logit, pm_gpu_recording **out) {
  pm_gpu_recording *r = *out = &g->recordings[n_logit > 1][bucket_index(n_row)];
  if (r->rows) return PM_OK;
  pm_gpu_recorder recorder = pm_gpu_recorder_of(g);
  pm_status status = pm_gpu_record_program(&recorder, pm_gpu_bucket_rows(g->program, n_row),
                                           pm_gpu_bucket_logits(g->program, n_row, n_logit), r);
  if (!status) status = reserve(&g->step_run, r->n_piece + 1);
  if (status) pm_gpu_recording_finish(&g->device, r);
  r->rate = first_rate;
  return status;
}

static void write_step(const pm_gpu *g, const pm_step *step) {
  uint32_t *words = (uint32_t *)(void *)g->step.mapped;
  words[PM_STEP_N_ROW] = step->n_row;
  words[PM_STEP_N_LOGIT] = step->n_logit;
  words[PM_STEP_N_ROPE] = g->program->n_rope;
  words[PM_STEP_ZERO] = 0;
  for (uint32_t i = 0; i < step->n_row; i++) {
    const pm_row *row = &step->rows[i];
    const uint32_t packed[PM_STEP_ROW_WORDS] = {row->token, row->pos, row->base, 0};
    memcpy(words + PM_STEP_ROWS + PM_STEP_ROW_WORDS * i, packed, sizeof packed);
  }
  if (step->n_logit) memcpy(words + PM_STEP_LOGIT_ROWS(step->n_row), step->logit_row, 4ull * step->n_logit);
  if (g->program->n_rope) memcpy(words + PM_STEP_ROPE(step->n_row, step->n_logit), step->rope, 4ull * step->n_row * g->program->n_rope);
}

// ---- what goes to the host at the end ----

static void record_copies(pm_gpu *g, uint32_t n_logit, uint32_t n_row) {
  const pm_gpu_device *d = &g->device;
  const pm_tensor *logits = g->program->logits;
  VkBufferCopy region = {.srcOffset = logits ? logits->place.offset : 0, .size = logits ? pm_tensor_row_bytes(logits) * n_logit : 0};
  if (region.size) d->fn.vkCmdCopyBuffer(g->readback_commands, g->scratch.handle, g->readback.handle, 1, &region);
  for (uint32_t i = 0; g->boards.plan && i < g->program->n_table; i++) {
    const pm_gpu_table *t = &g->boards.tables[i];
    const pm_view *ids = &t->glu->ids;
    VkBufferCopy choice = {.srcOffset = ids->tensor->place.offset, .dstOffset = t->chosen_at, .size = 4ull * n_row * ids->n};
    d->fn.vkCmdCopyBuffer(g->readback_commands, g->scratch.handle, g->boards.choice.handle, 1, &choice);
  }
}

// Logits and choices of so many rows; recorded anew only when the numbers change.
static pm_status record_readback(pm_gpu *g, uint32_t n_logit, uint32_t n_row) {
  if (g->readback_commands && g->readback_logits == n_logit && g->readback_rows == n_row) return PM_OK;
  pm_gpu_device *d = &g->device;
  g->readback_logits = g->readback_rows = UINT32_MAX;
  PM_TRY(pm_gpu_commands_begin(d, d->pool, &g->readback_commands));
  VkMemoryBarrier before = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                            .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                            .dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT};
  VkMemoryBarrier after = {
      .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT, .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
  d->fn.vkCmdPipelineBarrier(g->readback_commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
                             VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &before, 0, NULL, 0, NULL);
  record_copies(g, n_logit, n_row);
  d->fn.vkCmdPipelineBarrier(g->readback_commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &after, 0, NULL, 0,
                             NULL);
  PM_TRY(pm_gpu_commands_end(d, g->readback_commands));
  g->readback_logits = n_logit, g->readback_rows = n_row;
  return PM_OK;
}

// ---- which pieces a step takes ----

// At the end of such a piece the host is asked or told, and what comes at the beginning of one of the others waits for it.
static bool is_asking(pm_gpu_when when) { return when == PM_GPU_ASKED || when == PM_GPU_SENT || when == PM_GPU_SENT_AHEAD; }
static bool is_waiting(pm_gpu_when when) { return when == PM_GPU_WAITED || when == PM_GPU_ARRIVED; }

static bool is_taken(const pm_gpu *g, const pm_gpu_piece *p, pm_gpu_boards_step step) {
  if (p->when == PM_GPU_ALWAYS) return true;
  const pm_expert_board *board = &g->boards.plan->boards[p->table];
  bool assist = board->assist && step.n_row <= PM_EXPERT_FEW_ROWS;
  uint32_t n_wave = pm_gpu_boards_waves(&g->boards, p->table, pm_gpu_boards_misses(&g->boards, p->table, step));
  switch (p->when) {
    case PM_GPU_ASKED: return assist || board->wait || (g->boards.plan->host.send && step.n_row > PM_EXPERT_FEW_ROWS);
    case PM_GPU_WAITED: return board->wait;
    case PM_GPU_JOINED: return assist;
    case PM_GPU_LAST:
    case PM_GPU_SENT_AHEAD: return p->wave + 1 == (n_wave ? n_wave : 1);
    default: return p->wave < n_wave;
  }
}

static void take(pm_gpu *g, const pm_gpu_piece *piece) {
  pm_gpu_run *run = &g->step_run;
  g->gates.value += is_asking(piece->when);
  run->pieces[run->n] = *piece;
  run->gates[run->n] = g->gates.value;
  run->commands[run->n++] = piece->commands;
  g->counters.dispatches += piece->n_dispatch;
  g->counters.barriers += piece->n_barrier;
}

static pm_status choose_pieces(pm_gpu *g, const pm_gpu_recording *r, const pm_step *step) {
  g->step_run.n = 0;
  for (uint32_t i = 0; i < r->n_piece; i++)
    if (is_taken(g, &r->pieces[i], (pm_gpu_boards_step){step->n_row, r->ahead})) take(g, &r->pieces[i]);
  uint32_t n_logit = g->program->logits ? step->n_logit : 0;
  if (!n_logit && !g->boards.plan) return PM_OK;
  PM_TRY(record_readback(g, n_logit, g->boards.plan ? step->n_row : 0));
  take(g, &(pm_gpu_piece){.commands = g->readback_commands});
  return PM_OK;
}

// ---- submissions ----

// Pieces [first, end) as batches of one submission; its ticket is d->ticket afterwards. Every batch signals something: Mesa's drivers
// join one that does not with the next, and it would wait for what that waits for.
static pm_status submit(pm_gpu *g, uint32_t first, uint32_t end) {
  static const VkPipelineStageFlags stages[2] = {VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT};
  pm_gpu_device *d = &g->device;
  pm_gpu_run *run = &g->step_run;
  uint32_t n = 0;
  uint64_t ticket = d->ticket;
  for (uint32_t i = first; i < end; n++) {
    pm_gpu_batch *b = &run->batches[n];
    *b = (pm_gpu_batch){.values = {.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
                                   .pWaitSemaphoreValues = b->wait_values,
                                   .pSignalSemaphoreValues = b->signal_values}};
    VkSubmitInfo *info = &run->infos[n];
    *info = (VkSubmitInfo){.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                           .pNext = &b->values,
                           .pWaitSemaphores = b->waits,
                           .pWaitDstStageMask = stages,
                           .pSignalSemaphores = b->signals,
                           .pCommandBuffers = run->commands + i};
    pm_gpu_when when = run->pieces[i].when;
    uint32_t start = i, n_wait = 0, n_signal = 0;
    if (i == 0 && g->moves.ordered < g->moves.seen) b->waits[n_wait] = g->moves.passed, b->wait_values[n_wait++] = g->moves.seen;
    if (is_waiting(when)) b->waits[n_wait] = g->gates.gone, b->wait_values[n_wait++] = run->gates[i];
    if (when == PM_GPU_JOINED) b->waits[n_wait] = g->gates.joined, b->wait_values[n_wait++] = run->gates[i];
    info->waitSemaphoreCount = b->values.waitSemaphoreValueCount = n_wait;
    do i++;
    while (i < end && !is_asking(run->pieces[i - 1].when) && !is_waiting(run->pieces[i].when) && run->pieces[i].when != PM_GPU_JOINED);
    info->commandBufferCount = i - start;
    if (is_asking(run->pieces[i - 1].when)) b->signals[n_signal] = g->gates.asked, b->signal_values[n_signal++] = run->gates[i - 1];
    if (i == end || !n_signal) b->signals[n_signal] = d->timeline, b->signal_values[n_signal++] = ++ticket;
    info->signalSemaphoreCount = b->values.signalSemaphoreValueCount = n_signal;
  }
  PM_GPU(d, d->fn.vkQueueSubmit(d->queue, n, run->infos, VK_NULL_HANDLE), "vkQueueSubmit");
  d->ticket = ticket;
  g->moves.ordered = g->moves.seen;
  g->counters.submissions++;
  return PM_OK;
}

// The host's part of one table.
static pm_status serve(pm_gpu *g, uint32_t table, uint64_t gate, uint32_t n_row) {
  const pm_expert_host *host = &g->boards.plan->host;
  pm_expert_board *board = &g->boards.plan->boards[table];
  if (!board->wait && !board->assist) return PM_OK;
  const int32_t *ids = pm_gpu_boards_chosen(&g->boards, table);
  double start = pm_clock_seconds();
  PM_TRY(pm_gpu_gates_wait(&g->gates, gate));
  double asked = pm_clock_seconds();
  g->counters.ask_seconds += asked - start;
  g->counters.asks++;
  if (board->wait) {
    double ready = 0;
    PM_TRY(host->need(host->user, table, ids, n_row * g->boards.tables[table].glu->ids.n, &ready));
    if (board->dirty) pm_gpu_board_write(&g->boards, &g->plan, table);
    PM_TRY(pm_gpu_gates_go(&g->gates, gate, ready));
  }
  if (board->assist && n_row <= PM_EXPERT_FEW_ROWS) {
    PM_TRY(pm_gpu_boards_answer(&g->boards, table, n_row));
    PM_TRY(pm_gpu_gates_join(&g->gates, gate));
  }
  g->counters.join_seconds += pm_clock_seconds() - asked;
  return PM_OK;
}

// A wave that begins: when it may be used.
static pm_status pace(pm_gpu *g, const pm_gpu_piece *piece, uint64_t gate, pm_gpu_boards_step step) {
  bool ahead = piece->when == PM_GPU_SENT_AHEAD;
  uint32_t table = ahead ? pm_gpu_boards_next(&g->boards, piece->table + 1) : piece->table, wave = ahead ? 0 : piece->wave;
  PM_TRY(pm_gpu_gates_wait(&g->gates, gate));
  uint32_t n = pm_gpu_boards_wave(&g->boards, table, wave, step);
  return pm_gpu_gates_go(&g->gates, gate, n ? g->boards.plan->host.send(g->boards.plan->host.user, table, n) : 0);
}

// The host's part of pieces [first, end), which have been submitted.
static pm_status serve_pieces(pm_gpu *g, uint32_t first, uint32_t end, pm_gpu_boards_step step) {
  const pm_gpu_run *run = &g->step_run;
  for (uint32_t i = first; i < end; i++) {
    const pm_gpu_piece *piece = &run->pieces[i];
    if (piece->when == PM_GPU_ASKED)
      PM_TRY(serve(g, piece->table, run->gates[i], step.n_row));
    else if (is_asking(piece->when))
      PM_TRY(pace(g, piece, run->gates[i], step));
  }
  return PM_OK;
}

// The measured rate of one submission moves the recording's: down at once, up by at most a factor of two. Not behind a simulated link,
// where the device waits for what it has.
static void measure(pm_gpu_recording *r, double cost, double seconds) {
  if (cost <= 0 || seconds <= 0) return;
  double rate = cost / seconds;
  r->rate = rate < 2 * r->rate ? rate : 2 * r->rate;
}

// What is submitted at once: as much as should pass in submit_seconds. What the host waits for in between is no time of the device.
typedef struct portion {
  uint32_t first, end;
  uint64_t ticket;
  double cost;
} portion;

static portion next_portion(const pm_gpu *g, const pm_gpu_recording *r, uint32_t first) {
  const pm_gpu_run *run = &g->step_run;
  portion p = {.first = first};
  double limit = r->rate * g->submit_seconds;
  for (p.end = first; p.end < run->n; p.end++) {
    double cost = run->pieces[p.end].cost;
    if (p.end > first && cost && p.cost + cost > limit) break;
    p.cost += cost;
  }
  return p;
}

// Ends a step that failed on the way; the failure keeps its words, unless the device fails now. A device that is thought lost may yet be
// waiting, and is let go.
static pm_status end_early(pm_gpu *g, pm_status status) {
  char message[512];
  bool lost = g->device.broken != PM_OK;
  snprintf(message, sizeof message, "%s", pm_fail_message());
  pm_status ended = g->boards.plan ? pm_gpu_gates_open(&g->gates) : PM_OK;
  if (!ended && !lost) ended = pm_gpu_wait(&g->device, g->device.ticket);
  return ended && !lost ? ended : pm_fail(status, "%s", message);
}

// Submits portions in order, two of them under way at a time, and serves what they ask. A failure opens all gates, so that what was
// submitted ends, and is returned when it has.
static pm_status run_pieces(pm_gpu *g, pm_gpu_recording *r, pm_gpu_boards_step step) {
  portion before = {0};
  double since = pm_clock_seconds();
  pm_status status = PM_OK;
  for (uint32_t first = 0; !status && (first < g->step_run.n || before.ticket);) {
    portion p = next_portion(g, r, first);
    if (p.end > first) {
      status = submit(g, first, p.end);
      p.ticket = status ? 0 : g->device.ticket;
    }
    if (before.ticket && !status) {
      double host = g->counters.join_seconds;
      status = serve_pieces(g, before.first, before.end, step);
      double served = pm_clock_seconds();
      if (!status) status = pm_gpu_wait(&g->device, before.ticket);
      double now = pm_clock_seconds();
      g->counters.wait_seconds += now - served;
      if (!g->boards.plan || !g->boards.plan->host.send) measure(r, before.cost, now - since - (g->counters.join_seconds - host));
      since = now;
    }
    before = p, first = p.end;
  }
  return status ? end_early(g, status) : PM_OK;
}

static pm_status check_step(const pm_program *p, const pm_step *step) {
  if (step->n_row < 1 || step->n_row > p->max_rows)
    PM_FAIL(PM_ERR_ARGUMENT, "a step of %u rows; this program takes 1 to %u", step->n_row, p->max_rows);
  if (step->n_logit > p->max_logits)
    PM_FAIL(PM_ERR_ARGUMENT, "logits of %u rows; this program gives at most %u", step->n_logit, p->max_logits);
  return PM_OK;
}

pm_status pm_gpu_run_step(pm_gpu *g, const pm_step *step) {
  pm_gpu_recording *r;
  PM_TRY(check_step(g->program, step));
  PM_TRY(pm_gpu_recording_get(g, step->n_row, step->n_logit, &r));
  pm_gpu_boards_step kind = {step->n_row, r->ahead};
  write_step(g, step);
  pm_gpu_boards_write(&g->boards, &g->plan, kind);
  PM_TRY(pm_gpu_boards_check(&g->boards, kind));
  PM_TRY(choose_pieces(g, r, step));
  PM_TRY(run_pieces(g, r, kind));
  g->counters.steps++;
  pm_gpu_boards_count(&g->boards, kind, &g->counters);
  return PM_OK;
}
