#include "known_drivers.h"

#include <stdio.h>
#include <string.h>

#include "spirv.h"

typedef enum effect { AVOID, NO_F16, NO_MATRIX } effect;

#define VERSION(major, minor) ((uint64_t)(major) << 32 | (minor))
#define ANY_LATER (UINT32_MAX, 0)

static const struct row {
  VkDriverId driver;
  uint32_t vendor;
  bool integrated;
  uint64_t from, before;
  effect effect;
  const char *what, *link;
} rows[] = {
#define PM_DRIVER(DRIVER, VENDOR, INTEGRATED, FROM, BEFORE, EFFECT, WHAT, LINK) \
  {VK_DRIVER_ID_##DRIVER, VENDOR, INTEGRATED, VERSION FROM, VERSION BEFORE, EFFECT, WHAT, LINK},
#include "known_drivers.def"
#undef PM_DRIVER
};

// Most makers number as Vulkan does; Intel's for Windows are two numbers, of which the lower has 14 bits.
static uint64_t version_of(const pm_gpu_probe *p) {
  uint32_t v = p->driver_version;
  return p->driver == VK_DRIVER_ID_INTEL_PROPRIETARY_WINDOWS ? VERSION(v >> 14, v & 0x3fff)
                                                             : VERSION(VK_API_VERSION_MAJOR(v), VK_API_VERSION_MINOR(v));
}

static bool speaks_of(const struct row *row, const pm_gpu_probe *p) {
  return row->driver == p->driver && (!row->vendor || row->vendor == p->info.vendor_id) &&
         (!row->integrated || p->info.kind == PM_GPU_INTEGRATED) && version_of(p) >= row->from && version_of(p) < row->before;
}

void pm_gpu_known_drivers_apply(pm_gpu_probe *p) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (!speaks_of(&rows[i], p)) continue;
    size_t used = strlen(p->info.known);
    snprintf(p->info.known + used, sizeof p->info.known - used, "%s%s (%s)", used ? "; " : "", rows[i].what, rows[i].link);
    if (rows[i].effect == AVOID) p->info.avoid = true;
    if (rows[i].effect == NO_F16) p->needs &= ~(uint32_t)PM_NEED_F16;
    if (rows[i].effect == NO_MATRIX) p->no_matrix = true;
  }
}
