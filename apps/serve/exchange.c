// Requests that wait for the engine: from the client to a job, from its events to the client.
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"
#include "terminal.h"
#include "worker.h"

enum {
  MAX_UNREAD = 1 << 20,   // bytes that a client may leave unread before it is taken for gone
  MAX_EARLY = 256 << 10,  // and that it may send before it has its answer; more than the largest head of a request
};

static void unlink_exchange(pm_exchange *x) {
  if (x->previous)
    x->previous->next = x->next;
  else
    x->server->exchanges = x->next;
  if (x->next) x->next->previous = x->previous;
}

// Ends the exchange; what its jobs may still do is nobody's business any more.
static void free_exchange(pm_exchange *x) {
  unlink_exchange(x);
  if (x->reply.format) pm_reply_finish(&x->reply);
  for (uint32_t i = 0; i < x->n_job; i++) {
    x->jobs[i]->owner = NULL;
    pm_job_cancel(x->jobs[i]);
    pm_job_release(x->jobs[i]);
  }
  free(x);
}

// evhttp takes a request that was not answered from its connection, and leaves it to us, when it was the client who ended that.
static void client_left(struct evhttp_connection *connection, void *user) {
  (void)connection;
  pm_exchange *x = user;
  if (!evhttp_request_get_connection(x->req)) evhttp_request_free(x->req);
  free_exchange(x);
}

// evhttp stops reading once it has a request, and would not learn that the client has left. So reading goes on, for as long as it takes;
// what comes meanwhile is the next request, and is left where it is up to a limit.
static void watch_client(pm_exchange *x) {
  struct evhttp_connection *connection = evhttp_request_get_connection(x->req);
  struct bufferevent *b = evhttp_connection_get_bufferevent(connection);
  bufferevent_data_cb on_read, on_write;
  bufferevent_event_cb on_event;
  void *user;
  bufferevent_getcb(b, &on_read, &on_write, &on_event, &user);
  bufferevent_setcb(b, NULL, on_write, on_event, user);
  bufferevent_setwatermark(b, EV_READ, 0, MAX_EARLY);
  bufferevent_set_timeouts(b, NULL, &(struct timeval){.tv_sec = PM_IDLE_SECONDS});
  bufferevent_enable(b, EV_READ);
  evhttp_connection_set_closecb(connection, client_left, x);
}

// The client is not waited for any longer: evhttp owns its request from here on.
static struct evhttp_request *detach_client(pm_exchange *x) {
  struct evhttp_connection *connection = evhttp_request_get_connection(x->req);
  const struct timeval idle = {.tv_sec = PM_IDLE_SECONDS};
  bufferevent_set_timeouts(evhttp_connection_get_bufferevent(connection), &idle, &idle);
  evhttp_connection_set_closecb(connection, NULL, NULL);
  return x->req;
}

static pm_exchange *create_exchange(pm_server *s, struct evhttp_request *req, uint32_t n_job) {
  pm_exchange *x = pm_resize(NULL, sizeof *x + n_job * sizeof *x->jobs, 1);
  *x = (pm_exchange){.server = s, .req = req, .n_job = n_job, .sent = pm_seconds(), .ping_seconds = 30, .next = s->exchanges};
  for (uint32_t i = 0; i < n_job; i++) {
    x->jobs[i] = pm_job_create(i ? x->jobs[0] : NULL);
    x->jobs[i]->owner = x;
    x->jobs[i]->choice = i;
  }
  if (s->exchanges) s->exchanges->previous = x;
  s->exchanges = x;
  watch_client(x);
  return x;
}

void pm_exchange_call(pm_server *s, struct evhttp_request *req, json_t *(*call)(struct pm_worker *, pm_job *, void *), void *argument) {
  pm_exchange *x = create_exchange(s, req, 1);
  x->jobs[0]->call = call;
  x->jobs[0]->argument = argument;
  pm_mailbox_submit(&s->mail, x->jobs, 1);
}

void pm_exchange_template(pm_server *s, struct evhttp_request *req, pm_request *request) {
  pm_exchange *x = create_exchange(s, req, 1);
  x->jobs[0]->call = pm_call_template;
  x->jobs[0]->request = request;
  pm_mailbox_submit(&s->mail, x->jobs, 1);
}

