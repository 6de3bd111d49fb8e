// Which address leads where.
#ifndef PM_ROUTES_H
#define PM_ROUTES_H

#include "server.h"

typedef struct pm_route {
  const char *path;
  uint32_t methods;  // EVHTTP_REQ_* bits; HEAD comes with GET
  bool open;         // without an API key
  void (*run)(pm_server *s, struct evhttp_request *req);
} pm_route;

extern const pm_route pm_routes[];  // ends with a row without a path

// Whether there is a model to generate with, or one that will be: where none is loaded, the one that is `wanted`, or the only one, is
// loaded first. False with words.
bool pm_models_ready(pm_server *s, const char *wanted, char why[256]);

// What Ollama's programs want to know of a model.
json_t *pm_ollama_model(const pm_model_entry *entry, const pm_board_state *state);

// Handlers, by file.
void pm_route_health(pm_server *s, struct evhttp_request *req);  // routes_state.c
void pm_route_props(pm_server *s, struct evhttp_request *req);
void pm_route_slots(pm_server *s, struct evhttp_request *req);
void pm_route_slot_action(pm_server *s, struct evhttp_request *req);
void pm_route_metrics(pm_server *s, struct evhttp_request *req);  // metrics.c
void pm_route_models(pm_server *s, struct evhttp_request *req);   // routes_models.c
void pm_route_load(pm_server *s, struct evhttp_request *req);
void pm_route_unload(pm_server *s, struct evhttp_request *req);
void pm_route_ollama_tags(pm_server *s, struct evhttp_request *req);  // routes_ollama.c
void pm_route_ollama_ps(pm_server *s, struct evhttp_request *req);
void pm_route_ollama_show(pm_server *s, struct evhttp_request *req);
void pm_route_ollama_version(pm_server *s, struct evhttp_request *req);

#endif
