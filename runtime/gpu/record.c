#include "record.h"

#include <stdio.h>
#include <string.h>

#include "memory.h"
#include "place.h"
#include "recorder.h"

// ---- errors ----

static void latch(pm_gpu_recorder *r, pm_status status) {
  if (r->error || status == PM_OK) return;
  r->error = status;
  snprintf(r->message, sizeof r->message, "%s", pm_fail_message());
}

void pm_gpu_record_fail(pm_gpu_recorder *r, pm_status status) { latch(r, status); }

static pm_status check_dispatch(const pm_gpu_recorder *r, const pm_gpu_dispatch *d, const pm_gpu_spirv *kernel) {
  if (!kernel) PM_FAIL(PM_ERR_UNSUPPORTED, "kernel %s was not built, or needs a feature that this device lacks", d->kernel);
  if (d->push_bytes > PM_GPU_PUSH_BYTES || d->push_bytes % 4)
    PM_FAIL(PM_ERR_ARGUMENT, "kernel %s: %u bytes of push constants, %u at most", d->kernel, d->push_bytes, (unsigned)PM_GPU_PUSH_BYTES);
  if (!d->n_constant || d->constants[0] > r->device->probe.traits.max_invocations)
    PM_FAIL(PM_ERR_ARGUMENT, "kernel %s: workgroups of %u, at most %u on this device", d->kernel, d->n_constant ? d->constants[0] : 0,
            r->device->probe.traits.max_invocations);
  for (int i = 0; i < 3; i++)
    if (d->groups[i] > r->device->probe.max_groups)
      PM_FAIL(PM_ERR_UNSUPPORTED, "kernel %s: %u workgroups, at most %u on this device", d->kernel, d->groups[i],
              r->device->probe.max_groups);
  if (r->hazards.n_next == PM_GPU_HAZARD_TENSORS) PM_FAIL(PM_ERR_ARGUMENT, "kernel %s touches too many tensors", d->kernel);
  return PM_OK;
}

// ---- what recorders ask ----

const pm_gpu_traits *pm_gpu_traits_of(const pm_gpu_recorder *r) { return &r->device->probe.traits; }

bool pm_gpu_has(const pm_gpu_recorder *r, const char *kernel) { return pm_gpu_kernel_find(r->device, kernel) != NULL; }

uint32_t pm_gpu_rows(const pm_gpu_recorder *r, pm_rows rows) { return rows == PM_ROWS_ALL ? r->out->rows : r->out->logits; }

uint32_t pm_gpu_table_first(const pm_gpu_recorder *r, const pm_expert_table *t) {
  uint32_t i = 0;
  while (i < r->program->n_table && r->program->tables[i] != t) i++;
  return pm_gpu_plan_first_entry(r->program, i);
}

static pm_status add_temp(pm_gpu_temps *temps, const char *name, uint64_t values, pm_tensor **out) {
  if (temps->n == temps->capacity) {
    uint32_t wanted = temps->capacity ? 2 * temps->capacity : 16;
    pm_tensor **bigger = pm_realloc(temps->items, wanted * sizeof *bigger);
    if (!bigger) PM_FAIL(PM_ERR_MEMORY, "out of memory: list of temporaries");
    temps->items = bigger, temps->capacity = wanted;
  }
  pm_tensor *t = pm_arena_alloc(&temps->arena, sizeof *t);
  char *kept = pm_arena_strdup(&temps->arena, name);
  if (!t || !kept) PM_FAIL(PM_ERR_MEMORY, "out of memory: temporary %s", name);
  *t = (pm_tensor){.name = kept, .role = PM_ROLE_SCRATCH, .type = PM_TYPE_F32, .ne = {values, 1, 1}};
  *out = temps->items[temps->n++] = t;
  return PM_OK;
}

pm_tensor *pm_gpu_temp(pm_gpu_recorder *r, const char *name, uint64_t values) {
  static pm_tensor dummy;  // stands in after a failure; nothing is run then
  pm_tensor *found = NULL;
  for (uint32_t i = 0; i < r->temps->n && !found; i++)
    if (!strcmp(r->temps->items[i]->name, name)) found = r->temps->items[i];
  if (found && found->ne[0] >= values) return found;
  if (!r->dry) {
    latch(r, pm_fail(PM_ERR_ARGUMENT, "temporary %s of %llu values was not asked for in the dry run", name, (unsigned long long)values));
    return &dummy;
  }
  if (found)
    found->ne[0] = values;
  else
    latch(r, add_temp(r->temps, name, values, &found));
  return found ? found : &dummy;
}

void pm_gpu_temps_finish(pm_gpu_temps *t) {
  pm_arena_finish(&t->arena);
  pm_free(t->items);
  *t = (pm_gpu_temps){0};
}

void pm_gpu_record_read(pm_gpu_recorder *r, const pm_tensor *t) {
  if (t->role != PM_ROLE_WEIGHT) pm_gpu_hazards_add(&r->hazards, t, false);
}

void pm_gpu_record_write(pm_gpu_recorder *r, const pm_tensor *t) { pm_gpu_hazards_add(&r->hazards, t, true); }

// ---- pieces ----

