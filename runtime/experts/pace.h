// Which way experts without a slot are served, learned from the times of whole tokens: streamed into the device's memory while the step
// runs, computed by the host where they lie, or both.
//
// Two things are learned. A referee plays the ways in windows of tokens, keeps the one with the best median and looks at the others again,
// more often the closer they are to the best: no model of the machine can be wrong enough to beat it, and a window that was unlucky, or
// played before the slots were warm, is soon forgotten. Within a way, each table is served as is cheaper by
//   token seconds = base + fill * (records filled) + host * (records computed by the host) + ask * (tables that asked)
// fitted by recursive least squares with forgetting (Ljung, System Identification, 1999, section 11.2) and the table's usual misses.
#ifndef PM_PACE_H
#define PM_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "status.h"

typedef enum pm_pace_way { PM_PACE_STREAM, PM_PACE_ASSIST, PM_PACE_SPLIT, PM_PACE_WAYS } pm_pace_way;
const char *pm_pace_way_name(pm_pace_way way);  // "stream", "assist", "split"

typedef struct pm_pace pm_pace;

typedef struct pm_pace_desc {
  uint32_t n_table, n_used;
  double fill, host, ask;  // first guesses of the coefficients, seconds
  uint32_t ways;           // 1 << way for each that may be taken; with one alone every table is served that way
} pm_pace_desc;
pm_status pm_pace_create(const pm_pace_desc *desc, pm_pace **out) PM_MUST_USE;
void pm_pace_destroy(pm_pace *p);

// How table t is to be served in the coming token: whether the host computes misses, and how many misses the device may stream.
typedef struct pm_pace_choice {
  bool assist;
  uint32_t n_ring;
} pm_pace_choice;
pm_pace_choice pm_pace_choose(const pm_pace *p, uint32_t t);

// What became of table t's experts in a token: records that were filled, and that the host computed. After all tables the token's time ends
// it.
void pm_pace_saw(pm_pace *p, uint32_t t, uint32_t n_fill, uint32_t n_host);
void pm_pace_end(pm_pace *p, double seconds);

// What is believed: the way taken, and the coefficients in seconds.
typedef struct pm_pace_state {
  pm_pace_way way;
  double base, fill, host, ask;
  double median[PM_PACE_WAYS];  // of a token's seconds in each way's newest windows; 0: never played
} pm_pace_state;
pm_pace_state pm_pace_look(const pm_pace *p);

#endif
