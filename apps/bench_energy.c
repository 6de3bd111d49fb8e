#include "bench_energy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "terminal.h"

// Sensors are renewed some ten times a second; below these a figure would be chance.
static const double least_seconds = 2;
enum { LEAST_SAMPLES = 20, MAX_DOMAINS = 16 };

pumice_energy *pm_bench_energy_open(void) {
  pumice_energy_options options = PUMICE_INIT(pumice_energy_options);
  pumice_energy *sensors = NULL;
  options.sysfs = getenv("PUMICE_SYSFS_ROOT");
  return pumice_energy_open(&options, &sensors) == PUMICE_OK ? sensors : NULL;
}

// The sum, and the fewest samples of a sensor that is part of it.
static double read_all(pumice_energy *sensors, pm_bench_energy *e, uint64_t *samples) {
  pumice_energy_domain domains[MAX_DOMAINS];
  uint32_t n = MAX_DOMAINS;
  double joules = 0;
  char reason[128] = "sensors cannot be read";
  for (uint32_t i = 0; i < n; i++) domains[i] = (pumice_energy_domain)PUMICE_INIT(pumice_energy_domain);
  e->measured = sensors && pumice_energy_read(sensors, domains, &n, &joules, reason) == PUMICE_OK && !*reason;
  snprintf(e->reason, sizeof e->reason, "%s", e->measured ? "" : reason);
  *samples = UINT64_MAX;
  e->sensors[0] = 0;
  for (uint32_t i = 0; e->measured && i < n; i++) {
    if (!domains[i].counted || *domains[i].reason) continue;
    if (domains[i].samples < *samples) *samples = domains[i].samples;
    size_t used = strlen(e->sensors);
    snprintf(e->sensors + used, sizeof e->sensors - used, "%s%s (%s)", used ? ", " : "", domains[i].name, domains[i].method);
  }
  return joules;
}

void pm_bench_energy_begin(pumice_energy *sensors, pm_bench_energy *e) {
  uint64_t samples;
  double joules = read_all(sensors, e, &samples);
  e->joules -= joules, e->samples -= samples, e->seconds -= pm_seconds();
}

void pm_bench_energy_end(pumice_energy *sensors, pm_bench_energy *e, uint32_t tokens) {
  uint64_t samples;
  e->seconds += pm_seconds();
  double joules = read_all(sensors, e, &samples);
  e->joules += joules, e->samples += samples, e->tokens += tokens;
}

void pm_bench_energy_judge(pm_bench_energy *e) {
  if (!e->measured || (e->seconds >= least_seconds && e->samples >= LEAST_SAMPLES)) return;
  e->measured = false;
  snprintf(e->reason, sizeof e->reason, "%.1f s and %llu samples are too few, at least %.0f s and %d; raise --repeat", e->seconds,
           (unsigned long long)e->samples, least_seconds, LEAST_SAMPLES);
}
