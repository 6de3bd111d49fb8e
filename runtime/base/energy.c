#include "energy.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "file.h"
#include "memory.h"

typedef struct sensor {
  pm_energy_domain domain;
  char path[256];     // of a file of sysfs; "" = NVML
  void *device;       // of NVML
  double unit;        // joules or watts per count
  uint64_t wraps_at;  // a counter's largest value; 0 = 64 bits
  bool known;         // there is a value before
  uint64_t value;     // the newest one
  double when;
} sensor;

// nvml.h: functions return 0 for success.
typedef struct nvml {
  void *library;
  int (*shutdown)(void);
  int (*energy)(void *device, unsigned long long *millijoules);
  int (*power)(void *device, unsigned *milliwatts);
} nvml;

struct pm_energy {
  sensor sensors[PM_ENERGY_MAX_DOMAINS];
  uint32_t n;
  nvml nvml;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  pthread_t thread;
  bool running, quit;
  double period;
};

// ---- values --------------------------------------------------------------------------------------------------------

static bool read_number(const char *path, uint64_t *out) {
  FILE *f = fopen(path, "re");
  if (!f) return false;
  char text[32], *end;
  bool got = fgets(text, sizeof text, f) != NULL;
  if (got) errno = 0;
  fclose(f);
  if (!got) return errno = errno ? errno : EIO, false;
  *out = strtoull(text, &end, 10);
  return end > text || (errno = EINVAL, false);
}

static bool read_sensor(pm_energy *e, sensor *s, uint64_t *value) {
  if (s->path[0]) {
    if (read_number(s->path, value)) return true;
    snprintf(s->domain.reason, sizeof s->domain.reason, "%s: %.80s", errno == EACCES ? "permission" : strerror(errno), s->path);
    return false;
  }
  unsigned long long counted = 0;
  unsigned power = 0;
  int code = s->domain.counter ? e->nvml.energy(s->device, &counted) : e->nvml.power(s->device, &power);
  *value = s->domain.counter ? counted : power;
  if (code) snprintf(s->domain.reason, sizeof s->domain.reason, "NVML: error %d", code);
  return code == 0;
}

// What was taken between two values. A counter that went back has wrapped around, once.
static double between(const sensor *s, uint64_t value, double now) {
  if (!s->domain.counter) return ((double)s->value + (double)value) / 2 * s->unit * (now - s->when);
  uint64_t more = value - s->value;
  if (value < s->value && s->wraps_at) more = s->wraps_at - s->value + value + 1;
  if (value < s->value && !s->wraps_at) more = 0;  // it was reset
  return (double)more * s->unit;
}

// With the lock. A sensor that cannot be read now may be there again later; what it missed is not made up.
static void sample(pm_energy *e) {
  for (sensor *s = e->sensors; s < e->sensors + e->n; s++) {
    uint64_t value;
    if (!read_sensor(e, s, &value)) {
      s->known = false;
      continue;
    }
    double now = pm_clock_seconds();
    if (s->known) s->domain.joules += between(s, value, now);
    s->domain.samples++;
    s->domain.reason[0] = 0;
    s->known = true, s->value = value, s->when = now;
  }
}

static void *sampler(void *p) {
  pm_energy *e = p;
  pthread_mutex_lock(&e->mutex);
  while (!e->quit) {
    sample(e);
    double when = pm_clock_seconds() + e->period;
    struct timespec at = {.tv_sec = (time_t)when, .tv_nsec = (long)((when - (double)(time_t)when) * 1e9)};
    pthread_cond_timedwait(&e->changed, &e->mutex, &at);
  }
  pthread_mutex_unlock(&e->mutex);
  return NULL;
}

// ---- finding sensors -----------------------------------------------------------------------------------------------

static sensor *append(pm_energy *e, pm_energy_covers covers, bool counter, double unit) {
  if (e->n == PM_ENERGY_MAX_DOMAINS) return NULL;
  sensor *s = &e->sensors[e->n++];
  *s = (sensor){.domain = {.covers = covers, .counter = counter, .counted = true}, .unit = unit};
  return s;
}

static bool read_line(const char *path, char *line, int n) {
  FILE *f = fopen(path, "re");
  bool got = f && fgets(line, n, f);
  if (f) fclose(f);
  if (got) line[strcspn(line, "\n")] = 0;
  return got;
}

// The packages; their parts, in folders of two numbers, are in them.
static void find_rapl(pm_energy *e, const char *sysfs) {
  for (int i = 0; i < 8; i++) {
    char path[256], name[32];
    snprintf(path, sizeof path, "%.200s/class/powercap/intel-rapl:%d/name", sysfs, i);
    if (!read_line(path, name, sizeof name) || strncmp(name, "package", 7) != 0) continue;
    sensor *s = append(e, PM_ENERGY_PACKAGE, true, 1e-6);
    if (!s) return;
    snprintf(s->domain.name, sizeof s->domain.name, "processor %s", name);
    snprintf(s->path, sizeof s->path, "%.200s/class/powercap/intel-rapl:%d/energy_uj", sysfs, i);
    snprintf(path, sizeof path, "%.200s/class/powercap/intel-rapl:%d/max_energy_range_uj", sysfs, i);
    if (!read_number(path, &s->wraps_at)) s->wraps_at = 0;
  }
}

// What a driver's hwmon folder has, best first.
static const struct {
  const char *driver, *file;
  bool counter;
} card_files[] = {
    {"amdgpu", "power1_average", false}, {"amdgpu", "power1_input", false}, {"i915", "energy1_input", true}, {"xe", "energy1_input", true}};

