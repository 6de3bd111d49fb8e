// The fields of bodies: one row each says who sends it, what it takes and where it goes.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request.h"

typedef enum field_kind {
  FLAG,
  REAL,     // float
  INTEGER,  // int64_t
  COUNT,    // uint32_t
  TEXT,     // const char *, not owned
  VALUE,    // json_t *, not owned
  ONLY,     // a number that must be `min`: anything else is not supported
  SPECIAL   // has a function
} field_kind;

typedef struct field {
  const char *name;
  uint32_t dialects;
  field_kind kind;
  size_t at;  // offset in the request
  double min, max;
  bool (*set)(pm_request *r, json_t *value, char why[256]);
} field;

static bool refuse(char why[256], const char *name, const char *wants) {
  snprintf(why, 256, "the field '%s' takes %s", name, wants);
  return false;
}

// ---- fields with a form of their own -----------------------------------------------------------------------------------------------

static bool add_stop(pm_request *r, json_t *value) {
  bool good = json_is_string(value) && r->n_stop < PM_MAX_STOP;
  if (good && json_string_length(value)) r->stop[r->n_stop++] = json_string_value(value);
  return good;
}

static bool set_stop(pm_request *r, json_t *value, char why[256]) {
  r->n_stop = 0;
  bool good = json_is_array(value) || add_stop(r, value);
  for (size_t i = 0; good && i < json_array_size(value); i++) good = add_stop(r, json_array_get(value, i));
  return good || refuse(why, "stop", "a string or an array of at most 32 strings");
}

static bool add_bias(pm_request *r, int64_t token, json_t *value) {
  bool good = token >= 0 && token <= INT32_MAX && (json_is_number(value) || json_is_false(value)) && r->n_bias < PM_MAX_BIAS;
  if (good) r->bias[r->n_bias++] = (pumice_bias){(int32_t)token, json_is_false(value) ? -INFINITY : (float)json_number_value(value)};
  return good;
}

// {"15339": -100} as OpenAI has it, or [[15339, -100], [15340, false]]. At -100 and below a token is banned.
static bool set_bias(pm_request *r, json_t *value, char why[256]) {
  const char *key;
  json_t *bias;
  bool good = json_is_object(value) || json_is_array(value);
  json_object_foreach(value, key, bias) {
    char *end;
    int64_t token = strtoll(key, &end, 10);
    good = good && *key && !*end && add_bias(r, token, bias);
  }
  for (size_t i = 0; good && i < json_array_size(value); i++) {
    json_t *pair = json_array_get(value, i), *token = json_array_get(pair, 0);
    good = json_is_integer(token) && json_array_size(pair) == 2 && add_bias(r, json_integer_value(token), json_array_get(pair, 1));
  }
  for (size_t i = 0; i < r->n_bias; i++)
    if (r->bias[i].value <= -100) r->bias[i].value = -INFINITY;
  return good || refuse(why, "logit_bias", "an object from token numbers to numbers, of at most 1024 tokens");
}

static bool set_schema(pm_request *r, json_t *schema, char why[256]) {
  if (!json_is_object(schema) && !json_is_boolean(schema)) return refuse(why, "json_schema", "a JSON schema: an object");
  free(r->schema);
  r->schema = json_dumps(schema, JSON_COMPACT | JSON_ENCODE_ANY);
  return r->schema != NULL;
}

// {"type": "text"}, {"type": "json_object"}, {"type": "json_schema", "json_schema": {"schema": {...}}}
static bool set_response_format(pm_request *r, json_t *value, char why[256]) {
  const char *type = json_string_value(json_object_get(value, "type"));
  json_t *outer = json_object_get(value, "json_schema"), *schema = json_object_get(outer, "schema");
  if (!schema) schema = json_object_get(value, "schema");
  if (type && !strcmp(type, "text")) return true;
  if (type && !strcmp(type, "json_object")) {
    if (schema) return set_schema(r, schema, why);
    r->schema = strdup("{\"type\":\"object\"}");
    return r->schema != NULL;
  }
  if (type && !strcmp(type, "json_schema") && schema) return set_schema(r, schema, why);
  return refuse(why, "response_format", "a type of 'text', 'json_object', or 'json_schema' with json_schema.schema");
}

// Ollama's: "json", or a schema.
static bool set_format(pm_request *r, json_t *value, char why[256]) {
  const char *word = json_string_value(value);
  if (word && !*word) return true;
  if (word && strcmp(word, "json")) return refuse(why, "format", "\"json\" or a JSON schema");
  if (!word) return set_schema(r, value, why);
  r->schema = strdup("{\"type\":\"object\"}");
  return r->schema != NULL;
}

