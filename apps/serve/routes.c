#include "routes.h"

#include <stdio.h>
#include <stdlib.h>

#include "page.h"
#include "worker.h"

// ---- generations -------------------------------------------------------------------------------------------------------------------

// Requests that are checked here and answered by the engine. A model that is named, or the only one there is, is loaded if none is.
static void generate(pm_server *s, struct evhttp_request *req, const pm_reply_format *format) {
  char why[256];
  json_t *body = pm_http_read_json(req);
  if (!body) return;
  pm_request *request = pm_request_create(body, format->dialect, &s->desc.sampling, why);
  if (!request) {
    pm_http_send_json(req, 400, format->error(pm_json_error(400, why)));
    return;
  }
  uint32_t most = pm_mailbox_limit(&s->mail);
  int code = request->n_choice > most ? 400 : pm_models_ready(s, request->model, why) ? 200 : 503;
  if (code == 200) {
    pm_exchange_generate(s, req, request, format);
    return;
  }
  if (code == 400)
    snprintf(why, sizeof why, "the field 'n' asks for %u answers; the server has room for %u (its options --parallel and --queue)",
             request->n_choice, most);
  pm_request_free(request);
  pm_http_send_json(req, code, format->error(pm_json_error(code, why)));
}

static void chat(pm_server *s, struct evhttp_request *req) { generate(s, req, &pm_reply_chat); }
static void text(pm_server *s, struct evhttp_request *req) { generate(s, req, &pm_reply_text); }
static void native(pm_server *s, struct evhttp_request *req) { generate(s, req, &pm_reply_native); }
static void ollama_chat(pm_server *s, struct evhttp_request *req) { generate(s, req, &pm_reply_ollama_chat); }
static void ollama_generate(pm_server *s, struct evhttp_request *req) { generate(s, req, &pm_reply_ollama_generate); }

// ---- tokens and templates ----------------------------------------------------------------------------------------------------------

static void tokenize(pm_server *s, struct evhttp_request *req) {
  json_t *body = pm_http_read_json(req);
  if (!body) return;
  if (!json_is_string(json_object_get(body, "content"))) {
    json_decref(body);
    pm_http_send_error(req, 400, "the field 'content' takes a string");
    return;
  }
  pm_exchange_call(s, req, pm_call_tokenize, pm_json_line(body));
}

static void detokenize(pm_server *s, struct evhttp_request *req) {
  json_t *body = pm_http_read_json(req);
  if (!body) return;
  if (!json_is_array(json_object_get(body, "tokens"))) {
    json_decref(body);
    pm_http_send_error(req, 400, "the field 'tokens' takes an array of token numbers");
    return;
  }
  pm_exchange_call(s, req, pm_call_detokenize, pm_json_line(body));
}

static void apply_template(pm_server *s, struct evhttp_request *req) {
  char why[256];
  json_t *body = pm_http_read_json(req);
  if (!body) return;
  pm_request *request = pm_request_create(body, PM_DIALECT_CHAT, &s->desc.sampling, why);
  if (request)
    pm_exchange_template(s, req, request);
  else
    pm_http_send_error(req, 400, "%s", why);
}

// ---- the rest ----------------------------------------------------------------------------------------------------------------------

static void page(pm_server *s, struct evhttp_request *req) {
  (void)s;
  pm_http_send_bytes(req, "text/html; charset=utf-8", (const char *)pm_page, pm_page_bytes);
}

static void not_supported(pm_server *s, struct evhttp_request *req) {
  (void)s;
  pm_http_send_error(req, 501, "this server generates text; it has no such thing");
}

#define GET EVHTTP_REQ_GET
#define POST EVHTTP_REQ_POST
#define ANY (EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_DELETE)

const pm_route pm_routes[] = {{"/", GET, true, page},
                              {"/health", GET, true, pm_route_health},
                              {"/v1/health", GET, true, pm_route_health},
                              {"/v1/models", GET, true, pm_route_models},
                              {"/models", GET, true, pm_route_models},
                              {"/models/load", POST, false, pm_route_load},
                              {"/models/unload", POST, false, pm_route_unload},
                              {"/v1/chat/completions", POST, false, chat},
                              {"/chat/completions", POST, false, chat},
                              {"/v1/completions", POST, false, text},
                              {"/completions", POST, false, native},
                              {"/completion", POST, false, native},
                              {"/tokenize", POST, false, tokenize},
                              {"/detokenize", POST, false, detokenize},
                              {"/apply-template", POST, false, apply_template},
                              {"/props", GET, false, pm_route_props},
                              {"/slots", GET, false, pm_route_slots},
                              {"/slots/*", POST, false, pm_route_slot_action},
                              {"/metrics", GET, false, pm_route_metrics},
                              {"/api/version", GET, true, pm_route_ollama_version},
                              {"/api/tags", GET, true, pm_route_ollama_tags},
                              {"/api/ps", GET, false, pm_route_ollama_ps},
                              {"/api/show", POST, false, pm_route_ollama_show},
                              {"/api/chat", POST, false, ollama_chat},
                              {"/api/generate", POST, false, ollama_generate},
                              {"/v1/embeddings", ANY, false, not_supported},
                              {"/embedding", ANY, false, not_supported},
                              {"/embeddings", ANY, false, not_supported},
                              {"/rerank", ANY, false, not_supported},
                              {"/v1/rerank", ANY, false, not_supported},
                              {"/infill", ANY, false, not_supported},
                              {"/lora-adapters", ANY, false, not_supported},
                              {"/v1/audio/*", ANY, false, not_supported},
                              {"/v1/images/*", ANY, false, not_supported},
                              {"/v1/responses", ANY, false, not_supported},
                              {"/v1/messages*", ANY, false, not_supported},
                              {"/api/embed*", ANY, false, not_supported},
                              {"/api/pull", ANY, false, not_supported},
                              {"/api/push", ANY, false, not_supported},
                              {"/api/create", ANY, false, not_supported},
                              {"/api/copy", ANY, false, not_supported},
                              {"/api/delete", ANY, false, not_supported},
                              {0}};
