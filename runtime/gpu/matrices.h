// Cooperative matrices of a device: VK_KHR_cooperative_matrix, which is newer than the headers of Debian 12.
#ifndef PM_GPU_MATRICES_H
#define PM_GPU_MATRICES_H

#include "record.h"
#include "vk.h"

#define PM_GPU_MATRIX_EXTENSION "VK_KHR_cooperative_matrix"

typedef struct pm_gpu_matrix_features {
  VkStructureType sType;
  void *pNext;
  VkBool32 cooperativeMatrix, cooperativeMatrixRobustBufferAccess;
} pm_gpu_matrix_features;
enum { PM_GPU_MATRIX_FEATURES_TYPE = 1000506000 };  // of sType

// The largest matrices of halves with sums in f32 that subgroups multiply and matmul_coop can use; zeros: none. The device has
// the feature.
pm_gpu_matrix pm_gpu_matrices_find(VkPhysicalDevice physical);

#endif