static void find_card(pm_energy *e, int card, const char *folder) {
  char path[256], driver[32];
  snprintf(path, sizeof path, "%s/name", folder);
  if (!read_line(path, driver, sizeof driver)) return;
  for (size_t i = 0; i < sizeof card_files / sizeof *card_files; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, card_files[i].file);
    if (strcmp(driver, card_files[i].driver) != 0 || !pm_file_exists(path)) continue;
    char north_bridge[256];  // the voltage of which amdgpu shows on APUs alone; power there is that of the whole chip
    snprintf(north_bridge, sizeof north_bridge, "%s/in1_input", folder);
    bool apu = strcmp(driver, "amdgpu") == 0 && pm_file_exists(north_bridge);
    sensor *s = append(e, apu ? PM_ENERGY_APU : PM_ENERGY_GPU, card_files[i].counter, 1e-6);
    if (!s) return;
    snprintf(s->domain.name, sizeof s->domain.name, "card %d %s", card, driver);
    snprintf(s->path, sizeof s->path, "%s", path);
    return;
  }
}

static void find_cards(pm_energy *e, const char *sysfs) {
  for (int card = 0; card < 16; card++)
    for (int i = 0; i < 64; i++) {
      char folder[192];
      snprintf(folder, sizeof folder, "%.120s/class/drm/card%d/device/hwmon/hwmon%d", sysfs, card, i);
      if (pm_file_exists(folder)) find_card(e, card, folder);
    }
}

// dlsym gives an object pointer, which C does not turn into a function pointer by itself.
static bool symbol(void *library, const char *name, void *out) {
  void *p = dlsym(library, name);
  memcpy(out, &p, sizeof p);
  return p != NULL;
}

static void find_nvml_devices(pm_energy *e, unsigned n, int (*handle)(unsigned index, void **device)) {
  for (unsigned i = 0; i < n; i++) {
    void *device;
    unsigned long long counted;
    if (handle(i, &device)) continue;
    bool counter = e->nvml.energy && e->nvml.energy(device, &counted) == 0;  // Volta and later
    if (!counter && !e->nvml.power) continue;
    sensor *s = append(e, PM_ENERGY_GPU, counter, 1e-3);
    if (!s) return;
    s->device = device;
    snprintf(s->domain.name, sizeof s->domain.name, "card %u nvidia", i);
  }
}

static void find_nvml(pm_energy *e, const char *name) {
  int (*init)(void), (*count)(unsigned *n), (*handle)(unsigned index, void **device);
  unsigned n = 0;
  void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!library) return;
  symbol(library, "nvmlDeviceGetTotalEnergyConsumption", &e->nvml.energy);
  symbol(library, "nvmlDeviceGetPowerUsage", &e->nvml.power);
  if (!symbol(library, "nvmlInit_v2", &init) || !symbol(library, "nvmlShutdown", &e->nvml.shutdown) ||
      !symbol(library, "nvmlDeviceGetCount_v2", &count) || !symbol(library, "nvmlDeviceGetHandleByIndex_v2", &handle) || init()) {
    dlclose(library);
    return;
  }
  e->nvml.library = library;
  if (count(&n) == 0) find_nvml_devices(e, n, handle);
}

// Where one sensor has processor and graphics, the processor's own is not added to it.
static void count_once(pm_energy *e) {
  bool apu = false;
  for (uint32_t i = 0; i < e->n; i++) apu |= e->sensors[i].domain.covers == PM_ENERGY_APU;
  for (uint32_t i = 0; i < e->n; i++) e->sensors[i].domain.counted = !apu || e->sensors[i].domain.covers != PM_ENERGY_PACKAGE;
}

static pm_status start(pm_energy *e) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&e->changed, &attributes);
  pthread_condattr_destroy(&attributes);
  pthread_mutex_init(&e->mutex, NULL);
  if (e->period < 0 || e->n == 0) return PM_OK;
  e->running = pthread_create(&e->thread, NULL, sampler, e) == 0;
  if (!e->running) PM_FAIL(PM_ERR_MEMORY, "no thread for the energy sensors");
  return PM_OK;
}

pm_status pm_energy_open(const pm_energy_desc *desc, pm_energy **out) {
  const char *sysfs = desc->sysfs ? desc->sysfs : "/sys";
  pm_energy *e;
  *out = NULL;
  PM_NEW(&e, 1, "energy sensors");
  e->period = desc->period == 0 ? 0.1 : desc->period;
  find_nvml(e, desc->nvml ? desc->nvml : "libnvidia-ml.so.1");
  find_cards(e, sysfs);
  find_rapl(e, sysfs);
  count_once(e);
  pm_status status = start(e);
  if (status != PM_OK) return pm_energy_close(e), status;
  *out = e;
  return PM_OK;
}

void pm_energy_close(pm_energy *e) {
  if (!e) return;
  pthread_mutex_lock(&e->mutex);
  e->quit = true;
  pthread_cond_signal(&e->changed);
  pthread_mutex_unlock(&e->mutex);
  if (e->running) pthread_join(e->thread, NULL);
  pthread_mutex_destroy(&e->mutex);
  pthread_cond_destroy(&e->changed);
  if (e->nvml.library) {
    e->nvml.shutdown();
    dlclose(e->nvml.library);
  }
  pm_free(e);
}

uint32_t pm_energy_read(pm_energy *e, pm_energy_domain out[PM_ENERGY_MAX_DOMAINS]) {
  pthread_mutex_lock(&e->mutex);
  sample(e);
  for (uint32_t i = 0; i < e->n; i++) out[i] = e->sensors[i].domain;
  pthread_mutex_unlock(&e->mutex);
  return e->n;
}
