#include "expert_report.h"

#include <string.h>

#include "text_buffer.h"

// ---- memory ----

typedef struct memory_writer {
  FILE *f;
  pm_json *j;
  const char *separator;
  double worst;
} memory_writer;

static void write_memory(void *user, const char *purpose, uint64_t planned, uint64_t actual) {
  memory_writer *w = user;
  double floor = 1 << 20, error = (double)(planned > actual ? planned - actual : actual - planned);
  error /= (double)actual > floor ? (double)actual : floor;
  if (error > w->worst) w->worst = error;
  if (w->f && (planned || actual)) {
    fprintf(w->f, "%s%s %s", w->separator, purpose, pm_bytes_text(actual));
    fprintf(w->f, " (%s)", pm_bytes_text(planned));
    w->separator = ", ";
  }
  if (w->j) {
    pm_json_begin(w->j, purpose, '{');
    pm_json_uint(w->j, "planned", planned);
    pm_json_uint(w->j, "actual", actual);
    pm_json_end(w->j, '}');
  }
}

void pm_print_memory(FILE *f, const pumice_model *model) {
  memory_writer w = {.f = f, .separator = ""};
  fprintf(f, "memory    ");
  pumice_model_memory(model, write_memory, &w);
  fprintf(f, "; in brackets what was planned\n");
}

void pm_json_memory(pm_json *j, const pumice_model *model) {
  memory_writer w = {.j = j};
  pumice_model_memory(model, write_memory, &w);
}

double pm_memory_error(const pumice_model *model) {
  memory_writer w = {0};
  pumice_model_memory(model, write_memory, &w);
  return w.worst;
}

// ---- experts ----

// Differences of two counts, per token.
typedef struct figures {
  pumice_expert_stats now;
  double chosen, hit, brought, host;  // experts; the latter shares of chosen
  double link, moved, disk;           // bytes
  double asks, ask_seconds, answer_seconds, end_seconds, disk_seconds;
  double overlap;  // of link and processor with the device: what of their work nobody waited for
} figures;

static figures figure_out(const pumice_model *model, const pumice_expert_stats *before, uint64_t tokens) {
  figures f = {.now = PUMICE_INIT(pumice_expert_stats)};
  pumice_model_get_expert_stats(model, &f.now);
  const pumice_expert_stats *a = &f.now, *b = before;
  double n = tokens ? (double)tokens : 1;
  double hits = (double)(a->hits - b->hits), brought = (double)(a->fills + a->passes - b->fills - b->passes),
         host = (double)(a->host - b->host);
  double chosen = hits + brought + host;
  f.chosen = chosen / n;
  if (chosen > 0) f.hit = hits / chosen, f.brought = brought / chosen, f.host = host / chosen;
  f.link = (double)(a->link_bytes - b->link_bytes) / n;
  f.moved = (double)(a->move_bytes - b->move_bytes) / n;
  f.disk = (double)(a->disk_bytes - b->disk_bytes) / n;
  f.asks = (double)(a->asks - b->asks) / n;
  f.ask_seconds = (a->ask_seconds - b->ask_seconds) / n;
  f.answer_seconds = (a->answer_seconds - b->answer_seconds) / n;
  f.end_seconds = (a->end_seconds - b->end_seconds) / n;
  f.disk_seconds = (a->disk_seconds - b->disk_seconds) / n;
  double device = f.ask_seconds + f.end_seconds, all = device + f.answer_seconds + f.disk_seconds;
  f.overlap = all > 0 ? device / all : 1;
  return f;
}

typedef struct layer_writer {
  FILE *f;
  pm_json *j;
  uint32_t first, last;  // layers that are served alike
  char mode[32];
} layer_writer;

static void end_run(layer_writer *w) {
  if (!*w->mode) return;
  if (w->first == w->last)
    fprintf(w->f, " %u %s", w->first, w->mode);
  else
    fprintf(w->f, " %u-%u %s", w->first, w->last, w->mode);
}

