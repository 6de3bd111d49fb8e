// What programs that speak Ollama ask for besides answers.
#include <stdlib.h>
#include <string.h>

#include "reply_parts.h"
#include "routes.h"

void pm_route_ollama_version(pm_server *s, struct evhttp_request *req) {
  (void)s;
  pm_http_send_json(req, 200, json_pack("{s:s}", "version", pumice_version()));
}

static json_t *details(const pm_board_state *state, bool loaded) {
  const char *family = loaded ? state->info.architecture : "";
  return json_pack("{s:s, s:s, s:o, s:[o], s:o, s:o}", "parent_model", "", "format", "gguf", "family", pm_json_words(family), "families",
                   pm_json_words(family), "parameter_size",
                   loaded ? json_sprintf("%.1fB", (double)state->info.n_parameter * 1e-9) : json_string(""), "quantization_level",
                   pm_json_words(loaded ? state->info.file_type : ""));
}

json_t *pm_ollama_model(const pm_model_entry *e, const pm_board_state *state) {
  bool loaded = state->phase == PM_PHASE_READY && !strcmp(e->id, state->model);
  return json_pack("{s:s, s:s, s:o, s:I, s:o, s:o}", "name", e->id, "model", e->id, "modified_at", pm_ollama_time((double)e->changed),
                   "size", (json_int_t)e->bytes, "digest",
                   json_sprintf("%016llx", (unsigned long long)e->bytes ^ (unsigned long long)e->changed), "details",
                   details(state, loaded));
}

// All models, or only the one that is loaded.
static void send_list(pm_server *s, struct evhttp_request *req, bool only_loaded) {
  pm_board_state state;
  pm_board_read(&s->board, &state);
  size_t n;
  pm_model_entry *entries = pm_model_folder_list(&s->desc.folder, &n);
  json_t *models = json_array();
  for (size_t i = 0; i < n; i++) {
    bool loaded = state.phase == PM_PHASE_READY && !strcmp(entries[i].id, state.model);
    if (only_loaded && !loaded) continue;
    json_t *entry = pm_ollama_model(&entries[i], &state);
    if (only_loaded) {
      json_object_set_new(entry, "expires_at", json_string("9999-12-31T23:59:59Z"));
      json_object_set_new(entry, "size_vram", json_integer((json_int_t)state.info.bytes_weights));
      json_object_set_new(entry, "context_length", json_integer(state.info.n_ctx));
    }
    json_array_append_new(models, entry);
  }
  free(entries);
  pm_http_send_json(req, 200, json_pack("{s:o}", "models", models));
}

void pm_route_ollama_tags(pm_server *s, struct evhttp_request *req) { send_list(s, req, false); }
void pm_route_ollama_ps(pm_server *s, struct evhttp_request *req) { send_list(s, req, true); }

void pm_route_ollama_show(pm_server *s, struct evhttp_request *req) {
  json_t *body = pm_http_read_json(req);
  if (!body) return;
  const char *id = json_string_value(json_object_get(body, "model"));
  if (!id) id = json_string_value(json_object_get(body, "name"));
  pm_board_state state;
  pm_board_read(&s->board, &state);
  pm_model_entry entry;
  if (!id || !pm_model_folder_find(&s->desc.folder, id, &entry)) {
    pm_http_send_json(req, 404, json_pack("{s:o}", "error", json_sprintf("model '%.200s' not found", id ? id : "")));
  } else {
    bool loaded = state.phase == PM_PHASE_READY && !strcmp(entry.id, state.model);
    json_t *info = NULL;
    if (loaded)
      info = json_pack("{s:o, s:I, s:I}", "general.architecture", pm_json_words(state.info.architecture), "general.parameter_count",
                       (json_int_t)state.info.n_parameter, "context_length", (json_int_t)state.info.n_ctx);
    pm_http_send_json(req, 200,
                      json_pack("{s:s, s:s, s:o, s:o, s:o, s:[s, s]}", "parameters", "", "template", "", "details", details(&state, loaded),
                                "model_info", info ? info : json_object(), "modified_at", pm_ollama_time((double)entry.changed),
                                "capabilities", "completion", "tools"));
  }
  json_decref(body);
}
