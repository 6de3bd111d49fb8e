#include <string.h>

#include "commands.h"
#include "json_writer.h"
#include "model_options.h"
#include "terminal.h"
#include "text_buffer.h"

static struct {
  pm_u32_list slots, percent;
  bool json;
} args;

static const pm_option rows[] = {
    {"slots", 's', "LIST", PM_U32_LIST, &args.slots, "numbers of slots, e.g. 48,96 (default: half a token's experts to three tokens')"},
    {"percent", 'p', "LIST", PM_U32_LIST, &args.percent, "slots for so many of a hundred experts, e.g. 10,25,50"},
    {"json", 0, NULL, PM_FLAG, &args.json, "print it as JSON"},
    {0}};
static const pm_option_group group = {"slots", rows};

enum { MAX_ROW = 33 };  // two lists

typedef struct replay {
  pumice_trace_info info;
  uint64_t cycle, experts;  // that a token uses, that there are
  uint64_t shown;           // slots of the newest line
  bool any;
  pm_json json;
} replay;

static double share(uint64_t part, uint64_t rest) { return part + rest ? 100.0 * (double)part / (double)(part + rest) : 0; }
static double per(uint64_t bytes, uint64_t n) { return n ? (double)bytes / (double)n : 0; }

static void print_slots(replay *r, uint64_t slots) {
  if (r->any && slots == r->shown) return;
  r->any = true, r->shown = slots;
  printf("\n%s%llu slots%s: %.0f %% of the experts, %.2f token cycles\n", pm_style(stdout, PM_BOLD), (unsigned long long)slots,
         pm_style(stdout, PM_PLAIN), 100.0 * (double)slots / (double)r->experts, (double)slots / (double)r->cycle);
}

static bool print_row(void *user, const pumice_replay_row *row) {
  replay *r = user;
  print_slots(r, row->slots);
  printf("  %-8s", row->policy);
  if (row->tokens)
    printf("  decode %6.2f %% hits %12s per token", share(row->hits, row->misses),
           pm_bytes_text((uint64_t)per(row->miss_bytes, row->tokens)));
  if (row->prompt_tokens)
    printf("  prompt %6.2f %% hits %12s per token", share(row->prompt_hits, row->prompt_misses),
           pm_bytes_text((uint64_t)per(row->prompt_miss_bytes, row->prompt_tokens)));
  putchar('\n');
  return !pm_interrupted();
}

static void write_part(pm_json *j, const char *key, uint64_t tokens, uint64_t hits, uint64_t misses, uint64_t bytes) {
  pm_json_begin(j, key, '{');
  pm_json_uint(j, "tokens", tokens);
  pm_json_uint(j, "hits", hits);
  pm_json_uint(j, "misses", misses);
  pm_json_real(j, "hit_rate", share(hits, misses) / 100);
  pm_json_real(j, "bytes_per_token", per(bytes, tokens));
  pm_json_end(j, '}');
}

static bool write_row(void *user, const pumice_replay_row *row) {
  replay *r = user;
  pm_json *j = &r->json;
  pm_json_begin(j, NULL, '{');
  pm_json_text(j, "policy", row->policy);
  pm_json_uint(j, "slots", row->slots);
  pm_json_real(j, "cycles", (double)row->slots / (double)r->cycle);
  write_part(j, "decode", row->tokens, row->hits, row->misses, row->miss_bytes);
  write_part(j, "prompt", row->prompt_tokens, row->prompt_hits, row->prompt_misses, row->prompt_miss_bytes);
  pm_json_end(j, '}');
  return !pm_interrupted();
}

static size_t wanted_slots(const replay *r, uint64_t *slots) {
  static const double cycles[] = {0.5, 1, 1.5, 2, 3};
  size_t n = 0;
  for (uint32_t i = 0; i < args.slots.n; i++) slots[n++] = args.slots.value[i] < r->experts ? args.slots.value[i] : r->experts;
  for (uint32_t i = 0; i < args.percent.n; i++) slots[n++] = (r->experts * args.percent.value[i] + 50) / 100;
  if (n) return n;
  for (size_t i = 0; i < sizeof cycles / sizeof *cycles; i++) slots[n++] = (uint64_t)(cycles[i] * (double)r->cycle);
  for (int quarter = 1; quarter <= 2; quarter++) slots[n++] = r->experts * (uint64_t)quarter / 4;
  return n;
}

static pumice_status run_text(const char *path, replay *r, const uint64_t *slots, size_t n) {
  printf("%u layers of %u experts, %s; a token uses %u of each, %llu together\n", r->info.n_table, r->info.n_expert,
         pm_bytes_text(r->info.bytes), r->info.n_used, (unsigned long long)r->cycle);
  return pumice_replay(path, slots, n, print_row, r);
}

static pumice_status run_json(const char *path, replay *r, const uint64_t *slots, size_t n) {
  r->json = (pm_json){.f = stdout};
  pm_json_begin(&r->json, NULL, '{');
  pm_json_uint(&r->json, "n_table", r->info.n_table);
  pm_json_uint(&r->json, "n_expert", r->info.n_expert);
  pm_json_uint(&r->json, "n_used", r->info.n_used);
  pm_json_uint(&r->json, "bytes", r->info.bytes);
  pm_json_begin(&r->json, "rows", '[');
  pumice_status status = pumice_replay(path, slots, n, write_row, r);
  pm_json_end(&r->json, ']');
  pm_json_end(&r->json, '}');
  return status;
}

static int run(char **arguments, uint32_t n_argument) {
  (void)n_argument;
  replay r = {.info = PUMICE_INIT(pumice_trace_info)};
  uint64_t slots[MAX_ROW];
  pm_interrupt_catch();
  for (uint32_t i = 0; i < args.percent.n; i++)
    if (args.percent.value[i] > 100) return pm_wrong_use(&pm_cmd_replay, "--percent %u: there are 100 of a hundred", args.percent.value[i]);
  int code = pm_model_check_path(arguments[0]);
  if (!code) code = pm_failed(pumice_trace_get_info(arguments[0], &r.info));
  if (code) return code;
  r.cycle = (uint64_t)r.info.n_table * r.info.n_used, r.experts = (uint64_t)r.info.n_table * r.info.n_expert;
  size_t n = wanted_slots(&r, slots);
  return pm_failed((args.json ? run_json : run_text)(arguments[0], &r, slots, n));
}

const pm_command pm_cmd_replay = {
    .name = "replay",
    .arguments = "FILE",
    .summary = "what policies make of a recorded use of experts",
    .details =
        "Reads a file that --trace recorded and says how many of the experts that tokens chose would have been found in the device's "
        "memory, by "
        "number of slots for them, and how many bytes would have had to come for each token.\n"
        "\n"
        "'ours' is the policy that runs; 'lru' and 'lfu' evict what was not used for longest or was used least; 'static' keeps the most "
        "used "
        "experts of the first half and is judged by the second, 'oracle' keeps those of the whole; 'belady' knows the future, and nothing "
        "that "
        "waits for experts to be asked for can do better; 'recorded' is what happened when the trace was made.",
    .min_argument = 1,
    .max_argument = 1,
    .groups = {&group},
    .run = run,
};
