#include "cost.h"

#include <math.h>

pm_machine pm_machine_typical(void) {
  return (pm_machine){.vram_rate = 400e9,
                      .link_rate = 25e9,
                      .ram_rate = 70e9,
                      .disk_rate = 6e9,
                      .cpu_rate = 58e9,
                      .link_latency = 5e-6,
                      .handshake = 60e-6,
                      .layer_seconds = 30e-6,
                      .cpu_row_seconds = 6e-6,
                      .gpu_flops = 25e12,
                      .cpu_flops = 0.5e12};
}

const char *pm_cost_limit_name(pm_cost_limit limit) {
  static const char *const names[] = {"video memory", "link", "processor", "memory", "disk", "arithmetic", "handshakes"};
  return names[limit];
}

double pm_cost_cycle(const pm_cost_model *m) { return m->n_expert ? m->expert_bytes * m->n_used / m->n_expert : 0; }

// ---- one token -----------------------------------------------------------------------------------------------------

// A sum of times that remembers which was the longest.
typedef struct tally {
  double seconds, longest;
  pm_cost_limit limit;
} tally;

static void add(tally *t, double seconds, pm_cost_limit limit) {
  t->seconds += seconds;
  if (seconds > t->longest) t->longest = seconds, t->limit = limit;
}

// Two things at once: the longer one counts.
static void add_longer(tally *t, double a, pm_cost_limit limit_a, double b, pm_cost_limit limit_b) {
  if (a >= b)
    add(t, a, limit_a);
  else
    add(t, b, limit_b);
}

static double smaller(double a, double b) { return a < b ? a : b; }

static void add_host(tally *t, const pm_machine *x, double hit_seconds, double miss_bytes, pm_cost_way way) {
  bool split = way == PM_COST_SPLIT, ram_bound = split && x->link_rate + x->cpu_rate > x->ram_rate;
  double rate = split ? smaller(x->link_rate + x->cpu_rate, x->ram_rate) : x->cpu_rate;
  add_longer(t, hit_seconds, PM_LIMIT_VRAM, miss_bytes / rate, ram_bound ? PM_LIMIT_RAM : PM_LIMIT_CPU);
}

pm_cost pm_cost_decode(const pm_machine *x, const pm_cost_model *m, pm_cost_found found, pm_cost_way way) {
  double cycle = pm_cost_cycle(m), hit_bytes = cycle * found.slots, miss_bytes = cycle - hit_bytes;
  tally t = {0};
  if (way == PM_COST_CPU) {
    add(&t, (m->dense_bytes + cycle) / x->cpu_rate, PM_LIMIT_CPU);
    add(&t, m->n_layer * x->cpu_row_seconds, PM_LIMIT_CPU);
  } else {
    add(&t, m->dense_bytes / x->vram_rate, PM_LIMIT_VRAM);
    add(&t, m->n_layer * x->layer_seconds, PM_LIMIT_HANDSHAKE);
    double hit_seconds = hit_bytes / x->vram_rate;
    bool misses = miss_bytes > 0;
    if (way == PM_COST_STREAM || !misses) {
      add(&t, hit_seconds, PM_LIMIT_VRAM);
      add(&t, misses ? m->n_moe * x->link_latency + miss_bytes / x->link_rate : 0, PM_LIMIT_LINK);
    } else {
      add(&t, m->n_moe * x->handshake, PM_LIMIT_HANDSHAKE);
      add_host(&t, x, hit_seconds, miss_bytes, way);
    }
  }
  add(&t, cycle * found.disk / x->disk_rate, PM_LIMIT_DISK);  // a layer goes on when its records have come
  return (pm_cost){t.seconds, t.limit};
}

pm_cost_way pm_cost_choose(const pm_machine *x, const pm_cost_model *m, pm_cost_found found, bool stream_only) {
  pm_cost_way best = PM_COST_STREAM;
  for (pm_cost_way way = PM_COST_ASSIST; way <= PM_COST_SPLIT && !stream_only; way++)
    if (pm_cost_decode(x, m, found, way).seconds < pm_cost_decode(x, m, found, best).seconds) best = way;
  return best;
}

// ---- prompts -------------------------------------------------------------------------------------------------------

// Share of a layer's experts that at least one of n_row rows chooses, were all equally likely.
static double touched(const pm_cost_model *m, double n_row) {
  return m->n_expert ? 1 - pow(1 - (double)m->n_used / m->n_expert, n_row) : 0;
}

pm_cost pm_cost_prompt(const pm_machine *x, const pm_cost_model *m, double n_row, double resident, double disk, pm_cost_way way) {
  double used = touched(m, n_row) * m->expert_bytes, from_disk = used * disk / x->disk_rate;
  tally t = {0};
  if (way == PM_COST_CPU) {
    double computed = n_row * m->flops / x->cpu_flops, read = (m->dense_bytes + used) / x->ram_rate;
    add_longer(&t, computed, PM_LIMIT_COMPUTE, read, PM_LIMIT_RAM);
    add(&t, n_row * m->n_layer * x->cpu_row_seconds, PM_LIMIT_CPU);
  } else {
    double computed = n_row * m->flops / x->gpu_flops, read = (m->dense_bytes + used) / x->vram_rate;
    double streamed = used * (1 - resident) / x->link_rate;
    add_longer(&t, computed > read ? computed : read, computed > read ? PM_LIMIT_COMPUTE : PM_LIMIT_VRAM, streamed, PM_LIMIT_LINK);
  }
  if (from_disk > t.seconds) t = (tally){from_disk, from_disk, PM_LIMIT_DISK};  // read ahead while the layers before run
  return (pm_cost){t.seconds, t.limit};
}

static double larger(double a, double b) { return a > b ? a : b; }

// Seconds that a step of n rows takes longer if whole layers are brought ahead.
static double lost_ahead(const pm_machine *x, const pm_cost_model *m, double n, double resident) {
  double used = touched(m, n) * m->expert_bytes, all = m->expert_bytes * (1 - resident) / x->link_rate;
  double computed = larger(n * m->flops / x->gpu_flops, (m->dense_bytes + used) / x->vram_rate);
  double cycle = pm_cost_cycle(m), products = computed * cycle / (cycle + m->dense_bytes);  // the experts' part of it
  return larger(computed, all) - (computed - products + larger(products, touched(m, n) * all));
}

uint32_t pm_cost_ahead_rows(const pm_machine *x, const pm_cost_model *m, double resident, uint32_t max_rows) {
  if (!m->n_expert) return 0;
  for (uint32_t n = 1; n && n <= max_rows; n *= 2)
    if (lost_ahead(x, m, n, resident) <= 0) return n;
  return 0;
}

// ---- hit rates -----------------------------------------------------------------------------------------------------

double pm_cost_hit(double fraction, uint32_t n_expert, uint32_t n_used) {
  if (fraction >= 1 || !n_expert) return 1;
  double two_tokens = smaller(1, 2.0 * n_used / n_expert);
  return fraction >= two_tokens ? sqrt(fraction) : sqrt(two_tokens) * fraction / two_tokens;
}
