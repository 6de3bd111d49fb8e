#include "matrices.h"

// As in the specification; enumerations are numbers here.
typedef struct matrix_properties {
  VkStructureType sType;
  void *pNext;
  uint32_t m, n, k;
  int32_t a, b, c, result;  // types of components
  VkBool32 saturating;
  int32_t scope;
} matrix_properties;
enum { MATRIX_PROPERTIES = 1000506001, FLOAT16 = 0, FLOAT32 = 1, SUBGROUP = 3 };

typedef VkResult(VKAPI_PTR *get_properties_fn)(VkPhysicalDevice physical, uint32_t *n, matrix_properties *properties);

// Drivers that report matrices and then fail.
static const struct {
  VkDriverId driver;
  bool integrated;  // only there
} trouble[] = {
    {VK_DRIVER_ID_AMD_PROPRIETARY, true},  // crash when asked for sizes: https://github.com/GPUOpen-Drivers/AMDVLK/issues/422
    {VK_DRIVER_ID_AMD_OPEN_SOURCE, true},
    {VK_DRIVER_ID_INTEL_PROPRIETARY_WINDOWS,
     false},  // device lost: https://github.com/IGCIT/Intel-GPU-Community-Issue-Tracker-IGCIT/issues/1487
};

static bool is_trouble(VkDriverId driver, VkPhysicalDeviceType kind) {
  for (size_t i = 0; i < sizeof trouble / sizeof *trouble; i++)
    if (trouble[i].driver == driver && (!trouble[i].integrated || kind == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU)) return true;
  return false;
}

// Tiles of pick.def are whole multiples of 16 outputs and rows for each subgroup, and 32 values deep.
static bool fits(const matrix_properties *p) {
  bool halves = p->scope == SUBGROUP && p->a == FLOAT16 && p->b == FLOAT16 && p->c == FLOAT32 && p->result == FLOAT32;
  return halves && p->m && p->n && p->k && 16 % p->m == 0 && 16 % p->n == 0 && 32 % p->k == 0 && p->k % 4 == 0;
}

pm_gpu_matrix pm_gpu_matrices_find(VkPhysicalDevice physical, VkDriverId driver, VkPhysicalDeviceType kind) {
  enum { MOST = 64 };
  pm_gpu_matrix best = {0};
  matrix_properties list[MOST];
  uint32_t n = MOST;
  for (uint32_t i = 0; i < MOST; i++) list[i] = (matrix_properties){.sType = (VkStructureType)MATRIX_PROPERTIES};
  get_properties_fn get = (get_properties_fn)(void (*)(void))vkGetInstanceProcAddr(volkGetLoadedInstance(),
                                                                                   "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
  if (is_trouble(driver, kind) || !get || get(physical, &n, list) < 0) return best;
  for (uint32_t i = 0; i < n; i++)
    if (fits(&list[i]) && list[i].m * list[i].n * list[i].k > best.m * best.n * best.k)
      best = (pm_gpu_matrix){list[i].m, list[i].n, list[i].k};
  return best;
}
