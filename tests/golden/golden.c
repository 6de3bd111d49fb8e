#include "golden.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "testbed.h"

json_t *golden_load(const char *name) {
  char path[512];
  snprintf(path, sizeof path, "%s/golden/%s", PM_TEST_DATA, name);
  json_error_t error;
  json_t *j = json_load_file(path, 0, &error);
  if (!j) fail_msg("%s:%d: %s", path, error.line, error.text);
  return j;
}

static int base64_value(char c) {
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const char *at = c ? strchr(alphabet, c) : NULL;
  return at ? (int)(at - alphabet) : -1;
}

float *golden_floats(const json_t *base64, size_t *n) {
  const char *s = json_string_value(base64);
  assert_non_null(s);
  unsigned char *bytes = malloc(json_string_length(base64));
  size_t used = 0;
  uint32_t bits = 0, n_bit = 0;
  for (int v; (v = base64_value(*s)) >= 0; s++) {
    bits = bits << 6 | (uint32_t)v, n_bit += 6;
    if (n_bit >= 8) n_bit -= 8, bytes[used++] = (unsigned char)(bits >> n_bit);
  }
  *n = used / sizeof(float);
  return (float *)bytes;
}

int32_t *golden_tokens(const json_t *array, size_t *n) {
  *n = json_array_size(array);
  int32_t *t = malloc((*n + 1) * sizeof *t);
  for (size_t i = 0; i < *n; i++) t[i] = (int32_t)json_integer_value(json_array_get(array, i));
  return t;
}

pm_engine *golden_open(const char *file, bool exact, bool gpu) {
  char path[512];
  snprintf(path, sizeof path, "%s/models/%s", PM_TEST_DATA, file);
  const char *device = getenv("PUMICE_TEST_DEVICE");
  pm_engine_desc d = {
      .device = gpu ? (device ? device : "0") : "cpu", .exact = exact, .n_batch = 64, .validate = gpu && testbed_validates()};
  if (gpu && !device) skip();
  pm_engine *e;
  pm_status status = pm_engine_open(strstr(file, "pebble") ? PM_DEMO_MODEL : path, &d, &e);
  if (status) fail_msg("%s: %s", file, pm_fail_message());
  return e;
}

void golden_log_softmax(const float *logits, uint32_t n, double *out) {
  double best = -INFINITY, sum = 0;
  for (uint32_t i = 0; i < n; i++) best = fmax(best, logits[i]);
  for (uint32_t i = 0; i < n; i++) sum += exp(logits[i] - best);
  for (uint32_t i = 0; i < n; i++) out[i] = logits[i] - best - log(sum);
}

typedef struct run {
  golden_position_fn *at;
  void *user;
  double *logprobs;
  uint32_t n_vocab;
} run;

static void on_logits(void *user, size_t index, const float *logits) {
  run *r = user;
  golden_log_softmax(logits, r->n_vocab, r->logprobs);
  r->at(r->user, index, r->logprobs);
}

void golden_run(pm_session *s, const int32_t *tokens, size_t n, golden_position_fn *at, void *user) {
  run r = {at, user, NULL, s->engine->model.config.n_vocab};
  r.logprobs = malloc(r.n_vocab * sizeof *r.logprobs);
  assert_int_equal(pm_session_rewind(s, 0), PM_OK);
  if (pm_session_eval(s, tokens, n, on_logits, &r)) fail_msg("eval: %s", pm_fail_message());
  free(r.logprobs);
}

static bool same_set(const int32_t *ids, uint32_t n, const json_t *golden) {
  for (uint32_t i = 0; i < n; i++) {
    bool found = false;
    for (size_t k = 0; k < json_array_size(golden); k++) found |= json_integer_value(json_array_get(golden, k)) == ids[i];
    if (!found) return false;
  }
  return json_array_size(golden) == n;
}

void golden_compare_experts(pm_engine *e, const json_t *experts, size_t first, size_t n_row, golden_error *error, bool *agree) {
  const pm_config *c = &e->model.config;
  int32_t *ids = malloc(n_row * c->n_expert_used * sizeof *ids);
  for (uint32_t i = 0; i < e->program.n_tensor; i++) {
    const pm_tensor *t = e->program.tensors[i];
    unsigned layer;
    if (t->role != PM_ROLE_OUTPUT || sscanf(t->name, "experts.%u", &layer) != 1) continue;
    assert_int_equal(e->backend->ops->read(e->backend, t, 0, ids, n_row * c->n_expert_used * sizeof *ids), PM_OK);
    const json_t *of_layer = json_array_get(experts, layer - c->n_layer_dense);
    for (size_t r = 0; r < n_row; r++) {
      bool same = same_set(ids + r * c->n_expert_used, c->n_expert_used, json_array_get(of_layer, first + r));
      error->n_set++, error->n_set_equal += same;
      agree[r] &= same;
    }
  }
  free(ids);
}
