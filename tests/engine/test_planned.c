// What was planned is what is there after loading, kind of memory by kind: within 3 %, and in no memory more than its budget.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine.h"
#include "testbed.h"

static bool on_gpu;

typedef struct limits {
  const char *name;
  uint32_t vram_percent, ram_percent;  // of what the experts take beside everything else; 100: no limit
} limits;

static pm_engine *open_within(const char *file, const pm_engine_desc *d) {
  char path[512];
  snprintf(path, sizeof path, "%s/models/%s", PM_TEST_DATA, file);
  pm_engine *e;
  if (pm_engine_open(strcmp(file, "pebble") ? path : PM_DEMO_MODEL, d, &e)) fail_msg("%s: %s", file, pm_fail_message());
  return e;
}

static uint64_t share(uint64_t always, uint64_t experts, uint32_t percent) { return percent == 100 ? 0 : always + experts * percent / 100; }

static void check_use(const pm_engine *e, const char *file, const limits *l) {
  pm_memory_use use = e->backend->ops->memory(e->backend);
  const char *worst;
  double error = pm_plan_error(&e->plan, &use, &worst);
  print_message("# %s, %s: %.2f %% %s\n", file, l->name, 100 * error, worst);
  if (error > 0.03) fail_msg("%s, %s: %s differ by %.1f %%", file, l->name, worst, 100 * error);
  bool limited = l->vram_percent < 100 || l->ram_percent < 100, shallow = !strncmp(file, "mini-v2", 7) || !strncmp(file, "mini-glm", 8);
  if (!shallow) assert_int_equal(e->plan.tiered, limited);  // a layer's worth of homes is most of what the others have
  uint64_t own = use.weights + use.kv + use.scratch + use.slots, host = use.staging + use.homes + use.weights_mapped;
  if (on_gpu) assert_true(own <= e->plan.device_budget && host <= e->plan.host_budget);
  if (!on_gpu) assert_true(own + host <= e->plan.host_budget);
}

static void test_model(void **state) {
  static const limits rows[] = {{"all", 100, 100}, {"half of the experts", 50, 100}, {"some on disk", 30, 70}};
  const char *file = *state, *device = on_gpu ? getenv("PUMICE_TEST_DEVICE") : "cpu";
  if (!device) skip();
  pm_engine_desc d = {.device = device, .validate = testbed_validates(), .n_ctx = 256};
  pm_engine *all = open_within(file, &d);
  check_use(all, file, &rows[0]);
  const pm_plan_memory *m = on_gpu ? &all->plan.device : &all->plan.host;
  uint64_t always = m->weights + m->kv + m->scratch + m->staging, experts = on_gpu ? m->slots : all->plan.in_homes.bytes;
  uint64_t mapped = on_gpu ? 0 : m->page_cache - experts, staging = all->plan.host.staging;
  pm_engine_close(all);
  for (size_t i = 1; i < sizeof rows / sizeof *rows; i++) {
    const limits *l = &rows[i];
    pm_engine_desc limited = d;
    if (on_gpu) limited.sim_vram = share(always, experts, l->vram_percent), limited.ram_limit = share(staging, experts, l->ram_percent);
    if (!on_gpu) limited.ram_limit = share(always + mapped, experts, l->vram_percent < l->ram_percent ? l->vram_percent : l->ram_percent);
    pm_engine *e = open_within(file, &limited);
    check_use(e, file, l);
    pm_engine_close(e);
  }
}

int main(int argc, char **argv) {
  on_gpu = argc > 1 && !strcmp(argv[1], "gpu");
  const struct CMUnitTest tests[] = {
      {"pebble", test_model, NULL, NULL, (void *)"pebble"},
      {"mini-v2", test_model, NULL, NULL, (void *)"mini-v2.gguf"},
      {"mini-v2lite-legacy", test_model, NULL, NULL, (void *)"mini-v2lite-legacy.gguf"},
      {"mini-v3", test_model, NULL, NULL, (void *)"mini-v3.gguf"},
      {"mini-glm", test_model, NULL, NULL, (void *)"mini-glm.gguf"},
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
