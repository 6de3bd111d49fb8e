#include "pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "cache_file.h"
#include "memory.h"
#include "record.h"

// ---- what the driver compiled ----

void pm_gpu_pipelines_save(pm_gpu_device *d, pm_gpu_pipelines *p) {
  size_t bytes = 0;
  if (!p->path || !p->cache || d->broken) return;
  if (d->fn.vkGetPipelineCacheData(d->handle, p->cache, &bytes, NULL) != VK_SUCCESS || bytes == p->saved_bytes) return;
  void *blob = pm_alloc(bytes);
  if (blob && d->fn.vkGetPipelineCacheData(d->handle, p->cache, &bytes, blob) == VK_SUCCESS &&
      pm_gpu_cache_write(d, p->path, 0, blob, bytes) == PM_OK)
    p->saved_bytes = bytes;
  pm_free(blob);
}

// ---- layouts ----

static pm_status create_layouts(pm_gpu_device *d, pm_gpu_pipelines *p) {
  const uint32_t counts[] = {PM_GPU_ARENAS, 1, PM_GPU_KV_ARENAS, 1, 1, 1, d->probe.traits.home_arenas};
  enum { N = sizeof counts / sizeof *counts };
  VkDescriptorSetLayoutBinding bindings[N];
  for (uint32_t i = 0; i < N; i++)
    bindings[i] = (VkDescriptorSetLayoutBinding){.binding = i,
                                                 .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                                 .descriptorCount = counts[i],
                                                 .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
  VkDescriptorSetLayoutCreateInfo set = {
      .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, .bindingCount = N, .pBindings = bindings};
  PM_GPU(d, d->fn.vkCreateDescriptorSetLayout(d->handle, &set, NULL, &p->set_layout), "vkCreateDescriptorSetLayout");
  VkPushConstantRange push = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = PM_GPU_PUSH_BYTES};
  VkPipelineLayoutCreateInfo layout = {
      .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
      .setLayoutCount = 1,
      .pSetLayouts = &p->set_layout,
      .pushConstantRangeCount = 1,
      .pPushConstantRanges = &push,
  };
  PM_GPU(d, d->fn.vkCreatePipelineLayout(d->handle, &layout, NULL, &p->layout), "vkCreatePipelineLayout");
  return PM_OK;
}

pm_status pm_gpu_pipelines_init(pm_gpu_device *d, pm_gpu_pipelines *p, const char *cache_dir) {
  *p = (pm_gpu_pipelines){0};
  PM_TRY(create_layouts(d, p));
  PM_TRY(pm_gpu_tuning_init(&p->tuning, d, cache_dir));
  void *blob = NULL;
  uint64_t bytes = 0;
  if (cache_dir && cache_dir[0]) {
    PM_TRY(pm_gpu_cache_path(d, cache_dir, "kernels", &p->path));
    if (p->path && pm_gpu_cache_read(d, p->path, 0, &blob, &bytes)) bytes = 0;
  }
  p->saved_bytes = bytes;
  VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO, .initialDataSize = bytes, .pInitialData = blob};
  VkResult result = d->fn.vkCreatePipelineCache(d->handle, &info, NULL, &p->cache);
  pm_free(blob);
  PM_GPU(d, result, "vkCreatePipelineCache");
  return PM_OK;
}

void pm_gpu_pipelines_finish(pm_gpu_device *d, pm_gpu_pipelines *p) {
  if (!d->handle) return;
  pm_gpu_pipelines_save(d, p);
  for (uint32_t i = 0; i < p->n; i++) d->fn.vkDestroyPipeline(d->handle, p->items[i].handle, NULL);
  d->fn.vkDestroyPipelineCache(d->handle, p->cache, NULL);
  d->fn.vkDestroyPipelineLayout(d->handle, p->layout, NULL);
  d->fn.vkDestroyDescriptorSetLayout(d->handle, p->set_layout, NULL);
  pm_free(p->items);
  pm_free(p->path);
  pm_gpu_tuning_finish(&p->tuning);
  *p = (pm_gpu_pipelines){0};
}

// ---- kernels and pipelines ----

static int by_name(const void *name, const void *kernel) { return strcmp(name, ((const pm_gpu_spirv *)kernel)->name); }

const pm_gpu_spirv *pm_gpu_kernel_find(const pm_gpu_device *d, const char *name) {
  const pm_gpu_spirv *k = bsearch(name, pm_gpu_spirvs, pm_gpu_spirv_count, sizeof *k, by_name);
  return k && !(k->needs & ~d->probe.needs) ? k : NULL;
}

