// What the engine answers, as JSON and as Prometheus text, in plain structs.
#ifndef PM_ENGINE_REPLY_H
#define PM_ENGINE_REPLY_H

#include "chat_store.h"

// One event of a streamed answer. Texts are NULL where the event has none.
typedef struct pm_gui_chunk {
  char *content, *thinking, *finish, *error;
  bool has_prompt;                                   // the prompt is being read:
  int64_t prompt_total, prompt_cached, prompt_done;  // in tokens
  pm_gui_stats stats;                                // figures that the event has
} pm_gui_chunk;

// False: the text is no event. `chunk` is to be cleared in any case.
bool pm_gui_chunk_parse(const char *json, pm_gui_chunk *chunk);
void pm_gui_chunk_clear(pm_gui_chunk *chunk);
void pm_gui_stats_merge(pm_gui_stats *into, const pm_gui_stats *from);  // takes what is known

typedef enum pm_gui_health { PM_GUI_LOADING, PM_GUI_READY, PM_GUI_BROKEN } pm_gui_health;

// From the answer of /health. *progress: of loading, in [0, 1], negative if it is not told. *message: what is wrong, or NULL; if it is
// ready, what is not as it was wished.
pm_gui_health pm_gui_health_parse(const char *json, double *progress, char **message);

// The words of an error answer; the text itself if it has none.
char *pm_gui_error_parse(const char *body);

typedef struct pm_gui_gauges {
  double hits, misses;  // of experts in slots since the start; negative: not known
} pm_gui_gauges;
#define PM_GUI_GAUGES_NONE ((pm_gui_gauges){-1, -1})

void pm_gui_metrics_parse(const char *prometheus, pm_gui_gauges *gauges);  // sets what it finds

// The body of a request for an answer: the settings of the conversation, the messages up to the one to be written. `resume`: the last of
// them is an answer to go on with. Free it with g_free.
typedef struct pm_gui_chat_settings pm_gui_chat_settings;
char *pm_gui_request(const pm_gui_chat_settings *settings, GPtrArray *messages, bool resume, bool thinking);

#endif
