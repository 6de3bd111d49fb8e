#include "bench_report.h"

#include <stdlib.h>
#include <string.h>

#include "expert_report.h"
#include "json_writer.h"
#include "terminal.h"
#include "text_buffer.h"

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

pm_bench_speed pm_bench_summarize(double *speed, uint32_t n) {
  qsort(speed, n, sizeof *speed, by_value);
  return (pm_bench_speed){speed[0], (speed[(n - 1) / 2] + speed[n / 2]) / 2, speed[n - 1]};
}

static const char *mode(const pm_model_arguments *a) { return a->exact ? ", exact" : a->cache_f32 ? ", 32-bit cache" : ""; }

void pm_bench_print_head(const pm_bench_report *r) {
  const pumice_model_info *i = &r->info;
  printf("model     %s (%s, %s, %.1f million weights, %s)\n", i->name, i->architecture, i->file_type, (double)i->n_parameter / 1e6,
         pm_bytes_text(i->file_bytes));
  printf("device    %s", i->device);
  if (i->n_thread) printf(", %u threads", i->n_thread);
  printf(", context %u%s\n", i->n_ctx, mode(r->arguments));
  if (*i->driver) printf("driver    %s\n", i->driver);
  printf("load      %.3f s, first token after %.3f s\n", r->load_seconds, r->first_token_seconds);
  printf("text      %zu tokens%s\n", r->n_text, r->text_repeats ? ", repeated: give a longer one with --file" : "");
  printf("\n%s%-14s %6s %10s %10s %10s   %9s %9s %9s %9s%s\n", pm_style(stdout, PM_BOLD), "", "depth", "t/s", "slowest", "fastest",
         "dispatch", "barrier", "submit", "alloc", pm_style(stdout, PM_PLAIN));
  fflush(stdout);
}

void pm_bench_print_row(const pm_bench_row *row) {
  char name[32];
  snprintf(name, sizeof name, "%s %u", row->prompt ? "prompt" : "generate", row->n);
  printf("%-14s %6u %10.2f %10.2f %10.2f   %9.2f %9.2f %9.3f %9.3f\n", name, row->depth, row->speed.median, row->speed.slowest,
         row->speed.fastest, row->dispatches, row->barriers, row->submissions, row->allocations);
  fflush(stdout);
}

static void print_energy(const pm_bench_report *r) {
  bool same = true;  // one reason for all
  for (uint32_t i = 0; i < r->n_row; i++)
    same &= !r->rows[i].energy.measured && !strcmp(r->rows[i].energy.reason, r->rows[0].energy.reason);
  if (r->n_row && same) printf("J/token   n/a (%s)\n", r->rows[0].energy.reason);
  for (uint32_t i = 0; i < r->n_row && !same; i++) {
    const pm_bench_row *row = &r->rows[i];
    printf("J/token   %s %u, depth %u: ", row->prompt ? "prompt" : "generate", row->n, row->depth);
    if (row->energy.measured)
      printf("%.4g, %.1f W on average: %s\n", row->energy.joules / (double)row->energy.tokens, row->energy.joules / row->energy.seconds,
             row->energy.sensors);
    else
      printf("n/a (%s)\n", row->energy.reason);
  }
}

void pm_bench_print_tail(const pm_bench_report *r) {
  printf("\nmedian of %u; dispatches, barriers, submissions and allocations are per token\n", r->repeat);
  pm_print_memory(stdout, r->model);
  printf("process   at most %s\n", pm_bytes_text(r->peak_rss));
  pm_print_experts(stdout, r->model, &r->experts_before, r->n_single);
  print_energy(r);
  printf("logits    %016llx\n", (unsigned long long)r->logits_hash);
}

static void write_row(pm_json *j, const pm_bench_row *row) {
  pm_json_begin(j, NULL, '{');
  pm_json_text(j, "test", row->prompt ? "prompt" : "generate");
  pm_json_uint(j, "tokens", row->n);
  pm_json_uint(j, "depth", row->depth);
  pm_json_real(j, "tokens_per_second", row->speed.median);
  pm_json_real(j, "slowest", row->speed.slowest);
  pm_json_real(j, "fastest", row->speed.fastest);
  pm_json_real(j, "steps_per_token", row->steps);
  pm_json_real(j, "dispatches_per_token", row->dispatches);
  pm_json_real(j, "barriers_per_token", row->barriers);
  pm_json_real(j, "submissions_per_token", row->submissions);
  pm_json_real(j, "allocations_per_token", row->allocations);
  pm_json_begin(j, "energy", '{');
  if (row->energy.measured) {
    pm_json_real(j, "joules_per_token", row->energy.joules / (double)row->energy.tokens);
    pm_json_real(j, "watts", row->energy.joules / row->energy.seconds);
    pm_json_uint(j, "samples", row->energy.samples);
    pm_json_text(j, "sensors", row->energy.sensors);
  } else {
    pm_json_null(j, "joules_per_token");
    pm_json_text(j, "reason", row->energy.reason);
  }
  pm_json_end(j, '}');
  pm_json_end(j, '}');
}

static void write_memory(pm_json *j, const pm_bench_report *r) {
  pm_json_begin(j, "memory", '{');
  pm_json_memory(j, r->model);
  pm_json_uint(j, "peak_rss", r->peak_rss);
  pm_json_end(j, '}');
}

static void write_experts(pm_json *j, const pm_bench_report *r) {
  pm_json_begin(j, "experts", '{');
  pm_json_experts(j, r->model, &r->experts_before, r->n_single);
  pm_json_end(j, '}');
}

void pm_bench_print_json(const pm_bench_report *r) {
  const pumice_model_info *i = &r->info;
  char hash[20];
  pm_json j = {.f = stdout};
  pm_json_begin(&j, NULL, '{');
  pm_json_text(&j, "version", pumice_version());
  pm_json_text(&j, "model", i->name);
  pm_json_text(&j, "architecture", i->architecture);
  pm_json_text(&j, "file_type", i->file_type);
  pm_json_uint(&j, "parameters", i->n_parameter);
  pm_json_uint(&j, "file_bytes", i->file_bytes);
  pm_json_text(&j, "device", i->device);
  pm_json_text(&j, "driver", i->driver);
  pm_json_uint(&j, "threads", i->n_thread);
  pm_json_uint(&j, "n_ctx", i->n_ctx);
  pm_json_bool(&j, "exact", r->arguments->exact);
  pm_json_bool(&j, "cache_f32", r->arguments->exact || r->arguments->cache_f32);
  pm_json_real(&j, "load_seconds", r->load_seconds);
  pm_json_real(&j, "first_token_seconds", r->first_token_seconds);
  pm_json_uint(&j, "text_tokens", r->n_text);
  pm_json_bool(&j, "text_repeats", r->text_repeats);
  pm_json_uint(&j, "repeat", r->repeat);
  pm_json_begin(&j, "tests", '[');
  for (uint32_t k = 0; k < r->n_row; k++) write_row(&j, &r->rows[k]);
  pm_json_end(&j, ']');
  write_memory(&j, r);
  write_experts(&j, r);
  snprintf(hash, sizeof hash, "%016llx", (unsigned long long)r->logits_hash);
  pm_json_text(&j, "logits_hash", hash);
  pm_json_end(&j, '}');
}