void pm_exchange_generate(pm_server *s, struct evhttp_request *req, pm_request *request, const pm_reply_format *format) {
  pm_exchange *x = create_exchange(s, req, request->n_choice);
  pm_board_state *state = pm_board_begin(&s->board);
  pm_reply_init(&x->reply, format, request, state->model);
  pm_board_end(&s->board);
  for (uint32_t i = 0; i < x->n_job; i++) {
    x->jobs[i]->request = request;
    x->reply.choices[i].outcome = &x->jobs[i]->outcome;
  }
  x->ping_seconds = request->ping_seconds;
  if (pm_mailbox_submit(&s->mail, x->jobs, x->n_job)) return;
  s->refused++;
  detach_client(x);
  free_exchange(x);
  pm_http_send_json(req, 503,
                    format->error(pm_json_error(503, "the server is busy: all slots work and the queue is full; try again later")));
}

// ---- streams -----------------------------------------------------------------------------------------------------------------------

static void begin_stream(pm_exchange *x) {
  if (x->streaming) return;
  struct evkeyvalq *headers = evhttp_request_get_output_headers(x->req);
  evhttp_add_header(headers, "Content-Type", x->reply.format->type);
  evhttp_add_header(headers, "Cache-Control", "no-cache");
  evhttp_add_header(headers, "X-Accel-Buffering", "no");  // proxies of the nginx kind would collect the stream
  evhttp_send_reply_start(x->req, 200, "OK");
  x->streaming = true;
}

// False if the client was taken for gone, and the exchange with it.
static bool send_bytes(pm_exchange *x, const char *bytes, size_t n) {
  struct evhttp_connection *connection = evhttp_request_get_connection(x->req);
  struct evbuffer *piece = evbuffer_new();
  evbuffer_add(piece, bytes, n);
  evhttp_send_reply_chunk(x->req, piece);
  evbuffer_free(piece);
  x->sent = pm_seconds();
  if (evbuffer_get_length(bufferevent_get_output(evhttp_connection_get_bufferevent(connection))) <= MAX_UNREAD) return true;
  evhttp_connection_free(connection);  // which calls client_left
  return false;
}

static bool send_piece(pm_exchange *x, json_t *piece) {
  if (!piece) return true;
  char *line = pm_json_line(piece);
  const pm_reply_format *f = x->reply.format;
  pm_text text = {0};
  pm_text_append(&text, f->before, strlen(f->before));
  pm_text_append(&text, line, strlen(line));
  pm_text_append(&text, f->after, strlen(f->after));
  begin_stream(x);
  bool good = send_bytes(x, text.data, text.n);
  pm_text_free(&text);
  free(line);
  return good;
}

static void end_stream(pm_exchange *x) {
  struct evhttp_request *req = detach_client(x);
  free_exchange(x);
  evhttp_send_reply_end(req);
}

// A server that is alive says so: comments for event streams, nothing where the format has no such thing.
static void ping(pm_exchange *x) {
  if (!x->reply.format || !x->reply.request->stream || strcmp(x->reply.format->type, "text/event-stream")) return;
  begin_stream(x);
  send_bytes(x, ":\n\n", 3);
}

void pm_exchange_tick(pm_server *s) {
  double now = pm_seconds();
  for (pm_exchange *x = s->exchanges, *next; x; x = next) {
    next = x->next;
    if (now - x->sent >= x->ping_seconds) ping(x);
  }
}

// ---- events ------------------------------------------------------------------------------------------------------------------------

static void send_failure(pm_exchange *x, json_t *error) {
  const pm_reply_format *f = x->reply.format;
  json_t *words = f ? f->error(json_incref(error)) : json_pack("{s:O}", "error", error);
  if (x->streaming) {
    if (send_piece(x, words)) end_stream(x);
    return;
  }
  int code = (int)json_integer_value(json_object_get(error, "code"));
  struct evhttp_request *req = detach_client(x);
  free_exchange(x);
  pm_http_send_json(req, code, words);
}

static void send_whole(pm_exchange *x, json_t *whole) {
  struct evhttp_request *req = detach_client(x);
  free_exchange(x);
  pm_http_send_json(req, 200, whole);
}

