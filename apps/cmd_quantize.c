#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "commands.h"
#include "model_options.h"
#include "terminal.h"
#include "text_buffer.h"

static struct {
  const char *imatrix;
  uint32_t threads;
  bool dry_run, verbose, force, list;
} args;

static const pm_option rows[] = {
    {"imatrix", 'i', "FILE", PM_TEXT, &args.imatrix, "which weights matter most, as 'pumice imatrix' or llama-imatrix measured it"},
    {"threads", 't', "N", PM_U32, &args.threads, "CPU threads (default: physical cores)", 1, 1024},
    {"dry-run", 'n', NULL, PM_FLAG, &args.dry_run, "only say what the new file would hold; OUT may be left out"},
    {"verbose", 'v', NULL, PM_FLAG, &args.verbose, "list every tensor"},
    {"force", 'f', NULL, PM_FLAG, &args.force, "overwrite an existing file"},
    {"list", 0, NULL, PM_FLAG, &args.list, "list the types"},
    {0}};
static const pm_option_group group = {"file", rows};

// What a format has in the new file.
typedef struct share {
  const char *format;
  uint32_t n_tensor;
  uint64_t n_value, bytes;
} share;

typedef struct summary {
  share shares[32];
  uint32_t n_share, n_tensor, n_fallback, n_coded, n_weighted;
  uint64_t from_bytes, to_bytes, n_value;
} summary;

static share *share_of(summary *s, const char *format) {
  uint32_t i = 0, most = sizeof s->shares / sizeof *s->shares - 1;
  while (i < s->n_share && i < most && strcmp(s->shares[i].format, format)) i++;
  if (i == s->n_share) s->shares[s->n_share++] = (share){.format = format};
  return &s->shares[i];
}

static void on_row(void *user, const pumice_quantize_row *r) {
  summary *s = user;
  share *sh = share_of(s, r->to);
  bool coded = strcmp(r->from, r->to) != 0;
  sh->n_tensor++, sh->n_value += r->n_value, sh->bytes += r->to_bytes;
  s->n_tensor++, s->n_fallback += r->fallback, s->n_coded += coded, s->n_weighted += r->weighted;
  s->from_bytes += r->from_bytes, s->to_bytes += r->to_bytes, s->n_value += r->n_value;
  if (args.verbose)
    printf("%-48s %7s -> %-7s %12s%s%s\n", r->name, r->from, r->to, pm_bytes_text(r->to_bytes), r->fallback ? "  rows too short" : "",
           args.imatrix && coded && !r->weighted ? "  no importances" : "");
}

static int by_bytes(const void *a, const void *b) {
  uint64_t x = ((const share *)a)->bytes, y = ((const share *)b)->bytes;
  return x < y ? 1 : x > y ? -1 : 0;
}

static void print_summary(summary *s) {
  qsort(s->shares, s->n_share, sizeof *s->shares, by_bytes);
  for (uint32_t i = 0; i < s->n_share; i++)
    printf("  %-8s %5u tensors %12s\n", s->shares[i].format, s->shares[i].n_tensor, pm_bytes_text(s->shares[i].bytes));
  printf("%s before, %s after: %.2f bits per weight\n", pm_bytes_text(s->from_bytes), pm_bytes_text(s->to_bytes),
         s->n_value ? 8 * (double)s->to_bytes / (double)s->n_value : 0);
  if (s->n_fallback) printf("%u tensors have rows that are too short for the format of this type and got another one\n", s->n_fallback);
  if (args.imatrix) printf("%u of %u tensors have importances\n", s->n_weighted, s->n_coded);
}

static int print_types(void) {
  const char *summary_text = NULL;
  for (uint32_t i = 0; pumice_quantize_mix(i, &summary_text); i++) printf("%-10s %s\n", pumice_quantize_mix(i, NULL), summary_text);
  return PM_EXIT_OK;
}

static const char *find_type(const char *name) {
  for (uint32_t i = 0; pumice_quantize_mix(i, NULL); i++)
    if (!strcasecmp(name, pumice_quantize_mix(i, NULL))) return pumice_quantize_mix(i, NULL);
  return NULL;
}

static int refuse_type(const char *given) {
  const char *names[64] = {NULL};
  for (uint32_t i = 0; i < 63 && pumice_quantize_mix(i, NULL); i++) names[i] = pumice_quantize_mix(i, NULL);
  const char *near = pm_nearest(given, names);
  return pm_wrong_use(&pm_cmd_quantize, "there is no type '%s'%s%s%s; --list shows them", given, near ? " (" : "", near ? near : "",
                      near ? "?)" : "");
}

static int quantize(const char *from, const char *to, const char *type) {
  summary s = {0};
  pumice_quantize_options o = {.size = sizeof o,
                               .mix = type,
                               .imatrix = args.imatrix,
                               .n_thread = args.threads,
                               .dry_run = args.dry_run,
                               .row = on_row,
                               .progress = pm_progress,
                               .user = &s};
  if (!args.imatrix && pumice_quantize_wants_imatrix(type))
    fprintf(stderr, "note: with so few bits the model suffers much less if --imatrix says which weights matter ('pumice imatrix')\n");
  pm_interrupt_catch();
  int code = pm_failed(pumice_quantize(from, to, &o));
  if (code) return code;
  pm_progress_clear();
  printf("%s: %s, %u tensors\n", args.dry_run ? from : to, type, s.n_tensor);
  print_summary(&s);
  return PM_EXIT_OK;
}

static int run(char **arguments, uint32_t n) {
  if (args.list) return print_types();
  uint32_t least = args.dry_run ? 2 : 3;
  if (n < least)
    return pm_wrong_use(&pm_cmd_quantize,
                        args.dry_run ? "a model and a type are needed" : "a model, the file to write and a type are needed");
  const char *from = arguments[0], *to = n == 3 ? arguments[1] : NULL, *type = find_type(arguments[n - 1]);
  struct stat st;
  if (!type) return refuse_type(arguments[n - 1]);
  if (!args.dry_run && !args.force && stat(to, &st) == 0) return pm_wrong_use(&pm_cmd_quantize, "%s exists; --force overwrites it", to);
  int code = pm_model_check_path(from);
  return code ? code : quantize(from, to, type);
}

const pm_command pm_cmd_quantize = {
    .name = "quantize",
    .arguments = "IN OUT TYPE",
    .summary = "write a model with other, usually fewer bits per weight",
    .details =
        "Reads a model file in any format (the first file, if it is split) and writes it as one GGUF file of a type such as Q4_K_M: a mix "
        "of "
        "formats, of which tensors that matter more get the finer ones. Start from 16 bits: what is lost once stays lost. --list shows "
        "the types, --dry-run what a type makes of a model.",
    .max_argument = 3,
    .groups = {&group},
    .run = run,
};
