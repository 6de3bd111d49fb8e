#include "gpu.h"

#include <stdio.h>
#include <string.h>

#include "memory.h"
#include "thread.h"
#include "tune.h"

static const double piece_cost = 128 << 20, submit_seconds = 0.1;
static const uint64_t staging_half = 8u << 20, staging_half_mapped = 1u << 20;  // the latter only reads

static void drop_recordings(pm_gpu *g) {
  for (uint32_t i = 0; i < 2 * PM_GPU_BUCKETS; i++)
    pm_gpu_recording_finish(&g->device, &g->recordings[i / PM_GPU_BUCKETS][i % PM_GPU_BUCKETS]);
}

static void destroy(pm_backend *b) {
  pm_gpu *g = (pm_gpu *)b;
  pm_gpu_device *d = &g->device;
  if (d->handle) {
    d->fn.vkDeviceWaitIdle(d->handle);
    drop_recordings(g);
    if (g->descriptors) d->fn.vkDestroyDescriptorPool(d->handle, g->descriptors, NULL);
    pm_gpu_transfer_finish(d, &g->transfer);
    pm_gpu_gates_finish(d, &g->gates);
    pm_gpu_moves_finish(d, &g->moves);
    for (uint32_t i = 0; i < PM_GPU_ARENAS; i++) pm_gpu_buffer_finish(d, &g->weights[i]);
    for (uint32_t i = 0; i < PM_GPU_KV_ARENAS; i++) pm_gpu_buffer_finish(d, &g->kv[i]);
    pm_gpu_buffer *rest[] = {&g->scratch, &g->tables, &g->step, &g->readback};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) pm_gpu_buffer_finish(d, rest[i]);
    pm_gpu_pipelines_finish(d, &g->pipelines);
  }
  pm_gpu_boards_finish(d, &g->boards);
  pm_gpu_run_finish(&g->step_run);
  pm_gpu_device_finish(d);
  pm_gpu_plan_finish(&g->plan);
  pm_gpu_temps_finish(&g->temps);
  pm_free(g);
}

// ---- load ----

// Every kind of recording once, dry: finds the temporaries' sizes, whether each kernel is there, and (want) what record_common will need.
static pm_status record_dry(pm_gpu *g, const pm_program *p, bool want) {
  pm_gpu_recorder r = {.device = &g->device, .pipelines = &g->pipelines, .program = p, .temps = &g->temps, .boards = &g->boards};
  r.only = g->only_row ? &g->forced_row : NULL;
  for (uint64_t n = 1; n < 2ull * p->max_rows; n *= 2) {
    uint32_t rows = pm_gpu_bucket_rows(p, n < p->max_rows ? (uint32_t)n : p->max_rows);
    r.want = want && (rows == 1 || rows == p->max_rows);
    PM_TRY(pm_gpu_record_dry(&r, rows, 1));
    r.want = false;
    PM_TRY(pm_gpu_record_dry(&r, rows, pm_gpu_bucket_logits(p, rows, rows)));
  }
  for (uint32_t row = 0; g->tuning == PM_TUNING_ROOM && row < pm_gpu_pick_count(); row++) {
    r.only = &row;
    if (pm_gpu_record_dry(&r, 1, 1)) continue;  // a row that cannot serve will not be tried either
  }
  r.only = NULL;
  pm_gpu_moves_plan(&r);
  return PM_OK;
}

static uint64_t staging_bytes(const pm_gpu *g) {
  bool mapped = pm_gpu_memory_is_mapped(&g->device, PM_GPU_DEVICE);
  uint64_t least = g->plan.largest_row > staging_half ? g->plan.largest_row : staging_half;
  return mapped ? staging_half_mapped : least;
}

static uint64_t readback_bytes(const pm_gpu *g) { return g->program->logits ? pm_tensor_bytes(g->program->logits) : 0; }

static double gib(uint64_t bytes) { return (double)bytes / (double)(1u << 30); }

