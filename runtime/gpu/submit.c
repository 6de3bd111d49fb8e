// A step on the device: its data is written, a recording replayed in one submission or several, the logits copied out.
#include <string.h>

#include "clock.h"
#include "gpu.h"
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

pm_status pm_gpu_recording_get(pm_gpu *g, uint32_t n_row, uint32_t n_logit, pm_gpu_recording **out) {
  pm_gpu_recording *r = *out = &g->recordings[n_logit > 1][bucket_index(n_row)];
  if (r->rows) return PM_OK;
  pm_gpu_recorder recorder = {.device = &g->device,
                              .pipelines = &g->pipelines,
                              .program = g->program,
                              .temps = &g->temps,
                              .set = g->set,
                              .piece_cost = g->piece_cost};
  pm_status status = pm_gpu_record_program(&recorder, pm_gpu_bucket_rows(g->program, n_row),
                                           pm_gpu_bucket_logits(g->program, n_row, n_logit), r);
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

// The copy of n rows of logits to the readback buffer; recorded anew only when n changes.
static pm_status record_readback(pm_gpu *g, uint32_t n) {
  if (g->readback_rows == n) return PM_OK;
  pm_gpu_device *d = &g->device;
  const pm_tensor *logits = g->program->logits;
  g->readback_rows = 0;
  PM_TRY(pm_gpu_commands_begin(d, &g->readback_commands));
  VkMemoryBarrier before = {
      .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT, .dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT};
  VkMemoryBarrier after = {
      .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT, .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
  VkBufferCopy region = {.srcOffset = logits->place.offset, .size = pm_tensor_row_bytes(logits) * n};
  d->fn.vkCmdPipelineBarrier(g->readback_commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
                             VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &before, 0, NULL, 0, NULL);
  d->fn.vkCmdCopyBuffer(g->readback_commands, g->scratch.handle, g->readback.handle, 1, &region);
  d->fn.vkCmdPipelineBarrier(g->readback_commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &after, 0, NULL, 0,
                             NULL);
  PM_TRY(pm_gpu_commands_end(d, g->readback_commands));
  g->readback_rows = n;
  return PM_OK;
}

// The measured rate of one submission moves the recording's: down at once, up by at most a factor of two.
static void measure(pm_gpu_recording *r, double cost, double seconds) {
  if (cost <= 0 || seconds <= 0) return;
  double rate = cost / seconds;
  r->rate = rate < 2 * r->rate ? rate : 2 * r->rate;
}

// Submits pieces [0, n) in order, as many at once as should pass in submit_seconds; two submissions are under way at a time.
static pm_status run_pieces(pm_gpu *g, pm_gpu_recording *r, uint32_t n) {
  struct {
    uint64_t ticket;
    double cost;
  } before = {0};
  double since = pm_clock_seconds();
  for (uint32_t first = 0, end; first < n || before.ticket; first = end) {
    double cost = 0, limit = r->rate * g->submit_seconds;
    for (end = first; end < n && (end == first || !r->costs[end] || cost + r->costs[end] <= limit); end++) cost += r->costs[end];
    if (end > first) {
      PM_TRY(pm_gpu_submit(&g->device, r->pieces + first, end - first));
      g->counters.submissions++;
    }
    if (before.ticket) {
      PM_TRY(pm_gpu_wait(&g->device, before.ticket));
      double now = pm_clock_seconds();
      measure(r, before.cost, now - since);
      since = now;
    }
    before.ticket = end > first ? g->device.ticket : 0;
    before.cost = cost;
  }
  return PM_OK;
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
  write_step(g, step);
  uint32_t n = r->n_piece;
  if (step->n_logit && g->program->logits) {
    PM_TRY(record_readback(g, step->n_logit));
    r->pieces[n] = g->readback_commands;
    r->costs[n++] = 0;
  }
  PM_TRY(run_pieces(g, r, n));
  g->counters.steps++;
  g->counters.dispatches += r->n_dispatch;
  g->counters.barriers += r->n_barrier;
  return PM_OK;
}
