#include "device_list.h"

#include <stdlib.h>

#include "model_options.h"
#include "terminal.h"
#include "text_buffer.h"

int pm_device_list_get(pm_device_list *list) {
  *list = (pm_device_list){0};
  uint32_t n = 0;
  pumice_status status = pumice_devices(NULL, &n, list->note);
  if (status == PUMICE_OK) {
    list->n = n;
    list->devices = pm_resize(NULL, n, sizeof *list->devices);
    for (uint32_t i = 0; i < n; i++) list->devices[i] = (pumice_device_info)PUMICE_INIT(pumice_device_info);
    status = pumice_devices(list->devices, &n, list->note);
    if (n < list->n) list->n = n;  // one was pulled out meanwhile
  }
  if (status != PUMICE_OK) pm_device_list_free(list);
  return pm_failed(status);
}

void pm_device_list_free(pm_device_list *list) {
  free(list->devices);
  list->devices = NULL;
}

const char *pm_device_option(uint32_t i) {
  static char option[16];
  if (i == 0) return "cpu";
  snprintf(option, sizeof option, "gpu:%u", i - 1);
  return option;
}

const char *pm_device_kind_name(pumice_device_kind kind) {
  static const char *const names[] = {"processor", "discrete graphics", "integrated graphics", "virtual graphics", "software graphics"};
  return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "unknown";
}

void pm_device_list_print(const pm_device_list *list, bool features) {
  const char *plain = pm_style(stdout, PM_PLAIN);
  uint32_t width = pm_terminal_width();
  for (uint32_t i = 0; i < list->n; i++) {
    const pumice_device_info *d = &list->devices[i];
    printf("%s%-6s %s%s (%s)\n", pm_style(stdout, PM_BOLD), pm_device_option(i), d->name, plain, pm_device_kind_name(d->kind));
    if (*d->driver) printf("       driver   %s\n", d->driver);
    printf("       memory   %s, %s free\n", pm_bytes_text(d->memory_total), pm_bytes_text(d->memory_free));
    if (*d->uuid) printf("       uuid     %s\n", d->uuid);
    if (*d->pci) printf("       pci      %s\n", d->pci);
    if (features && *d->features) {
      printf("       features ");
      pm_print_wrapped(stdout, d->features, 16, width);
    }
    if (features && *d->known) {
      printf("       %sknown   %s ", pm_style(stdout, PM_YELLOW), plain);
      pm_print_wrapped(stdout, d->known, 16, width);
    }
    if (*d->reason || !d->usable) {
      printf("       %s%s%s ", pm_style(stdout, d->usable ? PM_YELLOW : PM_RED), d->usable ? "note    " : "not used", plain);
      pm_print_wrapped(stdout, *d->reason ? d->reason : "no reason is known", 16, width);
    }
  }
  if (*list->note) printf("%s\n", list->note);
}