static uint64_t min64(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint32_t heap_of(const pm_gpu *g, pm_gpu_use use) {
  return g->device.memory.memoryTypes[pm_gpu_memory_type(&g->device, use)].heapIndex;
}

// What may be taken of the heap of a use. The lock is held.
static uint64_t room_for(const pm_gpu *g, pm_gpu_use use) {
  uint64_t size = g->device.memory.memoryHeaps[heap_of(g, use)].size, room = pm_gpu_heap_free(&g->device.probe, heap_of(g, use));
  uint64_t margin = min64(size / 16, 256u << 20);  // for the driver and the desktop
  if (use == PM_GPU_DEVICE && g->memory_limit) return min64(g->memory_limit, size);
  return room > margin ? room - margin : 0;
}

// Nothing is allocated unless all of it fits. The lock is held.
static pm_status check_room(pm_gpu *g) {
  uint64_t weights = pm_gpu_packed(&g->plan.weights) + pm_gpu_packed(&g->plan.slots), kv = pm_gpu_packed(&g->plan.kv);
  const uint64_t needed[PM_GPU_USE_COUNT] = {
      [PM_GPU_DEVICE] = weights + kv + g->plan.scratch_bytes + g->plan.n_entry * sizeof *g->plan.entries,
      [PM_GPU_STEP] = g->plan.step_bytes + g->boards.board_bytes,
      [PM_GPU_HOST] = 2 * staging_bytes(g) + readback_bytes(g) + g->boards.choice_bytes + pm_gpu_packed(&g->plan.homes),
  };
  for (int u = 0; u < PM_GPU_USE_COUNT; u++) {
    uint64_t all = 0, room = room_for(g, u);
    for (int other = 0; other < PM_GPU_USE_COUNT; other++)
      all += heap_of(g, other) == heap_of(g, u) && !(u == PM_GPU_DEVICE && g->memory_limit && other != u) ? needed[other] : 0;
    if (all > room)
      PM_FAIL(PM_ERR_MEMORY,
              "this needs %.2f GiB of memory on \"%s\" (weights %.2f, cache %.2f, scratch %.2f, experts in the machine's memory %.2f), of "
              "which %.2f GiB are available: use a smaller model, a shorter context, or the CPU",
              gib(all), g->device.probe.info.name, gib(weights), gib(kv), gib(g->plan.scratch_bytes), gib(pm_gpu_packed(&g->plan.homes)),
              gib(room));
  }
  return PM_OK;
}

static pm_gpu_bounds bounds_of(const pm_gpu *g) { return (pm_gpu_bounds){g->device.probe.max_buffer, g->device.probe.traits.home_arenas}; }

// The plan of a program none of whose experts has a place yet, with the scratch and the boards of as large a ring as is of use.
static pm_status plan_bare(pm_gpu *g, pm_program *p, pm_expert_plan *bare) {
  for (uint32_t i = 0; i < p->n_table; i++) bare->classes[bare->class_of[i]].n_ring = 2 * p->tables[i]->n_expert;
  bare->ahead_rows = 1;
  PM_TRY(pm_gpu_boards_init(&g->boards, p, bare));
  PM_TRY(record_dry(g, p, false));
  for (uint32_t c = 0; c < bare->n_class; c++) bare->classes[c].n_ring = 0;
  return pm_gpu_plan_init(&g->plan, p, bare, g->temps.items, g->temps.n, bounds_of(g));
}

static pm_status needs(pm_backend *b, pm_program *p, pm_backend_needs *out) {
  pm_gpu *g = (pm_gpu *)b;
  uint32_t *class_of;
  if (g->program) PM_FAIL(PM_ERR_ARGUMENT, "this backend has a program already");
  PM_TRY(pm_gpu_device_check(&g->device));
  PM_TRY(pm_program_check(p));
  PM_NEW(&class_of, p->n_table, "classes of experts");
  pm_expert_plan bare = {.n_class = pm_program_expert_classes(p, class_of), .class_of = class_of};
  pm_status status = bare.n_class > PM_EXPERT_CLASSES
                         ? pm_fail(PM_ERR_UNSUPPORTED, "%u kinds of experts; at most %d", bare.n_class, PM_EXPERT_CLASSES)
                         : plan_bare(g, p, &bare);
  if (!status) {
    pm_gpu_kind kind = g->device.probe.info.kind;
    *out = (pm_backend_needs){
        .weights = pm_gpu_packed(&g->plan.weights) + g->plan.n_entry * sizeof *g->plan.entries,
        .kv = pm_gpu_packed(&g->plan.kv),
        .scratch = g->plan.scratch_bytes + g->plan.step_bytes + g->boards.board_bytes,
        .staging = 2 * staging_bytes(g) + (p->logits ? pm_tensor_bytes(p->logits) : 0) + g->boards.choice_bytes,
        .unified = kind == PM_GPU_INTEGRATED || kind == PM_GPU_SOFTWARE,
        .n_class = bare.n_class,
    };
    for (uint32_t i = p->n_table; i-- > 0;) {
      out->classes[class_of[i]].slot_bytes = pm_gpu_slot_bytes(p->tables[i]);
      out->classes[class_of[i]].home_bytes = pm_gpu_home_bytes(p->tables[i]);
    }
    pm_vk_lock(&g->device.vk);
    out->budget = room_for(g, PM_GPU_DEVICE);
    pm_vk_unlock();
  }
  pm_gpu_boards_finish(&g->device, &g->boards);
  pm_gpu_plan_finish(&g->plan);
  pm_gpu_temps_finish(&g->temps);
  pm_free(class_of);
  return status;
}

static pm_status allocate(pm_gpu *g) {
  pm_gpu_device *d = &g->device;
  const pm_gpu_plan *plan = &g->plan;
  for (uint32_t i = 0; i < plan->weights.n; i++)
    PM_TRY(pm_gpu_buffer_init(d, &g->weights[i], PM_GPU_DEVICE, plan->weights.used[i], "weights"));
  for (uint32_t i = 0; i < plan->slots.n; i++)
    PM_TRY(pm_gpu_buffer_init(d, &g->weights[plan->weights.n + i], PM_GPU_DEVICE, plan->slots.used[i], "slots of experts"));
  for (uint32_t i = 0; i < plan->kv.n; i++) PM_TRY(pm_gpu_buffer_init(d, &g->kv[i], PM_GPU_DEVICE, plan->kv.used[i], "cache"));
  PM_TRY(pm_gpu_buffer_init(d, &g->scratch, PM_GPU_DEVICE, plan->scratch_bytes, "scratch"));
  PM_TRY(pm_gpu_buffer_init(d, &g->tables, PM_GPU_DEVICE, plan->n_entry * sizeof *plan->entries, "expert tables"));
  PM_TRY(pm_gpu_buffer_init(d, &g->step, PM_GPU_STEP, plan->step_bytes, "step data"));
  PM_TRY(pm_gpu_buffer_init(d, &g->readback, PM_GPU_HOST, readback_bytes(g), "logits"));
  PM_TRY(pm_gpu_boards_allocate(d, &g->boards, plan));
  return pm_gpu_transfer_init(d, &g->transfer, staging_bytes(g));
}

enum { BESIDE_HOMES = PM_GPU_ARENAS + 1 + PM_GPU_KV_ARENAS + 1 + 1 + 1 };  // buffers of the set

// One set for everything.
static pm_status make_set(pm_gpu *g) {
  pm_gpu_device *d = &g->device;
  VkDescriptorPoolSize size = {.type = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, .descriptorCount = BESIDE_HOMES + d->probe.traits.home_arenas};
  VkDescriptorPoolCreateInfo pool = {
      .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, .maxSets = 1, .poolSizeCount = 1, .pPoolSizes = &size};
  PM_GPU(d, d->fn.vkCreateDescriptorPool(d->handle, &pool, NULL, &g->descriptors), "vkCreateDescriptorPool");
  VkDescriptorSetAllocateInfo set = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                     .descriptorPool = g->descriptors,
                                     .descriptorSetCount = 1,
                                     .pSetLayouts = &g->pipelines.set_layout};
  PM_GPU(d, d->fn.vkAllocateDescriptorSets(d->handle, &set, &g->set), "vkAllocateDescriptorSets");
  return PM_OK;
}

