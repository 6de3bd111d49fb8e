// What a driver's compiler makes of our kernels: one line per pipeline that real cards get, for the table of this folder (README.md).
//
//   gpu_stats [decode]    every pipeline, or those of one token only, on device 0
//
// The pipelines are those that recording asks for: the operations of a step are recorded dry, as at load, for every weight format and for
// the row counts of decode, batches and prompts. The runtime's own code makes them; a few Vulkan functions are caught so that the driver
// keeps its statistics. Exit code 77: no device, or a driver that reports nothing.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gpu_device.h"
#include "layout.h"
#include "loads.h"
#include "memory.h"
#include "ops.h"
#include "pipeline.h"
#include "recorder.h"
#include "step_shapes.h"

enum { SKIP = 77 };

// How a driver names a figure, and how often it assumes that a loop runs, alone and in another (found by compiling loops of known bodies).
typedef struct dialect {
  const char *registers, *spills[2], *shared, *waves, *instructions, *cycles, *latency;
  double loop, inner_loop, branch;  // branch: how often it assumes that a branch is taken which all invocations take alike
} dialect;

static const struct {
  uint32_t vendor;
  dialect names;
} dialects[] = {
    {0x1002,
     {.registers = "VGPRs",
      .spills = {"Spilled VGPRs", "Spilled SGPRs"},
      .shared = "LDS size",
      .waves = "Subgroups per SIMD",
      .instructions = "Instructions",
      .cycles = "Inverse Throughput",
      .latency = "Latency",
      .loop = 8,
      .inner_loop = 32,
      .branch = 0.5}},
    {0x8086,
     {.registers = "Max live registers",
      .spills = {"Spills", "Fills"},
      .shared = "Workgroup Memory Size",
      .waves = "",
      .instructions = "Instructions",
      .cycles = "Cycles",
      .latency = "",
      .loop = 10,
      .inner_loop = 100,
      .branch = 1}},
    {0x10de,
     {.registers = "Number of GPRs",
      .spills = {"Spills to memory", "Fills from memory"},
      .shared = "",
      .waves = "Max warps/SM",
      .instructions = "Instruction count",
      .cycles = "Static cycle count",
      .latency = "",
      .loop = 10,
      .inner_loop = 38,
      .branch = 1}},
};

// ---- the functions that are caught ----

static PFN_vkCreateDevice create_device;
static PFN_vkCreateComputePipelines create_pipelines;
static PFN_vkCreateSemaphore create_semaphore;
static bool reports;  // the driver has statistics

static VKAPI_ATTR VkResult VKAPI_CALL create_reporting_device(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                                              const VkAllocationCallbacks *allocator, VkDevice *out) {
  VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR feature = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
      .pNext = (void *)(uintptr_t)info->pNext,
      .pipelineExecutableInfo = VK_TRUE};
  const char *extensions[16];
  VkDeviceCreateInfo more = *info;
  memcpy(extensions, info->ppEnabledExtensionNames, info->enabledExtensionCount * sizeof *extensions);
  extensions[more.enabledExtensionCount++] = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
  more.ppEnabledExtensionNames = extensions;
  more.pNext = &feature;
  reports = create_device(physical, &more, allocator, out) == VK_SUCCESS;
  return reports ? VK_SUCCESS : create_device(physical, info, allocator, out);
}

static VKAPI_ATTR VkResult VKAPI_CALL create_reporting_pipelines(VkDevice device, VkPipelineCache cache, uint32_t n,
                                                                 const VkComputePipelineCreateInfo *info,
                                                                 const VkAllocationCallbacks *allocator, VkPipeline *out) {
  VkComputePipelineCreateInfo more = *info;  // the runtime makes them one by one
  more.flags |= VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR | VK_PIPELINE_CREATE_CAPTURE_INTERNAL_REPRESENTATIONS_BIT_KHR;
  return create_pipelines(device, cache, n, &more, allocator, out);
}

// A driver without a kernel (RADV_FORCE_FAMILY) compiles, but has no semaphores.
static VKAPI_ATTR VkResult VKAPI_CALL create_semaphore_or_none(VkDevice device, const VkSemaphoreCreateInfo *info,
                                                               const VkAllocationCallbacks *allocator, VkSemaphore *out) {
  if (create_semaphore(device, info, allocator, out) != VK_SUCCESS) *out = VK_NULL_HANDLE;
  return VK_SUCCESS;
}

void __real_volkLoadDeviceTable(struct VolkDeviceTable *table, VkDevice device);
void __wrap_volkLoadDeviceTable(struct VolkDeviceTable *table, VkDevice device);
void __wrap_volkLoadDeviceTable(struct VolkDeviceTable *table, VkDevice device) {
  __real_volkLoadDeviceTable(table, device);
  create_pipelines = table->vkCreateComputePipelines;
  create_semaphore = table->vkCreateSemaphore;
  table->vkCreateComputePipelines = create_reporting_pipelines;
  table->vkCreateSemaphore = create_semaphore_or_none;
}

