// What can be set: for a conversation, and for the engine as a whole. Kept as JSON in the store.
#ifndef PM_GUI_SETTINGS_H
#define PM_GUI_SETTINGS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct pm_gui_chat_settings {
  char *system;  // the prompt before the conversation; "" = none
  double temperature, top_p, min_p, repeat_penalty;
  int64_t top_k, max_tokens, seed;  // 0 = all; as many as there is room for; a new one each time
  bool thinking;
} pm_gui_chat_settings;

typedef struct pm_gui_engine_settings {
  char *device;              // as `pumice --device` takes it
  int64_t n_ctx, n_thread;   // 0 = the engine's choice
  double vram_gib, ram_gib;  // memory that may be used; 0 = what is free
  int64_t theme;             // 0 as the system, 1 light, 2 dark
  int64_t font_percent;      // of the system's size
  bool send_on_enter, notify;
  bool share;       // other programs of this computer may use the model,
  int64_t port;     // at this port,
  char *share_key;  // with this key; "" until there is one
} pm_gui_engine_settings;

// From JSON; what is missing or out of its range becomes the default. NULL gives the defaults.
void pm_gui_chat_settings_parse(pm_gui_chat_settings *settings, const char *json);
char *pm_gui_chat_settings_json(const pm_gui_chat_settings *settings);
void pm_gui_chat_settings_clear(pm_gui_chat_settings *settings);
void pm_gui_engine_settings_parse(pm_gui_engine_settings *settings, const char *json);
char *pm_gui_engine_settings_json(const pm_gui_engine_settings *settings);
void pm_gui_engine_settings_clear(pm_gui_engine_settings *settings);

uint32_t pm_gui_conversations(const pm_gui_engine_settings *settings);  // that the engine has room for at a time: other programs get one

// Samplers with a name: NULL past the end. Applying one leaves what is not about sampling as it is.
const char *pm_gui_preset_name(size_t i);
void pm_gui_preset_apply(size_t i, pm_gui_chat_settings *settings);
int pm_gui_preset_find(const pm_gui_chat_settings *settings);  // -1: none of them

#endif
