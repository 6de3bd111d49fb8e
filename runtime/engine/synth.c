#include "synth.h"

#include "memory.h"
#include "synth_shape.h"
#include "thread.h"

// A piece is what one generator makes: the bytes depend on the seed, the tensor and the piece, not on the threads. A batch is what is
// made while the batch before it is written.
enum { PIECE_BYTES = 512 << 10, BATCH_PIECES = 32, BATCH_BYTES = PIECE_BYTES * BATCH_PIECES };

typedef struct batch {
  uint8_t *bytes;
  size_t n_bytes;
} batch;

typedef struct job {
  pm_gguf_writer *writer;
  pm_team *team;
  batch made, written;  // being made; being written
  const pm_format *format;
  float deviation;
  uint64_t seed, first_piece;  // of this batch
  uint64_t piece_values;
  uint64_t n_value;  // of this batch
} job;

static void make_piece(const job *j, uint32_t piece) {
  uint64_t first = piece * j->piece_values, n = j->n_value - first < j->piece_values ? j->n_value - first : j->piece_values;
  uint8_t *dst = j->made.bytes + first / j->format->block_elements * j->format->block_bytes;
  pm_rng rng = pm_rng_seed(j->seed + j->first_piece + piece);
  if (j->deviation != 0) {
    j->format->random(&rng, j->deviation, dst, n);
  } else {
    for (uint64_t i = 0; i < n; i++) ((float *)dst)[i] = 1;
  }
}

// Thread 0 first writes what was made last time.
static void make_and_write(void *arg, uint32_t thread, uint32_t n_thread) {
  (void)n_thread;
  job *j = arg;
  if (thread == 0) pm_gguf_put_data(j->writer, j->written.bytes, j->written.n_bytes);
  uint64_t n_piece = (j->n_value + j->piece_values - 1) / j->piece_values;
  for (uint32_t i; (i = pm_team_take(j->team)) < n_piece;) make_piece(j, i);
}

static void run_batch(job *j, uint64_t n_value) {
  j->n_value = n_value;
  j->made.n_bytes = n_value ? pm_format_bytes(j->format->type, n_value) : 0;
  pm_team_take_reset(j->team);
  pm_team_run(j->team, make_and_write, j);
  batch free_again = j->written;
  j->written = j->made, j->made = free_again;
  j->first_piece += BATCH_PIECES;
}

static uint64_t count_values(const pm_synth_tensor *t) { return t->ne[0] * t->ne[1] * t->ne[2]; }

static uint64_t count_bytes(const pm_synth_tensor *tensors, uint32_t n) {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < n; i++) bytes += pm_format_bytes(tensors[i].type, count_values(&tensors[i]));
  return bytes;
}

static pm_status write_data(job *j, const pm_synth_options *o, const pm_synth_tensor *tensors, uint32_t n) {
  uint64_t total = count_bytes(tensors, n), done = 0;
  pm_rng seeds = pm_rng_seed(o->seed);
  for (uint32_t i = 0; i < n; i++) {
    const pm_synth_tensor *t = &tensors[i];
    j->format = pm_format_get(t->type), j->deviation = t->deviation;
    j->seed = pm_rng_next(&seeds), j->first_piece = 0;
    j->piece_values = (uint64_t)(PIECE_BYTES / j->format->block_bytes) * j->format->block_elements;
    uint64_t batch_values = j->piece_values * BATCH_PIECES;
    for (uint64_t left = count_values(t), step; left; left -= step) {
      step = left < batch_values ? left : batch_values;
      run_batch(j, step);
      PM_TRY(pm_gguf_writer_status(j->writer));
      done += pm_format_bytes(t->type, step);
      if (o->progress && !o->progress(o->user, (float)((double)done / (double)total))) PM_FAIL(PM_ERR_CANCELLED, "writing was cancelled");
    }
  }
  run_batch(j, 0);
  return PM_OK;
}

typedef struct contents {
  const pm_synth_model *model;
  const pm_mix *mix;
  uint32_t n_layer, n_tensor;
  const pm_synth_tensor *tensors;
} contents;

static pm_status find(const char *shape, const char *mix, contents *c) {
  c->model = shape ? pm_synth_model_find(shape) : NULL;
  c->mix = mix ? pm_mix_find(mix) : NULL;
  if (!c->model) PM_FAIL(PM_ERR_ARGUMENT, "there is no model shape \"%s\"", shape ? shape : "");
  if (!c->mix) PM_FAIL(PM_ERR_ARGUMENT, "there is no format mix \"%s\"", mix ? mix : "");
  c->n_layer = c->model->n_layer;
  return PM_OK;
}

static pm_status put_header(pm_gguf_writer *w, contents *c, pm_arena *arena) {
  c->tensors = pm_synth_tensors(c->model, c->mix, c->n_layer, arena, &c->n_tensor);
  if (!c->tensors) PM_FAIL(PM_ERR_MEMORY, "out of memory: %u layers", c->n_layer);
  pm_synth_put_metadata(w, c->model, c->mix, c->n_layer);
  PM_TRY(pm_synth_put_vocab(w, c->model->vocab, c->model->n_vocab));
  for (uint32_t i = 0; i < c->n_tensor; i++) {
    const pm_synth_tensor *t = &c->tensors[i];
    pm_gguf_put_tensor(w, t->name, t->type, t->n_dim, t->ne);
  }
  return PM_OK;
}

static pm_status write_file(pm_gguf_writer *w, contents *c, const pm_synth_options *o, pm_arena *arena) {
  PM_TRY(put_header(w, c, arena));
  uint8_t *memory = pm_alloc(2 * BATCH_BYTES);
  if (!memory) PM_FAIL(PM_ERR_MEMORY, "out of memory: %d bytes of buffers", 2 * BATCH_BYTES);
  job j = {.writer = w, .made.bytes = memory, .written.bytes = memory + BATCH_BYTES};
  pm_status status = pm_team_create(0, &j.team);
  if (status == PM_OK) status = write_data(&j, o, c->tensors, c->n_tensor);
  pm_team_destroy(j.team);
  pm_free(memory);
  return status;
}

pm_status pm_synth(const char *path, const pm_synth_options *o) {
  contents c;
  PM_TRY(find(o->shape, o->mix, &c));
  if (o->n_layer > c.n_layer) PM_FAIL(PM_ERR_ARGUMENT, "%u layers asked for, %s has %u", o->n_layer, c.model->name, c.n_layer);
  if (o->n_layer) c.n_layer = o->n_layer;
  pm_gguf_writer *w;
  PM_TRY(pm_gguf_writer_open(path, &w));
  pm_arena arena = {0};
  pm_status status = write_file(w, &c, o, &arena);
  pm_arena_finish(&arena);
  if (status == PM_OK) return pm_gguf_writer_commit(w);
  pm_gguf_writer_abandon(w);
  return status;
}

pm_status pm_synth_header(const char *shape, const char *mix, uint8_t **bytes, size_t *n) {
  contents c;
  PM_TRY(find(shape, mix ? mix : "Q4_K_M", &c));
  pm_gguf_writer *w;
  PM_TRY(pm_gguf_writer_open(NULL, &w));
  pm_arena arena = {0};
  pm_status status = put_header(w, &c, &arena);
  pm_arena_finish(&arena);
  if (status == PM_OK) return pm_gguf_writer_take_header(w, bytes, n);
  pm_gguf_writer_abandon(w);
  return status;
}
