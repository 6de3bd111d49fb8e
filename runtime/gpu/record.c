#include "record.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "board.h"
#include "memory.h"
#include "ops.h"
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

static uint32_t table_index(const pm_gpu_recorder *r, const pm_expert_table *t) {
  uint32_t i = 0;
  while (i < r->program->n_table && r->program->tables[i] != t) i++;
  return i;
}

bool pm_gpu_board_find(const pm_gpu_recorder *r, const pm_expert_table *t, pm_gpu_board *out) {
  const pm_gpu_boards *b = r->boards;
  uint32_t i = table_index(r, t);
  if (!b || !b->plan || !b->tables[i].moves) return false;
  const pm_gpu_table *table = &b->tables[i];
  bool few = r->out->rows <= PM_EXPERT_FEW_ROWS, ahead = pm_gpu_boards_ahead(b, r->out->rows);
  *out = (pm_gpu_board){
      .at = table->board_at,
      .max_victim = table->glu->ids.n,
      .answer_at = b->answer_at,
      .index = i,
      .wave = table->wave,
      .n_half = table->n_half,
      .n_wave = few ? 0 : pm_gpu_boards_waves(b, i, ahead ? t->n_expert : r->out->rows * table->glu->ids.n),
      .few = few,
      .ahead = ahead,
      .paced = !few && b->plan->host.send,
      .slots = few ? b->slots[table->class] : NULL,
      .entries = &table->entries,
  };
  return true;
}

const pm_expert_table *pm_gpu_next_table(const pm_gpu_recorder *r, const pm_expert_table *t) {
  if (!r->boards || !r->boards->plan) return NULL;
  uint32_t i = pm_gpu_boards_next(r->boards, t ? table_index(r, t) + 1 : 0);
  return i < r->program->n_table ? r->program->tables[i] : NULL;
}

uint32_t pm_gpu_table_first(const pm_gpu_recorder *r, const pm_expert_table *t) {
  return pm_gpu_plan_first_entry(r->program, table_index(r, t));
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
  if (out->n_piece < out->capacity) return PM_OK;
  uint32_t wanted = out->capacity ? 2 * out->capacity : 8;
  pm_gpu_piece *pieces = pm_realloc(out->pieces, wanted * sizeof *pieces);
  if (!pieces) PM_FAIL(PM_ERR_MEMORY, "out of memory: list of command buffers");
  out->pieces = pieces, out->capacity = wanted;
  return PM_OK;
}

static pm_gpu_piece *last_piece(const pm_gpu_recorder *r) { return &r->out->pieces[r->out->n_piece - 1]; }

// Orders everything recorded after it behind everything before, in this and in earlier submissions.
static void record_barrier(pm_gpu_recorder *r, VkPipelineStageFlags before, VkAccessFlags writes) {
  VkMemoryBarrier memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                            .srcAccessMask = writes,
                            .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT};
  r->device->fn.vkCmdPipelineBarrier(r->commands, before, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0, 1, &memory, 0, NULL, 0, NULL);
  last_piece(r)->n_barrier++;
}

// Orders everything, copies and the host's accesses too.
static void record_full_barrier(pm_gpu_recorder *r) {
  const VkPipelineStageFlags stages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT | VK_PIPELINE_STAGE_HOST_BIT;
  VkMemoryBarrier memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                            .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT | VK_ACCESS_HOST_WRITE_BIT,
                            .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_READ_BIT |
                                             VK_ACCESS_TRANSFER_WRITE_BIT | VK_ACCESS_HOST_READ_BIT};
  r->device->fn.vkCmdPipelineBarrier(r->commands, stages, stages, 0, 1, &memory, 0, NULL, 0, NULL);
  last_piece(r)->n_barrier++;
}

static pm_status begin_piece(pm_gpu_recorder *r) {
  if (r->commands) return PM_OK;
  PM_TRY(grow_pieces(r->out));
  PM_TRY(pm_gpu_commands_begin(r->device, r->pool, &r->commands));
  r->out->pieces[r->out->n_piece++] = (pm_gpu_piece){.commands = r->commands, .when = r->when, .table = r->table, .wave = r->wave};
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
  last_piece(r)->n_dispatch++;
  last_piece(r)->cost += d->cost;
  return last_piece(r)->cost >= r->piece_cost ? end_piece(r) : PM_OK;
}

static bool is_gate(pm_gpu_when when) { return when > PM_GPU_LAST; }
static bool is_wave(pm_gpu_when when) { return when && !is_gate(when); }

// From wave to wave, fences order what follows another (ops_experts.c), and who takes one has taken those before; but after them it is not
// known which were taken.
static pm_status turn(pm_gpu_recorder *r, pm_gpu_when when, uint32_t table, uint32_t wave) {
  bool goes_on = is_wave(r->when) && is_wave(when);
  if (is_gate(r->when)) {
    PM_TRY(begin_piece(r));
    record_full_barrier(r);
    r->hazards = r->before;
  } else if (r->when && !goes_on) {
    pm_gpu_hazards_join(&r->hazards, &r->before);
  }
  PM_TRY(end_piece(r));
  if (!goes_on) r->before = r->hazards;
  r->when = when, r->table = table, r->wave = wave;
  if (!is_gate(when)) return PM_OK;
  PM_TRY(begin_piece(r));
  record_full_barrier(r);
  return PM_OK;
}