static bool set_stream_options(pm_request *r, json_t *value, char why[256]) {
  json_t *usage = json_object_get(value, "include_usage");
  if (!json_is_object(value) || (usage && !json_is_boolean(usage) && !json_is_null(usage)))
    return refuse(why, "stream_options", "an object with a boolean 'include_usage'");
  r->include_usage = json_is_true(usage);
  return true;
}

// A boolean of /v1/chat/completions, a number of likeliest tokens of /v1/completions.
static bool set_logprobs(pm_request *r, json_t *value, char why[256]) {
  if (json_is_boolean(value)) {
    r->want_probs = json_is_true(value);
    return true;
  }
  json_int_t n = json_integer_value(value);
  if (!json_is_integer(value) || n < 0 || n > PM_MAX_PROBS || r->dialect == PM_DIALECT_CHAT)
    return refuse(why, "logprobs", r->dialect == PM_DIALECT_CHAT ? "a boolean" : "a number up to 20");
  r->want_probs = true;
  r->n_probs = (uint32_t)n;
  return true;
}

static bool set_n_probs(pm_request *r, json_t *value, char why[256]) {
  json_int_t n = json_integer_value(value);
  if (!json_is_integer(value) || n < 0 || n > PM_MAX_PROBS) return refuse(why, "n_probs", "a number up to 20");
  r->want_probs = n > 0;
  r->n_probs = (uint32_t)n;
  return true;
}

// "auto", "none", "required", or {"type": "function", "function": {"name": ...}}
static bool set_tool_choice(pm_request *r, json_t *value, char why[256]) {
  const char *word = json_string_value(value);
  if (word && (!strcmp(word, "auto") || !strcmp(word, "none") || !strcmp(word, "required"))) {
    r->tool_choice = word;
    return true;
  }
  const char *type = json_string_value(json_object_get(value, "type"));
  r->tool_name = json_string_value(json_object_get(json_object_get(value, "function"), "name"));
  r->tool_choice = "required";
  if (type && !strcmp(type, "function") && r->tool_name) return true;
  return refuse(why, "tool_choice", "\"auto\", \"none\", \"required\" or {\"type\": \"function\", \"function\": {\"name\": ...}}");
}

static bool set_parallel_calls(pm_request *r, json_t *value, char why[256]) {
  r->one_call = json_is_false(value);
  return json_is_boolean(value) || refuse(why, "parallel_tool_calls", "true or false");
}

static bool set_template_values(pm_request *r, json_t *value, char why[256]) {
  if (!json_is_object(value)) return refuse(why, "chat_template_kwargs", "an object");
  r->template_values = value;
  static const char *const names[] = {"thinking", "enable_thinking"};
  for (size_t i = 0; i < 2; i++) {
    json_t *think = json_object_get(value, names[i]);
    if (json_is_boolean(think)) r->think = json_is_true(think);
  }
  const char *effort = json_string_value(json_object_get(value, "reasoning_effort"));
  if (effort) r->effort = effort;
  return true;
}

static bool set_effort(pm_request *r, json_t *value, char why[256]) {
  if (!json_is_string(value)) return refuse(why, "reasoning_effort", "a string such as \"none\", \"low\" or \"high\"");
  r->effort = json_string_value(value);
  r->think = strcmp(r->effort, "none") != 0;
  return true;
}

// A boolean or, of some clients, a level; {"type": "enabled"} is a third spelling.
static bool set_think(pm_request *r, json_t *value, char why[256]) {
  if (json_is_boolean(value)) {
    r->think = json_is_true(value);
    return true;
  }
  const char *type = json_string_value(json_object_get(value, "type"));
  if (type) {
    r->think = strcmp(type, "disabled") != 0;
    return true;
  }
  return json_is_string(value) ? set_effort(r, value, why) : refuse(why, "think", "a boolean or a level");
}

static bool set_thinking_format(pm_request *r, json_t *value, char why[256]) {
  static const struct {
    const char *name;
    pm_thinking_format format;
  } rows[] = {
      {"auto", PM_THINKING_APART}, {"deepseek", PM_THINKING_APART}, {"none", PM_THINKING_INLINE}, {"deepseek-legacy", PM_THINKING_BOTH}};
  const char *word = json_string_value(value);
  for (size_t i = 0; word && i < sizeof rows / sizeof *rows; i++)
    if (!strcmp(rows[i].name, word)) return r->thinking_format = rows[i].format, true;
  return refuse(why, "reasoning_format", "\"none\", \"deepseek\", \"deepseek-legacy\" or \"auto\"");
}

static bool is_tokens(json_t *value) {
  bool good = json_is_array(value) && json_array_size(value) > 0;
  for (size_t i = 0; good && i < json_array_size(value); i++) good = json_is_integer(json_array_get(value, i));
  return good;
}

