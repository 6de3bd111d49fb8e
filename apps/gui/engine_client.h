// HTTP to the engine, in the main loop.
#ifndef PM_ENGINE_CLIENT_H
#define PM_ENGINE_CLIENT_H

#include <stdbool.h>

#include "engine_reply.h"

typedef struct pm_gui_client pm_gui_client;

pm_gui_client *pm_gui_client_create(const char *url, const char *key);
const char *pm_gui_client_url(const pm_gui_client *client);
void pm_gui_client_destroy(pm_gui_client *client);  // without callbacks of what is under way; NULL is fine

// The body of the answer, whatever its status; NULL if there was none.
typedef void pm_gui_body_fn(void *user, const char *body);
void pm_gui_client_get(pm_gui_client *client, const char *path, pm_gui_body_fn *done, void *user);

// An answer as it is written. `done` comes once, with what went wrong or NULL; not after a stop.
typedef void pm_gui_chunk_fn(void *user, const pm_gui_chunk *chunk);
typedef void pm_gui_done_fn(void *user, const char *error);
void pm_gui_client_answer(pm_gui_client *client, const char *request, pm_gui_chunk_fn *chunk, pm_gui_done_fn *done, void *user);
void pm_gui_client_stop(pm_gui_client *client);  // closes the connection, which stops the engine's work

#endif
