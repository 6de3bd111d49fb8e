#include <stdlib.h>
#include <sys/resource.h>

#include "answer.h"
#include "bench_report.h"
#include "bench_sweep.h"
#include "bench_text.h"
#include "commands.h"
#include "model_options.h"
#include "terminal.h"

enum { HASHED_TOKENS = 64, MAX_REPEAT = 100 };

static struct {
  pm_u32_list prompt, generate, depth;
  uint32_t repeat;
  const char *file, *sweep;
  pm_u32_list budgets;
  bool json;
} args = {.prompt = {{512}, 1}, .generate = {{64}, 1}, .depth = {{0}, 1}, .repeat = 5, .budgets = {{0, 10, 25, 30, 40, 50, 75, 100}, 8}};

static const pm_option rows[] = {
    {"prompt", 'p', "N,...", PM_U32_LIST, &args.prompt, "lengths of prompts to evaluate at once; 0 is none (default: 512)"},
    {"generate", 'n', "N,...", PM_U32_LIST, &args.generate, "numbers of tokens to evaluate one by one; 0 is none (default: 64)"},
    {"depth", 'd', "N,...", PM_U32_LIST, &args.depth, "tokens that are in the context before (default: 0)"},
    {"repeat", 'r', "N", PM_U32, &args.repeat, "measurements of each, after one to warm up; the median is shown (default: 5)", 1,
     MAX_REPEAT},
    {"file", 'f', "FILE", PM_TEXT, &args.file, "take the tokens from this text (default: a built-in one in several styles)"},
    {"json", 0, NULL, PM_FLAG, &args.json, "print the results as JSON"},
    {0}};
static const pm_option_group group = {"measurement", rows};

static const pm_option sweep_rows[] = {
    {"sweep", 0, "FILE.svg", PM_TEXT, &args.sweep,
     "measure decode speed by the share of experts that have room in the card's memory, and draw it: automatic, misses streamed, misses "
     "computed by the processor, whole layers. Takes --repeat times the first length of --generate; nothing that earlier runs learned"},
    {"budgets", 0, "PERCENT,...", PM_U32_LIST, &args.budgets, "shares for --sweep, ascending (default: 0,10,25,30,40,50,75,100)"},
    {0}};
static const pm_option_group sweep_group = {"experts outside the card's memory", sweep_rows};

typedef struct bench {
  pumice_model *model;
  pumice_session *session;
  int32_t *tokens;  // what the session holds is always a beginning of these
  pm_bench_report report;
  pumice_energy *sensors;
} bench;

// ---- measuring ---------------------------------------------------------------------------------------------------------------------

static pumice_status go_to_depth(bench *b, size_t depth) {
  size_t length = pumice_session_length(b->session);
  if (length >= depth) return pumice_session_rewind(b->session, depth);
  return pumice_session_eval(b->session, b->tokens + length, depth - length, NULL, NULL);
}

static pumice_status evaluate(bench *b, const pm_bench_row *row) {
  const int32_t *tokens = b->tokens + row->depth;
  if (row->prompt) return pumice_session_eval(b->session, tokens, row->n, NULL, NULL);
  pumice_status status = PUMICE_OK;
  for (uint32_t i = 0; i < row->n && status == PUMICE_OK; i++) status = pumice_session_eval(b->session, tokens + i, 1, NULL, NULL);
  return status;
}

static pumice_counters counters(const bench *b) {
  pumice_counters c = PUMICE_INIT(pumice_counters);
  pumice_model_get_counters(b->model, &c);
  return c;
}

static pumice_status measure(bench *b, pm_bench_row *row) {
  double speed[MAX_REPEAT];
  if (!row->prompt) {  // what is said of experts in the end is said of the newest row of single tokens
    b->report.experts_before = (pumice_expert_stats)PUMICE_INIT(pumice_expert_stats);
    pumice_model_get_expert_stats(b->model, &b->report.experts_before);
    b->report.n_single = (uint64_t)row->n * (args.repeat + 1);
  }
  for (uint32_t i = 0; i <= args.repeat; i++) {
    pumice_status status = go_to_depth(b, row->depth);
    if (status != PUMICE_OK) return status;
    pumice_counters before = counters(b);
    if (i) pm_bench_energy_begin(b->sensors, &row->energy);
    double began = pm_seconds();
    status = evaluate(b, row);
    double seconds = pm_seconds() - began;
    if (i) pm_bench_energy_end(b->sensors, &row->energy, row->n);
    if (status != PUMICE_OK) return status;
    pumice_counters after = counters(b);
    row->steps = (double)(after.steps - before.steps) / row->n;
    row->submissions = (double)(after.submissions - before.submissions) / row->n;
    row->dispatches = (double)(after.dispatches - before.dispatches) / row->n;
    row->barriers = (double)(after.barriers - before.barriers) / row->n;
    row->allocations = (double)(after.allocations - before.allocations) / row->n;
    if (i) speed[i - 1] = row->n / seconds;  // the first is to warm up
  }
  row->speed = pm_bench_summarize(speed, args.repeat);
  pm_bench_energy_judge(&row->energy);
  return PUMICE_OK;
}