// Written before anything is recorded. Places without an arena point at scratch: never read, but a descriptor must be valid.
static void write_set(pm_gpu *g) {
  uint32_t n_home = g->device.probe.traits.home_arenas;
  const struct {
    const pm_gpu_buffer *buffers;
    uint32_t n;
  } bindings[] = {{g->weights, PM_GPU_ARENAS}, {&g->scratch, 1},         {g->kv, PM_GPU_KV_ARENAS}, {&g->step, 1}, {&g->tables, 1},
                  {&g->boards.words, 1},       {g->boards.homes, n_home}};
  VkDescriptorBufferInfo infos[BESIDE_HOMES + PM_GPU_HOME_ARENAS];
  VkWriteDescriptorSet writes[sizeof bindings / sizeof *bindings];
  VkDescriptorBufferInfo *next = infos;
  for (uint32_t b = 0; b < sizeof bindings / sizeof *bindings; b++) {
    writes[b] = (VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                       .dstSet = g->set,
                                       .dstBinding = b,
                                       .descriptorCount = bindings[b].n,
                                       .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                       .pBufferInfo = next};
    for (uint32_t i = 0; i < bindings[b].n; i++) {
      VkBuffer buffer = bindings[b].buffers[i].handle;
      *next++ = (VkDescriptorBufferInfo){.buffer = buffer ? buffer : g->scratch.handle, .range = VK_WHOLE_SIZE};
    }
  }
  g->device.fn.vkUpdateDescriptorSets(g->device.handle, sizeof bindings / sizeof *bindings, writes, 0, NULL);
}

