#include "model_options.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "expert_report.h"
#include "terminal.h"

pm_model_arguments pm_model_args;

static const pm_option model_rows[] = {
    {"device", 'D', "DEVICE", PM_TEXT, &pm_model_args.device,
     "auto (default), cpu, gpu, gpu:N, a UUID, a PCI address or part of a name; see 'pumice devices'"},
    {"ctx", 'c', "N", PM_U32, &pm_model_args.ctx,
     "context in tokens, e.g. 8192 or 8k (default: as trained, at most 4096; eval: 512; bench: what it needs)", 1},
    {"threads", 't', "N", PM_U32, &pm_model_args.threads, "CPU threads (default: one per physical core)", 1, 1024},
    {"batch", 'b', "N", PM_U32, &pm_model_args.batch,
     "tokens of a prompt evaluated at a time (default: 512, up to 2048 where experts stream)", 1, 65536},
    {"vram", 0, "BYTES", PM_BYTES, &pm_model_args.vram, "device memory that may be used, e.g. 6G (default: what is free)"},
    {"ram", 0, "BYTES", PM_BYTES, &pm_model_args.ram, "host memory that may be used (default: what is free)"},
    {"deterministic", 0, NULL, PM_FLAG, &pm_model_args.deterministic,
     "the processor computes no experts for a card: the same results however much memory there is"},
    {"experts", 0, "MODE", PM_TEXT, &pm_model_args.experts,
     "how experts outside the card's memory are reached: auto (default), stream, assist, split, layers (whole layers stay there)"},
    {"sim-vram", 0, "BYTES", PM_BYTES, &pm_model_args.sim_vram, "take the device for a card with so much memory of its own"},
    {"sim-link", 0, "GBPS[,US[,CPU]]", PM_TEXT, &pm_model_args.sim_link,
     "and behind a link of so many gigabytes per second, with a latency in microseconds, beside a processor that computes CPU gigabytes of "
     "experts per second: for measurements without a card"},
    {"exact", 0, NULL, PM_FLAG, &pm_model_args.exact, "float activations and a 32-bit cache: slower, for comparisons"},
    {"cache-f32", 0, NULL, PM_FLAG, &pm_model_args.cache_f32, "a 32-bit cache instead of 16 bits"},
    {"no-mmap", 0, NULL, PM_FLAG, &pm_model_args.no_mmap, "read the file into memory instead of mapping it"},
    {"trace", 0, "FILE", PM_TEXT, &pm_model_args.trace, "record in FILE which experts every token uses, for 'pumice replay'"},
    {"no-tune", 0, NULL, PM_FLAG, &pm_model_args.no_tune, "the card's usual kernels, whatever 'pumice tune' has found"},
    {"validate", 0, NULL, PM_FLAG, &pm_model_args.validate, "switch the Vulkan validation layer on"},
    {0}};
const pm_option_group pm_model_group = {"model", model_rows};

static struct {
  bool greedy;
  float temperature, top_p, min_p, repeat_penalty, presence_penalty, frequency_penalty;
  uint32_t top_k, penalty_last_n;
  uint64_t seed;
} sampling = {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1, .penalty_last_n = 64};

static const pm_option sampling_rows[] = {
    {"greedy", 'g', NULL, PM_FLAG, &sampling.greedy, "always the likeliest token"},
    {"temperature", 'T', "X", PM_FLOAT, &sampling.temperature, "higher is more surprising; 0 is greedy (default: 0.8)", 0, 100},
    {"top-k", 0, "N", PM_U32, &sampling.top_k, "choose among the N likeliest tokens; 0 is all (default: 40)"},
    {"top-p", 0, "P", PM_FLOAT, &sampling.top_p, "choose among the likeliest tokens with this total probability; 1 is all (default: 0.95)",
     0.0001, 1},
    {"min-p", 0, "P", PM_FLOAT, &sampling.min_p,
     "drop tokens below this fraction of the likeliest one's probability; 0 is off (default: 0.05)", 0, 1},
    {"repeat-penalty", 0, "X", PM_FLOAT, &sampling.repeat_penalty, "make recent tokens less likely; 1 is off (default: 1)", 0.01, 100},
    {"presence-penalty", 0, "X", PM_FLOAT, &sampling.presence_penalty, "subtracted from the logit of tokens seen recently (default: 0)",
     -100, 100},
    {"frequency-penalty", 0, "X", PM_FLOAT, &sampling.frequency_penalty, "the same, for each time seen (default: 0)", -100, 100},
    {"penalty-last-n", 0, "N", PM_U32, &sampling.penalty_last_n, "how many tokens are recent (default: 64)", 1},
    {"seed", 's', "N", PM_U64, &sampling.seed, "makes the choice repeatable; 0 is a new one each time (default: 0)"},
    {0}};
