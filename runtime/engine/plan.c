#include "plan.h"

#include <stdio.h>
#include <string.h>

#include "memory.h"

static const uint64_t MIB = 1u << 20;
static const double GIB = 1u << 30;
enum { MIN_CTX = 512, MIN_BATCH = 64, RING_SHARE = 8 };  // the ring takes an eighth of what experts get, if it can do with that
enum { DEFAULT_CTX = 4096, DEFAULT_BATCH = 512, MAX_BATCH = 2048, LOGITS_BYTES = 64 << 20 };
enum { ANSWER = 512, SCRATCH_SHARE = 6 };  // tokens of a usual answer; of what experts get, a sixth may become scratch of larger steps

static uint32_t min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }
static uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }

uint64_t pm_plan_total(const pm_plan_memory *m) { return m->weights + m->kv + m->scratch + m->staging + m->slots + m->ring + m->homes; }

const char *pm_plan_mode_name(pm_plan_mode mode) {
  static const char *const names[] = {"resident", "stream", "assist", "split", "processor"};
  return names[mode];
}

// ---- a plan being made ---------------------------------------------------------------------------------------------

typedef struct maker {
  const pm_plan_desc *d;
  pm_plan *plan;
  pm_backend_needs needs;
  uint64_t count[PM_EXPERT_CLASSES];  // experts of each class, over all tables
  uint32_t n_expert, n_used;          // the most of a table, and of a row's choices
  uint64_t n_all, bytes_all;          // experts, and their bytes in slots (CPU: in homes)
} maker;

static pm_status refuse(pm_plan *plan, const char *what, uint64_t wanted, uint64_t there, const char *advice) {
  plan->fits = false;
  snprintf(plan->reason, sizeof plan->reason, "%s needs %.2f GiB, %.2f GiB may be used: %s", what, (double)wanted / GIB,
           (double)there / GIB, advice);
  return PM_OK;
}

// Of what a machine has, some is left to others.
static uint64_t left_of_ram(uint64_t ram) { return ram > 1024 * MIB ? ram - ram / 16 - 512 * MIB : ram / 2; }
static uint64_t left_of_vram(uint64_t vram) { return vram - min_u64(vram / 16, 512 * MIB); }

static uint64_t limited(uint64_t budget, uint64_t limit) { return limit ? min_u64(budget, limit) : budget; }

static void get_budgets(maker *k) {
  const pm_plan_desc *d = k->d;
  pm_plan *plan = k->plan;
  bool described = !d->backend;
  if (described && !d->cpu) k->needs.budget = left_of_vram(d->machine.vram), k->needs.unified = d->machine.unified;
  plan->unified = k->needs.unified && !d->apart && !d->sim_vram && !d->cpu;
  plan->host_budget = limited(left_of_ram(d->machine.ram), d->ram_limit);
  plan->device_budget = d->cpu ? 0 : limited(limited(k->needs.budget, d->vram_limit), d->sim_vram);
  if (plan->unified) plan->device_budget = min_u64(plan->device_budget, plan->host_budget);
}

static pm_status get_needs(maker *k) {
  const pm_plan_desc *d = k->d;
  k->needs = (pm_backend_needs){0};
  if (d->backend)
    PM_TRY(d->backend->ops->needs(d->backend, d->program, &k->needs));
  else
    pm_plan_guess_needs(d->program, k->plan->class_of, d->cpu, d->expert_bits, &k->needs);
  k->bytes_all = 0;
  for (uint32_t c = 0; c < k->plan->experts.n_class; c++)
    k->bytes_all += k->count[c] * (d->cpu ? k->needs.classes[c].home_bytes : k->needs.classes[c].slot_bytes);
  get_budgets(k);
  return PM_OK;
}

static pm_status count_experts(maker *k) {
  const pm_program *p = k->d->program;
  pm_plan *plan = k->plan;
  PM_NEW(&plan->class_of, p->n_table, "classes of experts");
  plan->experts.class_of = plan->class_of;
  plan->experts.n_class = pm_program_expert_classes(p, plan->class_of);
  if (plan->experts.n_class > PM_EXPERT_CLASSES)
    PM_FAIL(PM_ERR_UNSUPPORTED, "experts of %u different sizes, at most %d were expected", plan->experts.n_class, PM_EXPERT_CLASSES);
  for (uint32_t i = 0; i < p->n_table; i++) {
    uint32_t n = p->tables[i]->n_expert;
    k->count[plan->class_of[i]] += n, k->n_all += n;
    if (n > k->n_expert) k->n_expert = n;
  }
  k->n_used = pm_plan_cost_model(p, 0).n_used;
  return PM_OK;
}

