// Figures for Prometheus, in its text format (prometheus.io/docs/instrumenting/exposition_formats).
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "routes.h"

static double per(double a, double b) { return b > 0 ? a / b : 0; }

static void metric(FILE *f, const char *name, const char *type, const char *help, double value) {
  fprintf(f, "# HELP pumice_%s %s\n# TYPE pumice_%s %s\npumice_%s %.9g\n", name, help, name, type, name, value);
}

// Bytes of this process in memory; 0 where the system does not say.
static double resident_bytes(void) {
  FILE *f = fopen("/proc/self/statm", "r");
  unsigned long pages = 0;
  if (f && fscanf(f, "%*u %lu", &pages) != 1) pages = 0;
  if (f) fclose(f);
  return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void write_requests(FILE *f, const pm_server *s, const pm_board_state *state) {
  const pm_totals *t = &state->totals;
  uint32_t busy = 0;
  for (uint32_t i = 0; i < state->n_slot; i++) busy += state->slots[i].busy;
  metric(f, "prompt_tokens_total", "counter", "Tokens of prompts, those found in the cache included.", (double)t->prompt_tokens);
  metric(f, "prompt_tokens_cached_total", "counter", "Tokens of prompts that were found in the cache.", (double)t->cached_tokens);
  metric(f, "prompt_seconds_total", "counter", "Time from the start of requests to the ends of their prompts.", t->prompt_seconds);
  metric(f, "tokens_predicted_total", "counter", "Tokens of answers.", (double)t->answer_tokens);
  metric(f, "tokens_predicted_seconds_total", "counter", "Time that answers took, summed.", t->answer_seconds);
  metric(f, "n_decode_total", "counter", "Steps of the model.", (double)t->steps);
  metric(f, "step_seconds_total", "counter", "Time in steps of the model.", t->step_seconds);
  metric(f, "n_busy_slots_per_decode", "gauge", "Slots that decoded, per step with any.",
         per((double)t->busy_slots, (double)t->decode_steps));
  metric(f, "n_tokens_max", "gauge", "Most tokens that a slot has held.", (double)t->longest);
  metric(f, "prompt_tokens_seconds", "gauge", "Prompt tokens processed per second, on average.",
         per((double)(t->prompt_tokens - t->cached_tokens), t->prompt_seconds));
  metric(f, "predicted_tokens_seconds", "gauge", "Tokens of answers per second and request, on average.",
         per((double)t->answer_tokens, t->answer_seconds));
  metric(f, "requests_processing", "gauge", "Requests in slots.", busy);
  metric(f, "requests_deferred", "gauge", "Requests in the queue.", state->n_waiting);
  metric(f, "requests_finished_total", "counter", "Requests that were answered; each of several choices counts.", (double)t->finished);
  metric(f, "requests_failed_total", "counter", "Requests that ended with an error.", (double)t->failed);
  metric(f, "requests_cancelled_total", "counter", "Requests whose clients left; each of several choices counts.", (double)t->cancelled);
  metric(f, "requests_refused_total", "counter", "Requests for which the queue had no room.", (double)s->refused);
}

static void write_memory(FILE *f, const pm_board_state *state) {
  fprintf(f,
          "# HELP pumice_memory_bytes Memory of the model, by purpose; slots and homes are the experts' in the device and outside.\n"
          "# TYPE pumice_memory_bytes gauge\n");
  for (uint32_t i = 0; i < state->n_memory; i++)
    fprintf(f, "pumice_memory_bytes{purpose=\"%s\"} %llu\n", state->memory[i].purpose, (unsigned long long)state->memory[i].bytes);
}

static void write_experts(FILE *f, const pumice_expert_stats *e) {
  metric(f, "expert_hits_total", "counter", "Chosen experts that were in slots.", (double)(e->hits + e->prompt_hits));
  metric(f, "expert_misses_total", "counter", "Chosen experts that were not.", (double)(e->fills + e->passes + e->host + e->prompt_passes));
  metric(f, "expert_link_bytes_total", "counter", "Bytes of experts that steps waited for.",
         (double)(e->link_bytes + e->prompt_link_bytes));
  metric(f, "expert_disk_bytes_total", "counter", "Bytes of experts read from disk.", (double)e->disk_bytes);
}

// A part of the machine whose sensor cannot be read has no figure, and the reason instead.
static void write_energy(FILE *f, pumice_energy *energy) {
  enum { MAX_DOMAIN = 16 };
  pumice_energy_domain domains[MAX_DOMAIN];
  uint32_t n = MAX_DOMAIN;
  char reason[128] = "no sensor";
  for (uint32_t i = 0; i < MAX_DOMAIN; i++) domains[i] = (pumice_energy_domain)PUMICE_INIT(pumice_energy_domain);
  if (!energy || pumice_energy_read(energy, domains, &n, NULL, reason) != PUMICE_OK) n = 0;
  if (n > MAX_DOMAIN) n = MAX_DOMAIN;
  if (!n) fprintf(f, "# pumice_energy_joules_total: n/a (%s)\n", reason);
  if (n) fprintf(f, "# HELP pumice_energy_joules_total Energy taken since the server began.\n# TYPE pumice_energy_joules_total counter\n");
  for (uint32_t i = 0; i < n; i++) {
    if (*domains[i].reason)
      fprintf(f, "# %s: n/a (%s)\n", domains[i].name, domains[i].reason);
    else
      fprintf(f, "pumice_energy_joules_total{domain=\"%s\"} %.6f\n", domains[i].name, domains[i].joules);
  }
}

void pm_route_metrics(pm_server *s, struct evhttp_request *req) {
  pm_board_state state;
  pm_board_read(&s->board, &state);
  char *text = NULL;
  size_t n = 0;
  FILE *f = open_memstream(&text, &n);
  if (!f) {
    pm_http_send_error(req, 500, "out of memory");
    return;
  }
  metric(f, "ready", "gauge", "1 while a model can answer.", state.phase == PM_PHASE_READY);
  write_requests(f, s, &state);
  metric(f, "resident_bytes", "gauge", "Memory of this process.", resident_bytes());
  if (state.phase == PM_PHASE_READY) write_memory(f, &state);
  if (state.experts.tiered) write_experts(f, &state.experts);
  write_energy(f, s->energy);
  fclose(f);
  pm_http_send_bytes(req, "text/plain; version=0.0.4; charset=utf-8", text, n);
  free(text);
}
