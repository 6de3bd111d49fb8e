// Energy that parts of the machine have taken, from the sensors that the system shows.
//
// Counters are read by difference, with wrap-around; powers are integrated by the trapezoid rule over samples of a thread of low priority.
// Sources: Linux Documentation/power/powercap/powercap.rst (intel-rapl, Intel and AMD), Documentation/gpu/amdgpu/thermal.rst,
// Documentation/ABI/testing/sysfs-driver-intel-i915-hwmon and -xe-hwmon, NVIDIA's NVML API reference.
#ifndef PM_ENERGY_H
#define PM_ENERGY_H

#include <stdbool.h>
#include <stdint.h>

#include "status.h"

typedef struct pm_energy_desc {
  const char *sysfs;  // NULL = /sys
  const char *nvml;   // the library; NULL = libnvidia-ml.so.1
  double period;      // seconds between samples; 0 = 0.1; below 0: only pm_energy_read takes any
} pm_energy_desc;

typedef enum pm_energy_covers { PM_ENERGY_GPU, PM_ENERGY_PACKAGE, PM_ENERGY_APU } pm_energy_covers;

typedef struct pm_energy_domain {
  char name[64];
  pm_energy_covers covers;  // a graphics card, a processor, or both on one chip
  bool counter;             // the sensor counts energy; else it tells power
  bool counted;             // part of the total: no processor is counted twice
  double joules;            // since pm_energy_open
  uint64_t samples;
  char reason[128];  // why it cannot be read; "" if it can
} pm_energy_domain;

typedef struct pm_energy pm_energy;
enum { PM_ENERGY_MAX_DOMAINS = 16 };

// A machine without sensors is no failure: there are no domains then.
pm_status pm_energy_open(const pm_energy_desc *desc, pm_energy **out) PM_MUST_USE;
void pm_energy_close(pm_energy *e);  // NULL is fine

// Takes a sample; returns the number of domains.
uint32_t pm_energy_read(pm_energy *e, pm_energy_domain out[PM_ENERGY_MAX_DOMAINS]);

#endif