// ---- dividing memory among the classes -----------------------------------------------------------------------------

typedef struct share {
  uint64_t bytes[PM_EXPERT_CLASSES];  // of one record
  uint32_t n[PM_EXPERT_CLASSES];      // records, the result
} share;

// The same fraction of every class; what rounding leaves goes, record by record, to the class that is furthest behind.
static uint64_t divide(const maker *k, uint64_t budget, share *s) {
  uint32_t n_class = k->plan->experts.n_class;
  uint64_t all = 0, used = 0;
  for (uint32_t c = 0; c < n_class; c++) all += k->count[c] * s->bytes[c];
  double fraction = all ? (double)budget / (double)all : 0;
  for (uint32_t c = 0; c < n_class; c++) {
    s->n[c] = fraction >= 1 ? (uint32_t)k->count[c] : (uint32_t)((double)k->count[c] * fraction);
    used += s->n[c] * s->bytes[c];
  }
  for (;;) {
    uint32_t best = n_class;
    for (uint32_t c = 0; c < n_class; c++) {
      if (s->n[c] == k->count[c] || s->bytes[c] > budget - used) continue;
      if (best == n_class || s->n[c] * k->count[best] < s->n[best] * k->count[c]) best = c;
    }
    if (best == n_class) return used;
    s->n[best]++, used += s->bytes[best];
  }
}

// Records of each class that misses pass through: two halves of a layer if an eighth of the memory holds that much, so that one is filled
// while the other is read; at least what one token may need: where the host computes nothing, no step has a few tokens (session.c).
static uint32_t ring_records(const maker *k, uint64_t room, uint64_t record_bytes) {
  uint64_t n = room / RING_SHARE / record_bytes;
  if (n > 2 * k->n_expert) n = 2 * k->n_expert;
  return n < k->n_used ? k->n_used : (uint32_t)n;
}

static bool place_slots(maker *k, uint64_t room) {
  pm_plan *plan = k->plan;
  uint64_t ring_record = 0;  // one of every class
  share slots = {0};
  for (uint32_t c = 0; c < plan->experts.n_class; c++) {
    slots.bytes[c] = k->needs.classes[c].slot_bytes;
    ring_record += slots.bytes[c];
  }
  uint32_t n_ring = ring_records(k, room, ring_record);
  plan->device.ring = n_ring * ring_record;
  if (plan->device.ring > room) return false;
  plan->device.slots = divide(k, room - plan->device.ring, &slots);
  for (uint32_t c = 0; c < plan->experts.n_class; c++) {
    plan->experts.classes[c].n_slot = slots.n[c], plan->experts.classes[c].n_ring = n_ring;
    plan->in_slots.n_expert += slots.n[c], plan->in_slots.bytes += slots.n[c] * slots.bytes[c];
  }
  return true;
}

// Homes for all experts; where memory is short for at least a layer's worth of each class, which is what one step may ask for.
static bool place_homes(maker *k, uint64_t room, uint64_t *wanted) {
  pm_plan *plan = k->plan;
  share homes = {0};
  *wanted = 0;
  for (uint32_t c = 0; c < plan->experts.n_class; c++) {
    homes.bytes[c] = k->needs.classes[c].home_bytes;
    *wanted += min_u64(k->count[c], k->n_expert) * homes.bytes[c];
  }
  if (*wanted > room) return false;
  plan->host.homes = divide(k, room, &homes);
  for (uint32_t c = 0; c < plan->experts.n_class; c++) {
    uint32_t least = (uint32_t)min_u64(k->count[c], k->n_expert);
    if (homes.n[c] < least) plan->host.homes += (least - homes.n[c]) * homes.bytes[c], homes.n[c] = least;
    pm_expert_class *class = &plan->experts.classes[c];
    class->n_home = homes.n[c];
    uint64_t elsewhere = min_u64(k->count[c], (uint64_t) class->n_slot + class->n_home);
    uint64_t in_homes = elsewhere - class->n_slot, on_disk = k->count[c] - elsewhere;
    plan->in_homes.n_expert += in_homes, plan->in_homes.bytes += in_homes * homes.bytes[c];
    plan->on_disk.n_expert += on_disk, plan->on_disk.bytes += on_disk * homes.bytes[c];
  }
  return plan->host.homes <= room;
}

