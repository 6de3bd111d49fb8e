#include "bench_sweep.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench_report.h"
#include "bench_text.h"
#include "commands.h"
#include "json_writer.h"
#include "svg_chart.h"
#include "terminal.h"

enum { N_WAY = 4, MAX_BUDGET = 16, MAX_ROUND = 100, N_PROMPT = 64, MAX_WARM = 128 };

static const char *const ways[N_WAY] = {"auto", "stream", "assist", "layers"};
static const char *const names[N_WAY] = {"automatic", "stream misses", "processor computes misses", "whole layers"};

typedef struct point {  // one way at one budget
  pm_bench_speed speed;
  double hit, link_bytes, move_bytes;  // share of choices; per token
  char mode[32];                       // in the end
} point;

typedef struct sweep {
  const pm_sweep_desc *desc;
  pm_sim_link link;
  uint64_t always, experts;  // bytes of device memory that do not depend on the budget, and of all experts
  int32_t *tokens;
  uint32_t n_measured, n_warm, n_token;  // tokens: measured, before that one by one, all with the prompt
  pumice_model_info info;
  uint64_t sim_vram[MAX_BUDGET], n_slot[MAX_BUDGET], n_expert;
  double predicted[MAX_BUDGET];  // tokens per second; NaN: unknown
  point points[MAX_BUDGET][N_WAY];
} sweep;

typedef struct contestant {
  pumice_model *model;
  pumice_session *session;
  pumice_expert_stats before;
  double speed[MAX_ROUND];
} contestant;

// ---- budgets -----------------------------------------------------------------------------------------------------------------------

typedef struct device_bytes {
  uint64_t always, slots, ring;
} device_bytes;

static void add_row(void *user, const char *memory, const char *purpose, uint64_t bytes) {
  device_bytes *d = user;
  if (strcmp(memory, "device")) return;
  *(!strcmp(purpose, "expert slots") ? &d->slots : !strcmp(purpose, "ring") ? &d->ring : &d->always) += bytes;
}

// The plan that opening the model will make. vram_gbps: of the card; 0 = what is typical.
static pumice_status plan(const sweep *s, uint64_t sim_vram, double vram_gbps, pumice_plan_info *info, device_bytes *bytes) {
  const pm_model_arguments *a = &pm_model_args;
  pumice_plan_options o = {.size = sizeof o,
                           .device = a->device,
                           .n_ctx = a->ctx,
                           .n_batch = a->batch,
                           .cache_f32 = a->exact || a->cache_f32,
                           .deterministic = a->deterministic,
                           .vram = a->vram,
                           .ram = a->ram,
                           .sim_vram = sim_vram,
                           .vram_gbps = vram_gbps,
                           .link_gbps = s->link.gbps,
                           .cpu_gbps = s->link.cpu_gbps};
  *info = (pumice_plan_info)PUMICE_INIT(pumice_plan_info);
  *bytes = (device_bytes){0};
  return pumice_plan(s->desc->model, &o, info, add_row, bytes);
}

static int measure_model(sweep *s) {
  pumice_plan_info info;
  device_bytes bytes;
  int code = pm_failed(plan(s, 1ull << 60, 0, &info, &bytes));
  if (code) return code;
  if (!info.fits || !info.n_in_slots) {
    fprintf(stderr, "pumice bench: --sweep is about experts in a card's memory: %s\n",
            !info.n_expert ? "this model has none"
            : *info.reason ? info.reason
                           : "give it a card with --device gpu");
    return PM_EXIT_WRONG_USE;
  }
  s->always = bytes.always, s->n_expert = info.n_expert;
  s->experts = (uint64_t)((double)bytes.slots * (double)info.n_expert / (double)info.n_in_slots);
  return PM_EXIT_OK;
}

// A share of the card's memory goes to the ring, which depends on what there is: approached from above.
static int find_budget(sweep *s, uint32_t b) {
  uint64_t slots = s->experts * s->desc->budgets->value[b] / 100, ring = s->experts;
  pumice_plan_info info;
  device_bytes bytes = {0};
  for (int i = 0; i < 16 && slots < s->experts; i++) {
    int code = pm_failed(plan(s, s->always + slots + ring, 0, &info, &bytes));
    if (code) return code;
    if (!info.fits || bytes.ring == ring) break;
    ring = bytes.ring ? bytes.ring : ring / 2;
  }
  s->sim_vram[b] = s->always + slots + (slots < s->experts ? ring : 0);
  return PM_EXIT_OK;
}

