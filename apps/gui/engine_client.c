#include "engine_client.h"

#include <libsoup/soup.h>
#include <string.h>

#include "sse_reader.h"

enum { PIECE = 1 << 16, MAX_ERROR = 1 << 16 };

struct pm_gui_client {
  SoupSession *session;
  GCancellable *all, *answer;  // answer: NULL unless one is under way
  char *url, *key;
};

pm_gui_client *pm_gui_client_create(const char *url, const char *key) {
  pm_gui_client *c = g_new0(pm_gui_client, 1);
  c->session = soup_session_new_with_options("timeout", 0, "idle-timeout", 0, "proxy-resolver", NULL, NULL);
  c->all = g_cancellable_new();
  c->url = g_strdup(url);
  c->key = g_strdup(key);
  return c;
}

const char *pm_gui_client_url(const pm_gui_client *c) { return c->url; }

void pm_gui_client_destroy(pm_gui_client *c) {
  if (!c) return;
  pm_gui_client_stop(c);
  g_cancellable_cancel(c->all);
  soup_session_abort(c->session);
  g_object_unref(c->all);
  g_object_unref(c->session);
  g_free(c->url);
  g_free(c->key);
  g_free(c);
}

static SoupMessage *make_message(pm_gui_client *c, const char *method, const char *path) {
  g_autofree char *url = g_strconcat(c->url, path, NULL), *bearer = g_strconcat("Bearer ", c->key, NULL);
  SoupMessage *message = soup_message_new(method, url);
  soup_message_headers_append(soup_message_get_request_headers(message), "Authorization", bearer);
  return message;
}

// ---- whole bodies ------------------------------------------------------------------------------------------------------------------

typedef struct get_call {
  GCancellable *cancel;
  pm_gui_body_fn *done;
  void *user;
} get_call;

static void on_body(GObject *session, GAsyncResult *result, gpointer data) {
  get_call *call = data;
  GBytes *bytes = soup_session_send_and_read_finish(SOUP_SESSION(session), result, NULL);
  if (!g_cancellable_is_cancelled(call->cancel)) {
    g_autofree char *body = bytes ? g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes)) : NULL;
    call->done(call->user, body);
  }
  if (bytes) g_bytes_unref(bytes);
  g_object_unref(call->cancel);
  g_free(call);
}

void pm_gui_client_get(pm_gui_client *c, const char *path, pm_gui_body_fn *done, void *user) {
  get_call *call = g_new(get_call, 1);
  *call = (get_call){g_object_ref(c->all), done, user};
  SoupMessage *message = make_message(c, "GET", path);
  soup_session_send_and_read_async(c->session, message, G_PRIORITY_DEFAULT, c->all, on_body, call);
  g_object_unref(message);
}

// ---- streamed answers --------------------------------------------------------------------------------------------------------------

typedef struct answer_call {
  pm_gui_client *client;  // alive unless cancelled
  GCancellable *cancel;
  SoupMessage *message;
  GInputStream *stream;
  pm_gui_sse sse;
  GString *refusal;  // the body of an answer that is none
  pm_gui_chunk_fn *chunk;
  pm_gui_done_fn *done;
  void *user;
  char *error;
  bool whole;  // [DONE] has come
} answer_call;

static void end_call(answer_call *call, const char *error) {
  if (!g_cancellable_is_cancelled(call->cancel)) {
    g_clear_object(&call->client->answer);
    call->done(call->user, error);
  }
  pm_gui_sse_finish(&call->sse);
  g_string_free(call->refusal, TRUE);
  g_object_unref(call->cancel);
  g_object_unref(call->message);
  g_clear_object(&call->stream);
  g_free(call->error);
  g_free(call);
}

static void on_event(void *user, const char *data) {
  answer_call *call = user;
  if (g_cancellable_is_cancelled(call->cancel) || call->error) return;
  if (!strcmp(data, "[DONE]")) {
    call->whole = true;
    return;
  }
  pm_gui_chunk chunk;
  if (pm_gui_chunk_parse(data, &chunk)) {
    if (chunk.error)
      call->error = g_strdup(chunk.error);
    else
      call->chunk(call->user, &chunk);
  }
  pm_gui_chunk_clear(&chunk);
}

static void finish_call(answer_call *call) {
  if (soup_message_get_status(call->message) != SOUP_STATUS_OK) {
    g_autofree char *error = pm_gui_error_parse(call->refusal->str);
    end_call(call, error);
  } else {
    end_call(call, call->error ? call->error : call->whole ? NULL : "the connection to the engine broke");
  }
}

static void on_bytes(GObject *source, GAsyncResult *result, gpointer data) {
  answer_call *call = data;
  GError *error = NULL;
  GBytes *bytes = g_input_stream_read_bytes_finish(G_INPUT_STREAM(source), result, &error);
  size_t n = bytes ? g_bytes_get_size(bytes) : 0;
  bool good = true;
  if (n && soup_message_get_status(call->message) == SOUP_STATUS_OK) {
    good = pm_gui_sse_push(&call->sse, g_bytes_get_data(bytes, NULL), n, on_event, call);
  } else if (n && call->refusal->len < MAX_ERROR) {
    g_string_append_len(call->refusal, g_bytes_get_data(bytes, NULL), (gssize)n);
  }
  if (bytes) g_bytes_unref(bytes);
  if (error || !good)
    end_call(call, error ? error->message : "the engine sent an event without an end");
  else if (n && !call->whole && !call->error && !g_cancellable_is_cancelled(call->cancel))
    g_input_stream_read_bytes_async(call->stream, PIECE, G_PRIORITY_DEFAULT, call->cancel, on_bytes, call);
  else
    finish_call(call);
  g_clear_error(&error);
}

static void on_head(GObject *session, GAsyncResult *result, gpointer data) {
  answer_call *call = data;
  GError *error = NULL;
  call->stream = soup_session_send_finish(SOUP_SESSION(session), result, &error);
  if (call->stream)
    g_input_stream_read_bytes_async(call->stream, PIECE, G_PRIORITY_DEFAULT, call->cancel, on_bytes, call);
  else
    end_call(call, error->message);
  g_clear_error(&error);
}

void pm_gui_client_answer(pm_gui_client *c, const char *request, pm_gui_chunk_fn *chunk, pm_gui_done_fn *done, void *user) {
  pm_gui_client_stop(c);
  answer_call *call = g_new0(answer_call, 1);
  call->client = c;
  c->answer = g_cancellable_new();
  call->cancel = g_object_ref(c->answer);
  call->message = make_message(c, "POST", "/v1/chat/completions");
  call->refusal = g_string_new(NULL);
  call->chunk = chunk;
  call->done = done;
  call->user = user;
  pm_gui_sse_init(&call->sse);
  GBytes *body = g_bytes_new(request, strlen(request));
  soup_message_set_request_body_from_bytes(call->message, "application/json", body);
  g_bytes_unref(body);
  soup_session_send_async(c->session, call->message, G_PRIORITY_DEFAULT, call->cancel, on_head, call);
}

void pm_gui_client_stop(pm_gui_client *c) {
  if (!c->answer) return;
  g_cancellable_cancel(c->answer);
  g_clear_object(&c->answer);
}