// ---- the two kinds of places ---------------------------------------------------------------------------------------

static void copy_classes(maker *k) {
  for (uint32_t c = 0; c < k->plan->experts.n_class; c++) k->plan->experts.classes[c] = k->needs.classes[c];
}

static pm_status place_device(maker *k) {
  pm_plan *plan = k->plan;
  const pm_backend_needs *n = &k->needs;
  plan->device = (pm_plan_memory){.weights = n->weights, .kv = n->kv, .scratch = n->scratch};
  plan->host = (pm_plan_memory){.staging = n->staging};
  uint64_t always = pm_plan_total(&plan->device), budget = plan->device_budget;
  if (plan->unified) always += n->staging;
  if (always > budget) return refuse(plan, "what every token uses", always, budget, "a shorter context, or the processor (--device cpu)");
  plan->fits = true;
  if (k->bytes_all <= budget - always) {
    plan->mode = PM_PLAN_RESIDENT;
    plan->device.slots = k->bytes_all;
    plan->in_slots = (pm_plan_tier){k->n_all, k->bytes_all};
    for (uint32_t c = 0; c < plan->experts.n_class; c++) plan->experts.classes[c].n_slot = (uint32_t)k->count[c];
    return PM_OK;
  }
  if (plan->unified)
    return refuse(plan, "the device shares the processor's memory; the whole model there", always + k->bytes_all, budget,
                  "the processor (--device cpu)");
  plan->tiered = true;
  if (!place_slots(k, budget - always))
    return refuse(plan, "what every token uses, with its experts passing through,", always + plan->device.ring, budget,
                  "a shorter context, or the processor (--device cpu)");
  uint64_t ram = left_of_ram(k->d->machine.ram), own = pm_plan_total(&plan->device), wanted;
  if (n->unified) ram = ram > own ? ram - own : 0;  // a simulated card's memory is taken from the machine's
  plan->host_budget = limited(ram, k->d->ram_limit);
  uint64_t room = plan->host_budget > n->staging ? plan->host_budget - n->staging : 0;
  if (!place_homes(k, room, &wanted)) return refuse(plan, "a layer's experts in host memory", wanted, room, "more memory (--ram)");
  return PM_OK;
}

static pm_status place_processor(maker *k) {
  pm_plan *plan = k->plan;
  const pm_backend_needs *n = &k->needs;
  plan->mode = PM_PLAN_CPU;
  uint64_t packed = pm_plan_packed(k->d->program, false), packed_experts = pm_plan_packed(k->d->program, true);
  plan->host = (pm_plan_memory){
      .weights = packed, .kv = n->kv, .scratch = n->scratch, .staging = n->staging, .page_cache = n->weights - packed};
  uint64_t always = pm_plan_total(&plan->host) + plan->host.page_cache, budget = plan->host_budget, wanted;
  if (always > budget) return refuse(plan, "what every token uses", always, budget, "a shorter context, or a smaller model");
  plan->fits = true;
  if (k->bytes_all <= budget - always) {
    plan->host.weights += packed_experts, plan->host.page_cache += k->bytes_all - packed_experts;
    plan->in_homes = (pm_plan_tier){k->n_all, k->bytes_all};
    return PM_OK;
  }
  plan->tiered = true;
  if (!place_homes(k, budget - always, &wanted))
    return refuse(plan, "what every token uses, and a layer's experts,", always + wanted, budget, "a shorter context, or a smaller model");
  return PM_OK;
}

// ---- how fast ------------------------------------------------------------------------------------------------------