pm_status __real_pm_vk_init(pm_vk *vk, bool validate);
pm_status __wrap_pm_vk_init(pm_vk *vk, bool validate);
pm_status __wrap_pm_vk_init(pm_vk *vk, bool validate) {
  PM_TRY(__real_pm_vk_init(vk, validate));
  create_device = vkCreateDevice;
  vkCreateDevice = create_reporting_device;
  return PM_OK;
}

// Of a few rows tables have a board, so that the kernels which bring experts are recorded too.
bool __wrap_pm_gpu_board_find(const pm_gpu_recorder *r, const pm_expert_table *t, pm_gpu_board *out);
bool __wrap_pm_gpu_board_find(const pm_gpu_recorder *r, const pm_expert_table *t, pm_gpu_board *out) {
  static const pm_tensor slots[3] = {{.role = PM_ROLE_WEIGHT}, {.role = PM_ROLE_WEIGHT}, {.role = PM_ROLE_WEIGHT}};
  (void)t;
  *out = (pm_gpu_board){.max_victim = 8, .few = true, .slots = slots, .entries = slots};
  return pm_gpu_rows(r, PM_ROWS_ALL) <= PM_EXPERT_FEW_ROWS;
}

// ---- one pipeline's figures ----

typedef struct figures {
  char label[128];
  double registers, spills, shared, waves, instructions, cycles, latency;  // negative: not reported
  double weight_bytes;                                                     // that a subgroup reads in the cycles that the driver counts
  char loads[96];
} figures;

static double value_of(const VkPipelineExecutableStatisticKHR *s) {
  switch (s->format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR: return s->value.b32;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR: return (double)s->value.i64;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR: return (double)s->value.u64;
    default: return s->value.f64;
  }
}

static double find_value(const VkPipelineExecutableStatisticKHR *list, uint32_t n, const char *name) {
  for (uint32_t i = 0; i < n; i++)
    if (!strcmp(list[i].name, name)) return value_of(&list[i]);
  return -1;
}

static void read_statistics(const pm_gpu_device *d, const VkPipelineExecutableInfoKHR *which, const dialect *names, figures *f) {
  VkPipelineExecutableStatisticKHR list[64];
  uint32_t n = sizeof list / sizeof *list;
  for (uint32_t i = 0; i < n; i++)
    list[i] = (VkPipelineExecutableStatisticKHR){.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR};
  if (d->fn.vkGetPipelineExecutableStatisticsKHR(d->handle, which, &n, list) < 0) return;
  f->registers = find_value(list, n, names->registers);
  f->spills = find_value(list, n, names->spills[0]) + find_value(list, n, names->spills[1]);
  f->shared = find_value(list, n, names->shared);
  f->waves = find_value(list, n, names->waves);
  f->instructions = find_value(list, n, names->instructions);
  f->cycles = find_value(list, n, names->cycles);
  f->latency = find_value(list, n, names->latency);
}

static void read_loads(const pm_gpu_device *d, const VkPipelineExecutableInfoKHR *which, figures *f) {
  VkPipelineExecutableInternalRepresentationKHR list[16];
  uint32_t n = sizeof list / sizeof *list;
  for (uint32_t i = 0; i < n; i++)
    list[i] = (VkPipelineExecutableInternalRepresentationKHR){.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INTERNAL_REPRESENTATION_KHR};
  if (d->fn.vkGetPipelineExecutableInternalRepresentationsKHR(d->handle, which, &n, list) < 0) return;
  for (uint32_t i = 0; i < n; i++) list[i].pData = strstr(list[i].name, "ssembly") ? pm_alloc(list[i].dataSize + 1) : NULL;
  if (d->fn.vkGetPipelineExecutableInternalRepresentationsKHR(d->handle, which, &n, list) >= 0)
    for (uint32_t i = 0; i < n; i++)
      if (list[i].pData) loads_describe(list[i].pData, f->loads, sizeof f->loads);
  for (uint32_t i = 0; i < n; i++) pm_free(list[i].pData);
}

// Bytes of weights behind the driver's count of cycles: of the kernels that read weights by lanes, whose loop takes a unit of each of a
// lane's outputs (constants of shaders/op/dot.glsl), behind the branch for rows that there are and, of experts, that for those that are
// somewhere. 0: other kernels.
static double weight_bytes(const pm_gpu_pipeline *item, const dialect *names) {
  enum { SUBGROUP = 1, OUTS = 3, GATED = 5, MANY = 1 << 16 };
  const char *kernel = item->kernel->name;
  bool vector = !strncmp(kernel, "matvec.", 7), glu = !strncmp(kernel, "experts_glu.", 12), down = !strncmp(kernel, "experts_down.", 13);
  if (!vector && !glu && !down) return 0;
  double unit = (double)pm_gpu_row_bytes(pm_format_find_name(strchr(kernel, '.') + 1)->type, MANY) / (MANY / PM_GPU_UNIT);
  uint32_t n_matrix = !down && item->constants[GATED] ? 2 : 1;
  double times = (down ? names->inner_loop : names->loop) * names->branch * (vector ? 1 : names->branch);
  return times * unit * item->constants[OUTS] * item->constants[SUBGROUP] * n_matrix;
}

