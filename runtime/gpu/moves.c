#include "moves.h"

#include <float.h>
#include <stdio.h>

#include "board.h"
#include "clock.h"
#include "ops.h"

// ---- lanes ----

static const pm_tensor *lane_list(pm_gpu_recorder *r, uint32_t lane) {
  char name[32];
  snprintf(name, sizeof name, "moves.%u", lane);
  return pm_gpu_temp(r, name, PM_FILL_WORDS(PM_GPU_LANE_MOVES));
}

void pm_gpu_moves_plan(pm_gpu_recorder *r) {
  for (uint32_t lane = 0; r->boards->plan && lane < PM_GPU_LANES; lane++) lane_list(r, lane);
}

static uint64_t list_at(const pm_gpu_boards *b, uint32_t lane) { return b->lists_at + 4ull * lane * PM_FILL_WORDS(PM_GPU_LANE_MOVES); }

static pm_status record_lane(pm_gpu_moves *m, pm_gpu_recorder *r, uint32_t lane) {
  const pm_gpu_boards *b = r->boards;
  for (uint32_t i = b->program->n_table; i-- > 0;) {  // the first table of a class comes last, and stays
    pm_gpu_recording *out = &m->lanes[lane].commands[b->tables[i].class];
    if (!b->tables[i].moves || out->n_piece) continue;
    pm_status status = pm_gpu_record_move(r, b->program->tables[i], lane_list(r, lane), PM_GPU_LANE_MOVES, list_at(b, lane), out);
    if (status) return pm_gpu_recording_finish(r->device, out), status;
  }
  return PM_OK;
}

pm_status pm_gpu_moves_record(pm_gpu_moves *m, pm_gpu_recorder *r) {
  r->pool = r->device->side_pool;
  r->piece_cost = DBL_MAX;
  for (uint32_t lane = 0; lane < PM_GPU_LANES; lane++) PM_TRY(record_lane(m, r, lane));
  return PM_OK;
}

pm_status pm_gpu_moves_init(pm_gpu_moves *m, pm_gpu_recorder *r) {
  *m = (pm_gpu_moves){0};
  PM_TRY(pm_gpu_timeline_init(r->device, &m->passed));
  return pm_gpu_moves_record(m, r);
}

static void drop_lanes(pm_gpu_device *d, pm_gpu_moves *m) {
  for (uint32_t lane = 0; lane < PM_GPU_LANES; lane++)
    for (uint32_t c = 0; c < PM_EXPERT_CLASSES; c++) pm_gpu_recording_finish(d, &m->lanes[lane].commands[c]);
}

void pm_gpu_moves_finish(pm_gpu_device *d, pm_gpu_moves *m) {
  drop_lanes(d, m);
  d->fn.vkDestroySemaphore(d->handle, m->passed, NULL);
  *m = (pm_gpu_moves){0};
}

// ---- moves ----

// Behind every step that was submitted, which may read what the slots hold now.
static pm_status submit(pm_gpu_device *d, pm_gpu_moves *m, VkCommandBuffer commands) {
  static const VkPipelineStageFlags stages = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
  uint64_t ticket = m->ticket + 1;
  VkTimelineSemaphoreSubmitInfo values = {.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
                                          .waitSemaphoreValueCount = 1,
                                          .pWaitSemaphoreValues = &d->ticket,
                                          .signalSemaphoreValueCount = 1,
                                          .pSignalSemaphoreValues = &ticket};
  VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                       .pNext = &values,
                       .waitSemaphoreCount = 1,
                       .pWaitSemaphores = &d->timeline,
                       .pWaitDstStageMask = &stages,
                       .commandBufferCount = 1,
                       .pCommandBuffers = &commands,
                       .signalSemaphoreCount = 1,
                       .pSignalSemaphores = &m->passed};
  PM_GPU(d, d->fn.vkQueueSubmit(d->side_queue, 1, &info, VK_NULL_HANDLE), "vkQueueSubmit");
  m->ticket = ticket;
  m->submitted = pm_clock_seconds();
  return PM_OK;
}

pm_status pm_gpu_moves_forget(pm_gpu_device *d, pm_gpu_moves *m) {
  PM_TRY(pm_gpu_timeline_wait(d, m->passed, m->ticket));
  drop_lanes(d, m);
  return PM_OK;
}

// The first moves of a list that one lane takes: of one class.
static pm_status submit_some(pm_gpu_device *d, pm_gpu_moves *m, const pm_gpu_boards *b, const pm_gpu_plan *plan,
                             const pm_expert_move *moves, uint32_t *n) {
  uint32_t lane = m->next, class = b->tables[moves->table].class, taken = 0;
  PM_TRY(pm_gpu_timeline_wait(d, m->passed, m->lanes[lane].ticket));
  uint32_t *words = (uint32_t *)(void *)(b->words.mapped + list_at(b, lane));
  for (; taken < *n && taken < PM_GPU_LANE_MOVES && b->tables[moves[taken].table].class == class; taken++) {
    pm_gpu_entry home = plan->classes[class].homes[moves[taken].home], slot = plan->classes[class].records[moves[taken].slot];
    const uint32_t fill[] = {home.arena, home.unit, slot.arena, slot.unit};
    for (int i = 0; i < 4; i++) words[1 + 4 * taken + i] = fill[i];
  }
  words[0] = *n = taken;
  PM_TRY(submit(d, m, m->lanes[lane].commands[class].pieces[0].commands));
  m->lanes[lane].ticket = m->ticket;
  m->next = (lane + 1) % PM_GPU_LANES;
  return PM_OK;
}

// Moves that went before the one that failed pass; steps are ordered behind them.
static pm_status settle(pm_gpu_device *d, pm_gpu_moves *m, pm_status status) {
  char message[512];
  snprintf(message, sizeof message, "%s", pm_fail_message());
  if (!d->broken && pm_gpu_timeline_wait(d, m->passed, m->ticket) == PM_OK) m->seen = m->ticket;
  return pm_fail(status, "%s", message);
}

pm_status pm_gpu_moves_submit(pm_gpu_device *d, pm_gpu_moves *m, const pm_gpu_boards *b, const pm_gpu_plan *plan,
                              const pm_expert_move *moves, uint32_t n) {
  for (uint32_t first = 0, some; first < n; first += some) {
    some = n - first;
    pm_status status = submit_some(d, m, b, plan, moves + first, &some);
    if (status) return settle(d, m, status);
  }
  return PM_OK;
}

bool pm_gpu_moves_passed(pm_gpu_device *d, pm_gpu_moves *m, uint64_t ticket) {
  uint64_t now = 0;
  VkResult result = d->broken ? VK_SUCCESS : d->fn.vkGetSemaphoreCounterValue(d->handle, m->passed, &now);
  if (result == VK_SUCCESS && now < ticket && pm_clock_seconds() > m->submitted + pm_gpu_answer_seconds(d)) result = VK_TIMEOUT;
  if (result) (void)!pm_gpu_device_fail(d, result, "vkGetSemaphoreCounterValue");
  if (d->broken) return true;
  if (now < ticket) return false;
  if (ticket > m->seen) m->seen = ticket;
  return true;
}
