#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "commands.h"
#include "json_writer.h"
#include "model_options.h"
#include "terminal.h"

enum { DEFAULT_CTX = 512 };

static struct {
  uint32_t windows;
  bool second_half, json;
  const char *logprobs;
} args;

static const pm_option eval_rows[] = {
    {"windows", 'w', "N", PM_U32, &args.windows, "stop after N windows (default: the whole text)", 1},
    {"second-half", 0, NULL, PM_FLAG, &args.second_half,
     "count only predictions in the second half of each window, and cut windows as llama-perplexity does, for figures to compare with its"},
    {"logprobs", 'l', "FILE", PM_TEXT, &args.logprobs,
     "write a JSON line for each prediction: the token, its log-probability, and the likeliest token; - is standard output"},
    {"json", 0, NULL, PM_FLAG, &args.json, "print the result as JSON"},
    {0}};
static const pm_option_group eval_group = {"evaluation", eval_rows};

typedef struct evaluation {
  const pumice_model *model;
  pumice_session *session;
  pumice_model_info info;
  int32_t *text;  // tokens of the file
  size_t n_text;
  uint32_t n_window, n_ctx, n_fresh;  // n_fresh: tokens of the text that each window takes
  int32_t *window;                    // [n_ctx]
  uint32_t at, first;                 // window, first position whose prediction counts
  FILE *logprobs;
  uint64_t n;           // predictions
  double sum, squares;  // of their negative log-probabilities
  double *window_nll;   // [n_window] means
} evaluation;

static void write_logprob(const evaluation *e, size_t position, int32_t token, double logprob, int32_t best, double best_logprob) {
  size_t n;
  const char *bytes = pumice_token_bytes(e->model, token, true, &n);
  pm_json j = {.f = e->logprobs, .compact = true};
  pm_json_begin(&j, NULL, '{');
  pm_json_uint(&j, "window", e->at);
  pm_json_uint(&j, "position", position);
  pm_json_uint(&j, "token", (uint64_t)token);
  pm_json_bytes(&j, "text", bytes, n);
  pm_json_real(&j, "logprob", logprob);
  pm_json_uint(&j, "best", (uint64_t)best);
  pm_json_real(&j, "best_logprob", best_logprob);
  pm_json_end(&j, '}');
}

// The logits after token i of the window predict token i + 1.
static void on_logits(void *user, size_t i, const float *logits) {
  evaluation *e = user;
  if (i < e->first || i + 1 >= e->n_ctx) return;
  int32_t best = 0, token = e->window[i + 1];
  for (uint32_t k = 1; k < e->info.n_vocab; k++)
    if (logits[k] > logits[best]) best = (int32_t)k;
  double sum = 0;
  for (uint32_t k = 0; k < e->info.n_vocab; k++) sum += exp((double)logits[k] - (double)logits[best]);
  double best_logprob = -log(sum), logprob = (double)logits[token] - (double)logits[best] + best_logprob;
  e->n++;
  e->sum -= logprob;
  e->squares += logprob * logprob;
  if (e->logprobs) write_logprob(e, i + 1, token, logprob, best, best_logprob);
}

// A window is n_ctx tokens, the first of them BOS where the model has one. By the usual method BOS comes before the text's next n_ctx - 1
// tokens; by the other it takes the place of the first of n_ctx.
static void fill_window(evaluation *e) {
  uint32_t skip = e->n_ctx - e->n_fresh;
  memcpy(e->window + skip, e->text + (size_t)e->at * e->n_fresh, e->n_fresh * sizeof *e->window);
  if (e->info.token_bos >= 0) e->window[0] = e->info.token_bos;
}

static pumice_status evaluate(evaluation *e) {
  pumice_status status = PUMICE_OK;
  for (e->at = 0; e->at < e->n_window && status == PUMICE_OK; e->at++) {
    double before = e->sum;
    uint64_t n_before = e->n;
    fill_window(e);
    status = pumice_session_rewind(e->session, 0);
    if (status == PUMICE_OK) status = pumice_session_eval(e->session, e->window, e->n_ctx, on_logits, e);
    if (status == PUMICE_OK) e->window_nll[e->at] = (e->sum - before) / (double)(e->n - n_before);
    if (status == PUMICE_OK && pm_is_terminal(stderr)) {
      pm_progress_clear();
      fprintf(stderr, "\rwindow %u of %u, perplexity %.4f\033[K", e->at + 1, e->n_window, exp(e->sum / (double)e->n));
    }
  }
  if (e->at && pm_is_terminal(stderr)) fprintf(stderr, "\r\033[K");
  return status;
}