// Called from many threads at once: the driver locks its cache itself, and nothing else is shared.
static VkResult make(const pm_gpu_device *d, const pm_gpu_pipelines *p, pm_gpu_pipeline *item) {
  VkSpecializationMapEntry entries[PM_GPU_CONSTANTS];
  for (uint32_t i = 0; i < item->n_constant; i++) entries[i] = (VkSpecializationMapEntry){.constantID = i, .offset = 4 * i, .size = 4};
  VkSpecializationInfo constants = {
      .mapEntryCount = item->n_constant, .pMapEntries = entries, .dataSize = 4 * item->n_constant, .pData = item->constants};
  VkShaderModuleCreateInfo code = {
      .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = item->kernel->bytes, .pCode = item->kernel->words};
  VkShaderModule module;
  VkResult result = d->fn.vkCreateShaderModule(d->handle, &code, NULL, &module);
  if (result) return result;
  uint32_t subgroup = d->probe.traits.subgroup;
  bool whole = item->n_constant && item->constants[0] % subgroup == 0;  // full subgroups are promised only then
  VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size = {
      .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO, .requiredSubgroupSize = subgroup};
  VkComputePipelineCreateInfo info = {
      .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
      .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                .pNext = d->probe.size_control ? &size : NULL,
                .flags = d->probe.full_subgroups && whole ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT : 0,
                .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                .module = module,
                .pName = "main",
                .pSpecializationInfo = &constants},
      .layout = p->layout,
  };
  result = d->fn.vkCreateComputePipelines(d->handle, p->cache, 1, &info, NULL, &item->handle);
  if (result) item->handle = VK_NULL_HANDLE;
  d->fn.vkDestroyShaderModule(d->handle, module, NULL);
  return result;
}

static bool is_same(const pm_gpu_pipeline *a, const pm_gpu_spirv *kernel, const uint32_t *constants, uint32_t n) {
  return a->kernel == kernel && a->n_constant == n && !memcmp(a->constants, constants, n * sizeof *constants);
}

static pm_status find_or_add(pm_gpu_pipelines *p, const pm_gpu_spirv *kernel, const uint32_t *constants, uint32_t n_constant,
                             pm_gpu_pipeline **out) {
  if (n_constant > PM_GPU_CONSTANTS)
    PM_FAIL(PM_ERR_ARGUMENT, "kernel %s: %u constants, %u at most", kernel->name, n_constant, (unsigned)PM_GPU_CONSTANTS);
  for (uint32_t i = 0; i < p->n; i++)
    if (is_same(&p->items[i], kernel, constants, n_constant)) {
      *out = &p->items[i];
      return PM_OK;
    }
  if (p->n == p->capacity) {
    uint32_t wanted = p->capacity ? 2 * p->capacity : 64;
    pm_gpu_pipeline *bigger = pm_realloc(p->items, wanted * sizeof *bigger);
    if (!bigger) PM_FAIL(PM_ERR_MEMORY, "out of memory: list of %u pipelines", wanted);
    p->items = bigger, p->capacity = wanted;
  }
  *out = &p->items[p->n++];
  **out = (pm_gpu_pipeline){.kernel = kernel, .n_constant = n_constant};
  memcpy((*out)->constants, constants, n_constant * sizeof *constants);
  return PM_OK;
}

pm_status pm_gpu_pipelines_want(pm_gpu_pipelines *p, const pm_gpu_spirv *kernel, const uint32_t *constants, uint32_t n_constant) {
  pm_gpu_pipeline *item;
  return find_or_add(p, kernel, constants, n_constant, &item);
}

typedef struct make_job {
  const pm_gpu_device *d;
  pm_gpu_pipelines *p;
  pm_team *team;
} make_job;

static void make_share(void *arg, uint32_t thread, uint32_t n_thread) {
  (void)thread, (void)n_thread;
  const make_job *job = arg;
  for (uint32_t i; (i = pm_team_take(job->team)) < job->p->n;)
    if (!job->p->items[i].handle) (void)make(job->d, job->p, &job->p->items[i]);
}

void pm_gpu_pipelines_make(const pm_gpu_device *d, pm_gpu_pipelines *p, pm_team *team) {
  make_job job = {d, p, team};
  pm_team_take_reset(team);
  pm_team_run(team, make_share, &job);
}

pm_status pm_gpu_pipelines_get(pm_gpu_device *d, pm_gpu_pipelines *p, const pm_gpu_spirv *kernel, const uint32_t *constants,
                               uint32_t n_constant, VkPipeline *out) {
  pm_gpu_pipeline *item;
  PM_TRY(find_or_add(p, kernel, constants, n_constant, &item));
  VkResult result = item->handle ? VK_SUCCESS : make(d, p, item);
  if (result) return pm_fail_prefix(pm_gpu_device_fail(d, result, "vkCreateComputePipelines"), "kernel %s", kernel->name);
  *out = item->handle;
  return PM_OK;
}
