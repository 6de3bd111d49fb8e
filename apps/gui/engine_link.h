// The engine as the app sees it: a model that is being loaded, ready, or failed, and one answer at a time.
#ifndef PM_ENGINE_LINK_H
#define PM_ENGINE_LINK_H

#include "engine_client.h"
#include "gui_settings.h"

typedef enum pm_gui_engine_state {
  PM_GUI_ENGINE_NONE,
  PM_GUI_ENGINE_LOADING,
  PM_GUI_ENGINE_READY,
  PM_GUI_ENGINE_FAILED
} pm_gui_engine_state;

typedef struct pm_gui_card {
  double used, budget;  // bytes that the engine takes, of those that it may use; 0 without a card
} pm_gui_card;

typedef struct pm_gui_engine_view {
  pm_gui_engine_state state;
  double progress;   // of loading, in [0, 1]; negative: not known
  const char *path;  // of the model; NULL if none was asked for
  char *name;        // of the model, for people
  char *message;     // why it failed; if it is ready, what is not as it was wished, or NULL
  bool was_ready;    // before it failed: to start it again may help
  bool on_card;      // it runs on a graphics device
  const char *url;   // where it listens; NULL: it does not
  int64_t port;      // for other programs, by the settings that it was started with; 0: it is not for them
  int64_t n_ctx;     // 0: not known
  pm_gui_gauges gauges;
  pm_gui_card card;      // what the plan takes of the graphics card
  double memory;         // of the engine's process
  double watts;          // of the machine's parts that have sensors; negative: not known,
  const char *no_watts;  // and why
} pm_gui_engine_view;

typedef struct pm_gui_engine pm_gui_engine;

// `program`: pumice. `changed`: the view is another, called from the main loop.
pm_gui_engine *pm_gui_engine_create(const char *program, void (*changed)(void *user), void *user);
void pm_gui_engine_destroy(pm_gui_engine *engine);
const pm_gui_engine_view *pm_gui_engine_get(const pm_gui_engine *engine);

// Instead of what is loaded. `card`: by the plan.
void pm_gui_engine_load(pm_gui_engine *engine, const char *path, const pm_gui_engine_settings *settings, pm_gui_card card);
void pm_gui_engine_restart(pm_gui_engine *engine, const pm_gui_engine_settings *settings);  // the same model anew
void pm_gui_engine_unload(pm_gui_engine *engine);                                           // also while it is being loaded
const char *pm_gui_engine_log(const pm_gui_engine *engine);                                 // how it was started, and what it wrote
double pm_gui_engine_joules(pm_gui_engine *engine);                                         // since it was ready; negative: not known

// As pm_gui_client_answer; false: the engine is not ready, and there will be no call.
bool pm_gui_engine_answer(pm_gui_engine *engine, const char *request, pm_gui_chunk_fn *chunk, pm_gui_done_fn *done, void *user);
void pm_gui_engine_stop(pm_gui_engine *engine);

#endif
