#include "engine_link.h"

#include <jansson.h>
#include <string.h>

#include "energy_meter.h"
#include "engine_process.h"
#include "model_library.h"

enum { LOADING_MS = 200, READY_MS = 1500 };  // between questions for its health

struct pm_gui_engine {
  char *program, *path, *key;
  pm_gui_process *process;
  pm_gui_client *client;
  pm_gui_meter *meter;  // while it is ready
  GString *log;         // of all processes
  pm_gui_engine_view view;
  guint timer;
  bool asking;  // a question for its health is under way
  void (*changed)(void *user);
  void *user;
  pm_gui_done_fn *done;  // of the answer under way
  pm_gui_chunk_fn *chunk;
  void *answer_user;
};

const pm_gui_engine_view *pm_gui_engine_get(const pm_gui_engine *e) { return &e->view; }

static void set_state(pm_gui_engine *e, pm_gui_engine_state state, const char *message) {
  e->view.was_ready = state == PM_GUI_ENGINE_READY || (state == PM_GUI_ENGINE_FAILED && e->view.was_ready);
  e->view.state = state;
  g_free(e->view.message);
  e->view.message = g_strdup(message);
  e->changed(e->user);
}

static void end_answer(pm_gui_engine *e, const char *error) {
  pm_gui_done_fn *done = e->done;
  e->done = NULL;
  if (done) done(e->answer_user, error);
}

// Nothing runs afterwards; an answer under way ends with `error`.
static void shut_down(pm_gui_engine *e, const char *error) {
  if (e->timer) g_source_remove(e->timer);
  e->timer = 0;
  e->asking = false;
  e->view.url = NULL;
  g_clear_pointer(&e->client, pm_gui_client_destroy);
  g_clear_pointer(&e->process, pm_gui_process_stop);
  g_clear_pointer(&e->meter, pm_gui_meter_close);
  e->view.gauges = PM_GUI_GAUGES_NONE;
  e->view.memory = e->view.watts = -1;
  e->view.no_watts = pm_gui_meter_reason(NULL);
  e->view.n_ctx = 0;
  end_answer(e, error);
}

pm_gui_engine *pm_gui_engine_create(const char *program, void (*changed)(void *user), void *user) {
  pm_gui_engine *e = g_new0(pm_gui_engine, 1);
  e->program = g_strdup(program);
  e->key = g_uuid_string_random();
  e->log = g_string_new(NULL);
  e->changed = changed;
  e->user = user;
  shut_down(e, NULL);
  return e;
}

void pm_gui_engine_destroy(pm_gui_engine *e) {
  if (!e) return;
  e->done = NULL;
  shut_down(e, NULL);
  g_free(e->program);
  g_free(e->path);
  g_free(e->key);
  g_string_free(e->log, TRUE);
  g_free(e->view.name);
  g_free(e->view.message);
  g_free(e);
}

static void fail(pm_gui_engine *e, const char *reason) {
  shut_down(e, reason);
  set_state(e, PM_GUI_ENGINE_FAILED, reason);
}

// ---- health ------------------------------------------------------------------------------------------------------------------------

static gboolean on_timer(gpointer user);

static void ask_again(pm_gui_engine *e) {
  if (e->timer) g_source_remove(e->timer);
  e->timer = g_timeout_add(e->view.state == PM_GUI_ENGINE_READY ? READY_MS : LOADING_MS, on_timer, e);
}

static void on_metrics(void *user, const char *body) {
  pm_gui_engine *e = user;
  pm_gui_gauges gauges = PM_GUI_GAUGES_NONE;
  if (body) pm_gui_metrics_parse(body, &gauges);
  e->view.gauges = gauges;
  e->view.memory = pm_gui_process_memory(e->process);
  e->view.watts = pm_gui_meter_watts(e->meter);
  e->view.no_watts = pm_gui_meter_reason(e->meter);
  e->changed(e->user);
}

static void on_props(void *user, const char *body) {
  pm_gui_engine *e = user;
  json_t *root = body ? json_loads(body, 0, NULL) : NULL;
  const json_t *settings = json_object_get(root, "default_generation_settings");
  const char *device = json_string_value(json_object_get(root, "device"));
  e->view.n_ctx = json_integer_value(json_object_get(settings, "n_ctx"));
  e->view.on_card = device && !g_str_has_prefix(device, "CPU");
  json_decref(root);
  e->changed(e->user);
}

static void on_health(void *user, const char *body) {
  pm_gui_engine *e = user;
  e->asking = false;
  if (!body) return;  // not up yet, or on its way down: the process itself will tell
  g_autofree char *message = NULL;
  double progress;
  pm_gui_health health = pm_gui_health_parse(body, &progress, &message);
  if (health == PM_GUI_BROKEN) {
    fail(e, message);
  } else if (health == PM_GUI_LOADING) {
    e->view.progress = progress;
    set_state(e, PM_GUI_ENGINE_LOADING, NULL);
  } else {
    if (e->view.state != PM_GUI_ENGINE_READY) {
      e->meter = pm_gui_meter_open(NULL);
      set_state(e, PM_GUI_ENGINE_READY, message);
      ask_again(e);
      pm_gui_client_get(e->client, "/props", on_props, e);
    }
    pm_gui_client_get(e->client, "/metrics", on_metrics, e);
  }
}