static pm_status measure(pm_gpu_device *d, pm_gpu_pipelines *p, const pm_gpu_pipeline *item, const dialect *names, figures *f) {
  VkPipeline pipeline;
  *f = (figures){.weight_bytes = weight_bytes(item, names)};
  int at = snprintf(f->label, sizeof f->label, "%s ", item->kernel->name);
  for (uint32_t i = 0; i < item->n_constant; i++)
    at += snprintf(f->label + at, sizeof f->label - (size_t)at, "%s%u", i ? "," : "", item->constants[i]);
  PM_TRY(pm_gpu_pipelines_get(d, p, item->kernel, item->constants, item->n_constant, &pipeline));
  VkPipelineExecutableInfoKHR which = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, .pipeline = pipeline};
  read_statistics(d, &which, names, f);
  read_loads(d, &which, f);
  return PM_OK;
}

// ---- the table ----

static void print_number(double v, const char *format) {
  putchar('\t');
  if (v < 0)
    putchar('-');
  else
    printf(format, v);
}

static void print_table(const pm_gpu_device *d, const figures *all, uint32_t n) {
  double most = 0;
  for (uint32_t i = 0; i < n; i++) most = all[i].waves > most ? all[i].waves : most;
  printf("# %s; subgroups of %u\n", d->probe.info.driver, d->probe.traits.subgroup);
  puts("kernel\tregisters\tspills\tshared\toccupancy\tinstructions\tloads\tcycles\tcycles/B\tlatency/B");
  for (uint32_t i = 0; i < n; i++) {
    const figures *f = &all[i];
    fputs(f->label, stdout);
    print_number(f->registers, "%.0f");
    print_number(f->spills, "%.0f");
    print_number(f->shared, "%.0f");
    print_number(f->waves < 0 ? -1 : 100 * f->waves / most, "%.0f%%");
    print_number(f->instructions, "%.0f");
    printf("\t%s", f->loads[0] ? f->loads : "-");
    print_number(f->cycles, "%.0f");
    print_number(f->weight_bytes > 0 ? f->cycles / f->weight_bytes : -1, "%.3f");
    print_number(f->weight_bytes > 0 && f->latency >= 0 ? f->latency / f->weight_bytes : -1, "%.3f");
    putchar('\n');
  }
}

static pm_status want_all(pm_gpu_device *d, pm_gpu_pipelines *p, bool decode) {
  for (uint32_t i = 0; i < step_shapes_count(decode); i++) {
    pm_program program;
    pm_gpu_temps temps = {0};
    pm_gpu_recording out = {0};
    uint32_t rows = step_shapes_build(&program, decode, i);
    pm_status status = pm_program_check(&program);
    pm_gpu_recorder r = {.device = d, .pipelines = p, .program = &program, .temps = &temps, .dry = true, .want = true, .out = &out};
    if (!status) status = pm_gpu_record_dry(&r, rows, rows);
    pm_gpu_temps_finish(&temps);
    pm_program_finish(&program);
    PM_TRY(status);
  }
  return PM_OK;
}

static pm_status print_device(pm_gpu_device *d, pm_gpu_pipelines *p, const dialect *names, bool decode) {
  PM_TRY(pm_gpu_pipelines_init(d, p, NULL));
  PM_TRY(want_all(d, p, decode));
  figures *all;
  PM_NEW(&all, p->n, "figures");
  pm_status status = PM_OK;
  for (uint32_t i = 0; i < p->n && !status; i++) status = measure(d, p, &p->items[i], names, &all[i]);
  if (!status) print_table(d, all, p->n);
  pm_free(all);
  return status;
}

int main(int argc, char **argv) {
  pm_gpu_device d = {0};
  pm_gpu_pipelines p = {0};
  bool decode = argc == 2 && !strcmp(argv[1], "decode");
  if (argc > 2 || (argc == 2 && !decode)) {
    fprintf(stderr, "usage: gpu_stats [decode]\n");
    return 2;
  }
  if (pm_gpu_device_init(&d, &(pm_gpu_desc){.device = "0"})) {
    printf("skip: %s\n", pm_fail_message());
    return SKIP;
  }
  const dialect *names = NULL;
  for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++)
    if (dialects[i].vendor == d.probe.info.vendor_id) names = &dialects[i].names;
  int code = 0;
  if (!names || !reports) {
    printf("skip: %s reports no statistics\n", d.probe.info.name);
    code = SKIP;
  } else if (print_device(&d, &p, names, decode)) {
    fprintf(stderr, "gpu_stats: %s\n", pm_fail_message());
    code = 1;
  }
  pm_gpu_pipelines_finish(&d, &p);
  if (d.timeline) pm_gpu_device_finish(&d);  // without a kernel the driver does not survive it
  return code;
}