static void write_layer(void *user, uint32_t layer, const char *mode, uint32_t n_stream, uint64_t hits, uint64_t misses) {
  layer_writer *w = user;
  if (w->j) {
    pm_json_begin(w->j, NULL, '{');
    pm_json_uint(w->j, "layer", layer);
    pm_json_text(w->j, "mode", mode);
    pm_json_uint(w->j, "streamed_at_most", n_stream);
    pm_json_uint(w->j, "hits", hits);
    pm_json_uint(w->j, "misses", misses);
    pm_json_end(w->j, '}');
    return;
  }
  if (strcmp(mode, w->mode)) {
    end_run(w);
    w->first = layer;
    snprintf(w->mode, sizeof w->mode, "%s", mode);
  }
  w->last = layer;
}

// Where the processor computes all experts, and some of them are on disk.
static void print_homes(FILE *f, const pumice_expert_stats *before, const figures *x) {
  double hits = (double)(x->now.disk_hits - before->disk_hits), misses = (double)(x->now.disk_misses - before->disk_misses);
  fprintf(f, "experts   %s: %.1f %% of those used were in memory\n", x->now.mode, hits + misses > 0 ? 100 * hits / (hits + misses) : 100);
  fprintf(f, "traffic   per token: disk %s, waited for %.3f ms\n", pm_bytes_text((uint64_t)x->disk), 1e3 * x->disk_seconds);
}

void pm_print_experts(FILE *f, const pumice_model *model, const pumice_expert_stats *before, uint64_t tokens) {
  figures x = figure_out(model, before, tokens);
  if (!tokens || !x.now.tiered) return;
  if (x.chosen == 0) {
    print_homes(f, before, &x);
    return;
  }
  fprintf(f, "experts   %s%s: of %.1f per token %.1f %% in slots, %.1f %% brought, %.1f %% by the processor\n", x.now.mode,
          x.now.simulated ? " (simulated card)" : "", x.chosen, 100 * x.hit, 100 * x.brought, 100 * x.host);
  fprintf(f, "traffic   per token: link %s", pm_bytes_text((uint64_t)x.link));
  fprintf(f, ", beside the steps %s", pm_bytes_text((uint64_t)x.moved));
  fprintf(f, ", disk %s\n", pm_bytes_text((uint64_t)x.disk));
  fprintf(f, "waiting   per token, ms: for the device's %.2f questions %.3f, for its end %.3f; answers %.3f, disk %.3f; overlap %.2f\n",
          x.asks, 1e3 * x.ask_seconds, 1e3 * x.end_seconds, 1e3 * x.answer_seconds, 1e3 * x.disk_seconds, x.overlap);
  fprintf(f, "learned   ms: a fill %.4f, a record by the processor %.4f, a layer that asks %.4f\nlayers   ", 1e3 * x.now.fill_seconds,
          1e3 * x.now.host_seconds, 1e3 * x.now.layer_seconds);
  layer_writer w = {.f = f};
  pumice_model_expert_layers(model, write_layer, &w);
  end_run(&w);
  fprintf(f, "\n");
}

void pm_json_experts(pm_json *j, const pumice_model *model, const pumice_expert_stats *before, uint64_t tokens) {
  figures x = figure_out(model, before, tokens);
  pm_json_text(j, "mode", x.now.mode);
  pm_json_bool(j, "simulated", x.now.simulated);
  pm_json_real(j, "chosen_per_token", x.chosen);
  pm_json_real(j, "hit_rate", x.hit);
  pm_json_real(j, "brought_share", x.brought);
  pm_json_real(j, "processor_share", x.host);
  pm_json_real(j, "link_bytes_per_token", x.link);
  pm_json_real(j, "move_bytes_per_token", x.moved);
  pm_json_real(j, "disk_bytes_per_token", x.disk);
  pm_json_real(j, "asks_per_token", x.asks);
  pm_json_real(j, "ask_seconds_per_token", x.ask_seconds);
  pm_json_real(j, "answer_seconds_per_token", x.answer_seconds);
  pm_json_real(j, "end_seconds_per_token", x.end_seconds);
  pm_json_real(j, "disk_seconds_per_token", x.disk_seconds);
  pm_json_real(j, "overlap", x.overlap);
  layer_writer w = {.j = j};
  pm_json_begin(j, "layers", '[');
  pumice_model_expert_layers(model, write_layer, &w);
  pm_json_end(j, ']');
}
