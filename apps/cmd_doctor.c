#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "device_list.h"
#include "model_options.h"
#include "terminal.h"

static const char *device;
static const pm_option rows[] = {
    {"device", 'D', "DEVICE", PM_TEXT, &device,
     "test this one only: cpu, gpu, gpu:N, a UUID, a PCI address or part of a name (default: every usable one)"},
    {0}};
static const pm_option_group group = {"what", rows};

typedef struct tally {
  uint32_t n_passed, n_failed;
} tally;

static bool on_kernel(void *user, const char *kernel, bool passed, double worst_error, const char *detail) {
  tally *t = user;
  passed ? t->n_passed++ : t->n_failed++;
  printf("  %s%-6s%s error %8.2e  %s", pm_style(stdout, passed ? PM_GREEN : PM_RED), passed ? "ok" : "FAILED", pm_style(stdout, PM_PLAIN),
         worst_error, kernel);
  printf(detail && *detail ? ": %s\n" : "\n", detail ? detail : "");
  fflush(stdout);
  return !pm_interrupted();
}

// Tests one device; 0 or an exit code. A kernel that fails is not the end: the others are tested too.
static int test_device(const char *option, const char *name) {
  tally t = {0};
  printf("\n%sself-test of %s%s%s%s\n", pm_style(stdout, PM_BOLD), option, *name ? ": " : "", name, pm_style(stdout, PM_PLAIN));
  pumice_status status = pumice_selftest(option, pm_model_cache_dir(), on_kernel, &t);
  if (pm_interrupted()) return PM_EXIT_INTERRUPTED;
  if (status != PUMICE_OK && t.n_failed == 0) return pm_failed(status);  // not a kernel: there is no such device, or its driver failed
  printf("  %u kernels passed, %u failed\n", t.n_passed, t.n_failed);
  if (t.n_failed && status == PUMICE_OK) printf("  what failed is set aside: other kernels serve on this device\n");
  return status == PUMICE_OK ? PM_EXIT_OK : PM_EXIT_FAILED;
}

static int test_all(const pm_device_list *list) {
  int worst = PM_EXIT_OK;
  for (uint32_t i = 0; i < list->n && worst != PM_EXIT_INTERRUPTED; i++) {
    if (!list->devices[i].usable) continue;
    char option[16];
    snprintf(option, sizeof option, "%s", pm_device_option(i));
    int code = test_device(option, list->devices[i].name);
    if (worst == PM_EXIT_OK || code == PM_EXIT_INTERRUPTED) worst = code;
  }
  return worst;
}

static int run(char **arguments, uint32_t n) {
  (void)arguments, (void)n;
  pm_device_list list;
  pm_interrupt_catch();
  printf("pumice %s\n\n", pumice_version());
  int code = pm_device_list_get(&list);
  if (code) return code;
  pm_device_list_print(&list, true);
  code = device ? test_device(device, "") : test_all(&list);
  if (code == PM_EXIT_OK) printf("\nEverything works.\n");
  if (code == PM_EXIT_FAILED) printf("\nA kernel gives wrong numbers: a newer driver may help; until then use another --device.\n");
  pm_device_list_free(&list);
  return code;
}

const pm_command pm_cmd_doctor = {
    .name = "doctor",
    .arguments = "",
    .summary = "look for trouble with devices and drivers",
    .details =
        "Shows what was found, its features and why a device is not used, then runs every kernel of every usable device on small random "
        "inputs and compares with the processor's "
        "double precision. A kernel that fails is set aside on that device, as long as others can serve, until 'pumice doctor' finds it "
        "right. Exit code 1 if none can. What the driver is known for is printed, with where to read more.",
    .groups = {&group},
    .run = run,
};