void pm_gpu_record_when(pm_gpu_recorder *r, pm_gpu_when when, const pm_expert_table *t, uint32_t wave) {
  if (!r->error && !r->dry && (when || r->when)) latch(r, turn(r, when, table_index(r, t), wave));
}

void pm_gpu_record_fence(pm_gpu_recorder *r) {
  if (r->error || r->dry) return;
  latch(r, begin_piece(r));
  if (r->error) return;
  record_barrier(r, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_WRITE_BIT);
  r->hazards = (pm_gpu_hazards){0};
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
  r->cost += d->cost;
  if (r->want) latch(r, pm_gpu_pipelines_want(r->pipelines, kernel, d->constants, d->n_constant));
}

// ---- asking the host ----

// Rows of n values of a dense view to the buffer of choices.
static void record_copy(pm_gpu_recorder *r, const pm_view *v, uint64_t to) {
  VkBufferCopy region = {.srcOffset = v->tensor->place.offset, .dstOffset = to, .size = 4ull * r->out->rows * v->n};
  r->device->fn.vkCmdCopyBuffer(r->commands, r->scratch, r->boards->choice.handle, 1, &region);
}

// What the host needs to know when a table's choice is made: of few rows also what it computes from.
static void record_ask(pm_gpu_recorder *r, const pm_expert_table *t) {
  pm_gpu_board board;
  if (r->error || r->dry || !pm_gpu_board_find(r, t, &board) || board.ahead) return;
  const pm_gpu_table *table = &r->boards->tables[table_index(r, t)];
  pm_gpu_record_when(r, PM_GPU_ASKED, t, 0);
  if (r->error) return;
  record_copy(r, &table->glu->ids, table->chosen_at);
  if (board.few) {
    record_copy(r, &table->down->weights, r->boards->weights_at);
    record_copy(r, &table->glu->x, r->boards->x_at);
  }
  pm_gpu_record_when(r, PM_GPU_WAITED, t, 0);
  pm_gpu_record_when(r, PM_GPU_ALWAYS, t, 0);
}

static void record_answer(pm_gpu_recorder *r, const pm_op_experts_down *a) {
  pm_gpu_board board;
  if (!pm_gpu_board_find(r, a->experts, &board) || !board.few) return;
  pm_gpu_record_when(r, PM_GPU_JOINED, a->experts, 0);
  pm_gpu_record_join(r, a->experts, &a->y);
  pm_gpu_record_when(r, PM_GPU_ALWAYS, a->experts, 0);
}

// ---- programs ----

static void begin(pm_gpu_recorder *r, uint32_t rows, uint32_t logits, pm_gpu_recording *out) {
  *out = (pm_gpu_recording){.pool = r->pool, .rows = rows, .logits = logits, .ahead = r->boards && pm_gpu_boards_ahead(r->boards, rows)};
  r->out = out;
  r->commands = NULL;
  r->hazards = (pm_gpu_hazards){0};
  r->error = PM_OK;
  r->when = PM_GPU_ALWAYS;
}

static pm_status run_ops(pm_gpu_recorder *r, uint32_t rows, uint32_t logits, pm_gpu_recording *out) {
  begin(r, rows, logits, out);
  pm_gpu_record_ahead(r);
  for (uint32_t i = 0; i < r->program->n_op && !r->error; i++) {
    const pm_op *op = &r->program->ops[i];
    if (op->kind == PM_OP_EXPERTS_GLU) record_ask(r, op->experts_glu.experts);
    pm_gpu_op_table[op->kind](r, op);
    if (op->kind == PM_OP_EXPERTS_DOWN) record_answer(r, &op->experts_down);
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

pm_status pm_gpu_record_ops(pm_gpu_recorder *r, const pm_op *const *ops, uint32_t n_op, uint32_t rows, pm_gpu_recording *out) {
  r->piece_cost = INFINITY;
  begin(r, rows, 1, out);
  for (uint32_t i = 0; i < n_op && !r->error; i++) {
    pm_gpu_record_fence(r);
    pm_gpu_op_table[ops[i]->kind](r, ops[i]);
  }
  PM_TRY(r->dry ? PM_OK : end_piece(r));
  return r->error ? pm_fail(r->error, "%s", r->message) : PM_OK;
}

pm_status pm_gpu_record_move(pm_gpu_recorder *r, const pm_expert_table *t, const pm_tensor *fills, uint32_t n_fill, uint64_t list_at,
                             pm_gpu_recording *out) {
  VkBufferCopy list = {.srcOffset = list_at, .dstOffset = fills->place.offset, .size = 4ull * PM_FILL_WORDS(n_fill)};
  begin(r, 1, 1, out);
  PM_TRY(begin_piece(r));
  record_full_barrier(r);
  r->device->fn.vkCmdCopyBuffer(r->commands, r->boards->words.handle, r->scratch, 1, &list);
  record_full_barrier(r);
  pm_gpu_record_fills(r, t, fills, n_fill);
  if (r->error) return pm_fail(r->error, "%s", r->message);
  record_full_barrier(r);
  return end_piece(r);
}

void pm_gpu_recording_finish(pm_gpu_device *d, pm_gpu_recording *out) {
  for (uint32_t i = 0; i < out->n_piece; i++) pm_gpu_commands_free(d, out->pool, out->pieces[i].commands);
  pm_free(out->pieces);
  *out = (pm_gpu_recording){0};
}