static void predict(maker *k) {
  static const pm_plan_mode modes[] = {
      [PM_COST_STREAM] = PM_PLAN_STREAM, [PM_COST_ASSIST] = PM_PLAN_ASSIST, [PM_COST_SPLIT] = PM_PLAN_SPLIT};
  pm_plan *plan = k->plan;
  const pm_machine *x = &k->d->machine;
  pm_cost_model m = pm_plan_cost_model(k->d->program, k->d->expert_bits);
  double all = k->n_all ? (double)k->n_all : 1, in_slots = (double)plan->in_slots.n_expert / all;
  double in_memory = in_slots + (double)plan->in_homes.n_expert / all;
  bool cpu = plan->mode == PM_PLAN_CPU;
  plan->hit = cpu ? 0 : pm_cost_hit(in_slots, m.n_expert, m.n_used);
  pm_cost_found found = {.slots = plan->hit, .disk = 1 - pm_cost_hit(in_memory, m.n_expert, m.n_used)};
  pm_cost_way way = cpu ? PM_COST_CPU : pm_cost_choose(x, &m, found, k->d->stream_only);
  if (plan->tiered && !cpu) plan->mode = modes[way];
  plan->decode = pm_cost_decode(x, &m, found, way);
  plan->experts.ahead_rows = plan->tiered && !cpu ? pm_cost_ahead_rows(x, &m, in_slots, plan->n_batch) : 0;
  plan->prompt = pm_cost_prompt(x, &m, plan->n_batch, in_slots, (double)plan->on_disk.n_expert / all, way);
}

// ---- sizes ---------------------------------------------------------------------------------------------------------

// Rows that logits are wanted of at once.
static uint32_t logit_rows(uint64_t n_vocab, uint32_t n_batch) {
  uint32_t n = (uint32_t)(LOGITS_BYTES / 4 / n_vocab);
  return min_u32(n ? n : 1, n_batch);
}

// What the planner may choose.
static uint32_t most_rows(const pm_plan_sizes *s) { return s->keep_batch ? s->n_batch : min_u32(s->n_ctx, MAX_BATCH); }

pm_status pm_plan_build(pm_model *m, pm_plan_sizes *s, pm_program *p) {
  const pm_config *c = &m->config;
  s->keep_ctx = s->n_ctx != 0, s->keep_batch = s->n_batch != 0;
  if (!s->n_ctx) s->n_ctx = min_u32(c->n_ctx_train, DEFAULT_CTX);
  if (!s->n_session) s->n_session = 1;
  s->n_batch = min_u32(s->n_batch ? s->n_batch : DEFAULT_BATCH, s->n_ctx);
  if (s->n_ctx > c->n_ctx_train)
    PM_FAIL(PM_ERR_ARGUMENT, "%s: a context of %u tokens was asked for, but the model is made for %u at most", pm_model_file_path(m->file),
            s->n_ctx, c->n_ctx_train);
  if ((uint64_t)s->n_session * s->n_ctx > UINT32_MAX / 2)
    PM_FAIL(PM_ERR_ARGUMENT, "a cache of %u sessions of %u tokens is too large", s->n_session, s->n_ctx);
  pm_type kv_type = m->exact || s->cache_f32 ? PM_TYPE_F32 : PM_TYPE_F16;
  return pm_model_build(m, most_rows(s), logit_rows(c->n_vocab, most_rows(s)), kv_type, s->n_session * s->n_ctx, p);
}

static void resize(const maker *k, uint32_t n_ctx, uint32_t n_batch) {
  pm_program *p = k->d->program;
  pm_program_resize(p, n_batch, logit_rows(p->logits->ne[0], n_batch), n_ctx * k->d->sizes.n_session);
}

static pm_status place(maker *k, uint32_t n_ctx, uint32_t n_batch) {
  pm_plan *plan = k->plan;
  n_batch = min_u32(n_batch, n_ctx);
  resize(k, n_ctx, n_batch);
  PM_TRY(get_needs(k));
  plan->n_ctx = n_ctx, plan->n_batch = n_batch, plan->n_session = k->d->sizes.n_session;
  plan->tiered = false;
  plan->in_slots = plan->in_homes = plan->on_disk = (pm_plan_tier){0};
  copy_classes(k);
  return k->d->cpu ? place_processor(k) : place_device(k);
}