static pm_status grow_pieces(pm_gpu_recording *out) {
  if (out->n_piece + 1 < out->capacity) return PM_OK;  // one slot stays free
  uint32_t wanted = out->capacity ? 2 * out->capacity : 8;
  VkCommandBuffer *pieces = pm_realloc(out->pieces, wanted * sizeof *pieces);
  if (pieces) out->pieces = pieces;
  double *costs = pm_realloc(out->costs, wanted * sizeof *costs);
  if (costs) out->costs = costs;
  if (!pieces || !costs) PM_FAIL(PM_ERR_MEMORY, "out of memory: list of command buffers");
  out->capacity = wanted;
  return PM_OK;
}

// Orders everything recorded after it behind everything before, in this and in earlier submissions.
static void record_barrier(pm_gpu_recorder *r, VkPipelineStageFlags before, VkAccessFlags writes) {
  VkMemoryBarrier memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                            .srcAccessMask = writes,
                            .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT};
  r->device->fn.vkCmdPipelineBarrier(r->commands, before, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0, 1, &memory, 0, NULL, 0, NULL);
  r->out->n_barrier++;
}

static pm_status begin_piece(pm_gpu_recorder *r) {
  if (r->commands) return PM_OK;
  PM_TRY(grow_pieces(r->out));
  PM_TRY(pm_gpu_commands_begin(r->device, &r->commands));
  r->out->pieces[r->out->n_piece] = r->commands;
  r->out->costs[r->out->n_piece] = 0;
  r->out->n_piece++;
  r->bound = VK_NULL_HANDLE;
  r->device->fn.vkCmdBindDescriptorSets(r->commands, VK_PIPELINE_BIND_POINT_COMPUTE, r->pipelines->layout, 0, 1, &r->set, 0, NULL);
  if (r->out->n_piece == 1)  // the step before, and what the host sent since
    record_barrier(r, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
                   VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT);
  return PM_OK;
}

static pm_status end_piece(pm_gpu_recorder *r) {
  if (!r->commands) return PM_OK;
  VkCommandBuffer commands = r->commands;
  r->commands = NULL;
  return pm_gpu_commands_end(r->device, commands);
}

static pm_status record(pm_gpu_recorder *r, const pm_gpu_dispatch *d, const pm_gpu_spirv *kernel) {
  const struct VolkDeviceTable *fn = &r->device->fn;
  VkPipeline pipeline;
  PM_TRY(pm_gpu_pipelines_get(r->device, r->pipelines, kernel, d->constants, d->n_constant, &pipeline));
  PM_TRY(begin_piece(r));
  bool hazard = pm_gpu_hazards_flush(&r->hazards);
  if (hazard || r->device->vk.messenger)  // the validation layer sees buffers, not the tensors in them: each dispatch alone
    record_barrier(r, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_WRITE_BIT);
  if (pipeline != r->bound) fn->vkCmdBindPipeline(r->commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
  r->bound = pipeline;
  if (d->push_bytes) fn->vkCmdPushConstants(r->commands, r->pipelines->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, d->push_bytes, d->push);
  fn->vkCmdDispatch(r->commands, d->groups[0], d->groups[1], d->groups[2]);
  r->out->n_dispatch++;
  double *cost = &r->out->costs[r->out->n_piece - 1];
  *cost += d->cost;
  return *cost >= r->piece_cost ? end_piece(r) : PM_OK;
}

void pm_gpu_record_dispatch(pm_gpu_recorder *r, const pm_gpu_dispatch *d) {
  if (r->error) return;
  const pm_gpu_spirv *kernel = pm_gpu_kernel_find(r->device, d->kernel);
  latch(r, check_dispatch(r, d, kernel));
  if (r->error) return;
  if (!r->dry) {
    latch(r, record(r, d, kernel));
    return;
  }
  r->hazards = (pm_gpu_hazards){0};
  if (r->want) latch(r, pm_gpu_pipelines_want(r->pipelines, kernel, d->constants, d->n_constant));
}

// ---- programs ----

static pm_status run_ops(pm_gpu_recorder *r, uint32_t rows, uint32_t logits, pm_gpu_recording *out) {
  *out = (pm_gpu_recording){.rows = rows, .logits = logits};
  r->out = out;
  r->commands = NULL;
  r->hazards = (pm_gpu_hazards){0};
  r->error = PM_OK;
  for (uint32_t i = 0; i < r->program->n_op && !r->error; i++) {
    const pm_op *op = &r->program->ops[i];
    pm_gpu_op_table[op->kind](r, op);
    if (r->error) return pm_fail(r->error, "layer %d, %s: %s", (int)op->layer, pm_op_name(op->kind), r->message);
  }
  return PM_OK;
}

pm_status pm_gpu_record_dry(pm_gpu_recorder *r, uint32_t rows, uint32_t logits) {
  pm_gpu_recording nothing;
  r->dry = true;
  return run_ops(r, rows, logits, &nothing);
}

pm_status pm_gpu_record_program(pm_gpu_recorder *r, uint32_t rows, uint32_t logits, pm_gpu_recording *out) {
  r->dry = false;
  PM_TRY(run_ops(r, rows, logits, out));
  return end_piece(r);
}

void pm_gpu_recording_finish(pm_gpu_device *d, pm_gpu_recording *out) {
  pm_gpu_commands_free(d, out->pieces, out->n_piece);
  pm_free(out->pieces);
  pm_free(out->costs);
  *out = (pm_gpu_recording){0};
}
