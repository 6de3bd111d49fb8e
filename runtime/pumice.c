// The public API: the library itself, the machine's devices and energy. This file and its neighbours pumice_*.c check arguments, fill
// defaults, and forward to the floors below; nothing is computed here.
#include "pumice.h"

#include <stdio.h>

#include "energy.h"
#include "engine.h"
#include "file.h"
#include "memory.h"
#include "public.h"
#include "selftest.h"
#include "thread.h"

_Static_assert((int)PUMICE_ERR_CANCELLED == (int)PM_ERR_CANCELLED, "status values are shared");
_Static_assert((int)PUMICE_ERR_CANCELLED == PM_STATUS_COUNT - 1, "every status has a public name");

const char *pumice_version(void) { return PUMICE_VERSION; }
const char *pumice_error(void) { return pm_fail_message(); }

const char *pumice_status_name(pumice_status status) {
  static const char *const names[] = {"ok",           "wrong argument", "input/output error",
                                      "wrong format", "not supported",  "out of memory",
                                      "device error", "device lost",    "cancelled"};
  return (unsigned)status < sizeof names / sizeof *names ? names[status] : "unknown";
}

// ---- devices ----

static pumice_device_kind public_kind(pm_gpu_kind kind) {
  switch (kind) {
    case PM_GPU_DISCRETE: return PUMICE_DEVICE_DISCRETE;
    case PM_GPU_INTEGRATED: return PUMICE_DEVICE_INTEGRATED;
    case PM_GPU_SOFTWARE: return PUMICE_DEVICE_SOFTWARE;
    case PM_GPU_VIRTUAL:
    case PM_GPU_OTHER: break;
  }
  return PUMICE_DEVICE_VIRTUAL;
}

static pumice_device_info cpu_info(void) {
  pumice_device_info d = {
      .kind = PUMICE_DEVICE_CPU, .usable = true, .memory_total = pm_memory_total(), .memory_free = pm_memory_available()};
  snprintf(d.name, sizeof d.name, "CPU");
  snprintf(d.driver, sizeof d.driver, "%s, %u physical cores", pm_cpu_path_name(), pm_thread_physical_cores());
  return d;
}

static pumice_device_info gpu_info(const pm_gpu_info *g) {
  pumice_device_info d = {
      .kind = public_kind(g->kind), .usable = g->usable, .memory_total = g->memory_total, .memory_free = g->memory_free};
  snprintf(d.name, sizeof d.name, "%s", g->name);
  snprintf(d.driver, sizeof d.driver, "%s", g->driver);
  snprintf(d.uuid, sizeof d.uuid, "%s", g->uuid);
  snprintf(d.pci, sizeof d.pci, "%s", g->pci);
  snprintf(d.features, sizeof d.features, "%s", g->features);
  snprintf(d.known, sizeof d.known, "%s", g->known);
  const char *why = g->reason;
  if (g->usable && g->avoid) why = "its driver is known to go wrong: used only when named";
  if (g->usable && g->kind == PM_GPU_SOFTWARE && !*why) why = "a software driver: used only when named";
  snprintf(d.reason, sizeof d.reason, "%s", why);
  return d;
}

pumice_status pumice_devices(pumice_device_info *infos, uint32_t *n, char note[256]) {
  REQUIRE(n && (infos || !*n), "n is NULL, or infos is");
  enum { MAX_GPU = 16 };
  pm_gpu_info *gpus = pm_alloc_zero(MAX_GPU, sizeof *gpus);
  if (!gpus) return public_status(pm_fail(PM_ERR_MEMORY, "out of memory: list of devices"));
  char why[256] = "";
  uint32_t n_gpu = MAX_GPU;
  pm_status status = pm_gpu_list(gpus, &n_gpu, why);
  if (n_gpu > MAX_GPU) n_gpu = MAX_GPU;
  if (note) snprintf(note, 256, "%s", why);
  for (uint32_t i = 0; status == PM_OK && i < n_gpu + 1 && i < *n; i++) {
    pumice_device_info d = i ? gpu_info(&gpus[i - 1]) : cpu_info();
    copy_out(&infos[i], &d, sizeof d);
  }
  *n = n_gpu + 1;
  pm_free(gpus);
  return public_status(status);
}

pumice_status pumice_selftest(const char *device, const char *cache_dir, pumice_selftest_fn *report, void *user) {
  REQUIRE(report, "report is NULL");
  return public_status(pm_selftest(&(pm_selftest_desc){.device = device, .cache_dir = cache_dir, .report = report, .user = user}));
}

// ---- energy ----

struct pumice_energy {
  pm_energy *sensors;
};

pumice_status pumice_energy_open(const pumice_energy_options *options, pumice_energy **out) {
  REQUIRE(out, "out is NULL");
  pumice_energy_options o = PUMICE_INIT(pumice_energy_options);
  copy_in(&o, sizeof o, options);
  pumice_energy *e = *out = pm_alloc_zero(1, sizeof *e);
  if (!e) return public_status(pm_fail(PM_ERR_MEMORY, "out of memory: energy sensors"));
  pm_status status = pm_energy_open(&(pm_energy_desc){.sysfs = o.sysfs, .nvml = o.nvml}, &e->sensors);
  if (status != PM_OK) pm_free(e), *out = NULL;
  return public_status(status);
}

void pumice_energy_close(pumice_energy *energy) {
  if (!energy) return;
  pm_energy_close(energy->sensors);
  pm_free(energy);
}

static pumice_energy_domain public_domain(const pm_energy_domain *d) {
  static const char *const covers[] = {[PM_ENERGY_GPU] = "gpu", [PM_ENERGY_PACKAGE] = "package", [PM_ENERGY_APU] = "apu"};
  pumice_energy_domain p = {.counted = d->counted, .joules = d->joules, .samples = d->samples};
  snprintf(p.name, sizeof p.name, "%s", d->name);
  snprintf(p.covers, sizeof p.covers, "%s", covers[d->covers]);
  snprintf(p.method, sizeof p.method, "%s", d->counter ? "counter" : "power");
  snprintf(p.reason, sizeof p.reason, "%s", d->reason);
  return p;
}

pumice_status pumice_energy_read(pumice_energy *energy, pumice_energy_domain *domains, uint32_t *n, double *joules, char reason[128]) {
  REQUIRE(energy && n && (domains || !*n), "an argument is NULL");
  pm_energy_domain found[PM_ENERGY_MAX_DOMAINS];
  uint32_t n_found = pm_energy_read(energy->sensors, found), n_read = 0;
  double sum = 0;
  for (uint32_t i = 0; i < n_found; i++) {
    pumice_energy_domain p = public_domain(&found[i]);
    if (i < *n) copy_out(&domains[i], &p, sizeof p);
    bool readable = found[i].counted && !*found[i].reason;
    if (readable) n_read++, sum += found[i].joules;
  }
  if (joules) *joules = sum;
  if (reason) snprintf(reason, 128, "%s", n_read ? "" : n_found ? found[0].reason : "no sensor");
  return *n = n_found, PUMICE_OK;
}
