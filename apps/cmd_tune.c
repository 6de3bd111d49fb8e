#include <string.h>

#include "commands.h"
#include "model_options.h"
#include "terminal.h"

static struct {
  pm_u32_list steps;
  bool quick, forget;
} args;

static const pm_option rows[] = {
    {"steps", 0, "LIST", PM_U32_LIST, &args.steps, "tokens of the steps to tune (default: 1,2,4,8,16,32 and --batch)", 1, 65536},
    {"quick", 'q', NULL, PM_FLAG, &args.quick, "steps of one token only, within two seconds, as the first model on a card does it"},
    {"forget", 0, NULL, PM_FLAG, &args.forget, "forget what was found on the device; takes no model"},
    {0}};
static const pm_option_group group = {"tuning", rows};

// What the shapes of a step take together.
typedef struct total {
  uint32_t n_row;
  double before, after;  // seconds
} total;

typedef struct tally {
  const pumice_model *model;
  uint32_t n, n_better, n_total;
  total totals[16];
} tally;

static total *find_total(tally *t, uint32_t n_row) {
  uint32_t i = 0;
  while (i < t->n_total && t->totals[i].n_row != n_row) i++;
  if (i == sizeof t->totals / sizeof *t->totals) return &t->totals[i - 1];
  if (i == t->n_total) t->totals[t->n_total++] = (total){.n_row = n_row};
  return &t->totals[i];
}

static double percent(double before, double after) { return before > 0 ? 100 * (1 - after / before) : 0; }

static void print_device(const pumice_model *model) {
  pumice_model_info info = PUMICE_INIT(pumice_model_info);
  pumice_model_get_info(model, &info);
  printf("%s, %s\n", info.device, info.driver);
}

static bool on_row(void *user, float done, const pumice_tune_row *r) {
  tally *t = user;
  if (!t->n) print_device(t->model);
  total *sum = find_total(t, r->n_row);
  bool better = r->after_seconds < r->before_seconds && strcmp(r->before, r->after) != 0;
  const char *kernel = strchr(r->after, ' ');
  sum->before += r->n_op * r->before_seconds, sum->after += r->n_op * r->after_seconds;
  t->n++, t->n_better += better;
  pm_progress_clear();
  printf("  %-13s %-8s %6u x %-6u %4u row%s %4u times  %10.1f us", r->op, r->format, r->n_in, r->n_out, r->n_row, r->n_row > 1 ? "s" : " ",
         r->n_op, 1e6 * r->before_seconds);
  if (better)
    printf("  -> %10.1f us  %s%3.0f %% less%s  %s", 1e6 * r->after_seconds, pm_style(stdout, PM_GREEN),
           percent(r->before_seconds, r->after_seconds), pm_style(stdout, PM_PLAIN), kernel ? kernel + 1 : r->after);
  printf("\n");
  fflush(stdout);
  return pm_progress(NULL, "tune", done) && !pm_interrupted();
}

static void print_totals(const tally *t, double seconds) {
  printf("\n%u of %u shapes have a faster kernel than the usual one; found in %.1f s\n", t->n_better, t->n, seconds);
  for (uint32_t i = 0; i < t->n_total; i++)
    printf("  a step of %4u token%s  %9.3f ms  -> %9.3f ms  %3.0f %% less\n", t->totals[i].n_row, t->totals[i].n_row > 1 ? "s:" : ": ",
           1e3 * t->totals[i].before, 1e3 * t->totals[i].after, percent(t->totals[i].before, t->totals[i].after));
}

static int tune(const char *path) {
  pumice_model *model;
  pumice_tune_options o = {.size = sizeof o, .n_step = args.steps.n};
  tally t = {0};
  memcpy(o.steps, args.steps.value, sizeof o.steps);
  if (args.quick) o.n_step = 1, o.steps[0] = 1, o.seconds = 1;
  pm_model_args.tune = true;
  pm_interrupt_catch();
  int code = pm_model_open(path, 0, &model);
  if (code) return code;
  t.model = model;
  double start = pm_seconds();
  code = pm_failed(pumice_tune(model, &o, on_row, &t));
  pm_progress_clear();
  if (t.n) print_totals(&t, pm_seconds() - start);
  pumice_model_close(model);
  return code;
}

static int forget(void) {
  const char *dir = pm_model_cache_dir();
  if (!dir) return PM_EXIT_OK;
  const char *device = pm_model_args.device ? pm_model_args.device : "gpu";
  return pm_failed(pumice_tune_forget(device, dir));
}

static int run(char **arguments, uint32_t n) {
  if (args.forget) return n ? pm_wrong_use(&pm_cmd_tune, "--forget takes no model") : forget();
  if (!n) return pm_wrong_use(&pm_cmd_tune, "which model?");
  if (pm_model_args.no_tune || pm_model_args.deterministic)
    return pm_wrong_use(&pm_cmd_tune, "with --no-tune and --deterministic nothing is used of what tuning finds");
  return tune(arguments[0]);
}

const pm_command pm_cmd_tune = {
    .name = "tune",
    .arguments = "MODEL",
    .summary = "find the fastest kernels of this machine's card",
    .details =
        "Times every kernel that the card has for every shape of the model's operations, and keeps those that are clearly faster than "
        "the usual ones in the cache folder, for this device and its driver. From then on every command uses them, for other models with "
        "the same shapes too. They differ in rounding alone; --no-tune and --deterministic do without. Ctrl-C keeps what was found until "
        "then. The times are of single operations; 'pumice bench' has those of whole tokens.",
    .max_argument = 1,
    .groups = {&group, &pm_model_group},
    .run = run,
};