const pm_option_group pm_sampling_group = {"sampling", sampling_rows};

pumice_sampling pm_sampling_get(void) {
  return (pumice_sampling){.size = sizeof(pumice_sampling),
                           .greedy = sampling.greedy || sampling.temperature == 0,
                           .temperature = sampling.temperature,
                           .top_k = sampling.top_k ? sampling.top_k : UINT32_MAX,
                           .top_p = sampling.top_p,
                           .min_p = sampling.min_p > 0 ? sampling.min_p : -1,
                           .repeat_penalty = sampling.repeat_penalty,
                           .presence_penalty = sampling.presence_penalty,
                           .frequency_penalty = sampling.frequency_penalty,
                           .penalty_last_n = sampling.penalty_last_n,
                           .seed = sampling.seed};
}

// ---- failures ----------------------------------------------------------------------------------------------------------------------

static const char device_hint[] = "'pumice doctor' shows what was found; --device cpu needs no driver.";

static const struct {
  int code;
  const char *hint;
} failures[] = {
    [PUMICE_OK] = {PM_EXIT_OK, NULL},
    [PUMICE_ERR_ARGUMENT] = {PM_EXIT_WRONG_USE, NULL},
    [PUMICE_ERR_IO] = {PM_EXIT_WRONG_USE, NULL},
    [PUMICE_ERR_FORMAT] = {PM_EXIT_WRONG_USE,
                           "The file is damaged, incomplete or of another kind: get it again, or look into it with 'pumice inspect'."},
    [PUMICE_ERR_UNSUPPORTED] = {PM_EXIT_WRONG_USE, NULL},
    [PUMICE_ERR_MEMORY] = {PM_EXIT_WRONG_USE, "A smaller --ctx or --batch needs less memory."},
    [PUMICE_ERR_DEVICE] = {PM_EXIT_DEVICE, device_hint},
    [PUMICE_ERR_DEVICE_LOST] = {PM_EXIT_DEVICE, "The driver gave up on the device: try a smaller --batch; 'pumice doctor' tests it."},
    [PUMICE_ERR_CANCELLED] = {PM_EXIT_INTERRUPTED, NULL},
};

static int fail_with(pumice_status status, const char *hint) {
  pm_progress_clear();
  if (status == PUMICE_OK || status == PUMICE_ERR_CANCELLED) return failures[status].code;
  fprintf(stderr, "pumice: %s\n", pumice_error());
  if (hint) fprintf(stderr, "%s\n", hint);
  return failures[status].code;
}

int pm_failed(pumice_status status) { return fail_with(status, failures[status].hint); }

int pm_file_failed(const char *path) {
  fprintf(stderr, "pumice: %s: %s\n", path, strerror(errno));
  return PM_EXIT_WRONG_USE;
}

// ---- opening -----------------------------------------------------------------------------------------------------------------------

// A folder is a common slip: says which model file in it was perhaps meant.
static int refuse_folder(const char *path) {
  DIR *dir = opendir(path);
  char found[256] = "";
  for (struct dirent *e; dir && (e = readdir(dir));) {
    size_t n = strlen(e->d_name);
    bool is_model = n > 5 && !strcmp(e->d_name + n - 5, ".gguf");
    if (is_model && (!*found || strcmp(e->d_name, found) < 0)) snprintf(found, sizeof found, "%s", e->d_name);
  }
  if (dir) closedir(dir);
  fprintf(stderr, "pumice: %s: is a folder, not a model file\n", path);
  const char *slash = path[strlen(path) - 1] == '/' ? "" : "/";
  if (*found)
    fprintf(stderr, "Perhaps %s%s%s is meant.\n", path, slash, found);
  else
    fprintf(stderr,
            "Give the path of a .gguf file (of a split one, the first part) or of a folder with config.json and safetensors files.\n");
  return PM_EXIT_WRONG_USE;
}

const char *pm_model_cache_dir(void) {
  static char dir[1024];
  const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  int n = cache && *cache == '/' ? snprintf(dir, sizeof dir, "%s/pumice", cache)
          : home && *home        ? snprintf(dir, sizeof dir, "%s/.cache/pumice", home)
                                 : 0;
  return n > 0 && (size_t)n < sizeof dir ? dir : NULL;
}

bool pm_model_is_checkpoint(const char *folder) {
  char config[4096];
  struct stat st;
  int n = snprintf(config, sizeof config, "%s/config.json", folder);
  return n > 0 && (size_t)n < sizeof config && !stat(config, &st);
}

