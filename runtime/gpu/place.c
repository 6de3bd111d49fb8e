#include "place.h"

#include "board.h"
#include "memory.h"
#include "ops.h"
#include "step.h"

static const uint64_t arena_bytes = 1u << 30;  // unless 16 of them are not enough

static uint64_t align_up(uint64_t bytes) { return (bytes + PM_GPU_ALIGN - 1) / PM_GPU_ALIGN * PM_GPU_ALIGN; }

bool pm_gpu_pack(pm_gpu_packer *p, uint64_t bytes, pm_place *place) {
  bytes = align_up(bytes);
  if (bytes > p->limit) return false;
  uint32_t a = 0;
  while (a < p->n && p->used[a] + bytes > p->limit) a++;
  if (a == p->capacity) return false;
  if (a == p->n) p->used[p->n++] = 0;
  *place = (pm_place){.arena = a, .offset = p->used[a]};
  p->used[a] += bytes;
  return true;
}

uint64_t pm_gpu_packed(const pm_gpu_packer *p) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < p->n; i++) sum += p->used[i];
  return sum;
}

uint32_t pm_gpu_plan_first_entry(const pm_program *p, uint32_t index) {
  uint32_t first = 0;
  for (uint32_t i = 0; i < index; i++) first += 3 * p->tables[i]->n_expert;
  return first;
}

bool pm_gpu_is_expert(const pm_program *p, const pm_tensor *t) {
  for (uint32_t i = 0; i < p->n_table; i++)
    if (t == p->tables[i]->gate || t == p->tables[i]->up || t == p->tables[i]->down) return true;
  return false;
}

// ---- experts ----

uint64_t pm_gpu_slot_bytes(const pm_expert_table *t) { return align_up(pm_gpu_slot_at(t, 3)); }
uint64_t pm_gpu_home_bytes(const pm_expert_table *t) { return align_up(pm_expert_bytes(t)); }

bool pm_gpu_class_moves(const pm_program *p, const pm_expert_plan *experts, uint32_t class) {
  if (!experts) return false;
  const pm_expert_class *c = &experts->classes[class];
  uint64_t n = 0;
  for (uint32_t i = 0; i < p->n_table; i++) n += experts->class_of[i] == class ? p->tables[i]->n_expert : 0;
  return c->n_slot < n || c->n_ring || c->n_home;
}

static const pm_expert_table *first_of(const pm_program *p, const pm_expert_plan *experts, uint32_t class) {
  for (uint32_t i = 0; i < p->n_table; i++)
    if (experts->class_of[i] == class) return p->tables[i];
  return NULL;
}

static bool pack_entry(pm_gpu_packer *packer, uint64_t bytes, pm_gpu_entry *entry) {
  pm_place place;
  if (!pm_gpu_pack(packer, bytes, &place)) return false;
  *entry = (pm_gpu_entry){place.arena, (uint32_t)(place.offset / 16)};
  return true;
}

// Tables that have all their experts: every matrix by itself, into the gaps that others leave.
static bool pack_resident(pm_gpu_plan *plan, const pm_program *p, const pm_expert_plan *experts) {
  pm_gpu_entry *entry = plan->entries;
  for (uint32_t i = 0; i < p->n_table; i++) {
    bool moves = experts && pm_gpu_class_moves(p, experts, experts->class_of[i]);
    for (int m = 0; m < 3; m++) {
      const pm_tensor *t = pm_expert_matrix(p->tables[i], m);
      for (uint32_t e = 0; e < p->tables[i]->n_expert; e++, entry++) {
        *entry = (pm_gpu_entry){PM_NOWHERE, 0};
        if (!moves && !pack_entry(&plan->weights, pm_gpu_slab_bytes(t->type, t->ne[0], t->ne[1]), entry)) return false;
      }
    }
  }
  return true;
}

// The ring stays whatever becomes of the slots: without it nothing can pass.
static bool pack_ring(pm_gpu_plan *plan, const pm_program *p, const pm_expert_plan *experts) {
  plan->ring_bytes = 0;
  for (uint32_t c = 0; experts && c < experts->n_class; c++) {
    if (!pm_gpu_class_moves(p, experts, c)) continue;
    uint64_t bytes = pm_gpu_slot_bytes(first_of(p, experts, c));
    uint32_t n_slot = experts->classes[c].n_slot, n_ring = experts->classes[c].n_ring;
    for (uint32_t i = 0; i < n_ring; i++)
      if (!pack_entry(&plan->weights, bytes, &plan->classes[c].records[n_slot + i])) return false;
    plan->ring_bytes += n_ring * bytes;
  }
  return true;
}

typedef struct slot_count {  // of each class
  uint64_t bytes[PM_EXPERT_CLASSES];
  uint32_t n[PM_EXPERT_CLASSES];
  uint64_t total, largest;  // bytes
} slot_count;

