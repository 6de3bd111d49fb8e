#include "engine_reply.h"

#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "gui_settings.h"

static char *copy_text(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text && *text ? g_strdup(text) : NULL;
}

static double real_of(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  return json_is_number(value) ? json_number_value(value) : -1;
}

static int64_t int_of(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  return json_is_number(value) ? (int64_t)json_number_value(value) : -1;
}

// ---- events of an answer -----------------------------------------------------------------------------------------------------------

static void read_figures(const json_t *root, pm_gui_stats *stats) {
  const json_t *usage = json_object_get(root, "usage"), *timings = json_object_get(root, "timings");
  *stats = PM_GUI_STATS_NONE;
  stats->n_prompt = int_of(usage, "prompt_tokens");
  stats->n_token = int_of(usage, "completion_tokens");
  stats->n_cached = int_of(json_object_get(usage, "prompt_tokens_details"), "cached_tokens");
  stats->prompt_rate = real_of(timings, "prompt_per_second");
  stats->rate = real_of(timings, "predicted_per_second");
  stats->joules = real_of(timings, "joules");
  if (stats->n_token < 0) stats->n_token = int_of(timings, "predicted_n");
}

static void read_progress(const json_t *progress, pm_gui_chunk *chunk) {
  if (!json_is_object(progress)) return;
  chunk->prompt_total = int_of(progress, "total");
  chunk->prompt_cached = int_of(progress, "cache");
  chunk->prompt_done = int_of(progress, "processed");
  chunk->has_prompt = chunk->prompt_total > 0 && chunk->prompt_done >= 0;
}

bool pm_gui_chunk_parse(const char *text, pm_gui_chunk *chunk) {
  *chunk = (pm_gui_chunk){.stats = PM_GUI_STATS_NONE};
  json_t *root = json_loads(text, 0, NULL);
  if (!json_is_object(root)) {
    json_decref(root);
    return false;
  }
  const json_t *choice = json_array_get(json_object_get(root, "choices"), 0), *delta = json_object_get(choice, "delta");
  chunk->content = copy_text(delta, "content");
  chunk->thinking = copy_text(delta, "reasoning_content");
  chunk->finish = copy_text(choice, "finish_reason");
  if (json_object_get(root, "error")) chunk->error = pm_gui_error_parse(text);
  read_figures(root, &chunk->stats);
  read_progress(json_object_get(root, "prompt_progress"), chunk);
  json_decref(root);
  return true;
}

void pm_gui_chunk_clear(pm_gui_chunk *chunk) {
  g_free(chunk->content);
  g_free(chunk->thinking);
  g_free(chunk->finish);
  g_free(chunk->error);
  *chunk = (pm_gui_chunk){0};
}

void pm_gui_stats_merge(pm_gui_stats *into, const pm_gui_stats *from) {
  if (from->n_prompt >= 0) into->n_prompt = from->n_prompt;
  if (from->n_cached >= 0) into->n_cached = from->n_cached;
  if (from->n_token >= 0) into->n_token = from->n_token;
  if (from->first_s >= 0) into->first_s = from->first_s;
  if (from->thinking_s >= 0) into->thinking_s = from->thinking_s;
  if (from->prompt_rate >= 0) into->prompt_rate = from->prompt_rate;
  if (from->rate >= 0) into->rate = from->rate;
  if (from->joules >= 0) into->joules = from->joules;
}

char *pm_gui_error_parse(const char *body) {
  json_t *root = json_loads(body, 0, NULL);
  const json_t *error = json_object_get(root, "error");
  char *message = json_is_string(error) ? g_strdup(json_string_value(error)) : copy_text(error, "message");
  json_decref(root);
  return message ? message : g_utf8_make_valid(*body ? body : "the engine gave no reason", -1);
}