// The recordings that every session uses: one token, and a full batch.
static pm_status record_common(pm_gpu *g) {
  pm_gpu_recording *r;
  PM_TRY(pm_gpu_recording_get(g, 1, 1, &r));
  PM_TRY(pm_gpu_recording_get(g, g->program->max_rows, 1, &r));
  pm_gpu_pipelines_save(&g->device, &g->pipelines);
  return PM_OK;
}

static pm_status load(pm_backend *b, pm_program *p, pm_expert_plan *experts, pm_progress_fn *progress, void *user) {
  pm_gpu *g = (pm_gpu *)b;
  pm_team *team;
  if (g->program) PM_FAIL(PM_ERR_ARGUMENT, "this backend has a program already");
  PM_TRY(pm_gpu_device_check(&g->device));
  PM_TRY(pm_program_check(p));
  g->program = p;
  PM_TRY(pm_gpu_boards_init(&g->boards, p, experts));
  PM_TRY(record_dry(g, p, true));
  PM_TRY(pm_gpu_plan_init(&g->plan, p, experts, g->temps.items, g->temps.n, bounds_of(g)));
  pm_vk_lock(&g->device.vk);
  pm_status status = check_room(g);
  pm_vk_unlock();
  PM_TRY(status);
  PM_TRY(allocate(g));
  PM_TRY(make_set(g));
  write_set(g);
  PM_TRY(pm_team_create(0, &team));
  pm_gpu_pipelines_make(&g->device, &g->pipelines, team);
  status = pm_gpu_upload(g, team, progress, user);
  pm_team_destroy(team);
  PM_TRY(status);
  PM_TRY(record_common(g));
  pm_gpu_recorder recorder = pm_gpu_recorder_of(g);
  if (experts) PM_TRY(pm_gpu_gates_init(&g->device, &g->gates));
  if (experts) PM_TRY(pm_gpu_moves_init(&g->moves, &recorder));
  return pm_gpu_device_check(&g->device);
}

// ---- steps and transfers ----

static pm_status run(pm_backend *b, const pm_step *step) {
  pm_gpu *g = (pm_gpu *)b;
  PM_TRY(pm_gpu_device_check(&g->device));
  PM_TRY(pm_gpu_run_step(g, step));
  return pm_gpu_device_check(&g->device);
}

static const float *logits(pm_backend *b) { return (const float *)(const void *)((pm_gpu *)b)->readback.mapped; }

// The buffer and offset of a range of a tensor that the host may reach.
static pm_status locate(pm_gpu *g, const pm_tensor *t, uint64_t offset, size_t bytes, const pm_gpu_buffer **buffer, uint64_t *at) {
  PM_TRY(pm_gpu_device_check(&g->device));
  if (t->role == PM_ROLE_WEIGHT) PM_FAIL(PM_ERR_ARGUMENT, "tensor %s is a weight: it cannot be read back or written", t->name);
  uint64_t size = pm_tensor_bytes(t);
  if (offset > size || bytes > size - offset)
    PM_FAIL(PM_ERR_ARGUMENT, "tensor %s has %llu bytes; the range ends at %llu", t->name, (unsigned long long)size,
            (unsigned long long)(offset + bytes));
  *buffer = t->role == PM_ROLE_KV ? &g->kv[t->place.arena] : &g->scratch;
  *at = t->place.offset + offset;
  return PM_OK;
}

