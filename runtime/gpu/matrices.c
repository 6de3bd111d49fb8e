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

// Tiles of pick.def are whole multiples of 16 outputs and rows for each subgroup, and 32 values deep.
static bool fits(const matrix_properties *p) {
  bool halves = p->scope == SUBGROUP && p->a == FLOAT16 && p->b == FLOAT16 && p->c == FLOAT32 && p->result == FLOAT32;
  return halves && p->m && p->n && p->k && 16 % p->m == 0 && 16 % p->n == 0 && 32 % p->k == 0 && p->k % 4 == 0;
}

pm_gpu_matrix pm_gpu_matrices_find(VkPhysicalDevice physical) {
  enum { MOST = 64 };
  pm_gpu_matrix best = {0};
  matrix_properties list[MOST];
  uint32_t n = MOST;
  for (uint32_t i = 0; i < MOST; i++) list[i] = (matrix_properties){.sType = (VkStructureType)MATRIX_PROPERTIES};
  get_properties_fn get = (get_properties_fn)(void (*)(void))vkGetInstanceProcAddr(volkGetLoadedInstance(),
                                                                                   "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
  if (!get || get(physical, &n, list) < 0) return best;
  for (uint32_t i = 0; i < n; i++)
    if (fits(&list[i]) && list[i].m * list[i].n * list[i].k > best.m * best.n * best.k)
      best = (pm_gpu_matrix){list[i].m, list[i].n, list[i].k};
  return best;
}
