// Models: those that there are, loading and unloading.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "routes.h"
#include "worker.h"

// A job that nobody waits for: /health tells how it goes.
static void order(pm_server *s, json_t *(*call)(pm_worker *, pm_job *, void *), void *argument) {
  pm_job *job = pm_job_create(NULL);
  job->call = call;
  job->argument = argument;
  atomic_store(&s->mail.hurry, true);
  pm_mailbox_submit(&s->mail, &job, 1);
  pm_job_release(job);
}

static void order_load(pm_server *s, const pm_model_entry *entry) {
  pm_model_entry *copy = pm_resize(NULL, 1, sizeof *copy);
  *copy = *entry;
  pm_board_state *state = pm_board_begin(&s->board);
  state->phase = PM_PHASE_LOADING;
  state->progress = 0;
  state->message[0] = 0;
  snprintf(state->model, sizeof state->model, "%s", entry->id);
  pm_board_end(&s->board);
  order(s, pm_call_load, copy);
}

static bool only_entry(const pm_model_folder *f, pm_model_entry *entry) {
  size_t n;
  pm_model_entry *entries = pm_model_folder_list(f, &n);
  if (n == 1) *entry = entries[0];
  free(entries);
  return n == 1;
}

bool pm_models_ready(pm_server *s, const char *wanted, char why[256]) {
  pm_board_state *state = pm_board_begin(&s->board);
  pm_phase phase = state->phase;
  snprintf(why, 256, "%s%.180s",
           phase == PM_PHASE_LOADING  ? "Loading model"
           : phase == PM_PHASE_LOST   ? "the device was lost: "
           : phase == PM_PHASE_FAILED ? "the model could not be loaded: "
                                      : "no model is loaded; POST /models/load with one of GET /models",
           phase == PM_PHASE_LOADING ? "" : state->message);
  pm_board_end(&s->board);
  if (phase == PM_PHASE_READY) return true;
  pm_model_entry entry;
  bool found = phase == PM_PHASE_EMPTY &&
               ((wanted && pm_model_folder_find(&s->desc.folder, wanted, &entry)) || only_entry(&s->desc.folder, &entry));
  if (found) order_load(s, &entry);
  return found;
}

static json_t *describe(const pumice_model_info *info) {
  return json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "name", pm_json_words(info->name), "architecture",
                   pm_json_words(info->architecture), "file_type", pm_json_words(info->file_type), "n_ctx", (json_int_t)info->n_ctx,
                   "n_ctx_train", (json_int_t)info->n_ctx_train, "n_embd", (json_int_t)info->d_model, "n_params",
                   (json_int_t)info->n_parameter, "n_vocab", (json_int_t)info->n_vocab, "size", (json_int_t)info->file_bytes);
}

void pm_route_models(pm_server *s, struct evhttp_request *req) {
  pm_board_state state;
  pm_board_read(&s->board, &state);
  size_t n;
  pm_model_entry *entries = pm_model_folder_list(&s->desc.folder, &n);
  json_t *data = json_array(), *names = json_array();
  for (size_t i = 0; i < n; i++) {
    bool mine = !strcmp(entries[i].id, state.model);
    const char *status = !mine || state.phase == PM_PHASE_EMPTY ? "unloaded"
                         : state.phase == PM_PHASE_READY        ? "loaded"
                                                                : pm_phase_name(state.phase);
    json_t *entry = json_pack(
        "{s:s, s:s, s:I, s:s, s:{s:s}, s:o}", "id", entries[i].id, "object", "model", "created", (json_int_t)entries[i].changed, "owned_by",
        "pumice", "status", "value", status, "meta",
        mine && state.phase == PM_PHASE_READY ? describe(&state.info) : json_pack("{s:I}", "size", (json_int_t)entries[i].bytes));
    json_array_append_new(data, entry);
    json_array_append_new(names, pm_ollama_model(&entries[i], &state));
  }
  free(entries);
  pm_http_send_json(req, 200, json_pack("{s:s, s:o, s:o}", "object", "list", "data", data, "models", names));
}

void pm_route_load(pm_server *s, struct evhttp_request *req) {
  json_t *body = pm_http_read_json(req);
  if (!body) return;
  const char *id = json_string_value(json_object_get(body, "model"));
  pm_model_entry entry;
  if (!id) {
    pm_http_send_error(req, 400, "the field 'model' takes the id of a model, as GET /models lists them");
  } else if (!pm_model_folder_find(&s->desc.folder, id, &entry)) {
    pm_http_send_error(req, 404, "there is no model '%.200s'; GET /models lists those that there are", id);
  } else {
    order_load(s, &entry);
    pm_http_send_json(req, 200, json_pack("{s:b, s:s}", "success", 1, "model", entry.id));
  }
  json_decref(body);
}

void pm_route_unload(pm_server *s, struct evhttp_request *req) {
  order(s, pm_call_unload, NULL);
  pm_http_send_json(req, 200, json_pack("{s:b}", "success", 1));
}
