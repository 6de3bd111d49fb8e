#include "status_board.h"

void pm_board_read(pm_board *b, pm_board_state *copy) {
  pthread_mutex_lock(&b->lock);
  *copy = b->state;
  pthread_mutex_unlock(&b->lock);
}

pm_board_state *pm_board_begin(pm_board *b) {
  pthread_mutex_lock(&b->lock);
  return &b->state;
}

void pm_board_end(pm_board *b) { pthread_mutex_unlock(&b->lock); }

const char *pm_phase_name(pm_phase phase) {
  static const char *const names[] = {"empty", "loading", "ready", "failed", "lost"};
  return names[phase];
}
