// JSON schemas as grammars: texts that they take and refuse, and random walks: whatever a sampler that is held to one produces from random
// logits is JSON (judged by jansson) and satisfies the schema (judged by a small checker).
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "clock.h"
#include "json_schema.h"
#include "model_file.h"
#include "sampler.h"
#include "token_order.h"

static pm_grammar *parse(const char *schema) {
  pm_grammar *g;
  if (pm_json_schema_parse(schema, strlen(schema), &g)) fail_msg("%s: %s", schema, pm_fail_message());
  return g;
}

static bool takes(const pm_grammar *g, const char *text) {
  pm_matcher *m;
  assert_int_equal(pm_matcher_create(g, &m), PM_OK);
  bool good = pm_matcher_push(m, text, strlen(text)) && pm_matcher_may_end(m);
  pm_matcher_destroy(m);
  return good;
}

// ---- a checker of the keywords that are supported ----

static bool satisfies(const json_t *root, const json_t *schema, const json_t *v);

static bool is_type(const json_t *v, const char *name) {
  switch (json_typeof(v)) {
    case JSON_OBJECT: return !strcmp(name, "object");
    case JSON_ARRAY: return !strcmp(name, "array");
    case JSON_STRING: return !strcmp(name, "string");
    case JSON_INTEGER: return !strcmp(name, "integer") || !strcmp(name, "number");
    case JSON_REAL: return !strcmp(name, "number");
    case JSON_NULL: return !strcmp(name, "null");
    default: return !strcmp(name, "boolean");
  }
}

static bool has_type(const json_t *type, const json_t *v) {
  if (json_is_string(type)) return is_type(v, json_string_value(type));
  for (size_t i = 0; i < json_array_size(type); i++)
    if (is_type(v, json_string_value(json_array_get(type, i)))) return true;
  return !type;
}

static bool is_object_good(const json_t *root, const json_t *schema, json_t *v) {
  const json_t *properties = json_object_get(schema, "properties"), *required = json_object_get(schema, "required");
  const json_t *others = json_object_get(schema, "additionalProperties");
  const char *key;
  json_t *value;
  for (size_t i = 0; i < json_array_size(required); i++)
    if (!json_object_get(v, json_string_value(json_array_get(required, i)))) return false;
  json_object_foreach(v, key, value) {
    const json_t *s = json_object_get(properties, key);
    if (!s) s = others;
    if (s && !satisfies(root, s, value)) return false;
  }
  return true;
}

static bool is_array_good(const json_t *root, const json_t *schema, const json_t *v) {
  const json_t *items = json_object_get(schema, "items"), *prefix = json_object_get(schema, "prefixItems");
  const json_t *least = json_object_get(schema, "minItems"), *most = json_object_get(schema, "maxItems");
  size_t n = json_array_size(v);
  if ((least && (json_int_t)n < json_integer_value(least)) || (most && (json_int_t)n > json_integer_value(most))) return false;
  for (size_t i = 0; i < n; i++) {
    const json_t *s = i < json_array_size(prefix) ? json_array_get(prefix, i) : items;
    if (s && !satisfies(root, s, json_array_get(v, i))) return false;
  }
  return true;
}

static bool is_string_good(const json_t *schema, const json_t *v) {
  const json_t *least = json_object_get(schema, "minLength"), *most = json_object_get(schema, "maxLength");
  json_int_t n = 0;
  for (const char *c = json_string_value(v); *c; c++) n += (*c & 0xc0) != 0x80;
  return (!least || n >= json_integer_value(least)) && (!most || n <= json_integer_value(most));
}

static bool is_number_good(const json_t *schema, const json_t *v) {
  const json_t *least = json_object_get(schema, "minimum"), *most = json_object_get(schema, "maximum");
  const json_t *above = json_object_get(schema, "exclusiveMinimum"), *below = json_object_get(schema, "exclusiveMaximum");
  double x = json_number_value(v);
  return (!least || x >= json_number_value(least)) && (!most || x <= json_number_value(most)) && (!above || x > json_number_value(above)) &&
         (!below || x < json_number_value(below));
}

static const json_t *follow(const json_t *root, const char *pointer) {
  char path[128], *name = path;
  snprintf(path, sizeof path, "%s", pointer + 1);
  while (*name++) {  // each name follows a slash
    char *end = strchr(name, '/');
    if (end) *end = 0;
    root = json_object_get(root, name);
    if (!end) break;
    name = end;
  }
  return root;
}