// The longest context that was wanted, with the most rows that fit beside it; then half of it, and so on.
static pm_status search(maker *k) {
  const pm_plan_sizes *s = &k->d->sizes;
  for (uint32_t n_ctx = s->n_ctx;; n_ctx /= 2) {
    for (uint32_t n_batch = s->n_batch;; n_batch /= 2) {
      bool last = s->keep_batch || n_batch / 2 < MIN_BATCH;
      pm_status status = place(k, n_ctx, n_batch);
      if (status == PM_ERR_UNSUPPORTED && !last) continue;  // more scratch than the device can bind
      PM_TRY(status);
      if (k->plan->fits || last) break;
    }
    if (k->plan->fits || s->keep_ctx || n_ctx / 2 < MIN_CTX) break;
  }
  const pm_plan *plan = k->plan;
  if (plan->fits && (plan->n_ctx < s->n_ctx || plan->n_batch < s->n_batch))
    snprintf(k->plan->note, sizeof k->plan->note, "memory is short: a context of %u tokens instead of %u, prompts by %u tokens",
             plan->n_ctx, s->n_ctx, plan->n_batch);
  return PM_OK;
}

// A long prompt and an answer.
static double turn_seconds(const pm_plan *plan) {
  return (MAX_BATCH + plan->n_batch - 1) / plan->n_batch * plan->prompt.seconds + ANSWER * plan->decode.seconds;
}

// Experts that stream pass by once in a step, so larger steps make prompts sooner; their scratch takes slots away, which makes answers
// later. Steps are doubled while a turn of a conversation gains by it. What a device cannot do is not worth failing for.
static void enlarge_steps(maker *k) {
  pm_plan *plan = k->plan;
  const pm_plan first = *plan;
  uint64_t spare = (first.device.slots + first.device.ring) / SCRATCH_SHARE;
  for (uint32_t n = 2 * first.n_batch; n <= min_u32(most_rows(&k->d->sizes), first.n_ctx); n *= 2) {
    pm_plan before = *plan;
    bool placed = place(k, first.n_ctx, n) == PM_OK && plan->fits && plan->device.scratch - first.device.scratch <= spare;
    if (placed) predict(k);
    if (placed && turn_seconds(plan) < turn_seconds(&before)) continue;
    *plan = before;
    resize(k, before.n_ctx, before.n_batch);
    return;
  }
}

pm_status pm_plan_make(const pm_plan_desc *d, pm_plan *plan) {
  *plan = (pm_plan){0};
  maker k = {.d = d, .plan = plan};
  PM_TRY(count_experts(&k));
  PM_TRY(search(&k));
  if (plan->fits) predict(&k);
  if (plan->fits && plan->tiered && !d->cpu && plan->n_batch == d->sizes.n_batch) enlarge_steps(&k);
  return PM_OK;
}

void pm_plan_finish(pm_plan *plan) {
  pm_free(plan->class_of);
  *plan = (pm_plan){0};
}

// ---- planned against actual ----------------------------------------------------------------------------------------

void pm_plan_kinds(const pm_plan *plan, const pm_memory_use *use, pm_plan_kind kinds[PM_PLAN_KINDS]) {
  const pm_plan_memory *d = &plan->device, *h = &plan->host;
  const pm_plan_kind all[PM_PLAN_KINDS] = {
      {"weights", d->weights + (plan->tiered ? 0 : d->slots) + h->weights + h->page_cache, use->weights + use->weights_mapped},
      {"cache", d->kv + h->kv, use->kv},
      {"scratch", d->scratch + h->scratch, use->scratch},
      {"staging", d->staging + h->staging, use->staging},
      {"slots", plan->tiered ? d->slots + d->ring : 0, use->slots},
      {"homes", h->homes, use->homes},
  };
  memcpy(kinds, all, sizeof all);
}

double pm_plan_error(const pm_plan *plan, const pm_memory_use *use, const char **worst) {
  pm_plan_kind kinds[PM_PLAN_KINDS];
  double most = 0;
  *worst = "";
  pm_plan_kinds(plan, use, kinds);
  for (int i = 0; i < PM_PLAN_KINDS; i++) {
    double planned = (double)kinds[i].planned, actual = (double)kinds[i].actual, floor = (double)MIB;
    double error = (planned > actual ? planned - actual : actual - planned) / (actual > floor ? actual : floor);
    if (error > most) most = error, *worst = kinds[i].name;
  }
  return most;
}