// ---- predictions -------------------------------------------------------------------------------------------------------------------

static double predict(const sweep *s, uint64_t sim_vram, double vram_gbps) {
  pumice_plan_info info;
  device_bytes bytes;
  return plan(s, sim_vram, vram_gbps, &info, &bytes) == PUMICE_OK && info.fits ? info.decode_rate : NAN;
}

// Rate of the device's memory with which the plan of a device that holds everything predicts what was measured: a token's time is linear in
// its inverse. What it then says of other budgets is a prediction.
static double device_rate(const sweep *s, uint64_t sim_vram, double tokens_per_second) {
  double fast = 1 / predict(s, sim_vram, 1e5), slow = 1 / predict(s, sim_vram, 1), per_byte = (slow - fast) / (1 - 1e-5);
  double rate = per_byte / (1 / tokens_per_second - fast + per_byte * 1e-5);
  return rate > 0 && rate < 1e5 ? rate : NAN;
}

static void predict_all(sweep *s) {
  const pm_u32_list *budgets = s->desc->budgets;
  double rate = NAN;
  for (uint32_t b = 0; b < budgets->n; b++)
    if (budgets->value[b] == 100) rate = device_rate(s, s->sim_vram[b], s->points[b][0].speed.median);
  for (uint32_t b = 0; b < budgets->n; b++) s->predicted[b] = rate > 0 ? predict(s, s->sim_vram[b], rate) : NAN;
}

// ---- measuring ---------------------------------------------------------------------------------------------------------------------

static pumice_status generate(contestant *c, const int32_t *tokens, uint32_t n) {
  pumice_status status = PUMICE_OK;
  for (uint32_t i = 0; i < n && status == PUMICE_OK; i++)
    status = pm_interrupted() ? PUMICE_ERR_CANCELLED : pumice_session_eval(c->session, tokens + i, 1, NULL, NULL);
  return status;
}

static int prepare(sweep *s, contestant *c) {
  int code = pm_model_open(s->desc->model, s->n_token, &c->model);
  if (!code && !s->tokens) {
    size_t n_text;
    code = pm_bench_tokens(c->model, s->desc->text, s->n_token, &s->tokens, &n_text);
  }
  if (!code) code = pm_failed(pumice_session_create(c->model, &c->session));
  if (!code) code = pm_failed(pumice_session_eval(c->session, s->tokens, N_PROMPT, NULL, NULL));
  if (!code) code = pm_failed(generate(c, s->tokens + N_PROMPT, s->n_warm));
  c->before = (pumice_expert_stats)PUMICE_INIT(pumice_expert_stats);
  if (!code) pumice_model_get_expert_stats(c->model, &c->before);
  return code;
}

static void conclude(const sweep *s, contestant *c, point *p) {
  pumice_expert_stats now = PUMICE_INIT(pumice_expert_stats);
  const pumice_expert_stats *before = &c->before;
  pumice_model_get_expert_stats(c->model, &now);
  double n = s->n_measured, hits = (double)(now.hits - before->hits);
  double chosen = hits + (double)(now.fills - before->fills + now.passes - before->passes + now.host - before->host);
  p->hit = chosen > 0 ? hits / chosen : 1;
  p->link_bytes = (double)(now.link_bytes - before->link_bytes) / n;
  p->move_bytes = (double)(now.move_bytes - before->move_bytes) / n;
  p->speed = pm_bench_summarize(c->speed, s->desc->repeat);
  snprintf(p->mode, sizeof p->mode, "%s", now.mode);
}

// All ways take turns at the same pieces of the text, so that what disturbs the machine disturbs all of them.
static int measure_rounds(const sweep *s, contestant c[N_WAY]) {
  const int32_t *tokens = s->tokens + N_PROMPT + s->n_warm;
  uint32_t n = s->desc->n_generate;
  for (uint32_t r = 0; r < s->desc->repeat; r++, tokens += n)
    for (uint32_t i = 0; i < N_WAY; i++) {
      contestant *turn = &c[(i + r) % N_WAY];
      double began = pm_seconds();
      pumice_status status = generate(turn, tokens, n);
      turn->speed[r] = n / (pm_seconds() - began);
      if (status != PUMICE_OK) return pm_failed(status);
    }
  return PM_EXIT_OK;
}