static gboolean on_timer(gpointer user) {
  pm_gui_engine *e = user;
  if (!e->client || e->asking) return G_SOURCE_CONTINUE;
  e->asking = true;
  pm_gui_client_get(e->client, "/health", on_health, e);
  return G_SOURCE_CONTINUE;
}

// ---- the process -------------------------------------------------------------------------------------------------------------------

static void on_listening(void *user, const char *url) {
  pm_gui_engine *e = user;
  if (e->client) return;
  e->client = pm_gui_client_create(url, e->key);
  e->view.url = pm_gui_client_url(e->client);
}

static void on_ended(void *user, const char *reason) { fail(user, reason); }

static void add_option(GPtrArray *arguments, const char *name, char *value) {
  g_ptr_array_add(arguments, g_strdup(name));
  g_ptr_array_add(arguments, value);
}

static char **arguments_of(const pm_gui_engine *e, const pm_gui_engine_settings *s) {
  GPtrArray *a = g_ptr_array_new();
  add_option(a, e->program, g_strdup("serve"));
  g_ptr_array_add(a, g_strdup(e->path));
  add_option(a, "--port", g_strdup_printf("%" G_GINT64_FORMAT, s->share ? s->port : 0));
  add_option(a, "--parallel", g_strdup_printf("%u", pm_gui_conversations(s)));
  add_option(a, "--api-key-file", g_strdup(PM_GUI_KEY_PATH));
  add_option(a, "--device", g_strdup(s->device));
  if (s->n_ctx) add_option(a, "--ctx", g_strdup_printf("%" G_GINT64_FORMAT, s->n_ctx));
  if (s->n_thread) add_option(a, "--threads", g_strdup_printf("%" G_GINT64_FORMAT, s->n_thread));
  if (s->vram_gib > 0) add_option(a, "--vram", g_strdup_printf("%.0fM", s->vram_gib * 1024));
  if (s->ram_gib > 0) add_option(a, "--ram", g_strdup_printf("%.0fM", s->ram_gib * 1024));
  g_ptr_array_add(a, NULL);
  return (char **)g_ptr_array_free(a, FALSE);
}

static void start(pm_gui_engine *e, const pm_gui_engine_settings *settings) {
  static const pm_gui_process_events events = {on_listening, on_ended};
  GError *error = NULL;
  g_auto(GStrv) arguments = arguments_of(e, settings);
  shut_down(e, "the model was loaded anew");
  e->view.progress = -1;
  g_autofree char *command = g_strjoinv(" ", arguments);
  g_string_append_printf(e->log, "$ %s\n", command);
  e->view.port = settings->share ? settings->port : 0;
  g_autofree char *keys = settings->share ? g_strdup_printf("%s\n%s\n", e->key, settings->share_key) : g_strdup(e->key);
  e->process = pm_gui_process_start(arguments, keys, e->log, &events, e, &error);
  if (e->process) {
    set_state(e, PM_GUI_ENGINE_LOADING, NULL);
    ask_again(e);
  } else {
    fail(e, error->message);
    g_error_free(error);
  }
}

void pm_gui_engine_load(pm_gui_engine *e, const char *path, const pm_gui_engine_settings *settings, pm_gui_card card) {
  g_free(e->path);
  e->view.path = e->path = g_strdup(path);
  g_free(e->view.name);
  e->view.name = pm_gui_model_name(path);
  e->view.card = card;
  start(e, settings);
}

void pm_gui_engine_restart(pm_gui_engine *e, const pm_gui_engine_settings *settings) {
  if (e->path) start(e, settings);
}

void pm_gui_engine_unload(pm_gui_engine *e) {
  shut_down(e, "the model was unloaded");
  set_state(e, PM_GUI_ENGINE_NONE, NULL);
}

const char *pm_gui_engine_log(const pm_gui_engine *e) { return e->log->str; }

double pm_gui_engine_joules(pm_gui_engine *e) { return pm_gui_meter_joules(e->meter); }

// ---- answers -----------------------------------------------------------------------------------------------------------------------

static void on_chunk(void *user, const pm_gui_chunk *chunk) {
  pm_gui_engine *e = user;
  if (e->done) e->chunk(e->answer_user, chunk);
}

static void on_done(void *user, const char *error) { end_answer(user, error); }

bool pm_gui_engine_answer(pm_gui_engine *e, const char *request, pm_gui_chunk_fn *chunk, pm_gui_done_fn *done, void *user) {
  if (e->view.state != PM_GUI_ENGINE_READY || e->done) return false;
  e->chunk = chunk;
  e->done = done;
  e->answer_user = user;
  pm_gui_client_answer(e->client, request, on_chunk, on_done, e);
  return true;
}

void pm_gui_engine_stop(pm_gui_engine *e) {
  e->done = NULL;
  if (e->client) pm_gui_client_stop(e->client);
}
