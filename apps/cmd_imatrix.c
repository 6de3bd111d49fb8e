#include <inttypes.h>
#include <sys/stat.h>

#include "commands.h"
#include "model_options.h"
#include "terminal.h"
#include "text_buffer.h"

static struct {
  const char *output;
  uint32_t ctx, chunks, threads;
  bool force;
} args;

static const pm_option rows[] = {{"output", 'o', "FILE", PM_TEXT, &args.output, "the file to write (default: imatrix.gguf)"},
                                 {"ctx", 'c', "N", PM_U32, &args.ctx, "tokens of a piece of the text (default: 512)", 1, 1 << 20},
                                 {"chunks", 'w', "N", PM_U32, &args.chunks, "stop after N pieces (default: the whole text)", 1},
                                 {"threads", 't', "N", PM_U32, &args.threads, "CPU threads (default: physical cores)", 1, 1024},
                                 {"force", 'f', NULL, PM_FLAG, &args.force, "overwrite an existing file"},
                                 {0}};
static const pm_option_group group = {"measurement", rows};

static int measure(const char *model, const char *text_path, const char *to) {
  pm_text text = {0};
  if (!pm_text_read_file(&text, text_path)) return pm_file_failed(text_path);
  pumice_imatrix_options o = {
      .size = sizeof o, .dataset = text_path, .n_ctx = args.ctx, .n_chunk = args.chunks, .n_thread = args.threads, .progress = pm_progress};
  pumice_imatrix_info info = PUMICE_INIT(pumice_imatrix_info);
  pm_interrupt_catch();
  int code = pm_failed(pumice_imatrix(model, text.data ? text.data : "", text.n, to, &o, &info));
  pm_text_free(&text);
  if (code) return code;
  pm_progress_clear();
  printf("%s: importances of %u weights, from %u of %u pieces of the text\n", to, info.n_weight, info.n_chunk, info.n_chunk_text);
  if (info.n_expert_seen < info.n_expert)
    printf("%" PRIu64 " of %" PRIu64 " experts were never chosen: a longer text would know more of them\n",
           info.n_expert - info.n_expert_seen, info.n_expert);
  return info.n_chunk < info.n_chunk_text && pm_interrupted() ? PM_EXIT_INTERRUPTED : PM_EXIT_OK;
}

static int run(char **arguments, uint32_t n) {
  (void)n;
  struct stat st;
  const char *to = args.output ? args.output : "imatrix.gguf";
  if (!args.force && stat(to, &st) == 0) return pm_wrong_use(&pm_cmd_imatrix, "%s exists; --force overwrites it", to);
  int code = pm_model_check_path(arguments[0]);
  return code ? code : measure(arguments[0], arguments[1], to);
}

const pm_command pm_cmd_imatrix = {
    .name = "imatrix",
    .arguments = "MODEL FILE",
    .summary = "measure over a text which weights matter, for 'quantize'",
    .details =
        "Runs a text through the model on the CPU and writes, for each column of each weight, how large the values are that it is "
        "multiplied with. 'pumice quantize --imatrix' and llama-quantize then spend their bits where they count. The text should be like "
        "what the model is for; some hundred thousand tokens are plenty. Ctrl-C writes what was measured until then.",
    .min_argument = 2,
    .max_argument = 2,
    .groups = {&group},
    .run = run,
};
