#include "tuning.h"

#include <string.h>

#include "cache_file.h"
#include "memory.h"
#include "spirv.h"

enum { WINNERS = 8192, WRONG = 4096 };  // at most

// The file: these two numbers, then the winners, then the wrong rows.
typedef struct counts {
  uint32_t n_winner, n_wrong;
} counts;

// What rows are known by: their number, so all rows and all kernels.
static uint64_t find_key(void) {
  uint64_t h = pm_gpu_hash_begin;
  for (uint32_t i = 0; i < pm_gpu_pick_count(); i++) h = pm_gpu_hash(h, pm_gpu_pick_text(i), strlen(pm_gpu_pick_text(i)) + 1);
  for (uint32_t i = 0; i < pm_gpu_spirv_count; i++) h = pm_gpu_hash(h, pm_gpu_spirvs[i].words, pm_gpu_spirvs[i].bytes);
  return h;
}

static bool is_sound(const pm_gpu_tuning *t) {
  for (uint32_t i = 0; i < t->n_winner; i++)
    if (t->winners[i].row >= pm_gpu_pick_count()) return false;
  for (uint32_t i = 0; i < t->n_wrong; i++)
    if (t->wrong[i].row >= pm_gpu_pick_count()) return false;
  return true;
}

static pm_status parse(pm_gpu_tuning *t, const uint8_t *blob, uint64_t bytes) {
  counts n;
  if (bytes < sizeof n) return PM_OK;
  memcpy(&n, blob, sizeof n);
  if (n.n_winner > WINNERS || n.n_wrong > WRONG) return PM_OK;
  uint64_t winner_bytes = n.n_winner * sizeof *t->winners, wrong_bytes = n.n_wrong * sizeof *t->wrong;
  if (bytes != sizeof n + winner_bytes + wrong_bytes) return PM_OK;
  PM_NEW(&t->winners, n.n_winner, "tuned shapes");
  PM_NEW(&t->wrong, n.n_wrong, "rows that compute wrong numbers");
  memcpy(t->winners, blob + sizeof n, winner_bytes);
  memcpy(t->wrong, blob + sizeof n + winner_bytes, wrong_bytes);
  t->n_winner = n.n_winner, t->n_wrong = n.n_wrong;
  if (!is_sound(t)) t->n_winner = t->n_wrong = 0;
  return PM_OK;
}

pm_status pm_gpu_tuning_init(pm_gpu_tuning *t, const pm_gpu_device *d, const char *cache_dir) {
  void *blob;
  uint64_t bytes;
  *t = (pm_gpu_tuning){0};
  if (!cache_dir || !*cache_dir) return PM_OK;
  PM_TRY(pm_gpu_cache_path(d, cache_dir, "tuning", &t->path));
  if (!t->path || pm_gpu_cache_read(d, t->path, find_key(), &blob, &bytes)) return PM_OK;
  pm_status status = parse(t, blob, bytes);
  pm_free(blob);
  return status;
}

void pm_gpu_tuning_finish(pm_gpu_tuning *t) {
  pm_free(t->winners);
  pm_free(t->wrong);
  pm_free(t->path);
  *t = (pm_gpu_tuning){0};
}

pm_status pm_gpu_tuning_save(const pm_gpu_tuning *t, const pm_gpu_device *d) {
  counts n = {t->n_winner, t->n_wrong};
  uint64_t winner_bytes = n.n_winner * sizeof *t->winners, wrong_bytes = n.n_wrong * sizeof *t->wrong;
  uint8_t *blob;
  if (!t->path) return PM_OK;
  PM_NEW(&blob, sizeof n + winner_bytes + wrong_bytes, "tuned shapes");
  memcpy(blob, &n, sizeof n);
  if (winner_bytes) memcpy(blob + sizeof n, t->winners, winner_bytes);
  if (wrong_bytes) memcpy(blob + sizeof n + winner_bytes, t->wrong, wrong_bytes);
  pm_status status = pm_gpu_cache_write(d, t->path, find_key(), blob, sizeof n + winner_bytes + wrong_bytes);
  pm_free(blob);
  return status;
}

static uint32_t index_of(const pm_gpu_tuning *t, const pm_gpu_shape *shape) {
  uint32_t i = 0;
  while (i < t->n_winner && !pm_gpu_shape_is_same(&t->winners[i].shape, shape)) i++;
  return i;
}

const pm_gpu_winner *pm_gpu_tuning_find(const pm_gpu_tuning *t, const pm_gpu_shape *shape) {
  uint32_t i = index_of(t, shape);
  return i < t->n_winner ? &t->winners[i] : NULL;
}

pm_status pm_gpu_tuning_set(pm_gpu_tuning *t, const pm_gpu_shape *shape, uint32_t row) {
  uint32_t known = index_of(t, shape);
  if (known < t->n_winner) {
    t->winners[known].row = row;
    return PM_OK;
  }
  if (t->n_winner == WINNERS) t->n_winner = 0;  // of models long gone, most likely
  pm_gpu_winner *more = pm_realloc(t->winners, (t->n_winner + 1) * sizeof *more);
  if (!more) PM_FAIL(PM_ERR_MEMORY, "out of memory: tuned shapes");
  t->winners = more;
  t->winners[t->n_winner++] = (pm_gpu_winner){*shape, row};
  return PM_OK;
}

bool pm_gpu_tuning_is_wrong(const pm_gpu_tuning *t, uint32_t row, pm_type type) {
  for (uint32_t i = 0; i < t->n_wrong; i++)
    if (t->wrong[i].row == row && t->wrong[i].type == (uint32_t)type) return true;
  return false;
}

pm_status pm_gpu_tuning_set_wrong(pm_gpu_tuning *t, uint32_t row, pm_type type) {
  if (pm_gpu_tuning_is_wrong(t, row, type)) return PM_OK;
  if (t->n_wrong == WRONG) PM_FAIL(PM_ERR_DEVICE, "more than %d rows of kernels compute wrong numbers", WRONG);
  pm_gpu_wrong *more = pm_realloc(t->wrong, (t->n_wrong + 1) * sizeof *more);
  if (!more) PM_FAIL(PM_ERR_MEMORY, "out of memory: rows that compute wrong numbers");
  t->wrong = more;
  t->wrong[t->n_wrong++] = (pm_gpu_wrong){row, (uint32_t)type};
  return PM_OK;
}