static bool satisfies(const json_t *root, const json_t *schema, const json_t *v) {
  if (json_is_boolean(schema)) return json_is_true(schema);
  if (json_is_true(json_object_get(schema, "nullable")) && json_is_null(v)) return true;
  const json_t *ref = json_object_get(schema, "$ref"), *list = json_object_get(schema, "enum"), *one = json_object_get(schema, "const");
  if (ref && !satisfies(root, follow(root, json_string_value(ref)), v)) return false;
  if (one && !json_equal(one, v)) return false;
  bool found = !list;
  for (size_t i = 0; i < json_array_size(list); i++) found |= json_equal(json_array_get(list, i), v) != 0;
  list = json_object_get(schema, "anyOf") ? json_object_get(schema, "anyOf") : json_object_get(schema, "oneOf");
  bool any = !list;
  for (size_t i = 0; i < json_array_size(list); i++) any |= satisfies(root, json_array_get(list, i), v);
  list = json_object_get(schema, "allOf");
  for (size_t i = 0; i < json_array_size(list); i++) any &= satisfies(root, json_array_get(list, i), v);
  if (!found || !any || !has_type(json_object_get(schema, "type"), v)) return false;
  if (json_is_object(v)) return is_object_good(root, schema, (json_t *)v);
  if (json_is_array(v)) return is_array_good(root, schema, v);
  if (json_is_string(v)) return is_string_good(schema, v);
  return !json_is_number(v) || is_number_good(schema, v);
}

// ---- schemas ----