static int measure_budget(sweep *s, uint32_t b) {
  contestant c[N_WAY] = {0};
  int code = find_budget(s, b);
  pm_model_args.sim_vram = s->sim_vram[b];
  for (uint32_t w = 0; w < N_WAY && !code; w++) {
    pm_model_args.experts = ways[w];
    code = prepare(s, &c[w]);
  }
  if (!code) code = measure_rounds(s, c);
  for (uint32_t w = 0; w < N_WAY && !code; w++) conclude(s, &c[w], &s->points[b][w]);
  if (!code) pumice_model_get_info(c->model, &s->info);
  s->n_slot[b] = c->before.tiered ? c->before.n_slot : s->n_expert;
  for (uint32_t w = 0; w < N_WAY; w++) {
    pumice_session_destroy(c[w].session);
    pumice_model_close(c[w].model);
  }
  return code;
}

// ---- results -----------------------------------------------------------------------------------------------------------------------

static void describe(const sweep *s, const char *separator, char *text, size_t size) {
  const pm_sim_link *l = &s->link;
  int n = snprintf(text, size, "%s, %s%s", s->info.name, s->info.device, separator);
  n += snprintf(text + n, size - (size_t)n, "card's memory simulated%s", l->gbps > 0 ? "" : ", link as it is");
  if (l->gbps > 0) n += snprintf(text + n, size - (size_t)n, ", link simulated: %g GB/s, %g us", l->gbps, l->latency_us);
  if (l->cpu_gbps > 0) snprintf(text + n, size - (size_t)n, ", processor: %g GB/s", l->cpu_gbps);
}

static void print_budget(const sweep *s, uint32_t b) {
  for (uint32_t w = 0; w < N_WAY; w++) {
    const point *p = &s->points[b][w];
    char share[16], predicted[16] = "";
    snprintf(share, sizeof share, "%u %%", s->desc->budgets->value[b]);
    if (!w && !isnan(s->predicted[b])) snprintf(predicted, sizeof predicted, "%.2f", s->predicted[b]);
    printf("%-8s %6llu  %-8s %9.2f %9.2f %9.2f %6.1f %% %12s %12s %10s  %s\n", share, (unsigned long long)s->n_slot[b], ways[w],
           p->speed.median, p->speed.slowest, p->speed.fastest, 100 * p->hit, pm_bytes_text((uint64_t)p->link_bytes),
           pm_bytes_text((uint64_t)p->move_bytes), predicted, p->mode);
  }
}

static void print_text(const sweep *s) {
  char what[512];
  describe(s, "; ", what, sizeof what);
  printf("%s\n\n", what);
  printf("%-8s %6s  %-8s %9s %9s %9s %8s %12s %12s %10s  %s\n", "experts", "slots", "way", "t/s", "slowest", "fastest", "hits",
         "link/token", "beside", "predicted", "in the end");
  for (uint32_t b = 0; b < s->desc->budgets->n; b++) print_budget(s, b);
  printf("\n%llu experts of together %s; medians of %u times %u tokens, after a prompt of %d and %u tokens to learn from\n",
         (unsigned long long)s->n_expert, pm_bytes_text(s->experts), s->desc->repeat, s->desc->n_generate, N_PROMPT, s->n_warm);
}

static void write_point(pm_json *j, const char *way, const point *p) {
  pm_json_begin(j, NULL, '{');
  pm_json_text(j, "way", way);
  pm_json_real(j, "tokens_per_second", p->speed.median);
  pm_json_real(j, "slowest", p->speed.slowest);
  pm_json_real(j, "fastest", p->speed.fastest);
  pm_json_real(j, "hit_rate", p->hit);
  pm_json_real(j, "link_bytes_per_token", p->link_bytes);
  pm_json_real(j, "move_bytes_per_token", p->move_bytes);
  pm_json_text(j, "mode", p->mode);
  pm_json_end(j, '}');
}