static pm_status write(pm_backend *b, const pm_tensor *t, uint64_t offset, const void *src, size_t bytes) {
  pm_gpu *g = (pm_gpu *)b;
  const pm_gpu_buffer *buffer;
  uint64_t at;
  PM_TRY(locate(g, t, offset, bytes, &buffer, &at));
  PM_TRY(pm_gpu_transfer_write(&g->device, &g->transfer, buffer, at, src, bytes));
  return pm_gpu_device_check(&g->device);
}

static pm_status read(pm_backend *b, const pm_tensor *t, uint64_t offset, void *dst, size_t bytes) {
  pm_gpu *g = (pm_gpu *)b;
  const pm_gpu_buffer *buffer;
  uint64_t at;
  PM_TRY(locate(g, t, offset, bytes, &buffer, &at));
  PM_TRY(pm_gpu_transfer_read(&g->device, &g->transfer, buffer, at, dst, bytes));
  return pm_gpu_device_check(&g->device);
}

// ---- experts ----

static void *home(pm_backend *b, uint32_t class, uint32_t index) {
  pm_gpu *g = (pm_gpu *)b;
  pm_gpu_entry at = g->plan.classes[class].homes[index];
  return g->boards.homes[at.arena].mapped + 16ull * at.unit;
}

static const int32_t *chosen(pm_backend *b, uint32_t table) {
  const pm_gpu *g = (const pm_gpu *)b;
  return g->boards.plan ? pm_gpu_boards_chosen(&g->boards, table) : NULL;
}

static pm_status move(pm_backend *b, const pm_expert_move *moves, uint32_t n, uint64_t *ticket) {
  pm_gpu *g = (pm_gpu *)b;
  pm_gpu_recorder recorder = pm_gpu_recorder_of(g);
  PM_TRY(pm_gpu_device_check(&g->device));
  PM_TRY(pm_gpu_moves_record(&g->moves, &recorder));
  PM_TRY(pm_gpu_moves_submit(&g->device, &g->moves, &g->boards, &g->plan, moves, n));
  *ticket = g->moves.ticket;
  return PM_OK;
}

static bool moved(pm_backend *b, uint64_t ticket) {
  pm_gpu *g = (pm_gpu *)b;
  return pm_gpu_moves_passed(&g->device, &g->moves, ticket);
}

// Bytes of the device's memory that this process has beyond what it may.
static uint64_t find_excess(pm_gpu *g) {
  pm_vk_lock(&g->device.vk);
  pm_gpu_room room = pm_gpu_heap_room(&g->device.probe, heap_of(g, PM_GPU_DEVICE));
  pm_vk_unlock();
  return room.used > room.limit ? room.used - room.limit : 0;
}

// The set changes, so whatever was recorded with it is recorded anew when it is needed.
static pm_status give_back(pm_gpu *g, uint64_t bytes) {
  pm_gpu_device *d = &g->device;
  PM_TRY(pm_gpu_device_check(d));
  PM_TRY(pm_gpu_wait(d, d->ticket));
  PM_TRY(pm_gpu_moves_forget(d, &g->moves));
  drop_recordings(g);
  while (bytes && g->plan.slots.n) {
    pm_gpu_buffer *last = &g->weights[g->plan.weights.n + --g->plan.slots.n];
    bytes -= min64(bytes, last->bytes);
    pm_gpu_buffer_finish(d, last);
  }
  write_set(g);
  return PM_OK;
}

static pm_status shrink(pm_backend *b, uint32_t n_slot[PM_EXPERT_CLASSES]) {
  pm_gpu *g = (pm_gpu *)b;
  const pm_expert_plan *experts = g->boards.plan;
  uint64_t excess = g->plan.slots.n ? find_excess(g) : 0;
  if (excess) PM_TRY(give_back(g, excess));
  for (uint32_t c = 0; c < experts->n_class; c++) n_slot[c] = pm_gpu_plan_slots(&g->plan, experts, c);
  return PM_OK;
}

static pm_memory_use memory(const pm_backend *b) {
  const pm_gpu *g = (const pm_gpu *)b;
  return (pm_memory_use){
      .weights = pm_gpu_packed(&g->plan.weights) - g->plan.ring_bytes + g->tables.bytes,
      .kv = pm_gpu_packed(&g->plan.kv),
      .scratch = g->scratch.bytes + g->step.bytes + g->boards.words.bytes,
      .staging = g->transfer.staging.bytes + g->readback.bytes + g->boards.choice.bytes,
      .slots = g->plan.ring_bytes + pm_gpu_packed(&g->plan.slots),
      .homes = pm_gpu_packed(&g->plan.homes),
  };
}