// False if the client was taken for gone.
static bool send_begin(pm_exchange *x, pm_choice *c, const pm_event *event) {
  const pm_reply_format *f = x->reply.format;
  json_t *piece = c->begun || !f->begin ? NULL : f->begin(c, event);
  c->begun |= piece != NULL;
  return send_piece(x, piece);
}

static void end_choice(pm_exchange *x, pm_choice *c) {
  pm_reply *r = &x->reply;
  const pm_reply_format *f = r->format;
  bool last = ++r->n_ended == x->n_job;
  if (!r->request->stream) {
    if (last) send_whole(x, f->whole(r));
    return;
  }
  bool good = send_piece(x, f->end(c));
  if (!good || !last) return;
  if (f->usage) good = send_piece(x, f->usage(r));
  if (good && f->last) good = send_bytes(x, f->last, strlen(f->last));
  if (good) end_stream(x);
}

// A call comes whole, or its arguments in pieces.
static void keep_calls(pm_choice *c, json_t *calls) {
  json_t *call;
  size_t i;
  if (!c->tools) c->tools = json_array();
  json_array_foreach(calls, i, call) {
    json_t *known = json_object_get(json_array_get(c->tools, (size_t)json_integer_value(json_object_get(call, "index"))), "function");
    if (!known) {
      json_object_del(call, "index");  // which only streams have
      json_array_append(c->tools, call);
      continue;
    }
    const char *more = json_string_value(json_object_get(json_object_get(call, "function"), "arguments"));
    json_object_set_new(known, "arguments", json_sprintf("%s%s", json_string_value(json_object_get(known, "arguments")), more));
  }
}

static void keep(pm_choice *c, const pm_event *event) {
  if (event->kind == PM_EVENT_TEXT) pm_text_append(&c->text, event->text, event->n);
  if (event->kind == PM_EVENT_THINKING) pm_text_append(&c->thinking, event->text, event->n);
  if (event->kind == PM_EVENT_TOOLS) keep_calls(c, event->json);
}

static void keep_token(pm_choice *c, json_t *token) {
  const pm_request *r = c->reply->request;
  json_t *number = json_object_get(token, "id");
  if (r->want_probs) {
    if (!c->probs) c->probs = json_array();
    json_array_append(c->probs, token);
  }
  if (!r->return_tokens) return;
  if (!c->tokens) c->tokens = json_array();
  json_array_append(c->tokens, number);
}

static void on_generation(pm_exchange *x, const pm_job *job, const pm_event *event) {
  pm_choice *c = &x->reply.choices[job->choice];
  if (event->kind == PM_EVENT_FAILED) {
    send_failure(x, event->json);
    return;
  }
  if (event->kind == PM_EVENT_TOKEN) keep_token(c, event->json);
  if (x->reply.request->stream && !send_begin(x, c, event)) return;
  switch (event->kind) {
    case PM_EVENT_PROMPT:
    case PM_EVENT_TEXT:
    case PM_EVENT_THINKING:
    case PM_EVENT_TOOLS:
      if (x->reply.request->stream)
        send_piece(x, x->reply.format->piece(c, event));
      else
        keep(c, event);
      return;
    case PM_EVENT_DONE: end_choice(x, c); return;
    case PM_EVENT_STARTED:
    case PM_EVENT_TOKEN:
    case PM_EVENT_FAILED: return;
  }
}

static void on_call(pm_exchange *x, const pm_event *event) {
  if (event->kind == PM_EVENT_FAILED)
    send_failure(x, event->json);
  else
    send_whole(x, json_incref(event->json));
}

void pm_exchange_collect(pm_server *s) {
  pm_event *events;
  for (pm_job *job; (job = pm_mailbox_collect(&s->mail, &events));) {
    for (pm_event *event = events, *next; event; event = next) {
      next = event->next;
      pm_exchange *x = job->owner;  // NULL once the client has left
      if (x && job->call)
        on_call(x, event);
      else if (x)
        on_generation(x, job, event);
      pm_event_free(event);
    }
    pm_job_release(job);
  }
}

void pm_exchange_drop_all(pm_server *s) {
  while (s->exchanges) {
    struct evhttp_connection *connection = evhttp_request_get_connection(s->exchanges->req);
    evhttp_connection_free(connection);  // which calls client_left
  }
}