static void print_result(const evaluation *e) {
  double mean = e->sum / (double)e->n, variance = e->squares / (double)e->n - mean * mean;
  double perplexity = exp(mean), error = e->n > 1 ? perplexity * sqrt(fmax(variance, 0) / (double)(e->n - 1)) : 0;
  if (!args.json) {
    printf("perplexity %.4f +- %.4f (%u windows of %u tokens, %llu predictions, nll %.6f)\n", perplexity, error, e->n_window, e->n_ctx,
           (unsigned long long)e->n, mean);
    return;
  }
  pm_json j = {.f = stdout};
  pm_json_begin(&j, NULL, '{');
  pm_json_text(&j, "model", e->info.name);
  pm_json_text(&j, "device", e->info.device);
  pm_json_real(&j, "perplexity", perplexity);
  pm_json_real(&j, "standard_error", error);
  pm_json_real(&j, "nll", mean);
  pm_json_uint(&j, "n_ctx", e->n_ctx);
  pm_json_uint(&j, "n_prediction", e->n);
  pm_json_begin(&j, "window_nll", '[');
  for (uint32_t i = 0; i < e->n_window; i++) pm_json_real(&j, NULL, e->window_nll[i]);
  pm_json_end(&j, ']');
  pm_json_end(&j, '}');
}

// Tokens of the text, cut into windows; 0 or an exit code.
static int prepare(evaluation *e, const pm_text *text) {
  pumice_model_get_info(e->model, &e->info);
  bool bos = e->info.token_bos >= 0;
  int code = pm_failed(pm_tokens(e->model, text->data, text->n, args.second_half && bos ? PUMICE_ADD_BOS : 0, &e->text, &e->n_text));
  if (code) return code;
  e->n_ctx = pm_model_args.ctx ? pm_model_args.ctx : DEFAULT_CTX;
  e->n_fresh = e->n_ctx - (bos && !args.second_half);
  e->first = args.second_half ? e->n_ctx / 2 : 0;
  size_t n = e->n_text / e->n_fresh;
  if (n == 0) {
    fprintf(stderr, "pumice: the text has %zu tokens, one window needs %u\nGive a longer text or a smaller --ctx.\n", e->n_text,
            e->n_fresh);
    return PM_EXIT_WRONG_USE;
  }
  e->n_window = args.windows && args.windows < n ? args.windows : n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
  e->window = pm_resize(NULL, e->n_ctx, sizeof *e->window);
  e->window_nll = pm_resize(NULL, e->n_window, sizeof *e->window_nll);
  return pm_failed(pumice_session_create((pumice_model *)e->model, &e->session));
}

static int open_logprobs(evaluation *e) {
  if (!args.logprobs) return PM_EXIT_OK;
  e->logprobs = strcmp(args.logprobs, "-") ? fopen(args.logprobs, "wb") : stdout;
  return e->logprobs ? PM_EXIT_OK : pm_file_failed(args.logprobs);
}

static int close_logprobs(evaluation *e) {
  if (!e->logprobs || e->logprobs == stdout) return PM_EXIT_OK;
  bool failed = fflush(e->logprobs) || ferror(e->logprobs);
  return fclose(e->logprobs) || failed ? pm_file_failed(args.logprobs) : PM_EXIT_OK;
}

static int run(char **arguments, uint32_t n) {
  (void)n;
  evaluation e = {.info = PUMICE_INIT(pumice_model_info)};
  pumice_model *model = NULL;
  pm_text text = {0};
  if (pm_model_args.ctx == 1) return pm_wrong_use(&pm_cmd_eval, "--ctx must be at least 2: a window predicts all its tokens but the first");
  pm_interrupt_catch();
  if (!pm_text_read_file(&text, arguments[1])) return pm_file_failed(arguments[1]);
  int code = pm_model_open(arguments[0], DEFAULT_CTX, &model);
  e.model = model;
  if (!code) code = prepare(&e, &text);
  if (!code) code = open_logprobs(&e);
  if (!code) {
    pm_interrupt_watch(e.session);
    code = pm_failed(evaluate(&e));
    pm_interrupt_watch(NULL);
    int close_code = close_logprobs(&e);
    if (!code) code = close_code;
  }
  if (!code) print_result(&e);
  pumice_session_destroy(e.session);
  pumice_model_close(model);
  free(e.text), free(e.window), free(e.window_nll);
  pm_text_free(&text);
  return code;
}

const pm_command pm_cmd_eval = {
    .name = "eval",
    .arguments = "MODEL FILE",
    .summary = "perplexity and log-probabilities of a text",
    .details =
        "Cuts the text into windows of --ctx tokens (512 unless given), each of them BOS and the next piece of the text, and prints the "
        "perplexity over all predictions.",
    .min_argument = 2,
    .max_argument = 2,
    .groups = {&eval_group, &pm_model_group},
    .run = run,
};