int pm_model_check_path(const char *path) {
  struct stat st;
  if (stat(path, &st)) return pm_file_failed(path);
  return S_ISDIR(st.st_mode) && !pm_model_is_checkpoint(path) ? refuse_folder(path) : PM_EXIT_OK;
}

static void print_note(const pumice_model *model) {
  pumice_model_info info = PUMICE_INIT(pumice_model_info);
  pumice_model_get_info(model, &info);
  if (*info.note) fprintf(stderr, "pumice: %s\n", info.note);
  pumice_expert_stats stats = PUMICE_INIT(pumice_expert_stats);
  pumice_model_get_expert_stats(model, &stats);
  if (!stats.tiered) return;
  fprintf(stderr, "pumice: %llu of %llu experts have room in %s memory", (unsigned long long)(stats.n_slot ? stats.n_slot : stats.n_home),
          (unsigned long long)stats.n_expert, stats.n_slot ? "the card's" : "this machine's");
  if (stats.n_home < stats.n_expert) fprintf(stderr, ", others are read from disk when they are needed");
  fprintf(stderr, "; memory is as planned within %.1f %%\n", 100 * pm_memory_error(model));
}

// Messages about a file begin with its path; what else goes wrong while a device was asked for is probably the device's.
static int open_failed(const char *path, pumice_status status) {
  const char *device = pm_model_args.device;
  bool asked = device && strcmp(device, "auto") && strcmp(device, "cpu");
  bool about_file = !strncmp(pumice_error(), path, strlen(path));
  return asked && !about_file && status != PUMICE_ERR_MEMORY ? fail_with(status, device_hint) : pm_failed(status);
}

int pm_model_sim_link(pm_sim_link *link) {
  *link = (pm_sim_link){0};
  const char *at = pm_model_args.sim_link;
  double *const values[] = {&link->gbps, &link->latency_us, &link->cpu_gbps};
  for (size_t i = 0; at && i < sizeof values / sizeof *values; i++) {
    char *end;
    *values[i] = strtod(at, &end);
    bool good = end > at && *values[i] >= 0 && *values[i] < 1e9 && link->gbps > 0;
    if (good && !*end) return PM_EXIT_OK;
    at = good && *end == ',' ? end + 1 : NULL;
  }
  if (!pm_model_args.sim_link) return PM_EXIT_OK;
  fprintf(stderr,
          "pumice: --sim-link takes gigabytes per second, perhaps microseconds and the processor's gigabytes per second, e.g. 0.5 or "
          "0.5,20 or 0.5,20,1.2; not '%s'\n",
          pm_model_args.sim_link);
  return PM_EXIT_WRONG_USE;
}

int pm_model_options_get(uint32_t ctx, pumice_model_options *options) {
  const pm_model_arguments *a = &pm_model_args;
  pm_sim_link link;
  int code = pm_model_sim_link(&link);
  if (code) return code;
  *options = (pumice_model_options){.size = sizeof *options,
                                    .device = a->device,
                                    .n_ctx = a->ctx ? a->ctx : ctx,
                                    .n_thread = a->threads,
                                    .n_batch = a->batch,
                                    .exact = a->exact,
                                    .cache_f32 = a->cache_f32,
                                    .read_file = a->no_mmap,
                                    .validate = a->validate,
                                    .cache_dir = a->fresh ? NULL : pm_model_cache_dir(),
                                    .vram_limit = a->vram,
                                    .ram_limit = a->ram,
                                    .deterministic = a->deterministic,
                                    .experts = a->experts,
                                    .sim_vram = a->sim_vram,
                                    .sim_link_gbps = link.gbps,
                                    .sim_link_latency_us = link.latency_us,
                                    .sim_cpu_gbps = link.cpu_gbps,
                                    .progress = pm_progress,
                                    .trace_path = a->trace,
                                    .tuning = a->no_tune ? PUMICE_TUNING_OFF
                                              : a->tune  ? PUMICE_TUNING_ROOM
                                                         : PUMICE_TUNING_AUTO};
  return PM_EXIT_OK;
}

int pm_model_open(const char *path, uint32_t ctx, pumice_model **model) {
  *model = NULL;
  int code = pm_model_check_path(path);
  if (code) return code;
  pumice_model_options options;
  code = pm_model_options_get(ctx, &options);
  if (code) return code;
  code = open_failed(path, pumice_model_open(path, &options, model));
  pm_progress_clear();
  if (!code && !pm_model_args.fresh) print_note(*model);
  return code;
}
