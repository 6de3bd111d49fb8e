#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "json_writer.h"
#include "model_options.h"
#include "terminal.h"
#include "text_buffer.h"

static struct { bool keys, tensors, json; } args;

static const pm_option rows[] = {{"keys", 'k', NULL, PM_FLAG, &args.keys, "also the keys of the tokenizer"},
                                 {"tensors", 't', NULL, PM_FLAG, &args.tensors, "also every tensor"},
                                 {"json", 0, NULL, PM_FLAG, &args.json, "print all of it as JSON"},
                                 {0}};
static const pm_option_group group = {"output", rows};

// What a tensor is for, by its name in a GGUF file: the first row whose part is in the name.
static const struct {
  const char *part, *kind;
} kinds[] = {{"nextn.", "next-token heads"}, {"_norm", "norms"},         {"_exps", "experts"},   {"_shexp", "shared experts"},
             {"ffn_gate_inp", "router"},     {"exp_probs_b", "router"},  {"attn_", "attention"}, {"ffn_", "dense feed-forward"},
             {"token_embd", "embedding"},    {"output.", "output head"}, {"", "other"}};

enum { MAX_ROW = 48 };

typedef struct tally {
  const char *name;
  uint64_t n_tensor, n_parameter, bytes;
} tally;

typedef struct inspection {
  tally total, kind[MAX_ROW], type[MAX_ROW];
  char type_names[MAX_ROW][32];
  uint32_t n_kind, n_type, n_shard;
  pm_json json;
} inspection;

static const char *kind_of(const char *name) {
  size_t i = 0;
  while (!strstr(name, kinds[i].part)) i++;
  return kinds[i].kind;
}

// The row of that name, appended if there is none yet; the last row takes what does not fit.
static tally *find_row(tally *list, uint32_t *n, const char *name) {
  for (uint32_t i = 0; i < *n; i++)
    if (!strcmp(list[i].name, name)) return &list[i];
  if (*n == MAX_ROW) return &list[MAX_ROW - 1];
  list[*n].name = name;
  return &list[(*n)++];
}

static void add(tally *t, uint64_t n_parameter, uint64_t bytes) { t->n_tensor++, t->n_parameter += n_parameter, t->bytes += bytes; }

static uint64_t product(const uint64_t ne[4]) { return ne[0] * ne[1] * ne[2] * ne[3]; }

static void on_tensor(void *user, const char *name, const char *type, const uint64_t ne[4], uint32_t n_dim, uint64_t bytes,
                      uint32_t shard) {
  (void)n_dim;
  inspection *s = user;
  uint32_t before = s->n_type;
  tally *t = find_row(s->type, &s->n_type, type);
  if (s->n_type > before) {
    snprintf(s->type_names[before], sizeof s->type_names[0], "%s", type);
    t->name = s->type_names[before];
  }
  add(t, product(ne), bytes);
  add(find_row(s->kind, &s->n_kind, kind_of(name)), product(ne), bytes);
  add(&s->total, product(ne), bytes);
  if (shard + 1 > s->n_shard) s->n_shard = shard + 1;
}

// ---- as text -----------------------------------------------------------------------------------------------------------------------

static bool is_wanted(const char *key) { return args.keys || strncmp(key, "tokenizer.", 10); }

static void print_key(void *user, const char *key, const char *type, const char *value) {
  (void)user;
  if (is_wanted(key)) printf("  %-48s %-8s %s\n", key, type, value);
}

static void print_tensor(void *user, const char *name, const char *type, const uint64_t ne[4], uint32_t n_dim, uint64_t bytes,
                         uint32_t shard) {
  (void)user, (void)shard;
  char shape[96] = "";
  int n = 0;
  for (uint32_t i = 0; i < n_dim && i < 4; i++)
    n += snprintf(shape + n, sizeof shape - (size_t)n, "%s%llu", i ? " x " : "", (unsigned long long)ne[i]);
  printf("  %-40s %-8s %-24s %12s\n", name, type, shape, pm_bytes_text(bytes));
}

static void title(const char *text) { printf("\n%s%s%s\n", pm_style(stdout, PM_BOLD), text, pm_style(stdout, PM_PLAIN)); }

