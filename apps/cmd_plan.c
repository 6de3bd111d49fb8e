#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "json_writer.h"
#include "model_options.h"
#include "terminal.h"
#include "text_buffer.h"

static struct {
  const char *device, *mix;
  uint32_t ctx, sessions, batch;
  bool cache_f32, deterministic, json, table;
  uint64_t vram, ram, sim_vram;
  float expert_bits, vram_rate, link_rate, ram_rate, cpu_rate, disk_rate, gpu_rate;
} args;

static const pm_option place_rows[] = {
    {"device", 'D', "DEVICE", PM_TEXT, &args.device,
     "auto (default), cpu, gpu, gpu:N, a UUID, a PCI address or part of a name; card: a graphics card that is not here, of --vram bytes"},
    {"vram", 0, "BYTES", PM_BYTES, &args.vram, "device memory that may be used, e.g. 12G; of a card that is not here, what it has"},
    {"ram", 0, "BYTES", PM_BYTES, &args.ram, "host memory that may be used; for a shape or such a card, what the machine has"},
    {"sim-vram", 0, "BYTES", PM_BYTES, &args.sim_vram, "take the device for a card with so much memory of its own"},
    {"ctx", 'c', "N", PM_U32, &args.ctx, "context in tokens (default: as trained, at most 4096, less where memory is short)", 1},
    {"sessions", 0, "N", PM_U32, &args.sessions, "conversations held at once (default: 1)", 1, 4096},
    {"batch", 'b', "N", PM_U32, &args.batch, "tokens of a prompt evaluated at a time (default: 512, up to 2048 where experts stream)", 1,
     65536},
    {"cache-f32", 0, NULL, PM_FLAG, &args.cache_f32, "a 32-bit cache instead of 16 bits"},
    {"deterministic", 0, NULL, PM_FLAG, &args.deterministic, "the processor computes no experts for the card"},
    {0}};
static const pm_option_group place_group = {"place", place_rows};

static const pm_option what_rows[] = {
    {"mix", 'm', "MIX", PM_TEXT, &args.mix, "of a shape: the formats of its tensors; 'pumice synth --list' shows them"},
    {"expert-bits", 0, "X", PM_FLOAT, &args.expert_bits, "of a shape: bits per weight of the experts instead of what the mix gives", 0.5,
     32},
    {"table", 0, NULL, PM_FLAG, &args.table, "of a shape: decode speed for common sizes of video memory and memory, as Markdown"},
    {"json", 0, NULL, PM_FLAG, &args.json, "print the plan as JSON"},
    {0}};
static const pm_option_group what_group = {"model and output", what_rows};

static const pm_option speed_rows[] = {
    {"vram-rate", 0, "GBPS", PM_FLOAT, &args.vram_rate, "the card's memory (default: 400)", 0.01, 1e5},
    {"link-rate", 0, "GBPS", PM_FLOAT, &args.link_rate, "between memory and card (default: 25, PCIe 4.0 x16)", 0.01, 1e5},
    {"ram-rate", 0, "GBPS", PM_FLOAT, &args.ram_rate, "memory (default: 70, two channels of DDR5)", 0.01, 1e5},
    {"cpu-rate", 0, "GBPS", PM_FLOAT, &args.cpu_rate, "weights that the processor multiplies with (default: 58)", 0.01, 1e5},
    {"disk-rate", 0, "GBPS", PM_FLOAT, &args.disk_rate, "the disk of the model file (default: 6)", 0.001, 1e4},
    {"gpu-tflops", 0, "X", PM_FLOAT, &args.gpu_rate, "the card's matrix products, 1e12 operations per second (default: 25)", 0.001, 1e5},
    {0}};
static const pm_option_group speed_group = {"speeds that are reached, in 1e9 bytes per second", speed_rows};

static pumice_plan_options options(void) {
  return (pumice_plan_options){.size = sizeof(pumice_plan_options),
                               .device = args.device,
                               .mix = args.mix,
                               .n_ctx = args.ctx,
                               .n_session = args.sessions,
                               .n_batch = args.batch,
                               .cache_f32 = args.cache_f32,
                               .deterministic = args.deterministic,
                               .vram = args.vram,
                               .ram = args.ram,
                               .sim_vram = args.sim_vram,
                               .expert_bits = (double)args.expert_bits,
                               .vram_gbps = (double)args.vram_rate,
                               .link_gbps = (double)args.link_rate,
                               .ram_gbps = (double)args.ram_rate,
                               .cpu_gbps = (double)args.cpu_rate,
                               .disk_gbps = (double)args.disk_rate,
                               .gpu_tflops = (double)args.gpu_rate};
}

// ---- as text -----------------------------------------------------------------------------------------------------------------------

enum { N_MEMORY = 3, MAX_PURPOSE = 16 };
static const char *const memories[N_MEMORY] = {"device", "host", "disk"};

typedef struct purposes {
  const char *name[MAX_PURPOSE];
  uint64_t bytes[MAX_PURPOSE][N_MEMORY], total[N_MEMORY];
  uint32_t n;
} purposes;

