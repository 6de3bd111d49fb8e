// How fast the matrix products are: bench_mm [threads] [path] [format]
// Weights of about 64 MB, so that one row reads memory and not a cache; the best of several runs.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "clock.h"
#include "isa.h"
#include "kernels.h"
#include "thread.h"

enum { N_IN = 2048, RUNS = 7, MOST_ROWS = 512 };

static void share(void *arg, uint32_t thread, uint32_t n_thread) {
  pm_cpu_mm job = *(const pm_cpu_mm *)arg;
  uint64_t tiles = job.out_end / PM_CPU_TILE_MAX;
  job.out_first = tiles * thread / n_thread * PM_CPU_TILE_MAX;
  job.out_end = tiles * (thread + 1) / n_thread * PM_CPU_TILE_MAX;
  pm_cpu_mm_run(&job);
}

// Seconds of the fastest run.
static double measure(pm_team *team, pm_cpu_mm *job) {
  double best = 1e9;
  for (int i = 0; i < RUNS; i++) {
    double start = pm_clock_seconds();
    pm_team_run(team, share, job);
    double seconds = pm_clock_seconds() - start;
    best = seconds < best ? seconds : best;
  }
  return best;
}

static void bench(pm_team *team, const pm_format *f, bool exact, const float *x, float *y) {
  static const uint32_t counts[] = {1, 2, 4, 8, 64, 512};
  size_t row_bytes = pm_format_bytes(f->type, N_IN);
  uint64_t n_out = (64u << 20) / row_bytes / 64 * 64;
  pm_cpu_act act = pm_cpu_act_for(f->type, exact);
  size_t act_bytes = pm_cpu_act_bytes(act, N_IN);
  uint8_t *w = aligned_alloc(64, (row_bytes * n_out + 63) / 64 * 64), *rows = aligned_alloc(64, act_bytes * MOST_ROWS);
  const void *xs[MOST_ROWS];
  float *ys[MOST_ROWS];
  pm_rng rng = pm_rng_seed(1);
  f->random(&rng, 0.1f, w, N_IN * 64);
  for (uint64_t o = 64; o < n_out; o += 64) memcpy(w + o * row_bytes, w, 64 * row_bytes);
  for (uint32_t r = 0; r < MOST_ROWS; r++) {
    pm_cpu_act_make(act, x + (size_t)r * N_IN, rows + r * act_bytes, N_IN);
    xs[r] = rows + r * act_bytes, ys[r] = y + r * n_out;
  }
  printf("%-5s %-5s", f->name, act == PM_CPU_ACT_Q8 ? "8-bit" : "float");
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    uint64_t outs = counts[i] > 8 ? n_out / 16 : n_out;
    pm_cpu_mm job = {.type = f->type, .act = act, .w = w, .n_in = N_IN, .out_end = outs, .x = xs, .y = ys, .n_row = counts[i]};
    double seconds = measure(team, &job);
    printf("  %6.1f GB/s %6.1f GOP/s", (double)(row_bytes * outs) / seconds * 1e-9, 2.0 * N_IN * (double)outs * counts[i] / seconds * 1e-9);
    fflush(stdout);
  }
  printf("\n");
  free(w);
  free(rows);
}

int main(int argc, char **argv) {
  pm_team *team;
  if (argc > 2 && !pm_cpu_isa_force(argv[2])) return fprintf(stderr, "no such path here: %s\n", argv[2]), 1;
  if (pm_team_create(argc > 1 ? (uint32_t)atoi(argv[1]) : 0, &team) != PM_OK) return fprintf(stderr, "%s\n", pm_fail_message()), 1;
  float *x = malloc(sizeof(float) * N_IN * MOST_ROWS), *y = malloc(sizeof(float) * MOST_ROWS * (64u << 20) / 1024);
  pm_rng rng = pm_rng_seed(2);
  for (size_t i = 0; i < (size_t)N_IN * MOST_ROWS; i++) x[i] = (float)pm_rng_uniform(&rng) - 0.5f;
  printf("%s, %u threads, %d inputs; rows: 1, 2, 4, 8, 64, 512\n", pm_cpu_path_name(), pm_team_size(team), N_IN);
  for (size_t i = 0; pm_format_row(i); i++) {
    const pm_format *f = pm_format_row(i);
    if (!f->decode || (argc > 3 && strcmp(argv[3], f->name))) continue;
    bench(team, f, true, x, y);
    if (pm_cpu_act_for(f->type, false) == PM_CPU_ACT_Q8) bench(team, f, false, x, y);
  }
  pm_team_destroy(team);
  free(x);
  free(y);
  return 0;
}