static const char *const schemas[] = {
    "{}",
    "{\"type\":\"object\"}",
    "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"age\":{\"type\":\"integer\"}},\"required\":[\"name\",\"age\"],"
    "\"additionalProperties\":false}",
    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"null\"},\"b\":{\"type\":\"boolean\"},\"c\":{\"const\":[1,{\"x\":\"y "
    "\\\"z\\\\\"}]},"
    "\"d\":{\"enum\":[\"r\\u00e9d\",2.5,null,true]}},\"required\":[\"c\"]}",
    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"integer\"},\"c\":{\"type\":\"integer\"}}}",
    "{\"type\":\"object\",\"properties\":{\"abc\":{\"type\":\"integer\"},\"abd\":{\"type\":\"null\"},\"x\":{\"type\":\"boolean\"}},"
    "\"required\":[\"x\"],"
    "\"additionalProperties\":{\"type\":\"string\"}}",
    "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"maxItems\":3}}",
    "{\"type\":\"object\",\"required\":[\"k\"]}",
    "{\"type\":\"array\",\"items\":{\"type\":\"number\"},\"minItems\":2,\"maxItems\":4}",
    "{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":[\"string\",\"null\"],\"maxLength\":3}}",
    "{\"type\":\"array\",\"maxItems\":2}",
    "{\"type\":\"array\",\"maxItems\":0}",
    "{\"type\":\"array\",\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}],\"items\":{\"type\":\"boolean\"},\"minItems\":3}",
    "{\"type\":\"array\",\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"boolean\"}]}",
    "{\"type\":\"string\",\"minLength\":2,\"maxLength\":5}",
    "{\"type\":\"string\",\"minLength\":3}",
    "{\"type\":\"string\",\"format\":\"date-time\"}",
    "{\"type\":\"string\",\"format\":\"uuid\"}",
    "{\"type\":\"integer\",\"minimum\":-17,\"maximum\":1203}",
    "{\"type\":\"integer\",\"minimum\":95,\"exclusiveMaximum\":98}",
    "{\"type\":\"integer\",\"exclusiveMinimum\":-1}",
    "{\"type\":\"integer\",\"maximum\":-300}",
    "{\"type\":\"number\",\"minimum\":0,\"maximum\":1}",
    "{\"type\":\"number\",\"exclusiveMinimum\":-2,\"exclusiveMaximum\":31}",
    "{\"type\":\"number\",\"minimum\":-20,\"maximum\":-3}",
    "{\"type\":\"number\",\"minimum\":5}",
    "{\"type\":\"number\",\"exclusiveMaximum\":0}",
    "{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"number\",\"nullable\":true}}}]}",
    "{\"oneOf\":[{\"const\":\"a\"},{\"const\":null}],\"title\":\"t\",\"description\":\"d\"}",
    "{\"$defs\":{\"tree\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\"},\"kids\":{\"type\":\"array\",\"maxItems\":2,"
    "\"items\":{\"$ref\":\"#/$defs/tree\"}}},\"required\":[\"v\"]}},\"$ref\":\"#/$defs/tree\"}",
    "{\"type\":\"object\",\"properties\":{\"next\":{\"anyOf\":[{\"$ref\":\"#\"},{\"type\":\"null\"}]}},\"required\":[\"next\"]}",
    "{\"definitions\":{\"a/b\":{\"type\":\"boolean\"}},\"allOf\":[{\"type\":\"array\",\"items\":{\"$ref\":\"#/definitions/a~1b\"}}]}",
    "{\"type\":[\"object\",\"array\",\"string\"]}",
    "{\"items\":true,\"uniqueItems\":false}",
};

typedef struct schema_case {
  const char *schema;
  const char *good[6], *bad[8];
} schema_case;

static const schema_case cases[] = {
    {"{}",
     {"{}", "{ }", "{\"a\": [1, {\"b\":null}]}", "{\n  \"a\": -1.5e3\n}"},
     {"[]", "", "1", "{\"a\":01}", "{,}", "{\"a\":1,}", "{\"\\ud800\":1}", "{a:1}"}},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"string\"}},\"required\":[\"b\"]}",
     {"{\"a\": 1, \"b\": \"x\"}", "{\"b\":\"\"}", "{ \"b\":\"\\u00e9\\n\" }"},
     {"{}", "{\"a\":1}", "{\"b\":\"x\",\"a\":1}", "{\"b\":\"x\",\"c\":1}", "{\"a\":1.5,\"b\":\"\"}", "{\"b\":\"\n\"}",
      "{\"a\":1,,\"b\":\"\"}"}},
    {"{\"type\":\"object\",\"properties\":{\"ab\":{\"type\":\"integer\"}},\"additionalProperties\":{\"type\":\"null\"}}",
     {"{}", "{\"ab\":1}", "{\"ab\":1,\"a\":null,\"abc\":null,\"\":null}", "{\"x\":null}"},
     {"{\"ab\":null}", "{\"a\":1}", "{\"x\":null,\"ab\":null}", "{\"ab\":1,\"ab\":null}", "{\"x\":null,\"ab\":1}"}},
    {"{\"type\":\"integer\",\"minimum\":-17,\"maximum\":1203}",
     {"-17", "0", "9", "999", "1203"},
     {"-18", "1204", "2000", "01", "-0", "1.0", "99999", "-"}},
    {"{\"type\":\"number\",\"minimum\":0,\"maximum\":1}",
     {"0", "1", "0.5", "1.00", "0.001"},
     {"-0.1", "1.01", "2", "10", "-1", "1e1", "."}},
    {"{\"type\":\"number\",\"exclusiveMinimum\":-2,\"exclusiveMaximum\":31}",
     {"-1.99", "0", "30.9", "-0.5", "12"},
     {"-2", "-2.0", "31", "31.0", "300", "-3"}},
    {"{\"type\":\"string\",\"format\":\"date\"}", {"\"2026-11-22\""}, {"\"2026-13-22\"", "\"2026-11-32\"", "\"26-11-22\"", "\"\""}},
    {"{\"type\":\"string\",\"format\":\"date-time\"}",
     {"\"2026-11-22T23:59:00.5Z\"", "\"2026-11-22T00:00:59+11:58\""},
     {"\"2026-11-22\"", "\"2026-11-22T24:00:00Z\"", "\"2026-11-22T23:59:00\""}},
    {"{\"type\":\"string\",\"maxLength\":2}",
     {"\"\"", "\"\xc3\xa9\xf0\x9f\x98\x80\"", "\"\\n\\u00e9\"", "\"\\ud83d\\ude00x\""},
     {"\"abc\"", "\"\\ude00\"", "\"a"}},
    {"{\"pattern\":\"^[A-Z]{2}-\\\\d{3}$\"}", {"\"AB-123\""}, {"\"AB-12\"", "\"xAB-123\"", "\"AB-1234\"", "\"ab-123\"", "\"\""}},
    {"{\"type\":\"string\",\"pattern\":\"a\\\\.b\"}", {"\"a.b\"", "\"xxa.byy\"", "\"a.a.b\""}, {"\"ab\"", "\"axb\"", "\"\""}},
    {"{\"pattern\":\"^(?:foo|ba+?r){1,2}$\"}", {"\"foo\"", "\"baaarfoo\""}, {"\"\"", "\"fo\"", "\"foofoofoo\"", "\"br\""}},
    {"{\"pattern\":\"^[^a-c\\\\]\\\"][\\\"\\\\\\\\\\\\n]\\\\w.$\"}",
     {"\"x\\\"__\"", "\"\xc3\xa9\\\\9\\\"\"", "\"\\n\\nAz\""},
     {"\"a\\\"__\"", "\"x\\\"-_\"", "\"]\\\"__\"", "\"x\\\"_\\n\""}},
    {"{\"pattern\":\"a|b\"}", {"\"a\"", "\"xb\""}, {"\"x\""}},
    {"{\"enum\":[\"a b\",[1,2],{\"k\":1.5}]}", {"\"a b\"", "[1,2]", "{\"k\":1.5}"}, {"\"a\"", "[1, 2]", "[1]", "\"a bc\""}},
};