static void on_row(void *user, const char *memory, const char *purpose, uint64_t bytes) {
  purposes *p = user;
  uint32_t row = 0, column = 0;
  while (row < p->n && strcmp(p->name[row], purpose)) row++;
  while (column < N_MEMORY - 1 && strcmp(memories[column], memory)) column++;
  if (row == MAX_PURPOSE) return;
  if (row == p->n) p->name[p->n++] = purpose;
  p->bytes[row][column] += bytes;
  if (strcmp(purpose, "page cache")) p->total[column] += bytes;
}

static void print_bytes(const char *name, const uint64_t bytes[N_MEMORY]) {
  printf("  %-14s", name);
  for (uint32_t m = 0; m < N_MEMORY; m++) printf("%14s", bytes[m] ? pm_bytes_text(bytes[m]) : "");
  putchar('\n');
}

static void print_memory(const pumice_plan_info *i, const purposes *p) {
  printf("\n%s  %-14s%14s%14s%14s%s\n", pm_style(stdout, PM_BOLD), "", memories[0], memories[1], memories[2], pm_style(stdout, PM_PLAIN));
  for (uint32_t row = 0; row < p->n; row++) print_bytes(p->name[row], p->bytes[row]);
  print_bytes("together", p->total);
  print_bytes("may be used", (uint64_t[N_MEMORY]){i->vram_budget, i->ram_budget});
}

static void print_text(const char *path, const pumice_plan_info *i, const purposes *p) {
  const char *bold = pm_style(stdout, PM_BOLD), *plain = pm_style(stdout, PM_PLAIN);
  printf("%s%s%s (%s) on %s, context %u, prompts by %u tokens\n", bold, path, plain, pm_bytes_text(i->file_bytes), i->device, i->n_ctx,
         i->n_batch);
  if (*i->note) printf("%s\n", i->note);
  if (!i->fits) {
    printf("\n%sdoes not fit:%s %s\n", pm_style(stdout, PM_RED), plain, i->reason);
    return;
  }
  print_memory(i, p);
  printf("\n  %-10s%s\n", "mode", i->mode);
  if (i->n_expert)
    printf("  %-10s%llu: %llu begin in the device's memory, %llu in host memory, %llu on disk\n", "experts",
           (unsigned long long)i->n_expert, (unsigned long long)i->n_in_slots, (unsigned long long)i->n_in_memory,
           (unsigned long long)i->n_on_disk);
  if (i->n_in_slots && i->n_in_slots < i->n_expert) printf("  %-10s%.0f %% of choices, expected\n", "in slots", 100 * i->hit_rate);
  printf("  %-10s%.3g tokens/s expected, limit: %s\n", "prompt", i->prompt_rate, i->prompt_limit);
  printf("  %-10s%.3g tokens/s expected, limit: %s\n", "decode", i->decode_rate, i->decode_limit);
  printf("  %-10svideo memory %g GB/s, link %g, memory %g, processor %g, disk %g, card %g TFLOPS\n", "assumed", i->vram_gbps, i->link_gbps,
         i->ram_gbps, i->cpu_gbps, i->disk_gbps, i->gpu_tflops);
  printf("\n%sfits%s\n", pm_style(stdout, PM_GREEN), plain);
}

// ---- as JSON -----------------------------------------------------------------------------------------------------------------------

static void print_json(const char *path, const pumice_plan_info *i, const purposes *p) {
  pm_json j = {.f = stdout};
  pm_json_begin(&j, NULL, '{');
  pm_json_text(&j, "model", path);
  pm_json_text(&j, "device", i->device);
  pm_json_bool(&j, "fits", i->fits);
  pm_json_text(&j, "reason", i->reason);
  pm_json_text(&j, "note", i->note);
  pm_json_text(&j, "mode", i->mode);
  pm_json_uint(&j, "context", i->n_ctx);
  pm_json_uint(&j, "sessions", i->n_session);
  pm_json_uint(&j, "batch", i->n_batch);
  pm_json_uint(&j, "file_bytes", i->file_bytes);
  pm_json_uint(&j, "device_budget", i->vram_budget);
  pm_json_uint(&j, "host_budget", i->ram_budget);
  for (uint32_t m = 0; m < N_MEMORY; m++) {
    pm_json_begin(&j, memories[m], '{');
    for (uint32_t row = 0; row < p->n; row++)
      if (p->bytes[row][m]) pm_json_uint(&j, p->name[row], p->bytes[row][m]);
    pm_json_end(&j, '}');
  }
  pm_json_begin(&j, "experts", '{');
  pm_json_uint(&j, "all", i->n_expert);
  pm_json_uint(&j, "device", i->n_in_slots);
  pm_json_uint(&j, "host", i->n_in_memory);
  pm_json_uint(&j, "disk", i->n_on_disk);
  pm_json_real(&j, "hit_rate", i->hit_rate);
  pm_json_end(&j, '}');
  pm_json_real(&j, "prompt_tokens_per_second", i->prompt_rate);
  pm_json_text(&j, "prompt_limit", i->prompt_limit);
  pm_json_real(&j, "decode_tokens_per_second", i->decode_rate);
  pm_json_text(&j, "decode_limit", i->decode_limit);
  pm_json_begin(&j, "assumed", '{');
  pm_json_real(&j, "vram_gbps", i->vram_gbps);
  pm_json_real(&j, "link_gbps", i->link_gbps);
  pm_json_real(&j, "ram_gbps", i->ram_gbps);
  pm_json_real(&j, "cpu_gbps", i->cpu_gbps);
  pm_json_real(&j, "disk_gbps", i->disk_gbps);
  pm_json_real(&j, "gpu_tflops", i->gpu_tflops);
  pm_json_end(&j, '}');
  pm_json_end(&j, '}');
}