static void print_tally(const tally *t, const tally *total) {
  double share = total->bytes ? 100.0 * (double)t->bytes / (double)total->bytes : 0;
  double bits = t->n_parameter ? 8.0 * (double)t->bytes / (double)t->n_parameter : 0;
  printf("  %-20s %6llu tensors %14llu weights %12s %6.1f %% %6.2f bits per weight\n", t->name, (unsigned long long)t->n_tensor,
         (unsigned long long)t->n_parameter, pm_bytes_text(t->bytes), share, bits);
}

static void print_text(const char *path, inspection *s) {
  printf("%s%s%s", pm_style(stdout, PM_BOLD), path, pm_style(stdout, PM_PLAIN));
  if (s->n_shard > 1) printf(" and %u more parts", s->n_shard - 1);
  title("keys");
  pumice_inspect(path, print_key, NULL, s);
  if (args.tensors) {
    title("tensors");
    pumice_inspect(path, NULL, print_tensor, s);
  }
  title("by type");
  for (uint32_t i = 0; i < s->n_type; i++) print_tally(&s->type[i], &s->total);
  title("by kind");
  for (uint32_t i = 0; i < s->n_kind; i++) print_tally(&s->kind[i], &s->total);
  print_tally(&s->total, &s->total);
}

// ---- as JSON -----------------------------------------------------------------------------------------------------------------------

static void write_key(void *user, const char *key, const char *type, const char *value) {
  inspection *s = user;
  pm_json_begin(&s->json, NULL, '{');
  pm_json_text(&s->json, "key", key);
  pm_json_text(&s->json, "type", type);
  pm_json_text(&s->json, "value", value);
  pm_json_end(&s->json, '}');
}

static void write_tensor(void *user, const char *name, const char *type, const uint64_t ne[4], uint32_t n_dim, uint64_t bytes,
                         uint32_t shard) {
  inspection *s = user;
  pm_json_begin(&s->json, NULL, '{');
  pm_json_text(&s->json, "name", name);
  pm_json_text(&s->json, "type", type);
  pm_json_text(&s->json, "kind", kind_of(name));
  pm_json_begin(&s->json, "shape", '[');
  for (uint32_t i = 0; i < n_dim && i < 4; i++) pm_json_uint(&s->json, NULL, ne[i]);
  pm_json_end(&s->json, ']');
  pm_json_uint(&s->json, "bytes", bytes);
  pm_json_uint(&s->json, "shard", shard);
  pm_json_end(&s->json, '}');
}

static void write_tally(pm_json *j, const char *key, const tally *t) {
  pm_json_begin(j, key, '{');
  pm_json_uint(j, "tensors", t->n_tensor);
  pm_json_uint(j, "parameters", t->n_parameter);
  pm_json_uint(j, "bytes", t->bytes);
  pm_json_end(j, '}');
}

static void write_tallies(pm_json *j, const char *key, const tally *list, uint32_t n) {
  pm_json_begin(j, key, '{');
  for (uint32_t i = 0; i < n; i++) write_tally(j, list[i].name, &list[i]);
  pm_json_end(j, '}');
}

static void print_json(const char *path, inspection *s) {
  pm_json *j = &s->json;
  *j = (pm_json){.f = stdout};
  pm_json_begin(j, NULL, '{');
  pm_json_text(j, "path", path);
  pm_json_uint(j, "shards", s->n_shard);
  write_tally(j, "total", &s->total);
  write_tallies(j, "types", s->type, s->n_type);
  write_tallies(j, "kinds", s->kind, s->n_kind);
  pm_json_begin(j, "keys", '[');
  pumice_inspect(path, write_key, NULL, s);
  pm_json_end(j, ']');
  pm_json_begin(j, "tensors", '[');
  pumice_inspect(path, NULL, write_tensor, s);
  pm_json_end(j, ']');
  pm_json_end(j, '}');
}

static int run(char **arguments, uint32_t n) {
  (void)n;
  inspection s = {.total.name = "all", .n_shard = 1};
  int code = pm_model_check_path(arguments[0]);
  if (!code) code = pm_failed(pumice_inspect(arguments[0], NULL, on_tensor, &s));
  if (code) return code;
  if (args.json)
    print_json(arguments[0], &s);
  else
    print_text(arguments[0], &s);
  return PM_EXIT_OK;
}

const pm_command pm_cmd_inspect = {
    .name = "inspect",
    .arguments = "FILE",
    .summary = "what is in a model file",
    .details =
        "Shows the keys of a model file and how its weights divide by type and by what they are for, without loading them. Of a split file "
        "give the first part.",
    .min_argument = 1,
    .max_argument = 1,
    .groups = {&group},
    .run = run,
};
