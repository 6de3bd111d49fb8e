#include "request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema_call.h"
#include "text_buffer.h"

enum { CONVERSATIONS = PM_DIALECT_CHAT | PM_DIALECT_OLLAMA_CHAT, OLLAMA = PM_DIALECT_OLLAMA_CHAT | PM_DIALECT_OLLAMA_GENERATE };

static void set_defaults(pm_request *r, const pumice_sampling *d) {
  r->stream = r->dialect & OLLAMA;
  r->add_generation_prompt = r->cache_prompt = true;
  r->max_tokens = r->seed = r->thinking_budget = r->slot = -1;
  r->think = -1;
  r->ping_seconds = 30;
  r->n_choice = 1;
  r->temperature = d->greedy ? 0 : d->temperature;
  r->top_k = d->top_k == UINT32_MAX ? 0 : d->top_k;
  r->top_p = d->top_p;
  r->min_p = d->min_p < 0 ? 0 : d->min_p;
  r->repeat_penalty = d->repeat_penalty;
  r->presence_penalty = d->presence_penalty, r->frequency_penalty = d->frequency_penalty;
  r->penalty_last_n = d->penalty_last_n;
  if (d->seed) r->seed = (int64_t)(d->seed & INT64_MAX);
}

static bool need_prompt(const pm_request *r, char why[256]) {
  if (r->dialect & CONVERSATIONS ? r->messages != NULL : r->prompt != NULL) return true;
  snprintf(why, 256, "the field '%s' is missing", r->dialect & CONVERSATIONS ? "messages" : "prompt");
  return false;
}

static bool check_together(const pm_request *r, char why[256]) {
  if (r->grammar && r->schema) {
    snprintf(why, 256, "a grammar and a JSON schema cannot both be given");
    return false;
  }
  if (r->tools && r->grammar) {
    snprintf(why, 256, "tools cannot be combined with a grammar");
    return false;
  }
  if (r->n_probs && !r->want_probs && r->dialect == PM_DIALECT_CHAT) {
    snprintf(why, 256, "top_logprobs needs logprobs to be true");
    return false;
  }
  return true;
}

// A call that the client insists on is an answer by a schema; and where it wants answers by one, calls are another of its forms.
static bool bring_calls_to_schema(pm_request *r, char why[256]) {
  r->must_call = r->tool_choice && !strcmp(r->tool_choice, "required");
  r->schema_calls = r->must_call || (r->tools && r->schema);
  if (!r->schema_calls) return true;
  char *schema = pm_call_schema(r->tools, r->tool_name, r->must_call ? NULL : r->schema);
  free(r->schema);
  r->schema = schema;
  if (schema) return true;
  snprintf(why, 256, "the field 'tool_choice' asks for a call of %.80s, which is not among 'tools'",
           r->tool_name ? r->tool_name : "a tool");
  return false;
}

// The options of Ollama's bodies are an object of their own.
static bool read_body(pm_request *r, char why[256]) {
  if (!json_is_object(r->body)) {
    snprintf(why, 256, "the body is not a JSON object");
    return false;
  }
  json_t *options = r->dialect & OLLAMA ? json_object_get(r->body, "options") : NULL;
  if (options && !json_is_null(options) && !json_is_object(options)) {
    snprintf(why, 256, "the field 'options' takes an object");
    return false;
  }
  if (json_is_object(options) && !pm_request_read_fields(r, options, why)) return false;
  return pm_request_read_fields(r, r->body, why) && need_prompt(r, why) && pm_request_check_messages(r, why) && check_together(r, why) &&
         bring_calls_to_schema(r, why);
}

pm_request *pm_request_create(json_t *body, pm_dialect dialect, const pumice_sampling *defaults, char why[256]) {
  pm_request *r = pm_resize(NULL, 1, sizeof *r);
  *r = (pm_request){.body = body, .dialect = dialect};
  set_defaults(r, defaults);
  if (read_body(r, why)) return r;
  pm_request_free(r);
  return NULL;
}

void pm_request_free(pm_request *r) {
  if (!r) return;
  json_decref(r->body);
  free(r->schema);
  free(r);
}

pumice_sampling pm_request_sampling(const pm_request *r, uint32_t choice) {
  return (pumice_sampling){.size = sizeof(pumice_sampling),
                           .greedy = r->temperature == 0 || r->top_k == 1,
                           .temperature = r->temperature,
                           .top_k = r->top_k > 0 ? (uint32_t)r->top_k : UINT32_MAX,
                           .top_p = r->top_p > 0 ? r->top_p : 1e-6f,  // 0 means the likeliest alone
                           .min_p = r->min_p > 0 ? r->min_p : -1,
                           .repeat_penalty = r->penalty_last_n == 0 ? 1 : r->repeat_penalty,
                           .presence_penalty = r->presence_penalty,
                           .frequency_penalty = r->frequency_penalty,
                           .penalty_last_n = r->penalty_last_n < 0 ? UINT32_MAX : (uint32_t)r->penalty_last_n,
                           .seed = r->seed < 0 ? 0 : (uint64_t)r->seed + 1 + choice};  // the library takes 0 for a new one
}
