#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "routes.h"

enum { MAX_HEADERS = 64 << 10 };

static const char *input_header(struct evhttp_request *req, const char *name) {
  return evhttp_find_header(evhttp_request_get_input_headers(req), name);
}

// ---- who may ask -------------------------------------------------------------------------------------------------------------------

// Takes as long for every wrong key of a length.
static bool same_key(const char *a, const char *b) {
  size_t n = strlen(a);
  unsigned char difference = 0;
  if (strlen(b) != n) return false;
  for (size_t i = 0; i < n; i++) difference |= (unsigned char)(a[i] ^ b[i]);
  return difference == 0;
}

static bool has_key(const pm_server *s, struct evhttp_request *req) {
  const char *bearer = input_header(req, "Authorization"), *key = input_header(req, "X-Api-Key");
  if (bearer && !strncasecmp(bearer, "Bearer ", 7)) key = bearer + 7;
  bool good = !s->desc.keys[0];
  for (char *const *k = s->desc.keys; key && *k; k++) good |= same_key(*k, key);
  return good;
}

// Adds the headers that a web page of another origin needs; false if the page is none that may call.
static bool admit_origin(const pm_server *s, struct evhttp_request *req) {
  struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
  const char *origin = input_header(req, "Origin");
  if (!origin) return true;
  if (!pm_http_origin_allowed(s->desc.origins, origin, input_header(req, "Host"))) return false;
  evhttp_add_header(headers, "Access-Control-Allow-Origin", origin);
  evhttp_add_header(headers, "Access-Control-Allow-Credentials", "true");
  evhttp_add_header(headers, "Vary", "Origin");
  return true;
}

static void answer_preflight(struct evhttp_request *req) {
  struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
  const char *wanted = input_header(req, "Access-Control-Request-Headers");
  evhttp_add_header(headers, "Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS");
  evhttp_add_header(headers, "Access-Control-Allow-Headers", wanted ? wanted : "*");  // "*" alone does not cover Authorization
  evhttp_add_header(headers, "Access-Control-Max-Age", "3600");
  evhttp_send_reply(req, 204, "No Content", NULL);
}

// ---- where to ----------------------------------------------------------------------------------------------------------------------

// A path that ends with "*" stands for all that begin so.
static bool matches(const char *pattern, const char *path) {
  size_t n = strlen(pattern);
  return pattern[n - 1] == '*' ? !strncmp(pattern, path, n - 1) : !strcmp(pattern, path);
}

static void refuse_method(struct evhttp_request *req, const char *path, uint32_t allowed) {
  char list[64];
  snprintf(list, sizeof list, "%s%s%sOPTIONS", allowed & EVHTTP_REQ_GET ? "GET, HEAD, " : "", allowed & EVHTTP_REQ_POST ? "POST, " : "",
           allowed & EVHTTP_REQ_DELETE ? "DELETE, " : "");
  evhttp_add_header(evhttp_request_get_output_headers(req), "Allow", list);
  pm_http_send_error(req, 405, "%.200s takes other methods: %s", path, list);
}

static void dispatch(struct evhttp_request *req, void *user) {
  pm_server *s = user;
  const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
  enum evhttp_cmd_type method = evhttp_request_get_command(req);
  uint32_t as = method == EVHTTP_REQ_HEAD ? EVHTTP_REQ_GET : (uint32_t)method;
  if (!path || !*path) path = "/";
  if (!admit_origin(s, req)) {
    pm_http_send_error(req, 403, "web pages of this origin may not call; --origins names those that may");
    return;
  }
  if (method == EVHTTP_REQ_OPTIONS) {
    answer_preflight(req);
    return;
  }
  uint32_t allowed = 0;
  for (const pm_route *r = pm_routes; r->path; r++) {
    if (!matches(r->path, path)) continue;
    allowed |= r->methods;
    if (!(r->methods & as)) continue;
    if (r->open || has_key(s, req))
      r->run(s, req);
    else
      pm_http_send_error(req, 401, "the API key is missing or wrong; send it as 'Authorization: Bearer KEY'");
    return;
  }
  if (allowed)
    refuse_method(req, path, allowed);
  else
    pm_http_send_error(req, 404, "there is nothing at %.200s", path);
}

// ---- the loop ----------------------------------------------------------------------------------------------------------------------

