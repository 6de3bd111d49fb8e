#include <strings.h>
#include <sys/stat.h>

#include "commands.h"
#include "model_options.h"
#include "terminal.h"
#include "text_buffer.h"

static struct {
  const char *mix;
  uint32_t layers;
  uint64_t seed;
  bool force, list;
} args = {.mix = "Q4_K_M", .seed = 1};

static const pm_option rows[] = {
    {"mix", 'm', "MIX", PM_TEXT, &args.mix, "the formats of the tensors; --list shows the names (default: Q4_K_M)"},
    {"layers", 'l', "N", PM_U32, &args.layers, "only the first N layers (default: all of the shape)", 1},
    {"seed", 's', "N", PM_U64, &args.seed, "of the random weights (default: 1)"},
    {"force", 'f', NULL, PM_FLAG, &args.force, "overwrite an existing file"},
    {"list", 0, NULL, PM_FLAG, &args.list, "list the shapes and the mixes"},
    {0}};
static const pm_option_group group = {"file", rows};

static void print_names(FILE *f, const char *title, const char *(*name)(uint32_t)) {
  fprintf(f, "%s", title);
  for (uint32_t i = 0; name(i); i++) fprintf(f, "%s %s", i ? "," : "", name(i));
  fputc('\n', f);
}

// The name as the library spells it; NULL if there is none.
static const char *find_name(const char *wanted, const char *(*name)(uint32_t)) {
  for (uint32_t i = 0; name(i); i++)
    if (!strcasecmp(wanted, name(i))) return name(i);
  return NULL;
}

static int refuse(const char *what, const char *given, const char *(*name)(uint32_t)) {
  fprintf(stderr, "pumice synth: there is no %s '%s'\n", what, given);
  print_names(stderr, "There are", name);
  return PM_EXIT_WRONG_USE;
}

static int run(char **arguments, uint32_t n) {
  if (args.list) {
    print_names(stdout, "shapes:", pumice_synth_shape);
    print_names(stdout, "mixes:", pumice_synth_mix);
    return PM_EXIT_OK;
  }
  if (n < 2) return pm_wrong_use(&pm_cmd_synth, "a shape and the name of the file to write are needed");
  const char *path = arguments[1];
  struct stat st;
  pumice_synth_options o = {.size = sizeof o,
                            .shape = find_name(arguments[0], pumice_synth_shape),
                            .mix = find_name(args.mix, pumice_synth_mix),
                            .n_layer = args.layers,
                            .seed = args.seed,
                            .progress = pm_progress};
  if (!o.shape) return refuse("shape", arguments[0], pumice_synth_shape);
  if (!o.mix) return refuse("mix", args.mix, pumice_synth_mix);
  if (!args.force && stat(path, &st) == 0) return pm_wrong_use(&pm_cmd_synth, "%s exists; --force overwrites it", path);
  pm_interrupt_catch();
  int code = pm_failed(pumice_synth(path, &o));
  if (code) return code;
  pm_progress_clear();
  if (stat(path, &st)) return pm_file_failed(path);
  printf("%s: %s, %s\n", path, o.shape, pm_bytes_text((uint64_t)st.st_size));
  return PM_EXIT_OK;
}

const pm_command pm_cmd_synth = {
    .name = "synth",
    .arguments = "SHAPE FILE",
    .summary = "write a model with random weights, for tests and measurements",
    .details =
        "Writes a GGUF file with the exact shape of a known model and random weights: it runs as fast and needs as much memory as the real "
        "one, and says nothing sensible.",
    .max_argument = 2,
    .groups = {&group},
    .run = run,
};
