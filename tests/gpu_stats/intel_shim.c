// What Mesa's no-op shim for Intel's kernel driver calls of the rest of Mesa, which intel_shim.sh leaves out.
#include <stdbool.h>

struct intel_device_info;

bool debug_get_bool_option(const char *name, bool value);
bool intel_device_info_from_json(const char *path, struct intel_device_info *info);
bool intel_device_info_i915_update_from_masks(struct intel_device_info *info, unsigned slices, unsigned subslices, unsigned units);
void intel_device_info_init_was(struct intel_device_info *info);
void mesa_log(int level, const char *tag, const char *format, ...);

bool debug_get_bool_option(const char *name, bool value) {
  (void)name;
  return value;
}

bool intel_device_info_from_json(const char *path, struct intel_device_info *info) {
  (void)path, (void)info;
  return false;
}

bool intel_device_info_i915_update_from_masks(struct intel_device_info *info, unsigned slices, unsigned subslices, unsigned units) {
  (void)info, (void)slices, (void)subslices, (void)units;
  return false;
}

void intel_device_info_init_was(struct intel_device_info *info) { (void)info; }

void mesa_log(int level, const char *tag, const char *format, ...) { (void)level, (void)tag, (void)format; }