static void on_wake(evutil_socket_t fd, short what, void *user) {
  (void)what;
  char bytes[64];
  while (read(fd, bytes, sizeof bytes) > 0) {}
  pm_server *s = user;
  pm_exchange_collect(s);
  if (pm_mailbox_left(&s->mail)) pm_server_quit(s);
}

static void on_tick(evutil_socket_t fd, short what, void *user) {
  (void)fd, (void)what;
  pm_exchange_tick(user);
}

// The next signal has its usual effect: somebody does not want to wait.
static void on_signal(evutil_socket_t number, short what, void *user) {
  (void)number, (void)what;
  pm_server *s = user;
  for (int i = 0; i < 2; i++) event_del(s->signals[i]);
  pm_server_quit(s);
}

static void on_resume(evutil_socket_t fd, short what, void *user) {
  (void)fd, (void)what;
  pm_server *s = user;
  evconnlistener_enable(s->listener);
}

// Called for each new connection. Descriptors are given out lowest first, so the next one tells how many are in use; while there are too
// many, new connections wait in the system's queue.
static struct bufferevent *on_connection(struct event_base *base, void *user) {
  (void)base;
  pm_server *s = user;
  int probe = dup(s->mail.wake_in);
  if (probe >= 0) close(probe);
  if (probe < 0 || (uint32_t)probe > s->desc.max_connections + 16) {
    evconnlistener_disable(s->listener);
    event_add(s->resume, &(struct timeval){.tv_usec = 100000});
  }
  return NULL;  // evhttp makes the usual one
}

static bool listen_at(pm_server *s) {
  struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(s->http, s->desc.host, s->desc.port);
  if (!bound) {
    fprintf(stderr, "pumice: cannot listen at %s, port %u: %s\n", s->desc.host, s->desc.port, strerror(errno));
    return false;
  }
  s->listener = evhttp_bound_socket_get_listener(bound);
  return true;
}

bool pm_server_init(pm_server *s, const pm_server_desc *desc) {
  *s = (pm_server){.desc = *desc, .board.lock = PTHREAD_MUTEX_INITIALIZER};
  if (!pm_mailbox_init(&s->mail)) {
    fprintf(stderr, "pumice: no pipe: %s\n", strerror(errno));
    return false;
  }
  if (pumice_energy_open(NULL, &s->energy) != PUMICE_OK) s->energy = NULL;
  s->base = event_base_new();
  s->http = evhttp_new(s->base);
  evhttp_set_allowed_methods(s->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                                          EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH);
  evhttp_set_max_headers_size(s->http, MAX_HEADERS);
  evhttp_set_max_body_size(s->http, (ev_ssize_t)desc->max_body);
  evhttp_set_timeout(s->http, PM_IDLE_SECONDS);
  evhttp_set_gencb(s->http, dispatch, s);
  evhttp_set_bevcb(s->http, on_connection, s);
  s->wake = event_new(s->base, s->mail.wake_in, EV_READ | EV_PERSIST, on_wake, s);
  s->tick = event_new(s->base, -1, EV_PERSIST, on_tick, s);
  s->resume = evtimer_new(s->base, on_resume, s);
  s->signals[0] = evsignal_new(s->base, SIGINT, on_signal, s);
  s->signals[1] = evsignal_new(s->base, SIGTERM, on_signal, s);
  event_add(s->wake, NULL);
  event_add(s->tick, &(struct timeval){.tv_sec = 1});
  for (int i = 0; i < 2; i++) event_add(s->signals[i], NULL);
  return listen_at(s);
}

uint16_t pm_server_port(const pm_server *s) {
  struct sockaddr_storage address;
  socklen_t n = sizeof address;
  if (getsockname(evconnlistener_get_fd(s->listener), (struct sockaddr *)&address, &n)) return 0;
  return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port : ((struct sockaddr_in *)&address)->sin_port);
}

void pm_server_run(pm_server *s) { event_base_dispatch(s->base); }

void pm_server_quit(pm_server *s) { event_base_loopbreak(s->base); }

void pm_server_finish(pm_server *s) {
  pm_exchange_drop_all(s);
  if (s->http) evhttp_free(s->http);
  struct event *const events[] = {s->wake, s->tick, s->resume, s->signals[0], s->signals[1]};
  for (size_t i = 0; i < sizeof events / sizeof *events; i++)
    if (events[i]) event_free(events[i]);
  if (s->base) event_base_free(s->base);
  pumice_energy_close(s->energy);
  pm_mailbox_finish(&s->mail);
}