static slot_count count_slots(const pm_program *p, const pm_expert_plan *experts) {
  slot_count s = {0};
  for (uint32_t c = 0; experts && c < experts->n_class; c++) {
    if (!pm_gpu_class_moves(p, experts, c) || !experts->classes[c].n_slot) continue;
    s.n[c] = experts->classes[c].n_slot;
    s.bytes[c] = pm_gpu_slot_bytes(first_of(p, experts, c));
    s.total += s.n[c] * s.bytes[c];
    if (s.bytes[c] > s.largest) s.largest = s.bytes[c];
  }
  return s;
}

// Classes take turns, each by its share, so that every arena holds some of all. First fit leaves the slots of one class in order.
static bool pack_slots(pm_gpu_plan *plan, const slot_count *s) {
  uint32_t done[PM_EXPERT_CLASSES] = {0};
  for (;;) {
    uint32_t next = PM_EXPERT_CLASSES;
    for (uint32_t c = 0; c < PM_EXPERT_CLASSES; c++)
      if (done[c] < s->n[c] && (next == PM_EXPERT_CLASSES || (done[c] + 1ull) * s->n[next] < (done[next] + 1ull) * s->n[c])) next = c;
    if (next == PM_EXPERT_CLASSES) return true;
    pm_gpu_entry *entry = &plan->classes[next].records[done[next]++];
    if (!pack_entry(&plan->slots, s->bytes[next], entry)) return false;
    entry->arena += plan->weights.n;
  }
}

// In as many arenas as weights leave, and so in small ones: they are given back whole.
static bool plan_slots(pm_gpu_plan *plan, const slot_count *s, uint64_t max_buffer) {
  uint32_t n_arena = PM_GPU_ARENAS - plan->weights.n;
  plan->slots = (pm_gpu_packer){0};
  if (!s->total) return true;
  if (!n_arena || s->total / n_arena > max_buffer) return false;
  for (uint64_t limit = s->total / n_arena + s->largest;; limit *= 2) {
    if (limit > max_buffer) limit = max_buffer;
    plan->slots = (pm_gpu_packer){.limit = limit, .capacity = n_arena};
    if (pack_slots(plan, s)) return true;
    if (limit == max_buffer) return false;
  }
}

uint32_t pm_gpu_plan_slots(const pm_gpu_plan *plan, const pm_expert_plan *experts, uint32_t class) {
  uint32_t n = experts->classes[class].n_slot, end = plan->weights.n + plan->slots.n;
  while (n && plan->classes[class].records[n - 1].arena >= end) n--;
  return n;
}

static bool pack_homes(pm_gpu_plan *plan, const pm_program *p, const pm_expert_plan *experts) {
  for (uint32_t c = 0; experts && c < experts->n_class; c++)
    for (uint32_t i = 0; i < experts->classes[c].n_home; i++)
      if (!pack_entry(&plan->homes, pm_gpu_home_bytes(first_of(p, experts, c)), &plan->classes[c].homes[i])) return false;
  return true;
}

static pm_status plan_homes(pm_gpu_plan *plan, const pm_program *p, const pm_expert_plan *experts, pm_gpu_bounds bounds) {
  for (uint64_t limit = arena_bytes;; limit *= 2) {
    if (limit > bounds.max_buffer) limit = bounds.max_buffer;
    plan->homes = (pm_gpu_packer){.limit = limit, .capacity = bounds.home_arenas};
    if (pack_homes(plan, p, experts)) return PM_OK;
    if (limit == bounds.max_buffer) break;
  }
  PM_FAIL(PM_ERR_MEMORY, "the experts do not fit %u buffers of %.1f MiB of the machine's memory, which is what this device can bind",
          bounds.home_arenas, (double)bounds.max_buffer / (1 << 20));
}

static pm_status allocate_records(pm_gpu_plan *plan, const pm_expert_plan *experts) {
  for (uint32_t c = 0; experts && c < experts->n_class; c++) {
    PM_NEW(&plan->classes[c].records, (uint64_t)experts->classes[c].n_slot + experts->classes[c].n_ring, "places of slots");
    PM_NEW(&plan->classes[c].homes, experts->classes[c].n_home, "places of homes");
  }
  return PM_OK;
}

// ---- the rest ----

// Whole tensors first: records and slabs of experts are small and fill the gaps.
static bool pack_weights(pm_gpu_plan *plan, pm_program *p, const pm_expert_plan *experts) {
  for (uint32_t i = 0; i < p->n_tensor; i++) {
    pm_tensor *t = p->tensors[i];
    if (t->role != PM_ROLE_WEIGHT || pm_gpu_is_expert(p, t)) continue;
    if (!pm_gpu_pack(&plan->weights, pm_gpu_slab_bytes(t->type, t->ne[0], t->ne[1]) * t->ne[2], &t->place)) return false;
  }
  return pack_ring(plan, p, experts) && pack_resident(plan, p, experts);
}