// FNV-1a of the logits after the first tokens: the same for the same model, options, device and build.
static pumice_status hash_logits(bench *b) {
  pumice_status status = go_to_depth(b, 0);
  if (status == PUMICE_OK) status = pumice_session_eval(b->session, b->tokens, HASHED_TOKENS, NULL, NULL);
  if (status != PUMICE_OK) return status;
  const unsigned char *bytes = (const unsigned char *)pumice_session_logits(b->session);
  uint64_t hash = 0xCBF29CE484222325u;
  for (size_t i = 0; i < (size_t)b->report.info.n_vocab * sizeof(float); i++) hash = (hash ^ bytes[i]) * 0x100000001B3u;
  b->report.logits_hash = hash;
  return PUMICE_OK;
}

static pumice_status measure_all(bench *b) {
  pumice_status status = PUMICE_OK;
  pm_bench_report *r = &b->report;
  if (!args.json) pm_bench_print_head(r);
  for (uint32_t d = 0; d < args.depth.n; d++)
    for (uint32_t i = 0; i < args.prompt.n + args.generate.n && status == PUMICE_OK; i++) {
      bool prompt = i < args.prompt.n;
      pm_bench_row row = {
          .prompt = prompt, .depth = args.depth.value[d], .n = prompt ? args.prompt.value[i] : args.generate.value[i - args.prompt.n]};
      if (row.n == 0) continue;
      status = measure(b, &row);
      pm_progress_clear();
      if (status != PUMICE_OK) break;
      r->rows[r->n_row++] = row;
      if (!args.json) pm_bench_print_row(&row);
    }
  return status == PUMICE_OK ? hash_logits(b) : status;
}

// ---- preparing ---------------------------------------------------------------------------------------------------------------------

static uint32_t largest(const pm_u32_list *list) {
  uint32_t max = 0;
  for (uint32_t i = 0; i < list->n; i++)
    if (list->value[i] > max) max = list->value[i];
  return max;
}

// Tokens that the longest measurement has in the context.
static size_t n_needed(void) {
  uint32_t prompt = largest(&args.prompt), generate = largest(&args.generate);
  size_t n = (size_t)largest(&args.depth) + (prompt > generate ? prompt : generate);
  return n > HASHED_TOKENS ? n : HASHED_TOKENS;
}

// Opens the model and evaluates one token, which is what loading means to who waits for the first word.
static int load(bench *b, const char *path, const pm_text *text) {
  double began = pm_seconds();
  int code = pm_model_open(path, (uint32_t)n_needed(), &b->model);
  if (code) return code;
  b->report.load_seconds = pm_seconds() - began;
  code = pm_bench_tokens(b->model, text, n_needed(), &b->tokens, &b->report.n_text);
  b->report.text_repeats = b->report.n_text < n_needed();
  if (!code) code = pm_failed(pumice_session_create(b->model, &b->session));
  if (!code) code = pm_failed(pumice_session_eval(b->session, b->tokens, 1, NULL, NULL));
  b->report.first_token_seconds = pm_seconds() - began;
  b->report.model = b->model;
  pumice_model_get_info(b->model, &b->report.info);
  if (code || n_needed() <= b->report.info.n_ctx) return code;
  return pm_wrong_use(&pm_cmd_bench, "the measurements need a context of %zu tokens, and there are %u", n_needed(), b->report.info.n_ctx);
}

static int sweep(const char *path) {
  pm_text text = {0};
  pm_sweep_desc desc = {path, args.sweep, &text, &args.budgets, args.generate.value[0], args.repeat, args.json};
  if (!desc.n_generate) return pm_wrong_use(&pm_cmd_bench, "--sweep measures tokens one by one, and --generate is 0");
  pm_interrupt_catch();
  int code = pm_bench_read_text(&text, args.file);
  if (!code) code = pm_bench_sweep(&desc);
  pm_text_free(&text);
  return code;
}

static int run(char **arguments, uint32_t n) {
  (void)n;
  if (args.sweep) return sweep(arguments[0]);
  bench b = {.report = {.info = PUMICE_INIT(pumice_model_info), .arguments = &pm_model_args, .repeat = args.repeat}};
  pm_text text = {0};
  if (n_needed() > UINT32_MAX) return pm_wrong_use(&pm_cmd_bench, "no context is that long");
  pm_interrupt_catch();
  int code = pm_bench_read_text(&text, args.file);
  b.sensors = pm_bench_energy_open();
  if (!code) code = load(&b, arguments[0], &text);
  if (!code) {
    pm_interrupt_watch(b.session);
    code = pm_failed(measure_all(&b));
    pm_interrupt_watch(NULL);
  }
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  b.report.peak_rss = (uint64_t)usage.ru_maxrss * 1024;
  if (!code && b.model) pumice_model_get_info(b.model, &b.report.info);
  if (!code) args.json ? pm_bench_print_json(&b.report) : pm_bench_print_tail(&b.report);
  pumice_energy_close(b.sensors);
  pumice_session_destroy(b.session);
  pumice_model_close(b.model);
  free(b.tokens);
  pm_text_free(&text);
  return code;
}

const pm_command pm_cmd_bench = {
    .name = "bench",
    .arguments = "MODEL",
    .summary = "measure how fast a model runs here",
    .details =
        "Evaluates real text, because experts are chosen by what a text is about: prompts at once and tokens one by one, at the context "
        "depths asked for. Sampling and cutting text into "
        "tokens are not part of the times.",
    .min_argument = 1,
    .max_argument = 1,
    .groups = {&group, &sweep_group, &pm_model_group},
    .run = run,
};
