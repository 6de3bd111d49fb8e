#include "vk.h"

#include <stdio.h>
#include <string.h>
#include <threads.h>

static once_flag opened = ONCE_FLAG_INIT;
static mtx_t globals;
static bool available;

static void open_loader(void) {
  mtx_init(&globals, mtx_plain);
  available = volkInitialize() == VK_SUCCESS;
}

void pm_vk_lock(const pm_vk *vk) {
  call_once(&opened, open_loader);
  mtx_lock(&globals);
  if (vk && vk->instance) volkLoadInstanceOnly(vk->instance);
}

void pm_vk_unlock(void) { mtx_unlock(&globals); }

bool pm_vk_available(void) { return available; }

bool pm_vk_has_extension(const VkExtensionProperties *list, uint32_t n, const char *name) {
  for (uint32_t i = 0; i < n; i++)
    if (!strcmp(list[i].extensionName, name)) return true;
  return false;
}

static const struct {
  VkResult result;
  pm_status status;
  const char *text;
} results[] = {
    {VK_TIMEOUT, PM_ERR_DEVICE, "no answer in time"},
    {VK_ERROR_OUT_OF_HOST_MEMORY, PM_ERR_MEMORY, "out of host memory"},
    {VK_ERROR_OUT_OF_DEVICE_MEMORY, PM_ERR_MEMORY, "out of device memory"},
    {VK_ERROR_MEMORY_MAP_FAILED, PM_ERR_MEMORY, "memory cannot be mapped"},
    {VK_ERROR_TOO_MANY_OBJECTS, PM_ERR_MEMORY, "too many objects"},
    {VK_ERROR_INITIALIZATION_FAILED, PM_ERR_DEVICE, "the driver failed to start"},
    {VK_ERROR_DEVICE_LOST, PM_ERR_DEVICE_LOST, "the device was lost (reset by its driver, or removed)"},
    {VK_ERROR_LAYER_NOT_PRESENT, PM_ERR_UNSUPPORTED, "a layer is missing"},
    {VK_ERROR_EXTENSION_NOT_PRESENT, PM_ERR_UNSUPPORTED, "an extension is missing"},
    {VK_ERROR_FEATURE_NOT_PRESENT, PM_ERR_UNSUPPORTED, "a feature is missing"},
    {VK_ERROR_INCOMPATIBLE_DRIVER, PM_ERR_UNSUPPORTED, "no Vulkan driver is installed for any device of this machine"},
};

pm_status pm_vk_fail(VkResult result, const char *what) {
  for (size_t i = 0; i < sizeof results / sizeof *results; i++)
    if (results[i].result == result) PM_FAIL(results[i].status, "%s: %s", what, results[i].text);
  PM_FAIL(PM_ERR_DEVICE, "%s: Vulkan error %d", what, (int)result);
}

// ---- the validation layer ----

static const char layer_name[] = "VK_LAYER_KHRONOS_validation";

static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity, VkDebugUtilsMessageTypeFlagsEXT types,
                                                 const VkDebugUtilsMessengerCallbackDataEXT *data, void *user) {
  (void)severity, (void)types;
  pm_vk *vk = user;
  if (!vk->complaint[0]) snprintf(vk->complaint, sizeof vk->complaint, "%s", data->pMessage);
  return VK_FALSE;
}

// VK_EXT_layer_settings, in case the headers are older than it. It reaches one thing that VK_EXT_validation_features cannot: hazards
// between the accesses of whole dispatches, which is where a missing barrier shows.
typedef struct layer_setting {
  const char *layer, *name;
  uint32_t type;  // 0 = VkBool32
  uint32_t n_value;
  const void *values;
} layer_setting;
typedef struct layer_settings {
  VkStructureType sType;
  const void *pNext;
  uint32_t n_setting;
  const layer_setting *settings;
} layer_settings;
enum { STRUCTURE_TYPE_LAYER_SETTINGS = 1000496000 };

static const VkBool32 yes = VK_TRUE;
static const layer_setting sync_settings[] = {
    {layer_name, "validate_sync", 0, 1, &yes},
    {layer_name, "syncval_shader_accesses_heuristic", 0, 1, &yes},
};

// What instance creation needs for validation; the pNext chain is features -> messenger, or settings -> messenger.
typedef struct validation {
  VkDebugUtilsMessengerCreateInfoEXT messenger;
  VkValidationFeatureEnableEXT enable;
  VkValidationFeaturesEXT features;
  layer_settings settings;
  const void *chain;
  bool layer_settings;
} validation;

static pm_status find_layer(validation *v) {
  VkExtensionProperties extensions[32];
  uint32_t n = sizeof extensions / sizeof *extensions;
  VkResult result = vkEnumerateInstanceExtensionProperties(layer_name, &n, extensions);
  if (result != VK_SUCCESS && result != VK_INCOMPLETE)
    PM_FAIL(PM_ERR_UNSUPPORTED, "the Vulkan validation layer was asked for but is not installed (package vulkan-validationlayers)");
  v->layer_settings = pm_vk_has_extension(extensions, n, "VK_EXT_layer_settings");
  return PM_OK;
}

static void fill_validation(validation *v, pm_vk *vk) {
  v->messenger = (VkDebugUtilsMessengerCreateInfoEXT){
      .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
      .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
      .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
      .pfnUserCallback = on_message,
      .pUserData = vk,
  };
  v->enable = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
  v->features = (VkValidationFeaturesEXT){
      .sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT, .enabledValidationFeatureCount = 1, .pNext = &v->messenger};
  v->features.pEnabledValidationFeatures = &v->enable;
  v->settings = (layer_settings){
      .sType = (VkStructureType)STRUCTURE_TYPE_LAYER_SETTINGS, .pNext = &v->messenger, .n_setting = 2, .settings = sync_settings};
  v->chain = v->layer_settings ? (const void *)&v->settings : &v->features;
}

// ---- the instance ----

pm_status pm_vk_init(pm_vk *vk, bool validate) {
  *vk = (pm_vk){0};
  if (!available) PM_FAIL(PM_ERR_UNSUPPORTED, "no Vulkan loader (libvulkan.so.1) on this machine: install the package libvulkan1");
  validation v = {0};
  if (validate) {
    PM_TRY(find_layer(&v));
    fill_validation(&v, vk);
  }
  VkApplicationInfo app = {
      .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .pApplicationName = "pumice", .pEngineName = "pumice", .apiVersion = VK_API_VERSION_1_3};
  const char *layers[] = {layer_name}, *extensions[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME};
  VkInstanceCreateInfo info = {
      .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
      .pNext = v.chain,
      .pApplicationInfo = &app,
      .enabledLayerCount = validate,
      .ppEnabledLayerNames = layers,
      .enabledExtensionCount = validate,
      .ppEnabledExtensionNames = extensions,
  };
  PM_VK(vkCreateInstance(&info, NULL, &vk->instance), "vkCreateInstance");
  volkLoadInstanceOnly(vk->instance);
  if (validate) PM_VK(vkCreateDebugUtilsMessengerEXT(vk->instance, &v.messenger, NULL, &vk->messenger), "vkCreateDebugUtilsMessengerEXT");
  return PM_OK;
}

void pm_vk_finish(pm_vk *vk) {
  if (vk->messenger) vkDestroyDebugUtilsMessengerEXT(vk->instance, vk->messenger, NULL);
  if (vk->instance) vkDestroyInstance(vk->instance, NULL);
  *vk = (pm_vk){0};
}
