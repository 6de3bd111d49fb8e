// Answers that need no engine, and what every answer has.
#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server.h"

static const struct {
  int code;
  const char *words;
} reasons[] = {{200, "OK"},
               {204, "No Content"},
               {400, "Bad Request"},
               {401, "Unauthorized"},
               {403, "Forbidden"},
               {404, "Not Found"},
               {405, "Method Not Allowed"},
               {500, "Internal Server Error"},
               {501, "Not Implemented"},
               {503, "Service Unavailable"}};

static const char *reason(int code) {
  for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
    if (reasons[i].code == code) return reasons[i].words;
  return "Error";
}

static void send_line(struct evhttp_request *req, int code, const char *type, const char *bytes, size_t n) {
  struct evbuffer *body = evbuffer_new();
  evbuffer_add(body, bytes, n);
  evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type", type);
  if (code == 503) evhttp_add_header(evhttp_request_get_output_headers(req), "Retry-After", "1");
  evhttp_send_reply(req, code, reason(code), body);
  evbuffer_free(body);
}

void pm_http_send_bytes(struct evhttp_request *req, const char *type, const char *bytes, size_t n) { send_line(req, 200, type, bytes, n); }

void pm_http_send_json(struct evhttp_request *req, int code, json_t *value) {
  char *line = pm_json_line(value);
  send_line(req, code, "application/json; charset=utf-8", line, strlen(line));
  free(line);
}

void pm_http_send_error(struct evhttp_request *req, int code, const char *format, ...) {
  char message[512];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  pm_http_send_json(req, code, json_pack("{s:o}", "error", pm_json_error(code, message)));
}

json_t *pm_http_read_json(struct evhttp_request *req) {
  struct evbuffer *input = evhttp_request_get_input_buffer(req);
  size_t n = evbuffer_get_length(input);
  if (n == 0) return json_object();
  json_error_t error;
  json_t *body = json_loadb((const char *)evbuffer_pullup(input, -1), n, 0, &error);
  if (!body) pm_http_send_error(req, 400, "the body is not JSON: line %d, column %d: %.200s", error.line, error.column, error.text);
  return body;
}

// ---- web pages of other origins ----------------------------------------------------------------------------------------------------

static bool is_loopback_name(const char *name, size_t n) {
  static const char *const names[] = {"localhost", "127.0.0.1", "[::1]", "tauri.localhost"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strlen(names[i]) == n && !strncasecmp(name, names[i], n)) return true;
  return false;
}

// The name of "name:port", in brackets if it is an IPv6 address.
static size_t name_length(const char *authority) {
  const char *bracket = *authority == '[' ? strchr(authority, ']') : NULL;
  return bracket ? (size_t)(bracket + 1 - authority) : strcspn(authority, ":/");
}

// Names can be made to point here by whoever owns them; addresses cannot.
static bool is_address(const char *name, size_t n) { return n && (*name == '[' || strspn(name, "0123456789.") >= n); }

static bool is_listed(const char *list, const char *origin) {
  size_t n = strlen(origin);
  for (const char *s = list; *s; s += strcspn(s, ","), s += *s == ',') {
    size_t k = strcspn(s, ",");
    if ((k == n && !strncasecmp(s, origin, n)) || (k == 1 && *s == '*')) return true;
  }
  return false;
}

bool pm_http_origin_allowed(const char *allowed, const char *origin, const char *host) {
  if (allowed && is_listed(allowed, origin)) return true;
  const char *authority = strstr(origin, "://");
  if (!authority) return false;
  authority += 3;
  size_t n = name_length(authority);
  if (is_loopback_name(authority, n)) return true;
  return host && !strcasecmp(host, authority) && is_address(authority, n);
}