// A text, tokens, or an array with one of those.
static bool set_prompt(pm_request *r, json_t *value, char why[256]) {
  if (json_array_size(value) == 1 && !is_tokens(value)) value = json_array_get(value, 0);
  if (!json_is_string(value) && !is_tokens(value)) return refuse(why, "prompt", "one string, or one array of token numbers");
  r->prompt = value;
  return true;
}

static bool set_none(pm_request *r, json_t *value, char why[256]) {
  (void)r;
  bool empty = json_is_false(value) || (json_is_string(value) && !json_string_length(value)) ||
               (json_is_array(value) && !json_array_size(value));
  if (!empty) snprintf(why, 256, "adapters, images, sound and text to fill in are not supported");
  return empty;
}

// ---- the table ---------------------------------------------------------------------------------------------------------------------

#define OPENAI (PM_DIALECT_CHAT | PM_DIALECT_TEXT)
#define OLLAMA (PM_DIALECT_OLLAMA_CHAT | PM_DIALECT_OLLAMA_GENERATE)
#define LLAMA (OPENAI | PM_DIALECT_NATIVE)
#define ALL (LLAMA | OLLAMA)
#define AT(member) offsetof(pm_request, member)

static const field fields[] = {
    {"model", ALL, TEXT, AT(model)},
    {"stream", ALL, FLAG, AT(stream)},
    {"stream_options", OPENAI, SPECIAL, .set = set_stream_options},
    {"messages", PM_DIALECT_CHAT | PM_DIALECT_OLLAMA_CHAT, VALUE, AT(messages)},
    {"prompt", PM_DIALECT_TEXT | PM_DIALECT_NATIVE | PM_DIALECT_OLLAMA_GENERATE, SPECIAL, .set = set_prompt},
    {"system", PM_DIALECT_OLLAMA_GENERATE, TEXT, AT(system)},
    {"raw", PM_DIALECT_OLLAMA_GENERATE, FLAG, AT(raw)},
    {"tools", PM_DIALECT_CHAT | PM_DIALECT_OLLAMA_CHAT, VALUE, AT(tools)},
    {"tool_choice", PM_DIALECT_CHAT, SPECIAL, .set = set_tool_choice},
    {"parallel_tool_calls", PM_DIALECT_CHAT, SPECIAL, .set = set_parallel_calls},
    {"chat_template_kwargs", PM_DIALECT_CHAT, SPECIAL, .set = set_template_values},
    {"reasoning_effort", PM_DIALECT_CHAT, SPECIAL, .set = set_effort},
    {"thinking", PM_DIALECT_CHAT, SPECIAL, .set = set_think},
    {"enable_thinking", PM_DIALECT_CHAT, SPECIAL, .set = set_think},
    {"think", OLLAMA, SPECIAL, .set = set_think},
    {"reasoning_format", PM_DIALECT_CHAT, SPECIAL, .set = set_thinking_format},
    {"reasoning_budget_tokens", PM_DIALECT_CHAT, INTEGER, AT(thinking_budget), -1, 1e9},
    {"thinking_budget_tokens", PM_DIALECT_CHAT, INTEGER, AT(thinking_budget), -1, 1e9},
    {"reasoning_budget_message", PM_DIALECT_CHAT, TEXT, AT(thinking_budget_message)},
    {"add_generation_prompt", PM_DIALECT_CHAT, FLAG, AT(add_generation_prompt)},
    {"continue_final_message", PM_DIALECT_CHAT, FLAG, AT(continue_final_message)},
    {"echo", PM_DIALECT_TEXT, FLAG, AT(echo)},
    {"n_predict", LLAMA, INTEGER, AT(max_tokens), -1, 1e9},
    {"num_predict", OLLAMA, INTEGER, AT(max_tokens), -2, 1e9},
    {"max_tokens", LLAMA, INTEGER, AT(max_tokens), -1, 1e9},
    {"max_completion_tokens", OPENAI, INTEGER, AT(max_tokens), -1, 1e9},
    {"temperature", ALL, REAL, AT(temperature), 0, 100},
    {"top_k", ALL, INTEGER, AT(top_k), -1, 1e9},
    {"top_p", ALL, REAL, AT(top_p), 0, 1},
    {"min_p", ALL, REAL, AT(min_p), 0, 1},
    {"repeat_penalty", ALL, REAL, AT(repeat_penalty), 0.01, 100},
    {"repeat_last_n", ALL, INTEGER, AT(penalty_last_n), -1, 1e9},
    {"presence_penalty", ALL, REAL, AT(presence_penalty), -100, 100},
    {"frequency_penalty", ALL, REAL, AT(frequency_penalty), -100, 100},
    {"seed", ALL, INTEGER, AT(seed), -1, 9e18},
    {"stop", ALL, SPECIAL, .set = set_stop},
    {"logit_bias", LLAMA, SPECIAL, .set = set_bias},
    {"logprobs", OPENAI, SPECIAL, .set = set_logprobs},
    {"top_logprobs", PM_DIALECT_CHAT, COUNT, AT(n_probs), 0, PM_MAX_PROBS},
    {"n_probs", PM_DIALECT_NATIVE, SPECIAL, .set = set_n_probs},
    {"ignore_eos", LLAMA, FLAG, AT(ignore_end)},
    {"response_format", OPENAI, SPECIAL, .set = set_response_format},
    {"json_schema", LLAMA, SPECIAL, .set = set_schema},
    {"grammar", LLAMA, TEXT, AT(grammar)},
    {"format", OLLAMA, SPECIAL, .set = set_format},
    {"t_max_predict_ms", LLAMA, COUNT, AT(max_seconds_ms), 0, 4e9},
    {"timings_per_token", LLAMA, FLAG, AT(timings_per_token)},
    {"return_progress", LLAMA, FLAG, AT(return_progress)},
    {"return_tokens", LLAMA, FLAG, AT(return_tokens)},
    {"cache_prompt", LLAMA, FLAG, AT(cache_prompt)},
    {"id_slot", LLAMA, INTEGER, AT(slot), -1, 1e6},
    {"n", OPENAI, COUNT, AT(n_choice), 1, PM_MAX_CHOICE},
    {"sse_ping_interval", LLAMA, COUNT, AT(ping_seconds), 1, 3600},
    // What we do not do, unless the value asks for nothing.
    {"best_of", PM_DIALECT_TEXT, ONLY, .min = 1},
    {"typical_p", ALL, ONLY, .min = 1},
    {"dynatemp_range", ALL, ONLY, .min = 0},
    {"dry_multiplier", ALL, ONLY, .min = 0},
    {"xtc_probability", ALL, ONLY, .min = 0},
    {"mirostat", ALL, ONLY, .min = 0},
    {"top_n_sigma", ALL, ONLY, .min = -1},
    {"lora", LLAMA, SPECIAL, .set = set_none},
    {"suffix", PM_DIALECT_TEXT | PM_DIALECT_OLLAMA_GENERATE, SPECIAL, .set = set_none},
    {"images", PM_DIALECT_OLLAMA_GENERATE, SPECIAL, .set = set_none},
    {"audio", PM_DIALECT_CHAT, SPECIAL, .set = set_none},
};

