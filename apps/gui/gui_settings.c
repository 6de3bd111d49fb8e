#include "gui_settings.h"

#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>

typedef enum kind { TEXT, REAL, INT, FLAG } kind;

typedef struct row {
  const char *key;
  kind kind;
  size_t offset;
  double initial, least, most;
  const char *text;
} row;

static const row chat_rows[] = {{"system", TEXT, offsetof(pm_gui_chat_settings, system), .text = ""},
                                {"temperature", REAL, offsetof(pm_gui_chat_settings, temperature), 0.8, 0, 5},
                                {"top_p", REAL, offsetof(pm_gui_chat_settings, top_p), 0.95, 0.01, 1},
                                {"min_p", REAL, offsetof(pm_gui_chat_settings, min_p), 0.05, 0, 1},
                                {"repeat_penalty", REAL, offsetof(pm_gui_chat_settings, repeat_penalty), 1, 0.5, 2},
                                {"top_k", INT, offsetof(pm_gui_chat_settings, top_k), 40, 0, 1000},
                                {"max_tokens", INT, offsetof(pm_gui_chat_settings, max_tokens), 0, 0, 1 << 20},
                                {"seed", INT, offsetof(pm_gui_chat_settings, seed), 0, 0, 2147483647},
                                {"thinking", FLAG, offsetof(pm_gui_chat_settings, thinking), 1},
                                {0}};

static const row engine_rows[] = {{"device", TEXT, offsetof(pm_gui_engine_settings, device), .text = "auto"},
                                  {"n_ctx", INT, offsetof(pm_gui_engine_settings, n_ctx), 0, 0, 1 << 20},
                                  {"n_thread", INT, offsetof(pm_gui_engine_settings, n_thread), 0, 0, 1024},
                                  {"vram_gib", REAL, offsetof(pm_gui_engine_settings, vram_gib), 0, 0, 4096},
                                  {"ram_gib", REAL, offsetof(pm_gui_engine_settings, ram_gib), 0, 0, 65536},
                                  {"theme", INT, offsetof(pm_gui_engine_settings, theme), 0, 0, 2},
                                  {"font_percent", INT, offsetof(pm_gui_engine_settings, font_percent), 100, 50, 300},
                                  {"send_on_enter", FLAG, offsetof(pm_gui_engine_settings, send_on_enter), 1},
                                  {"notify", FLAG, offsetof(pm_gui_engine_settings, notify), 1},
                                  {"share", FLAG, offsetof(pm_gui_engine_settings, share), 0},
                                  {"port", INT, offsetof(pm_gui_engine_settings, port), 8080, 1, 65535},
                                  {"share_key", TEXT, offsetof(pm_gui_engine_settings, share_key), .text = ""},
                                  {0}};

static void parse(const row *r, void *into, const char *json) {
  json_t *root = json ? json_loads(json, 0, NULL) : NULL;
  for (; r->key; r++) {
    const json_t *value = json_object_get(root, r->key);
    void *field = (char *)into + r->offset;
    double number = json_is_number(value) ? json_number_value(value) : r->initial;
    if (!(number >= r->least && number <= r->most)) number = r->initial;
    switch (r->kind) {
      case TEXT: *(char **)field = g_strdup(json_is_string(value) ? json_string_value(value) : r->text); break;
      case REAL: *(double *)field = number; break;
      case INT: *(int64_t *)field = (int64_t)number; break;
      case FLAG: *(bool *)field = json_is_boolean(value) ? json_is_true(value) : r->initial > 0; break;
    }
  }
  json_decref(root);
}

static char *format(const row *r, const void *from) {
  json_t *root = json_object();
  for (; r->key; r++) {
    const void *field = (const char *)from + r->offset;
    json_t *value = NULL;
    switch (r->kind) {
      case TEXT: value = json_string(*(char *const *)field); break;
      case REAL: value = json_real(*(const double *)field); break;
      case INT: value = json_integer(*(const int64_t *)field); break;
      case FLAG: value = json_boolean(*(const bool *)field); break;
    }
    json_object_set_new(root, r->key, value);
  }
  char *text = json_dumps(root, JSON_COMPACT), *copy = g_strdup(text);
  free(text);
  json_decref(root);
  return copy;
}

static void clear(const row *r, void *of) {
  for (; r->key; r++)
    if (r->kind == TEXT) g_clear_pointer((char **)((char *)of + r->offset), g_free);
}

void pm_gui_chat_settings_parse(pm_gui_chat_settings *settings, const char *json) { parse(chat_rows, settings, json); }
char *pm_gui_chat_settings_json(const pm_gui_chat_settings *settings) { return format(chat_rows, settings); }
void pm_gui_chat_settings_clear(pm_gui_chat_settings *settings) { clear(chat_rows, settings); }
void pm_gui_engine_settings_parse(pm_gui_engine_settings *settings, const char *json) { parse(engine_rows, settings, json); }
char *pm_gui_engine_settings_json(const pm_gui_engine_settings *settings) { return format(engine_rows, settings); }
void pm_gui_engine_settings_clear(pm_gui_engine_settings *settings) { clear(engine_rows, settings); }

uint32_t pm_gui_conversations(const pm_gui_engine_settings *settings) { return settings->share ? 2 : 1; }

// ---- presets -----------------------------------------------------------------------------------------------------------------------

static const struct {
  const char *name;
  double temperature, top_p, min_p;
  int64_t top_k;
} presets[] = {
    {"Balanced", 0.8, 0.95, 0.05, 40}, {"Precise", 0, 0.95, 0.05, 40}, {"Reasoning", 0.6, 0.95, 0.01, 0}, {"Creative", 1.1, 1, 0.03, 0}};

const char *pm_gui_preset_name(size_t i) { return i < G_N_ELEMENTS(presets) ? presets[i].name : NULL; }

void pm_gui_preset_apply(size_t i, pm_gui_chat_settings *s) {
  s->temperature = presets[i].temperature;
  s->top_p = presets[i].top_p;
  s->min_p = presets[i].min_p;
  s->top_k = presets[i].top_k;
  s->repeat_penalty = 1;
}

static bool near(double a, double b) { return a - b < 1e-6 && b - a < 1e-6; }

int pm_gui_preset_find(const pm_gui_chat_settings *s) {
  for (size_t i = 0; i < G_N_ELEMENTS(presets); i++)
    if (near(s->temperature, presets[i].temperature) && near(s->top_p, presets[i].top_p) && near(s->min_p, presets[i].min_p) &&
        s->top_k == presets[i].top_k && near(s->repeat_penalty, 1))
      return (int)i;
  return -1;
}