static pm_status tune(pm_backend *b, const pm_tune_desc *desc) {
  pm_gpu *g = (pm_gpu *)b;
  if (desc->first_use && g->tuning != PM_TUNING_ROOM) return PM_OK;
  PM_TRY(pm_gpu_device_check(&g->device));
  PM_TRY(pm_gpu_wait(&g->device, g->device.ticket));
  PM_TRY(pm_gpu_tune(g, desc));
  drop_recordings(g);
  return record_common(g);
}

static pm_backend_counters counters(const pm_backend *b) { return ((const pm_gpu *)b)->counters; }

// ---- creation ----

static void describe(const pm_backend *b, char device[256], char driver[256]) {
  const pm_gpu_info *info = &((const pm_gpu *)b)->device.probe.info;
  snprintf(device, 256, "%s", info->name);
  snprintf(driver, 256, "%s", info->driver);
}

static const pm_backend_ops gpu_ops = {
    .destroy = destroy,
    .describe = describe,
    .needs = needs,
    .load = load,
    .run = run,
    .logits = logits,
    .write = write,
    .read = read,
    .home = home,
    .chosen = chosen,
    .move = move,
    .moved = moved,
    .shrink = shrink,
    .tune = tune,
    .memory = memory,
    .counters = counters,
};

static void choose_tuning(pm_gpu *g, pm_tuning wanted) {
  bool first = !g->pipelines.tuning.n_winner && g->pipelines.tuning.path && g->device.probe.info.kind != PM_GPU_SOFTWARE;
  g->pipelines.tuning.ignore_winners = wanted == PM_TUNING_OFF;
  g->tuning = wanted == PM_TUNING_FIRST ? first ? PM_TUNING_ROOM : PM_TUNING_USE : wanted;
}

pm_status pm_gpu_open(const pm_gpu_desc *desc, bool staged, pm_backend **out) {
  pm_gpu *g;
  *out = NULL;
  PM_NEW(&g, 1, "Vulkan backend");
  g->base.ops = &gpu_ops;
  g->memory_limit = desc->memory_limit;
  g->piece_cost = piece_cost;
  g->submit_seconds = submit_seconds;
  g->device.staged = staged;
  g->only_row = desc->only_row, g->forced_row = desc->only_row - 1;
  pm_status status = pm_gpu_device_init(&g->device, desc);
  if (!status) status = pm_gpu_pipelines_init(&g->device, &g->pipelines, desc->cache_dir);
  if (status) {
    destroy(&g->base);
    return status;
  }
  choose_tuning(g, desc->tuning);
  *out = &g->base;
  return PM_OK;
}

pm_status pm_gpu_create(const pm_gpu_desc *desc, pm_backend **out) { return pm_gpu_open(desc, false, out); }

// ---- what is known of a device, without a program ----

pm_status pm_gpu_forget_tuning(const pm_gpu_desc *desc) {
  pm_backend *b;
  PM_TRY(pm_gpu_create(desc, &b));
  pm_gpu *g = (pm_gpu *)b;
  g->pipelines.tuning.n_winner = 0;
  pm_status status = pm_gpu_tuning_save(&g->pipelines.tuning, &g->device);
  destroy(b);
  return status;
}

pm_status pm_gpu_keep_wrong(const pm_gpu_desc *desc, const pm_gpu_wrong *wrong, uint32_t n) {
  pm_backend *b;
  PM_TRY(pm_gpu_create(desc, &b));
  pm_gpu *g = (pm_gpu *)b;
  pm_status status = PM_OK;
  bool changes = n || g->pipelines.tuning.n_wrong;
  g->pipelines.tuning.n_wrong = 0;
  for (uint32_t i = 0; i < n && !status; i++) status = pm_gpu_tuning_set_wrong(&g->pipelines.tuning, wrong[i].row, (pm_type)wrong[i].type);
  if (!status && changes) status = pm_gpu_tuning_save(&g->pipelines.tuning, &g->device);
  destroy(b);
  return status;
}
