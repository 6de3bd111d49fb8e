#include <stdio.h>
#include <string.h>

#include "file.h"
#include "memory.h"
#include "plan.h"
#include "synth.h"

// ---- which device --------------------------------------------------------------------------------------------------

pm_plan_place pm_plan_find_place(const char *device, const char **gpu) {
  *gpu = NULL;
  if (!device || !*device || !strcmp(device, "auto")) return PM_PLAN_ANYWHERE;
  if (!strcmp(device, "cpu")) return PM_PLAN_ON_CPU;
  if (strcmp(device, "gpu")) *gpu = strncmp(device, "gpu:", 4) ? device : device + 4;
  return PM_PLAN_ON_GPU;
}

typedef struct place {
  pm_plan_desc desc;
  char name[256];
} place;

static pm_status take_gpu(const pm_plan_request *r, const char *device, place *out) {
  char driver[256];
  pm_gpu_desc gpu = {.device = device};
  PM_TRY(pm_gpu_create(&gpu, &out->desc.backend));
  out->desc.backend->ops->describe(out->desc.backend, out->name, driver);
  out->desc.vram_limit = r->vram, out->desc.sim_vram = r->sim_vram;
  return PM_OK;
}

static pm_status take_processor(bool described, place *out) {
  char driver[256];
  out->desc.cpu = true;
  snprintf(out->name, sizeof out->name, "CPU");
  if (described) return PM_OK;
  pm_cpu_desc cpu = {0};
  PM_TRY(pm_cpu_create(&cpu, &out->desc.backend));
  out->desc.backend->ops->describe(out->desc.backend, out->name, driver);
  return PM_OK;
}

static pm_status take_card(const pm_plan_request *r, place *out) {
  if (!r->vram) PM_FAIL(PM_ERR_ARGUMENT, "a card that is not here needs the size of its memory");
  snprintf(out->name, sizeof out->name, "a card with %.1f GiB", (double)r->vram / (1u << 30));
  return PM_OK;
}

static void use_rate(double *typical, double wanted) {
  if (wanted > 0) *typical = wanted;
}

static pm_machine make_machine(const pm_plan_request *r, bool described) {
  pm_machine m = pm_machine_typical();
  use_rate(&m.vram_rate, r->rates.vram_rate);
  use_rate(&m.link_rate, r->rates.link_rate);
  use_rate(&m.ram_rate, r->rates.ram_rate);
  use_rate(&m.cpu_rate, r->rates.cpu_rate);
  use_rate(&m.disk_rate, r->rates.disk_rate);
  use_rate(&m.gpu_flops, r->rates.gpu_flops);
  m.ram = described ? (r->ram ? r->ram : pm_memory_total()) : pm_memory_available();
  m.vram = described ? r->vram : 0;
  return m;
}

// ---- a plan for one place ------------------------------------------------------------------------------------------

typedef struct planner {
  const pm_plan_request *r;
  pm_program *program;
  pm_plan_sizes sizes;
  pm_machine machine;
  bool card;       // that is not here
  bool described;  // the machine is not here
} planner;

static pm_status plan_place(const planner *k, place *at, pm_plan_answer *answer) {
  pm_plan_desc *d = &at->desc;
  d->program = k->program;
  d->sizes = k->sizes;
  d->stream_only = k->r->stream_only;
  d->machine = k->machine;
  d->ram_limit = k->described ? 0 : k->r->ram;
  d->expert_bits = k->r->expert_bits;
  pm_status status = pm_plan_make(d, &answer->plan);
  snprintf(answer->device, sizeof answer->device, "%s", at->name);
  answer->machine = d->machine;
  if (d->backend) d->backend->ops->destroy(d->backend);
  return status;
}

static pm_status plan_processor(const planner *k, pm_plan_answer *answer) {
  place at = {0};
  PM_TRY(take_processor(k->described, &at));
  return plan_place(k, &at, answer);
}

// The best card there is, or is said to be; the processor if there is none or the model does not fit there.
static pm_status plan_auto(const planner *k, pm_plan_answer *answer) {
  place at = {0};
  bool card = k->described && k->r->vram, processor = k->described && !card;
  pm_status status = card ? take_card(k->r, &at) : processor ? PM_ERR_UNSUPPORTED : take_gpu(k->r, NULL, &at);
  if (status != PM_OK) return plan_processor(k, answer);
  PM_TRY(plan_place(k, &at, answer));
  if (answer->plan.fits) return PM_OK;
  char why[sizeof answer->plan.reason];
  memcpy(why, answer->plan.reason, sizeof why);
  pm_plan_finish(&answer->plan);
  PM_TRY(plan_processor(k, answer));
  if (answer->plan.fits) snprintf(answer->plan.note, sizeof answer->plan.note, "on the processor: %.230s", why);
  return PM_OK;
}

static pm_status plan_device(const planner *k, pm_plan_answer *answer) {
  const char *gpu;
  pm_plan_place wanted = pm_plan_find_place(k->r->device, &gpu);
  place at = {0};
  if (wanted == PM_PLAN_ANYWHERE) return plan_auto(k, answer);
  if (wanted == PM_PLAN_ON_CPU) return plan_processor(k, answer);
  pm_status status = k->card ? take_card(k->r, &at) : take_gpu(k->r, gpu, &at);
  if (status == PM_OK) return plan_place(k, &at, answer);
  if (at.desc.backend) at.desc.backend->ops->destroy(at.desc.backend);
  return status;
}

// ---- from the file -------------------------------------------------------------------------------------------------

static uint64_t tensor_bytes(const pm_model_file *f) {
  uint64_t sum = 0;
  for (uint64_t i = 0; i < pm_model_file_n_tensor(f); i++) sum += pm_model_file_tensor(f, i)->bytes;
  return sum;
}

static pm_status plan_model(const pm_plan_request *r, const pm_model_file *f, bool shape, pm_plan_answer *answer) {
  pm_model model;
  pm_program program = {0};
  planner k = {.r = r, .program = &program, .sizes = r->sizes, .card = r->device && !strcmp(r->device, "card")};
  k.described = k.card || (shape && (r->vram || r->ram || r->expert_bits > 0));
  k.machine = make_machine(r, k.described);
  pm_status status = pm_model_init(&model, f, false);
  if (status == PM_OK) status = pm_plan_build(&model, &k.sizes, &program);
  if (status == PM_OK) status = plan_device(&k, answer);
  answer->file_bytes = tensor_bytes(f);
  pm_program_finish(&program);
  pm_model_finish(&model);
  return status;
}

static bool is_shape(const char *name) {
  for (uint32_t i = 0; pm_synth_shape(i); i++)
    if (!strcmp(pm_synth_shape(i), name)) return true;
  return false;
}

pm_status pm_plan_file(const pm_plan_request *r, pm_plan_answer *answer) {
  *answer = (pm_plan_answer){0};
  bool shape = is_shape(r->path) && !pm_file_exists(r->path);
  if (r->expert_bits > 0 && !shape) PM_FAIL(PM_ERR_ARGUMENT, "%s: bits per weight can be chosen for a shape, a file has its own", r->path);
  uint8_t *header = NULL;
  pm_model_file_desc how = {.header_only = true};
  if (shape) PM_TRY(pm_synth_header(r->path, r->mix, &header, &how.n_bytes));
  how.bytes = header;
  pm_model_file *f;
  pm_status status = pm_model_file_open(r->path, &how, &f);
  if (status == PM_OK) {
    status = plan_model(r, f, shape, answer);
    pm_model_file_close(f);
  }
  pm_free(header);
  return status;
}
