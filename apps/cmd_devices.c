#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "device_list.h"
#include "json_writer.h"
#include "terminal.h"

static bool as_json;
static const pm_option rows[] = {{"json", 0, NULL, PM_FLAG, &as_json, "print the list as JSON"}, {0}};
static const pm_option_group group = {"output", rows};

static void print_json(const pm_device_list *list) {
  pm_json j = {.f = stdout};
  pm_json_begin(&j, NULL, '{');
  pm_json_text(&j, "note", list->note);
  pm_json_begin(&j, "devices", '[');
  for (uint32_t i = 0; i < list->n; i++) {
    const pumice_device_info *d = &list->devices[i];
    pm_json_begin(&j, NULL, '{');
    pm_json_text(&j, "option", pm_device_option(i));
    pm_json_text(&j, "kind", pm_device_kind_name(d->kind));
    pm_json_text(&j, "name", d->name);
    pm_json_text(&j, "driver", d->driver);
    pm_json_text(&j, "uuid", d->uuid);
    pm_json_text(&j, "pci", d->pci);
    pm_json_uint(&j, "memory_total", d->memory_total);
    pm_json_uint(&j, "memory_free", d->memory_free);
    pm_json_bool(&j, "usable", d->usable);
    pm_json_text(&j, "reason", d->reason);
    pm_json_text(&j, "features", d->features);
    pm_json_text(&j, "known", d->known);
    pm_json_end(&j, '}');
  }
  pm_json_end(&j, ']');
  pm_json_end(&j, '}');
}

static int run(char **arguments, uint32_t n) {
  (void)arguments, (void)n;
  pm_device_list list;
  int code = pm_device_list_get(&list);
  if (code) return code;
  if (as_json)
    print_json(&list);
  else
    pm_device_list_print(&list, false);
  pm_device_list_free(&list);
  return PM_EXIT_OK;
}

const pm_command pm_cmd_devices = {
    .name = "devices",
    .arguments = "",
    .summary = "what models can run on",
    .details = "Lists the processor and every Vulkan device, with what --device takes for each, and why one is not used.",
    .groups = {&group},
    .run = run,
};
