#include "chat_session.h"

#include <string.h>

// An answer that is being written.
typedef struct answer {
  int64_t chat, message;   // 0: none
  bool thinking, began;    // it is in its thoughts; its first token has come
  bool full;               // it ended for want of room
  gint64 start, first;     // microseconds: asked, first token
  double thinking_before;  // seconds of an earlier part of it
  double joules;           // on the meter when it was asked for
  gint64 thinking_start;
  pm_gui_stats stats;
  int64_t n_event;  // that brought text
} answer;

struct pm_gui_session {
  pm_gui_store *store;
  pm_gui_engine *engine;
  pm_gui_session_events events;
  void *user;
  int64_t chat;
  GPtrArray *path;
  pm_gui_chat_settings settings;
  answer answer;
  double rate;
};

static double seconds(gint64 from, gint64 to) { return (double)(to - from) / G_USEC_PER_SEC; }

static bool fail(pm_gui_session *s, GError *error) {
  s->events.failed(s->user, error ? error->message : "The conversation is not there any more.");
  g_clear_error(&error);
  return false;
}

static void load_path(pm_gui_session *s) {
  GError *error = NULL;
  GPtrArray *path = pm_gui_store_path(s->store, s->chat, &error);
  g_ptr_array_unref(s->path);
  s->path = path;
  if (error) fail(s, error);
  s->events.opened(s->user);
}

pm_gui_session *pm_gui_session_create(pm_gui_store *store, pm_gui_engine *engine, const pm_gui_session_events *events, void *user) {
  pm_gui_session *s = g_new0(pm_gui_session, 1);
  *s = (pm_gui_session){.store = store, .engine = engine, .events = *events, .user = user, .path = g_ptr_array_new(), .rate = -1};
  pm_gui_chat_settings_parse(&s->settings, NULL);
  return s;
}

void pm_gui_session_destroy(pm_gui_session *s) {
  if (!s) return;
  if (s->answer.message) {
    pm_gui_engine_stop(s->engine);
    pm_gui_store_message_finish(s->store, s->answer.message, "stopped", &s->answer.stats, NULL);
  }
  g_ptr_array_unref(s->path);
  pm_gui_chat_settings_clear(&s->settings);
  g_free(s);
}

void pm_gui_session_open(pm_gui_session *s, int64_t chat) {
  g_autoptr(pm_gui_chat) row = chat ? pm_gui_store_chat(s->store, chat, NULL) : NULL;
  s->chat = row ? chat : 0;
  pm_gui_chat_settings_clear(&s->settings);
  pm_gui_chat_settings_parse(&s->settings, row ? row->settings : NULL);
  load_path(s);
}

int64_t pm_gui_session_chat(const pm_gui_session *s) { return s->chat; }
GPtrArray *pm_gui_session_path(const pm_gui_session *s) { return s->path; }
pm_gui_chat_settings *pm_gui_session_settings(pm_gui_session *s) { return &s->settings; }

static int index_of(const pm_gui_session *s, int64_t message) {
  for (guint i = 0; i < s->path->len; i++)
    if (((pm_gui_message *)s->path->pdata[i])->id == message) return (int)i;
  return -1;
}

pm_gui_message *pm_gui_session_message(const pm_gui_session *s, int64_t message) {
  int i = index_of(s, message);
  return i < 0 ? NULL : s->path->pdata[i];
}

void pm_gui_session_save_settings(pm_gui_session *s) {
  g_autofree char *json = pm_gui_chat_settings_json(&s->settings);
  GError *error = NULL;
  if (s->chat && !pm_gui_store_set_settings(s->store, s->chat, json, &error)) fail(s, error);
}

pm_gui_writing pm_gui_session_writing(const pm_gui_session *s) {
  if (!s->answer.message) return PM_GUI_IDLE;
  return s->answer.chat == s->chat ? PM_GUI_HERE : PM_GUI_ELSEWHERE;
}

bool pm_gui_session_is_thinking(const pm_gui_session *s) { return s->answer.message && s->answer.thinking; }
double pm_gui_session_rate(const pm_gui_session *s) { return s->rate; }

double pm_gui_session_context(const pm_gui_session *s) {
  if (pm_gui_session_writing(s) == PM_GUI_HERE && s->answer.stats.n_prompt >= 0)
    return (double)(s->answer.stats.n_prompt + s->answer.n_event);
  for (guint i = s->path->len; i-- > 0;) {
    const pm_gui_message *m = s->path->pdata[i];
    if (m->stats.n_prompt >= 0) return (double)(m->stats.n_prompt + MAX(m->stats.n_token, 0));
  }
  return -1;
}