pm_gui_health pm_gui_health_parse(const char *text, double *progress, char **message) {
  json_t *root = json_loads(text, 0, NULL);
  const json_t *error = json_object_get(root, "error"), *where = json_object_get(root, "progress") ? root : error;
  const char *status = json_string_value(json_object_get(root, "status")), *words = json_string_value(json_object_get(error, "message"));
  *progress = real_of(where, "progress");
  *message = NULL;
  pm_gui_health health = PM_GUI_BROKEN;
  if (status && (!strcmp(status, "ok") || !strcmp(status, "degraded")))
    health = PM_GUI_READY;
  else if ((words && !strncmp(words, "Loading", 7)) || (status && !strncmp(status, "load", 4)))
    health = PM_GUI_LOADING;
  char *reason = copy_text(root, "reason");
  if (health != PM_GUI_LOADING) *message = g_steal_pointer(&reason);
  if (health == PM_GUI_BROKEN && !*message) *message = pm_gui_error_parse(text);
  g_free(reason);
  json_decref(root);
  return health;
}

// ---- metrics -----------------------------------------------------------------------------------------------------------------------

// A sample "name{labels} value"; where several have the same name, their sum.
static const struct {
  const char *name;
  size_t offset;
} metric_rows[] = {{"pumice_expert_hits_total", offsetof(pm_gui_gauges, hits)},
                   {"pumice_expert_misses_total", offsetof(pm_gui_gauges, misses)}};

static void take_sample(const char *line, pm_gui_gauges *gauges) {
  size_t name = strcspn(line, "{ ");
  const char *labels_end = line[name] == '{' ? strchr(line, '}') : line + name;
  if (!labels_end || *line == '#') return;
  double value = g_ascii_strtod(*labels_end == '}' ? labels_end + 1 : labels_end, NULL);
  for (size_t i = 0; i < G_N_ELEMENTS(metric_rows); i++) {
    if (strlen(metric_rows[i].name) != name || strncmp(line, metric_rows[i].name, name)) continue;
    double *field = (double *)((char *)gauges + metric_rows[i].offset);
    *field = MAX(*field, 0) + value;
  }
}

void pm_gui_metrics_parse(const char *prometheus, pm_gui_gauges *gauges) {
  g_auto(GStrv) lines = g_strsplit(prometheus, "\n", 4096);
  for (char **line = lines; *line; line++) take_sample(*line, gauges);
}

// ---- requests ----------------------------------------------------------------------------------------------------------------------

static json_t *message_to_json(const pm_gui_message *m) {
  json_t *object = json_pack("{s:s, s:s}", "role", m->role, "content", m->content);
  if (*m->thinking) json_object_set_new(object, "reasoning_content", json_string(m->thinking));
  return object;
}

char *pm_gui_request(const pm_gui_chat_settings *s, GPtrArray *messages, bool resume, bool thinking) {
  json_t *list = json_array();
  if (*s->system) json_array_append_new(list, json_pack("{s:s, s:s}", "role", "system", "content", s->system));
  for (guint i = 0; i < messages->len; i++) json_array_append_new(list, message_to_json(messages->pdata[i]));
  json_t *root = json_pack("{s:o, s:b, s:{s:b}, s:b, s:b, s:f, s:f, s:f, s:f, s:I, s:{s:b, s:b}}", "messages", list, "stream", 1,
                           "stream_options", "include_usage", 1, "return_progress", 1, "timings_per_token", 1, "temperature",
                           s->temperature, "top_p", s->top_p, "min_p", s->min_p, "repeat_penalty", s->repeat_penalty, "top_k",
                           (json_int_t)s->top_k, "chat_template_kwargs", "enable_thinking", thinking, "thinking", thinking);
  if (s->max_tokens) json_object_set_new(root, "max_tokens", json_integer(s->max_tokens));
  if (s->seed) json_object_set_new(root, "seed", json_integer(s->seed));
  if (resume) {
    json_object_set_new(root, "continue_final_message", json_true());
    json_object_set_new(root, "add_generation_prompt", json_false());
  }
  char *text = json_dumps(root, JSON_COMPACT), *copy = g_strdup(text);
  free(text);
  json_decref(root);
  return copy;
}
