// Known bad drivers: what is disabled for them.
#ifndef PM_GPU_KNOWN_DRIVERS_H
#define PM_GPU_KNOWN_DRIVERS_H

#include "probe.h"

// Applies every row of known_drivers.def that speaks of the probe's driver, and says so in its info.
void pm_gpu_known_drivers_apply(pm_gpu_probe *p);

#endif
