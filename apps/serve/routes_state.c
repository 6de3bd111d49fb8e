// What the server says about itself.
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "routes.h"
#include "worker.h"

static const struct {
  int code;
  const char *status, *message;
} healths[] = {[PM_PHASE_EMPTY] = {200, "ok", NULL},  // a folder is served: choosing a model is the next step
               [PM_PHASE_LOADING] = {503, NULL, "Loading model"},
               [PM_PHASE_READY] = {200, "ok", NULL},
               [PM_PHASE_FAILED] = {503, NULL, "the model could not be loaded"},
               [PM_PHASE_LOST] = {503, NULL, "the device was lost"}};

// Clients know llama.cpp's two answers, {"status": "ok"} and the error "Loading model"; the other fields say more.
void pm_route_health(pm_server *s, struct evhttp_request *req) {
  pm_board_state state;
  pm_board_read(&s->board, &state);
  int code = healths[state.phase].code;
  bool degraded = state.phase == PM_PHASE_READY && *state.info.note;
  json_t *health = code == 200 ? json_pack("{s:s}", "status", healths[state.phase].status)
                               : json_pack("{s:o}", "error", pm_json_error(code, healths[state.phase].message));
  json_object_set_new(health, "phase", json_string(degraded ? "degraded" : pm_phase_name(state.phase)));
  if (*state.model) json_object_set_new(health, "model", pm_json_words(state.model));
  if (state.phase == PM_PHASE_LOADING) json_object_set_new(health, "progress", json_real((double)state.progress));
  const char *reason = degraded ? state.info.note : state.message;
  if (*reason) json_object_set_new(health, "reason", pm_json_words(reason));
  if (state.phase == PM_PHASE_READY) json_object_set_new(health, "device", pm_json_words(state.info.device));
  pm_http_send_json(req, code, health);
}

static json_t *default_settings(const pm_server *s, uint32_t n_ctx) {
  const pumice_sampling *d = &s->desc.sampling;
  json_t *params = json_pack("{s:f, s:I, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I}", "temperature", d->greedy ? 0.0 : (double)d->temperature,
                             "top_k", (json_int_t)(d->top_k == UINT32_MAX ? 0 : d->top_k), "top_p", (double)d->top_p, "min_p",
                             d->min_p < 0 ? 0.0 : (double)d->min_p, "repeat_penalty", (double)d->repeat_penalty, "presence_penalty",
                             (double)d->presence_penalty, "frequency_penalty", (double)d->frequency_penalty, "repeat_last_n",
                             (json_int_t)d->penalty_last_n, "seed", d->seed ? (json_int_t)d->seed : (json_int_t)-1, "n_predict",
                             (json_int_t)-1);
  return json_pack("{s:I, s:o}", "n_ctx", (json_int_t)n_ctx, "params", params);
}

void pm_route_props(pm_server *s, struct evhttp_request *req) {
  pm_board_state state;
  pm_board_read(&s->board, &state);
  bool ready = state.phase == PM_PHASE_READY;
  uint32_t n_ctx = ready ? state.info.n_ctx : 0;
  json_t *props = json_pack("{s:o, s:i, s:o, s:o, s:s, s:o, s:b, s:{s:b, s:b}}", "default_generation_settings", default_settings(s, n_ctx),
                            "total_slots", (int)state.n_slot, "model_alias", pm_json_words(state.model), "model_path",
                            pm_json_words(state.path), "phase", pm_phase_name(state.phase), "build_info",
                            json_sprintf("pumice-%s", pumice_version()), "is_sleeping", 0, "modalities", "vision", 0, "audio", 0);
  if (ready) {
    json_object_set_new(props, "chat_format", pm_json_words(state.info.chat_format));
    json_object_set_new(props, "device", pm_json_words(state.info.device));
    json_object_set_new(props, "n_vocab", json_integer(state.info.n_vocab));
  }
  pm_http_send_json(req, 200, props);
}

static json_t *describe_slot(const pm_board_state *state, uint32_t i) {
  const pm_slot_view *v = &state->slots[i];
  return json_pack("{s:i, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "id", (int)i, "n_ctx", (json_int_t)state->info.n_ctx, "is_processing",
                   v->busy, "id_task", v->busy ? (json_int_t)v->job : (json_int_t)-1, "n_held", (json_int_t)v->n_held, "n_prompt_tokens",
                   (json_int_t)v->n_prompt, "n_prompt_tokens_cache", (json_int_t)v->n_cached, "n_prompt_tokens_processed",
                   (json_int_t)v->n_processed, "n_decoded", (json_int_t)v->n_answer);
}

void pm_route_slots(pm_server *s, struct evhttp_request *req) {
  pm_board_state state;
  pm_board_read(&s->board, &state);
  const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(req));
  bool must_be_free = query && strstr(query, "fail_on_no_slot=1"), any_free = false;
  json_t *slots = json_array();
  for (uint32_t i = 0; i < state.n_slot; i++) {
    any_free |= !state.slots[i].busy;
    json_array_append_new(slots, describe_slot(&state, i));
  }
  if (!must_be_free || any_free) {
    pm_http_send_json(req, 200, slots);
    return;
  }
  json_decref(slots);
  pm_http_send_error(req, 503, "no slot is free");
}

// POST /slots/N?action=save|restore|erase, with {"filename": ...} in the body: a name without a folder.
void pm_route_slot_action(pm_server *s, struct evhttp_request *req) {
  const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
  const char *number = evhttp_uri_get_path(uri) + strlen("/slots/"), *query = evhttp_uri_get_query(uri);
  struct evkeyvalq values;
  pm_slot_action action = {.index = -1};
  char *end;
  long index = strtol(number, &end, 10);
  if (*number && !*end && index >= 0 && index < PM_MAX_SLOT) action.index = (int)index;
  TAILQ_INIT(&values);
  if (query && evhttp_parse_query_str(query, &values)) query = NULL;
  const char *name = query ? evhttp_find_header(&values, "action") : NULL;
  snprintf(action.name, sizeof action.name, "%s", name ? name : "");
  evhttp_clear_headers(&values);
  json_t *body = pm_http_read_json(req);
  if (!body) return;
  const char *file = json_string_value(json_object_get(body, "filename"));
  bool erase = !strcmp(action.name, "erase");
  if (action.index < 0 || (!erase && strcmp(action.name, "save") && strcmp(action.name, "restore"))) {
    pm_http_send_error(req, 400, "slots are saved with POST /slots/NUMBER?action=save, restored with restore, emptied with erase");
  } else if (!erase && !s->desc.slot_folder) {
    pm_http_send_error(req, 501, "start with --slot-dir FOLDER to save and restore slots");
  } else if (!erase && (!file || !*file || *file == '.' || strpbrk(file, "/\\") || strlen(file) > 200)) {
    pm_http_send_error(req, 400, "the field 'filename' takes the name of a file, without a folder");
  } else {
    if (!erase) snprintf(action.path, sizeof action.path, "%s/%s", s->desc.slot_folder, file);
    pm_slot_action *copy = pm_resize(NULL, 1, sizeof *copy);
    *copy = action;
    pm_exchange_call(s, req, pm_call_slot, copy);
  }
  json_decref(body);
}