static void print_json(const sweep *s) {
  pm_json j = {.f = stdout};
  pm_json_begin(&j, NULL, '{');
  pm_json_text(&j, "version", pumice_version());
  pm_json_text(&j, "model", s->info.name);
  pm_json_text(&j, "device", s->info.device);
  pm_json_text(&j, "driver", s->info.driver);
  pm_json_bool(&j, "simulated", true);
  pm_json_real(&j, "link_gbps", s->link.gbps);
  pm_json_real(&j, "link_latency_us", s->link.latency_us);
  pm_json_real(&j, "processor_gbps", s->link.cpu_gbps);
  pm_json_uint(&j, "experts", s->n_expert);
  pm_json_uint(&j, "expert_bytes", s->experts);
  pm_json_uint(&j, "tokens", s->desc->n_generate);
  pm_json_uint(&j, "repeat", s->desc->repeat);
  pm_json_begin(&j, "budgets", '[');
  for (uint32_t b = 0; b < s->desc->budgets->n; b++) {
    pm_json_begin(&j, NULL, '{');
    pm_json_uint(&j, "percent", s->desc->budgets->value[b]);
    pm_json_uint(&j, "sim_vram", s->sim_vram[b]);
    pm_json_uint(&j, "slots", s->n_slot[b]);
    pm_json_real(&j, "predicted_tokens_per_second", s->predicted[b]);
    pm_json_begin(&j, "ways", '[');
    for (uint32_t w = 0; w < N_WAY; w++) write_point(&j, ways[w], &s->points[b][w]);
    pm_json_end(&j, ']');
    pm_json_end(&j, '}');
  }
  pm_json_end(&j, ']');
  pm_json_end(&j, '}');
}

static int write_chart(const sweep *s, FILE *f) {
  char note[1024], what[512];
  double x[MAX_BUDGET], y[N_WAY][MAX_BUDGET];
  describe(s, "\n", what, sizeof what);
  snprintf(note, sizeof note, "%s.\nReal text, one token at a time: medians of %u times %u tokens; equal memory for all ways.", what,
           s->desc->repeat, s->desc->n_generate);
  pm_chart c = {.title = "Decode speed by the share of experts in the card's memory",
                .note = note,
                .x_label = "room in the card's memory, % of the experts' bytes",
                .y_label = "tokens per second",
                .x = x,
                .x_max = 100,
                .n_point = s->desc->budgets->n,
                .n_line = N_WAY};
  for (uint32_t b = 0; b < c.n_point; b++) {
    x[b] = s->desc->budgets->value[b];
    for (uint32_t w = 0; w < N_WAY; w++) y[w][b] = s->points[b][w].speed.median;
  }
  for (uint32_t w = 0; w < N_WAY; w++) c.lines[w] = (pm_chart_line){names[w], y[w]};
  pm_chart_write(&c, f);
  bool good = !ferror(f);
  good &= !fclose(f);
  return good ? PM_EXIT_OK : pm_file_failed(s->desc->chart);
}

// ---- the sweep ---------------------------------------------------------------------------------------------------------------------

static int check_budgets(const pm_u32_list *budgets) {
  for (uint32_t b = 0; b < budgets->n; b++)
    if (budgets->value[b] > 100 || (b && budgets->value[b] <= budgets->value[b - 1]))
      return pm_wrong_use(&pm_cmd_bench, "--budgets takes ascending percentages of at most 100");
  return PM_EXIT_OK;
}

static int measure_all(sweep *s) {
  const pm_u32_list *budgets = s->desc->budgets;
  for (uint32_t b = 0; b < budgets->n; b++) {
    pm_progress(NULL, "sweep", (float)b / (float)budgets->n);
    int code = measure_budget(s, b);
    if (code) return code;
  }
  pm_progress_clear();
  predict_all(s);
  return PM_EXIT_OK;
}

int pm_bench_sweep(const pm_sweep_desc *desc) {
  sweep s = {.desc = desc, .info = PUMICE_INIT(pumice_model_info), .n_measured = desc->n_generate * desc->repeat};
  s.n_warm = s.n_measured < MAX_WARM ? s.n_measured : MAX_WARM;
  s.n_token = N_PROMPT + s.n_warm + s.n_measured;
  if (!pm_model_args.ctx) pm_model_args.ctx = s.n_token;
  if (!pm_model_args.batch) pm_model_args.batch = N_PROMPT;
  pm_model_args.fresh = true;
  int code = check_budgets(desc->budgets);
  if (!code && s.n_token > pm_model_args.ctx)
    code = pm_wrong_use(&pm_cmd_bench, "the sweep needs a context of %u tokens, and there are %u", s.n_token, pm_model_args.ctx);
  if (!code) code = pm_model_check_path(desc->model);
  if (!code) code = pm_model_sim_link(&s.link);
  if (!code) code = measure_model(&s);
  if (code) return code;
  FILE *f = fopen(desc->chart, "w");
  if (!f) return pm_file_failed(desc->chart);
  code = measure_all(&s);
  if (code)
    fclose(f);
  else
    code = write_chart(&s, f);
  if (!code) desc->json ? print_json(&s) : print_text(&s);
  free(s.tokens);
  return code;
}