static bool set_number(pm_request *r, const field *f, json_t *value, char why[256]) {
  double v = json_number_value(value);
  bool whole = f->kind != REAL;
  if ((whole ? json_is_integer(value) : json_is_number(value)) && v >= f->min && v <= f->max) {
    char *at = (char *)r + f->at;
    if (f->kind == REAL)
      memcpy(at, &(float){(float)v}, sizeof(float));
    else if (f->kind == COUNT)
      memcpy(at, &(uint32_t){(uint32_t)json_integer_value(value)}, sizeof(uint32_t));
    else
      memcpy(at, &(int64_t){json_integer_value(value)}, sizeof(int64_t));
    return true;
  }
  snprintf(why, 256, "the field '%s' takes a %snumber from %g to %g", f->name, whole ? "whole " : "", f->min, f->max);
  return false;
}

static bool set_field(pm_request *r, const field *f, json_t *value, char why[256]) {
  char *at = (char *)r + f->at;
  switch (f->kind) {
    case FLAG:
      if (!json_is_boolean(value)) return refuse(why, f->name, "true or false");
      *(bool *)at = json_is_true(value);
      return true;
    case TEXT:
      if (!json_is_string(value)) return refuse(why, f->name, "a string");
      *(const char **)(void *)at = json_string_value(value);
      return true;
    case VALUE: *(json_t **)(void *)at = value; return true;
    case ONLY:
      if (json_is_number(value) && json_number_value(value) == f->min) return true;
      snprintf(why, 256, "the field '%s' is supported only as %g, which is the same as leaving it out", f->name, f->min);
      return false;
    case SPECIAL: return f->set(r, value, why);
    case REAL:
    case INTEGER:
    case COUNT: break;
  }
  return set_number(r, f, value, why);
}

bool pm_request_read_fields(pm_request *r, json_t *from, char why[256]) {
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    json_t *value = fields[i].dialects & r->dialect ? json_object_get(from, fields[i].name) : NULL;
    if (value && !json_is_null(value) && !set_field(r, &fields[i], value, why)) return false;
  }
  return true;
}