// ---- an answer ---------------------------------------------------------------------------------------------------------------------

static void stop_thinking(answer *a) {
  if (a->thinking) a->stats.thinking_s = a->thinking_before + seconds(a->thinking_start, g_get_monotonic_time());
  a->thinking = false;
}

static void take_text(pm_gui_session *s, const pm_gui_chunk *chunk) {
  answer *a = &s->answer;
  gint64 now = g_get_monotonic_time();
  bool first = !a->began, thought = a->thinking;
  if (first) {
    a->began = true;
    a->first = now;
    if (a->stats.first_s < 0) a->stats.first_s = seconds(a->start, now);
  }
  if (chunk->thinking && !a->thinking) a->thinking = true, a->thinking_start = now;
  if (chunk->content) stop_thinking(a);
  if (first || a->thinking != thought) s->events.prompt(s->user, -1);
  a->n_event++;
  if (a->n_event > 1 && now > a->first) s->rate = (double)(a->n_event - 1) / seconds(a->first, now);
  GError *error = NULL;
  if (!pm_gui_store_piece_add(s->store, a->message, chunk->content, chunk->thinking, &error)) fail(s, error);
  if (a->chat != s->chat) return;
  pm_gui_message *m = pm_gui_session_message(s, a->message);
  if (m) m->stats = a->stats;
  s->events.grown(s->user, a->message, chunk->content ? chunk->content : "", chunk->thinking ? chunk->thinking : "");
}

static void on_chunk(void *user, const pm_gui_chunk *chunk) {
  pm_gui_session *s = user;
  if (chunk->has_prompt) s->events.prompt(s->user, (double)chunk->prompt_done / (double)chunk->prompt_total);
  pm_gui_stats_merge(&s->answer.stats, &chunk->stats);
  if (chunk->stats.rate >= 0) s->rate = chunk->stats.rate;
  if (chunk->content || chunk->thinking) take_text(s, chunk);
  if (chunk->finish) s->answer.full = !strcmp(chunk->finish, "length");
}

static void finish_answer(pm_gui_session *s, const char *finish) {
  answer a = s->answer;
  if (!a.message) return;
  stop_thinking(&a);
  if (a.stats.rate < 0) a.stats.rate = s->rate;
  if (a.stats.n_token < 0) a.stats.n_token = a.n_event;
  double joules = pm_gui_engine_joules(s->engine);
  if (joules >= 0 && a.joules >= 0) a.stats.joules = joules - a.joules;
  s->answer = (answer){0};
  GError *error = NULL;
  if (!pm_gui_store_message_finish(s->store, a.message, finish, &a.stats, &error)) fail(s, error);
  s->events.prompt(s->user, -1);
  if (a.chat == s->chat) load_path(s);
  s->events.finished(s->user, a.chat);
}

static void on_done(void *user, const char *error) {
  pm_gui_session *s = user;
  finish_answer(s, error ? "interrupted" : s->answer.full ? "length" : "stop");
  if (error) {
    g_autofree char *message = g_strdup_printf("The answer was cut off: %s", error);
    s->events.failed(s->user, message);
  }
}

// Asks for the message, which is in the store already; `n` messages of the path come before it or, to go on with it, up to it.
static bool ask(pm_gui_session *s, int64_t message, guint n, bool resume, bool thinking, pm_gui_stats stats) {
  g_autoptr(GPtrArray) before = g_ptr_array_new();
  for (guint i = 0; i < n; i++) g_ptr_array_add(before, s->path->pdata[i]);
  g_autofree char *request = pm_gui_request(&s->settings, before, resume, thinking);
  s->answer = (answer){
      .chat = s->chat, .message = message, .start = g_get_monotonic_time(), .stats = stats, .joules = pm_gui_engine_joules(s->engine)};
  if (stats.thinking_s > 0) s->answer.thinking_before = stats.thinking_s;
  s->rate = -1;
  if (pm_gui_engine_answer(s->engine, request, on_chunk, on_done, s)) return true;
  finish_answer(s, "interrupted");
  return false;
}

static bool may_ask(pm_gui_session *s) {
  const pm_gui_engine_view *engine = pm_gui_engine_get(s->engine);
  if (s->answer.message)
    s->events.failed(s->user, "Another answer is being written. Stop it first, or wait for it.");
  else if (engine->state != PM_GUI_ENGINE_READY)
    s->events.failed(s->user, "No model is ready. Pick one first.");
  return !s->answer.message && engine->state == PM_GUI_ENGINE_READY;
}

