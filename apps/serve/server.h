// The HTTP side: an event loop, requests that are waiting for the engine, and what is sent to clients. Everything here belongs to one
// thread.
#ifndef PM_SERVER_H
#define PM_SERVER_H

#include <event2/event.h>
#include <event2/http.h>

#include "mailbox.h"
#include "model_folder.h"
#include "reply.h"
#include "status_board.h"

enum { PM_IDLE_SECONDS = 120 };  // of a connection without a request, or of a client that takes nothing

typedef struct pm_server_desc {
  const char *host;
  uint16_t port;        // 0 = a free one
  char *const *keys;    // ends with NULL; no key is asked for if there is none
  const char *origins;  // of web pages that may call, besides those of this machine: "*" or a list with commas
  uint32_t max_connections;
  size_t max_body;
  const char *slot_folder;   // where slots are saved; NULL = nowhere
  pumice_sampling sampling;  // of requests that do not say
  pm_model_folder folder;
} pm_server_desc;

typedef struct pm_server {
  pm_server_desc desc;
  struct event_base *base;
  struct evhttp *http;
  struct evconnlistener *listener;
  struct event *wake, *tick, *resume, *signals[2];
  pm_mailbox mail;
  pm_board board;
  struct pm_exchange *exchanges;
  uint64_t refused;       // requests for which there was no room
  pumice_energy *energy;  // since the server began; NULL if it cannot be measured
} pm_server;

// Listens; false with a reason on standard error. The engine's thread may post from then on.
bool pm_server_init(pm_server *s, const pm_server_desc *desc);
uint16_t pm_server_port(const pm_server *s);
// Until SIGINT or SIGTERM, or pm_server_quit.
void pm_server_run(pm_server *s);
void pm_server_quit(pm_server *s);    // ends pm_server_run
void pm_server_finish(pm_server *s);  // after the engine's thread has ended

// ---- answering at once ----

void pm_http_send_json(struct evhttp_request *req, int code, json_t *value);  // takes the value
void pm_http_send_bytes(struct evhttp_request *req, const char *type, const char *bytes, size_t n);
void pm_http_send_error(struct evhttp_request *req, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
// The body; NULL after an error was sent. An empty body is an empty object.
json_t *pm_http_read_json(struct evhttp_request *req);

// Whether pages of the origin may call; `host` is the request's own Host header, or NULL.
bool pm_http_origin_allowed(const char *allowed, const char *origin, const char *host);

// ---- answering by the engine ----

// A request whose client is still there and waits for jobs.
typedef struct pm_exchange {
  pm_server *server;
  struct evhttp_request *req;
  pm_reply reply;  // of a generation
  bool streaming;  // the head of the answer was sent
  double sent;     // when something was last sent, seconds
  uint32_t ping_seconds;
  struct pm_exchange *previous, *next;
  uint32_t n_job;  // one for each choice of a generation
  pm_job *jobs[];
} pm_exchange;

// Runs a function on the engine's thread and answers with its JSON; `argument` is freed by free().
void pm_exchange_call(pm_server *s, struct evhttp_request *req, json_t *(*call)(struct pm_worker *, pm_job *, void *), void *argument);
// Answers with the prompt of a chat; takes the request.
void pm_exchange_template(pm_server *s, struct evhttp_request *req, pm_request *request);
// Generates and answers in a format; takes the request.
void pm_exchange_generate(pm_server *s, struct evhttp_request *req, pm_request *request, const pm_reply_format *format);

void pm_exchange_collect(pm_server *s);   // passes on what the engine has posted
void pm_exchange_tick(pm_server *s);      // comments on streams that were silent for long
void pm_exchange_drop_all(pm_server *s);  // the clients that are left

#endif