static void texts(void **state) {
  (void)state;
  for (const schema_case *c = cases; c < cases + sizeof cases / sizeof *cases; c++) {
    pm_grammar *g = parse(c->schema);
    for (int i = 0; i < 6 && c->good[i]; i++)
      if (!takes(g, c->good[i])) fail_msg("%s: '%s' is refused", c->schema, c->good[i]);
    for (int i = 0; i < 8 && c->bad[i]; i++)
      if (takes(g, c->bad[i])) fail_msg("%s: '%s' is taken", c->schema, c->bad[i]);
    pm_grammar_destroy(g);
  }
}

// ---- random walks ----

static void check_text(const char *schema, const char *text, size_t n) {
  json_error_t error;
  json_t *s = json_loads(schema, JSON_DECODE_ANY, NULL), *v = json_loadb(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
  assert_non_null(s);
  if (!v) fail_msg("%s: '%.*s' is no JSON: %s", schema, (int)n, text, error.text);
  if (!satisfies(s, s, v)) fail_msg("%s: '%.*s' does not satisfy it", schema, (int)n, text);
  json_decref(s), json_decref(v);
}

typedef struct vocabulary {
  pm_model_file *file;
  pm_tokenizer *t;
  pm_token_order *order;
  uint32_t n;
  float *logits;
  uint64_t *allowed;
  void *memory;
} vocabulary;

static vocabulary open_vocabulary(void) {
  vocabulary v;
  pm_model_file_desc header = {.header_only = true};
  assert_int_equal(pm_model_file_open(PM_DEMO_MODEL, &header, &v.file), PM_OK);
  assert_int_equal(pm_tokenizer_create(v.file, &v.t), PM_OK);
  assert_int_equal(pm_token_order_create(v.t, &v.order), PM_OK);
  v.n = pm_tokenizer_n_vocab(v.t);
  v.logits = malloc(v.n * sizeof *v.logits);
  v.allowed = malloc((v.n + 63) / 64 * sizeof *v.allowed);
  v.memory = malloc(pm_sampler_bytes(v.n));
  return v;
}

static void close_vocabulary(vocabulary *v) {
  free(v->logits), free(v->allowed), free(v->memory);
  pm_token_order_destroy(v->order);
  pm_tokenizer_destroy(v->t);
  pm_model_file_close(v->file);
}

// Random logits; those of tokens that end something rise with the length of the text, so that walks end.
static void make_logits(vocabulary *v, pm_rng *rng, size_t length) {
  for (uint32_t id = 0; id < v->n; id++) {
    size_t n;
    const char *bytes = pm_token_bytes(v->t, (int32_t)id, false, &n);
    v->logits[id] = (float)pm_rng_uniform(rng) * 8;
    if (n && strchr("\"]}", bytes[n - 1])) v->logits[id] += 2 + (float)length / 16;
    if (n > 1 && length > 200) v->logits[id] -= 30;
  }
}

// Whether the bits are those of the tokens that the matcher takes one by one.
static void check_allowed(const vocabulary *v, pm_matcher *m) {
  for (uint32_t id = 0; id < v->n; id++) {
    size_t n;
    const char *bytes = pm_token_bytes(v->t, (int32_t)id, false, &n);
    uint32_t s = pm_matcher_look(m);
    for (size_t i = 0; i < n && s; i++) s = pm_matcher_step(m, s, (uint8_t)bytes[i]);
    bool wanted = n && s && !pm_token_is_end(v->t, (int32_t)id);
    if (wanted != (v->allowed[id / 64] >> id % 64 & 1)) fail_msg("token %u: %d expected", id, wanted);
  }
}

static size_t walk(vocabulary *v, const pm_grammar *g, pm_rng *rng, char *text, size_t most, bool check) {
  pm_matcher *m;
  size_t n = 0;
  assert_int_equal(pm_matcher_create(g, &m), PM_OK);
  while (!pm_matcher_must_end(m) && !(pm_matcher_may_end(m) && pm_rng_next(rng) % 4 == 0)) {
    make_logits(v, rng, n);
    pm_token_order_allow(v->order, m, v->allowed, v->n);
    if (check) check_allowed(v, m);
    pm_sampler_input in = {.logits = v->logits, .n_vocab = v->n, .allowed = v->allowed};
    int32_t id = pm_sample(&(pm_sampler_desc){.temperature = 1, .top_p = 1}, rng, &in, v->memory);
    assert_true(id >= 0);
    size_t k;
    const char *bytes = pm_token_bytes(v->t, id, false, &k);
    assert_true(n + k < most);
    assert_true(pm_matcher_push(m, bytes, k));
    memcpy(text + n, bytes, k);
    n += k;
  }
  pm_matcher_destroy(m);
  return n;
}

static void random_walks(void **state) {
  (void)state;
  enum { WALKS = 12, MOST = 1 << 14 };
  vocabulary v = open_vocabulary();
  char *text = malloc(MOST);
  pm_rng rng = pm_rng_seed(9);
  for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++) {
    pm_grammar *g = parse(schemas[i]);
    for (int k = 0; k < WALKS; k++) {
      size_t n = walk(&v, g, &rng, text, MOST, k == 0 && i % 8 == 0);
      check_text(schemas[i], text, n);
    }
    pm_grammar_destroy(g);
  }
  free(text);
  close_vocabulary(&v);
}