// An empty answer below the newest message of the path, and the request for it.
static bool begin_answer(pm_gui_session *s, int64_t parent) {
  pm_gui_message m = {
      .role = (char *)"assistant", .finish = (char *)"", .model = pm_gui_engine_get(s->engine)->name, .stats = PM_GUI_STATS_NONE};
  GError *error = NULL;
  int64_t id = pm_gui_store_message_add(s->store, s->chat, parent, &m, &error);
  if (!id) return fail(s, error);
  s->answer = (answer){.chat = s->chat, .message = id};  // so that the view knows it as being written
  load_path(s);
  s->events.listed(s->user);
  int index = index_of(s, id);
  return index >= 0 && ask(s, id, (guint)index, false, s->settings.thinking, m.stats);
}

static int64_t add_question(pm_gui_session *s, int64_t parent, const char *text, GError **error) {
  pm_gui_message m = {.role = (char *)"user", .content = (char *)text, .finish = (char *)"stop", .stats = PM_GUI_STATS_NONE};
  return pm_gui_store_message_add(s->store, s->chat, parent, &m, error);
}

// The first line of a question, cut behind a word.
static char *title_of(const char *text) {
  g_auto(GStrv) lines = g_strsplit(text, "\n", 2);
  char *title = g_strdup(g_strstrip(lines[0]));
  if (g_utf8_strlen(title, -1) <= 48) return title;
  char *end = g_utf8_offset_to_pointer(title, 47), *space = g_strrstr_len(title, end - title, " ");
  *(space && space > title + 16 ? space : end) = 0;
  char *cut = g_strconcat(title, "…", NULL);
  g_free(title);
  return cut;
}

bool pm_gui_session_send(pm_gui_session *s, const char *text) {
  if (!may_ask(s)) return false;
  GError *error = NULL;
  if (!s->chat) {
    g_autofree char *title = title_of(text), *settings = pm_gui_chat_settings_json(&s->settings);
    s->chat = pm_gui_store_chat_create(s->store, title, settings, &error);
    if (!s->chat) return fail(s, error);
  }
  const pm_gui_message *last = s->path->len ? s->path->pdata[s->path->len - 1] : NULL;
  int64_t question = add_question(s, last ? last->id : 0, text, &error);
  return question ? begin_answer(s, question) : fail(s, error);
}

bool pm_gui_session_regenerate(pm_gui_session *s, int64_t message) {
  const pm_gui_message *m = pm_gui_session_message(s, message);
  return m && may_ask(s) && begin_answer(s, m->parent);
}

bool pm_gui_session_edit(pm_gui_session *s, int64_t message, const char *text) {
  const pm_gui_message *m = pm_gui_session_message(s, message);
  if (!m || !may_ask(s)) return false;
  GError *error = NULL;
  int64_t question = add_question(s, m->parent, text, &error);
  return question ? begin_answer(s, question) : fail(s, error);
}

static bool reopen(pm_gui_session *s, int64_t message, bool resume, bool thinking) {
  int index = index_of(s, message);
  GError *error = NULL;
  if (index < 0 || !may_ask(s)) return false;
  if (!pm_gui_store_message_reopen(s->store, message, &error)) return fail(s, error);
  s->answer = (answer){.chat = s->chat, .message = message};
  load_path(s);
  return ask(s, message, (guint)index + resume, resume, thinking, ((pm_gui_message *)s->path->pdata[index])->stats);
}

bool pm_gui_session_resume(pm_gui_session *s, int64_t message) {
  const pm_gui_message *m = pm_gui_session_message(s, message);
  return m && reopen(s, message, *m->content != 0, *m->content ? s->settings.thinking : false);
}

bool pm_gui_session_answer_now(pm_gui_session *s) {
  if (pm_gui_session_writing(s) != PM_GUI_HERE || !s->answer.thinking) return false;
  int64_t message = s->answer.message;
  pm_gui_session_stop(s);
  return reopen(s, message, false, false);
}

void pm_gui_session_stop(pm_gui_session *s) {
  if (!s->answer.message) return;
  pm_gui_engine_stop(s->engine);
  finish_answer(s, "stopped");
}

void pm_gui_session_branch(pm_gui_session *s, int64_t message, int step) {
  GError *error = NULL;
  if (s->answer.message && s->answer.chat == s->chat) pm_gui_session_stop(s);
  if (!pm_gui_store_branch(s->store, s->chat, message, step, &error)) fail(s, error);
  load_path(s);
}