// ---- the table ---------------------------------------------------------------------------------------------------------------------

static const uint64_t GIB = 1ull << 30;
static const uint32_t table_vram[] = {12, 16, 24, 32}, table_ram[] = {32, 64, 128, 192, 384, 768};
static const double table_bits[] = {4.5, 2.3};
enum { N_VRAM = sizeof table_vram / sizeof *table_vram, N_RAM = sizeof table_ram / sizeof *table_ram };

static pumice_status print_cell(const char *shape, double bits, uint32_t vram, uint32_t ram) {
  pumice_plan_options o = options();
  o.device = "card", o.expert_bits = bits, o.vram = vram * GIB, o.ram = ram * GIB;
  pumice_plan_info i = PUMICE_INIT(pumice_plan_info);
  pumice_status status = pumice_plan(shape, &o, &i, NULL, NULL);
  if (status == PUMICE_OK && i.fits) printf(" %.2g %s; %.0f |", i.decode_rate, i.decode_limit, i.prompt_rate);
  if (status == PUMICE_OK && !i.fits) printf(" does not fit |");
  return status;
}

// Rows are sizes of memory, columns of video memory; a cell is decode speed, what limits it, and prompt speed.
static int print_table(const char *shape) {
  for (size_t b = 0; b < sizeof table_bits / sizeof *table_bits; b++) {
    double bits = args.expert_bits > 0 ? (double)args.expert_bits : table_bits[b];
    printf("%s| %.3g bits |", b ? "\n" : "", bits);
    for (uint32_t v = 0; v < N_VRAM; v++) printf(" %u GB card |", table_vram[v]);
    printf("\n| --- |");
    for (uint32_t v = 0; v < N_VRAM; v++) printf(" --- |");
    for (uint32_t r = 0; r < N_RAM; r++) {
      printf("\n| %u GB |", table_ram[r]);
      for (uint32_t v = 0; v < N_VRAM; v++) {
        pumice_status status = print_cell(shape, bits, table_vram[v], table_ram[r]);
        if (status) return pm_failed(status);
      }
    }
    putchar('\n');
    if (args.expert_bits > 0) break;
  }
  return PM_EXIT_OK;
}

// ---- the command -------------------------------------------------------------------------------------------------------------------

static bool is_shape(const char *name) {
  for (uint32_t i = 0; pumice_synth_shape(i); i++)
    if (!strcmp(pumice_synth_shape(i), name)) return true;
  return false;
}

static int run(char **arguments, uint32_t n) {
  (void)n;
  const char *path = arguments[0];
  struct stat st;
  bool shape = is_shape(path) && stat(path, &st) != 0;
  if (args.table && !shape) return pm_wrong_use(&pm_cmd_plan, "--table is for shapes, and %s is none", path);
  int code = shape ? PM_EXIT_OK : pm_model_check_path(path);
  if (code) return code;
  if (args.table) return print_table(path);
  pumice_plan_options o = options();
  pumice_plan_info info = PUMICE_INIT(pumice_plan_info);
  purposes p = {.n = 0};
  code = pm_failed(pumice_plan(path, &o, &info, on_row, &p));
  if (code) return code;
  if (args.json)
    print_json(path, &info, &p);
  else
    print_text(path, &info, &p);
  return info.fits ? PM_EXIT_OK : PM_EXIT_FAILED;
}

const pm_command pm_cmd_plan = {
    .name = "plan",
    .arguments = "MODEL|SHAPE",
    .summary = "whether a model fits, where its parts go, and how fast it should be",
    .details =
        "Shows how much of which memory a model takes, where its experts begin, and how fast prompts and answers should be, with what "
        "limits "
        "them. It reads the header alone, so a file that is still being downloaded will do, and so will the name of a shape of 'pumice "
        "synth'. Opening the model follows the same plan.\n\n"
        "Sizes count in 1024s: 12G, 800M. Speeds are estimates: of the share of experts that are found where they were wanted before "
        "anything has run, and of typical parts unless told otherwise. Exit code 1: it does not fit.",
    .min_argument = 1,
    .max_argument = 1,
    .groups = {&place_group, &what_group, &speed_group},
    .run = run,
};
