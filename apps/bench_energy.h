// Energy of measurements, per token.
#ifndef PM_BENCH_ENERGY_H
#define PM_BENCH_ENERGY_H

#include "pumice.h"

typedef struct pm_bench_energy {  // of one test: what its measurements took together
  double joules, seconds;
  uint64_t tokens, samples;
  bool measured;      // joules / tokens means something
  char reason[160];   // why not
  char sensors[256];  // that were added up
} pm_bench_energy;

// `sensors` may be NULL: nothing is measured then. PUMICE_SYSFS_ROOT in the environment stands for /sys.
pumice_energy *pm_bench_energy_open(void);
void pm_bench_energy_begin(pumice_energy *sensors, pm_bench_energy *e);
void pm_bench_energy_end(pumice_energy *sensors, pm_bench_energy *e, uint32_t tokens);
// After the last measurement: whether it was long enough.
void pm_bench_energy_judge(pm_bench_energy *e);

#endif