// Within a string nearly every token may follow: the most that finding them can cost.
static void speed(void **state) {
  (void)state;
  enum { ROUNDS = 20 };
  vocabulary v = open_vocabulary();
  pm_grammar *g = parse("{}");
  pm_matcher *m;
  uint32_t n = 0;
  assert_int_equal(pm_matcher_create(g, &m), PM_OK);
  assert_true(pm_matcher_push(m, "{\"a\": \"b", 8));
  double begin = pm_clock_seconds();
  for (int i = 0; i < ROUNDS; i++) pm_token_order_allow(v.order, m, v.allowed, v.n);
  double seconds = (pm_clock_seconds() - begin) / ROUNDS;
  for (uint32_t id = 0; id < v.n; id++) n += v.allowed[id / 64] >> id % 64 & 1;
  print_message("# %u of %u tokens may follow, found in %.3f ms\n", n, v.n, seconds * 1e3);
  assert_true(n > v.n / 2);
  pm_matcher_destroy(m);
  pm_grammar_destroy(g);
  close_vocabulary(&v);
}

// ---- what is refused ----

static void refused(void **state) {
  static const struct {
    const char *schema;
    pm_status status;
    const char *words;
  } wrong[] = {
      {"{", PM_ERR_FORMAT, "JSON schema"},
      {"[]", PM_ERR_ARGUMENT, "must be an object"},
      {"{\"type\":\"thing\"}", PM_ERR_ARGUMENT, "'type' must be"},
      {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\",\"items\":{\"not\":{}}}}}", PM_ERR_UNSUPPORTED,
       "#/properties/items: 'not' is not supported"},
      {"{\"pattern\":\"(?=a)b\"}", PM_ERR_UNSUPPORTED, "'pattern' looks ahead"},
      {"{\"pattern\":\"^a|b\"}", PM_ERR_UNSUPPORTED, "'pattern' has anchors beside '|'"},
      {"{\"pattern\":\"\\\\bx\"}", PM_ERR_UNSUPPORTED, "'pattern' has an escape"},
      {"{\"pattern\":\"(a\"}", PM_ERR_UNSUPPORTED, "parenthesis without an end"},
      {"{\"pattern\":\"a)\"}", PM_ERR_UNSUPPORTED, "never opened"},
      {"{\"pattern\":\"[a\"}", PM_ERR_UNSUPPORTED, "ends too early"},
      {"{\"pattern\":\"x\",\"minLength\":1}", PM_ERR_UNSUPPORTED, "'pattern' is not supported beside lengths"},
      {"{\"type\":\"array\",\"uniqueItems\":true}", PM_ERR_UNSUPPORTED, "'uniqueItems'"},
      {"{\"type\":\"object\",\"patternProperties\":{}}", PM_ERR_UNSUPPORTED, "'patternProperties'"},
      {"{\"type\":\"number\",\"multipleOf\":2}", PM_ERR_UNSUPPORTED, "'multipleOf'"},
      {"{\"type\":\"number\",\"minimum\":0.5}", PM_ERR_UNSUPPORTED, "'minimum' must be a whole number"},
      {"{\"type\":\"integer\",\"minimum\":2,\"maximum\":1}", PM_ERR_ARGUMENT, "leave no number"},
      {"{\"type\":\"integer\",\"exclusiveMinimum\":2,\"exclusiveMaximum\":3}", PM_ERR_ARGUMENT, "no whole number"},
      {"{\"allOf\":[{},{}]}", PM_ERR_UNSUPPORTED, "'allOf' of several"},
      {"{\"anyOf\":[{}],\"properties\":{}}", PM_ERR_UNSUPPORTED, "'properties'"},
      {"{\"anyOf\":[]}", PM_ERR_ARGUMENT, "'anyOf'"},
      {"{\"enum\":[]}", PM_ERR_ARGUMENT, "'enum'"},
      {"{\"$ref\":\"http://x\"}", PM_ERR_UNSUPPORTED, "'$ref'"},
      {"{\"$ref\":\"#/$defs/x\"}", PM_ERR_ARGUMENT, "leads nowhere"},
      {"{\"$ref\":\"#\"}", PM_ERR_ARGUMENT, "left-recursive"},
      {"{\"type\":\"string\",\"minLength\":-1}", PM_ERR_ARGUMENT, "'minLength'"},
      {"{\"type\":\"string\",\"maxLength\":1000000}", PM_ERR_UNSUPPORTED, "'maxLength'"},
      {"{\"type\":\"string\",\"minLength\":3,\"maxLength\":2}", PM_ERR_ARGUMENT, "'maxLength'"},
      {"{\"type\":\"object\",\"properties\":{\"a\":5}}", PM_ERR_ARGUMENT, "must be a schema"},
      {"{\"type\":\"object\",\"properties\":{\"\\u00e9\":{}},\"additionalProperties\":true}", PM_ERR_UNSUPPORTED, "'additionalProperties'"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    pm_grammar *g;
    pm_status status = pm_json_schema_parse(wrong[i].schema, strlen(wrong[i].schema), &g);
    assert_null(g);
    if (status != wrong[i].status || !strstr(pm_fail_message(), wrong[i].words))
      fail_msg("%s: status %d, %s", wrong[i].schema, status, pm_fail_message());
  }
}

static void hostile_schemas(void **state) {
  (void)state;
  enum { N = 3000, ROOM = 1 << 20 };
  char *text = malloc(ROOM), *at = text + sprintf(text, "{\"type\":\"object\",\"properties\":{");
  for (int i = 0; i < N; i++) at += sprintf(at, "%s\"p%d\":{\"type\":\"string\"}", i ? "," : "", i);
  strcpy(at, "}}");
  pm_grammar *g;
  assert_int_equal(pm_json_schema_parse(text, strlen(text), &g), PM_ERR_UNSUPPORTED);
  at = text + sprintf(text, "{\"enum\":[");
  for (int i = 0; i < N; i++) at += sprintf(at, "%s\"value %d\"", i ? "," : "", i);
  strcpy(at, "]}");
  g = parse(text);
  assert_true(takes(g, "\"value 2999\"") && takes(g, "\"value 0\"") && !takes(g, "\"value 3000\""));
  pm_grammar_destroy(g);
  at = text;
  for (int i = 0; i < 5000; i++) at += sprintf(at, "{\"items\":");
  assert_int_equal(pm_json_schema_parse(text, strlen(text), &g), PM_ERR_FORMAT);
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(texts),   cmocka_unit_test(random_walks),    cmocka_unit_test(speed),
      cmocka_unit_test(refused), cmocka_unit_test(hostile_schemas),
  };
  return cmocka_run_group_tests_name("JSON schemas", tests, NULL, NULL);
}