static pm_status plan_weights(pm_gpu_plan *plan, pm_program *p, const pm_expert_plan *experts, uint64_t max_buffer) {
  for (uint32_t i = 0; i < p->n_tensor; i++) {
    const pm_tensor *t = p->tensors[i];
    if (t->role != PM_ROLE_WEIGHT) continue;
    uint64_t row = pm_gpu_slab_bytes(t->type, t->ne[0], 1), whole = row * t->ne[1] * (pm_gpu_is_expert(p, t) ? 1 : t->ne[2]);
    if (row > plan->largest_row) plan->largest_row = row;
    if (align_up(whole) > max_buffer)
      PM_FAIL(PM_ERR_UNSUPPORTED, "tensor %s takes %.1f MiB, but this device's buffers end at %.1f MiB", t->name, (double)whole / (1 << 20),
              (double)max_buffer / (1 << 20));
  }
  slot_count slots = count_slots(p, experts);
  for (uint64_t limit = arena_bytes;; limit *= 2) {
    if (limit > max_buffer) limit = max_buffer;
    plan->weights = (pm_gpu_packer){.limit = limit, .capacity = PM_GPU_ARENAS};
    if (pack_weights(plan, p, experts) && plan_slots(plan, &slots, max_buffer)) return PM_OK;
    if (limit == max_buffer) break;
  }
  PM_FAIL(PM_ERR_UNSUPPORTED, "the weights do not fit %u buffers of %.1f MiB, which is what this device can bind", (unsigned)PM_GPU_ARENAS,
          (double)max_buffer / (1 << 20));
}

static pm_status plan_kv(pm_gpu_plan *plan, pm_program *p, uint64_t max_buffer) {
  for (uint64_t limit = arena_bytes;; limit *= 2) {
    if (limit > max_buffer) limit = max_buffer;
    plan->kv = (pm_gpu_packer){.limit = limit, .capacity = PM_GPU_KV_ARENAS};
    bool fits = true;
    for (uint32_t i = 0; i < p->n_tensor && fits; i++)
      if (p->tensors[i]->role == PM_ROLE_KV) fits = pm_gpu_pack(&plan->kv, pm_tensor_bytes(p->tensors[i]), &p->tensors[i]->place);
    if (fits) return PM_OK;
    if (limit == max_buffer) break;
  }
  PM_FAIL(PM_ERR_UNSUPPORTED, "the cache does not fit %u buffers of %.1f MiB, which is what this device can bind: use a shorter context",
          (unsigned)PM_GPU_KV_ARENAS, (double)max_buffer / (1 << 20));
}

static void place_scratch(pm_gpu_plan *plan, pm_tensor *t) {
  t->place = (pm_place){.offset = plan->scratch_bytes};
  plan->scratch_bytes += align_up(pm_tensor_bytes(t));
}

static pm_status plan_scratch(pm_gpu_plan *plan, pm_program *p, pm_tensor *const *temps, uint32_t n_temp, uint64_t max_buffer) {
  for (uint32_t i = 0; i < p->n_tensor; i++)
    if (p->tensors[i]->role == PM_ROLE_SCRATCH || p->tensors[i]->role == PM_ROLE_OUTPUT) place_scratch(plan, p->tensors[i]);
  for (uint32_t i = 0; i < n_temp; i++) place_scratch(plan, temps[i]);
  if (plan->scratch_bytes > max_buffer)
    PM_FAIL(PM_ERR_UNSUPPORTED, "steps of %u rows take %.1f MiB of scratch, but this device's buffers end at %.1f MiB: use smaller batches",
            p->max_rows, (double)plan->scratch_bytes / (1 << 20), (double)max_buffer / (1 << 20));
  return PM_OK;
}

pm_status pm_gpu_plan_init(pm_gpu_plan *plan, pm_program *p, const pm_expert_plan *experts, pm_tensor *const *temps, uint32_t n_temp,
                           pm_gpu_bounds bounds) {
  *plan = (pm_gpu_plan){.n_entry = pm_gpu_plan_first_entry(p, p->n_table)};
  uint64_t max_buffer = bounds.max_buffer = bounds.max_buffer / PM_GPU_ALIGN * PM_GPU_ALIGN;
  PM_NEW(&plan->entries, plan->n_entry, "expert tables");
  PM_TRY(allocate_records(plan, experts));
  PM_TRY(plan_weights(plan, p, experts, max_buffer));
  PM_TRY(plan_homes(plan, p, experts, bounds));
  PM_TRY(plan_kv(plan, p, max_buffer));
  PM_TRY(plan_scratch(plan, p, temps, n_temp, max_buffer));
  plan->step_bytes = 4ull * PM_STEP_WORDS((uint64_t)p->max_rows, p->max_logits, p->n_rope);
  return PM_OK;
}

void pm_gpu_plan_finish(pm_gpu_plan *plan) {
  pm_free(plan->entries);
  for (uint32_t c = 0; c < PM_EXPERT_CLASSES; c++) pm_free(plan->classes[c].records), pm_free(plan->classes[c].homes);
  *plan = (pm_gpu_plan){0};
}
