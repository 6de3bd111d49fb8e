#include "quantize.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "file.h"
#include "gguf_write.h"
#include "imatrix_file.h"
#include "memory.h"
#include "quantize_mix.h"
#include "thread.h"

// A piece is some rows, which one thread decodes and encodes; a batch is what is made while the batch before it is written.
enum { PIECE_VALUES = 32 << 10, BATCH_PIECES = 64, COPY_BYTES = 8 << 20 };

typedef struct batch {
  uint8_t *bytes;
  size_t capacity, n_bytes;
} batch;

typedef struct job {
  const pm_quantize_options *o;
  pm_model_file *file;
  const pm_mix *mix;
  pm_mix_model model;
  pm_imatrix_file *imatrix;  // NULL: none
  pm_gguf_writer *writer;
  pm_team *team;
  uint64_t done_bytes, total_bytes;  // of the source

  // The tensor in progress.
  const pm_file_tensor *tensor;
  const pm_format *from, *to;
  uint64_t n_row, rows_of_piece;
  float *importance;  // [slab][column], NULL: none
  size_t importance_capacity;
  float *values;  // [thread][rows_of_piece][column]
  size_t values_capacity;
  uint64_t first_row, end_row;  // of the batch being made
  batch made, written;
  _Atomic uint64_t wrong;  // 1 + index of a value that cannot be encoded, in the tensor; 0: none
} job;

// ---- pieces --------------------------------------------------------------------------------------------------------

// The first value that is not finite, or that a half cannot hold where it must; n if all is well.
static uint64_t find_wrong(const float *x, uint64_t n, pm_type to) {
  float most = to == PM_TYPE_F16 ? 65504 : __FLT_MAX__;
  for (uint64_t i = 0; i < n; i++)
    if (!(fabsf(x[i]) <= most)) return i;
  return n;
}

// Rows of all slabs, counted through.
static void read_rows(const pm_file_tensor *t, uint64_t row, uint64_t n_row, float *x) {
  for (uint64_t n; n_row; row += n, n_row -= n, x += n * t->ne[0]) {
    uint64_t left = t->ne[1] - row % t->ne[1];
    n = n_row < left ? n_row : left;
    pm_file_tensor_floats(t, row / t->ne[1], row % t->ne[1], n, x);
  }
}

static void make_piece(job *j, uint32_t piece, float *x) {
  const pm_file_tensor *t = j->tensor;
  uint64_t first = j->first_row + piece * j->rows_of_piece, n = j->end_row - first, n_in = t->ne[0];
  n = n < j->rows_of_piece ? n : j->rows_of_piece;
  size_t to_bytes = pm_format_bytes(j->to->type, n_in);
  read_rows(t, first, n, x);
  uint64_t wrong = find_wrong(x, n * n_in, j->to->type), none = 0;
  if (wrong < n * n_in) {
    atomic_compare_exchange_strong(&j->wrong, &none, first * n_in + wrong + 1);
    return;
  }
  uint8_t *dst = j->made.bytes + (first - j->first_row) * to_bytes;
  for (uint64_t r = 0; r < n; r++) {
    const float *w = j->importance ? j->importance + (first + r) / t->ne[1] * n_in : NULL;
    j->to->encode(x + r * n_in, w, dst + r * to_bytes, n_in);
  }
}

// Thread 0 first writes what was made last time.
static void make_and_write(void *arg, uint32_t thread, uint32_t n_thread) {
  (void)n_thread;
  job *j = arg;
  if (thread == 0) pm_gguf_put_data(j->writer, j->written.bytes, j->written.n_bytes);
  uint64_t n_piece = (j->end_row - j->first_row + j->rows_of_piece - 1) / j->rows_of_piece;
  float *x = j->values + thread * j->rows_of_piece * j->tensor->ne[0];
  for (uint32_t i; (i = pm_team_take(j->team)) < n_piece;) make_piece(j, i, x);
}

static pm_status report(job *j, uint64_t bytes) {
  j->done_bytes += bytes;
  if (j->o->progress && !j->o->progress(j->o->user, (float)((double)j->done_bytes / (double)j->total_bytes)))
    PM_FAIL(PM_ERR_CANCELLED, "quantizing was cancelled");
  return PM_OK;
}

static pm_status run_batch(job *j, uint64_t first, uint64_t n_row) {
  j->first_row = first, j->end_row = first + n_row;
  j->made.n_bytes = n_row * pm_format_bytes(j->to->type, j->tensor->ne[0]);
  pm_team_take_reset(j->team);
  pm_team_run(j->team, make_and_write, j);
  batch free_again = j->written;
  j->written = j->made, j->made = free_again;
  uint64_t wrong = atomic_load(&j->wrong);
  if (wrong)
    PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s: value %llu is not finite%s", pm_model_file_path(j->file), j->tensor->name,
            (unsigned long long)wrong - 1, j->to->type == PM_TYPE_F16 ? ", or too large for 16 bits: take BF16 or fewer bits" : "");
  PM_TRY(pm_gguf_writer_status(j->writer));
  return report(j, n_row * pm_format_bytes(j->from->type, j->tensor->ne[0]));
}

// ---- tensors -------------------------------------------------------------------------------------------------------

static pm_status grow(void **memory, size_t *capacity, uint64_t bytes, const char *what) {
  if (bytes <= *capacity) return PM_OK;
  pm_free(*memory);
  *memory = bytes <= SIZE_MAX ? pm_alloc((size_t)bytes) : NULL;
  *capacity = *memory ? (size_t)bytes : 0;
  if (!*memory) PM_FAIL(PM_ERR_MEMORY, "out of memory: %s, %llu bytes", what, (unsigned long long)bytes);
  return PM_OK;
}

// Columns that were never in use would be left to chance otherwise.
static void lift(float *w, uint64_t n_slab, uint64_t n) {
  for (; n_slab--; w += n) {
    double sum = 0;
    for (uint64_t i = 0; i < n; i++) sum += (double)w[i];
    for (uint64_t i = 0; i < n; i++) w[i] += (float)(1e-3 * sum / (double)n);
  }
}

static pm_status read_importance(job *j, bool *found) {
  const pm_file_tensor *t = j->tensor;
  uint64_t n_slab = t->ne[2] * t->ne[3];
  void *memory = j->importance;
  *found = false;
  pm_status status = grow(&memory, &j->importance_capacity, n_slab * t->ne[0] * sizeof(float), "importances");
  j->importance = memory;
  PM_TRY(status);
  PM_TRY(pm_imatrix_file_get(j->imatrix, t, j->importance, found));
  if (*found) lift(j->importance, n_slab, t->ne[0]);
  return PM_OK;
}

static pm_status make_room(job *j) {
  uint64_t n_in = j->tensor->ne[0];
  j->rows_of_piece = n_in < PIECE_VALUES ? PIECE_VALUES / n_in : 1;
  uint64_t batch_bytes = j->rows_of_piece * BATCH_PIECES * pm_format_bytes(j->to->type, n_in);
  uint64_t whole = j->n_row * pm_format_bytes(j->to->type, n_in);
  if (batch_bytes > whole) batch_bytes = whole;
  void *values = j->values, *made = j->made.bytes;
  pm_status status = grow(&values, &j->values_capacity, pm_team_size(j->team) * j->rows_of_piece * n_in * sizeof(float),
                          "rows of a tensor");
  if (status == PM_OK) status = grow(&made, &j->made.capacity, batch_bytes, "rows of a tensor");
  j->values = values, j->made.bytes = made;
  return status;
}

// What was made and is not written yet.
static void flush(job *j) {
  pm_gguf_put_data(j->writer, j->written.bytes, j->written.n_bytes);
  j->written.n_bytes = 0;
}

static pm_status encode_tensor(job *j) {
  float *importance = j->importance;
  bool weighted = false;
  if (j->imatrix) {
    PM_TRY(read_importance(j, &weighted));
    importance = j->importance;
  }
  if (!weighted) j->importance = NULL;
  pm_status status = PM_OK;
  for (uint64_t row = 0, n; status == PM_OK && row < j->n_row; row += n) {
    status = make_room(j);
    n = j->rows_of_piece * BATCH_PIECES;
    n = n < j->n_row - row ? n : j->n_row - row;
    if (status == PM_OK) status = run_batch(j, row, n);
  }
  j->importance = importance;
  return status;
}

static pm_status copy_tensor(job *j) {
  const uint8_t *at = j->tensor->data;
  flush(j);
  for (uint64_t left = j->tensor->bytes, n; left; left -= n, at += n) {
    n = left < COPY_BYTES ? left : COPY_BYTES;
    pm_gguf_put_data(j->writer, at, (size_t)n);
    PM_TRY(pm_gguf_writer_status(j->writer));
    PM_TRY(report(j, n));
  }
  return PM_OK;
}

static pm_status write_tensors(job *j) {
  uint64_t n = pm_model_file_n_tensor(j->file);
  for (uint64_t i = 0; i < n; i++) {
    const pm_file_tensor *t = pm_model_file_tensor(j->file, i);
    if (i + 1 < n) pm_model_file_will_need(j->file, pm_model_file_tensor(j->file, i + 1));
    j->tensor = t;
    j->from = pm_format_get((pm_type)t->type), j->to = pm_format_get(pm_mix_choose(j->mix, &j->model, t, NULL));
    j->n_row = t->ne[1] * t->ne[2] * t->ne[3];
    PM_TRY(j->from == j->to && t->data ? copy_tensor(j) : encode_tensor(j));  // no data in one place: slabs of a folder
    pm_model_file_dont_need(j->file, t);
  }
  flush(j);
  return pm_gguf_writer_status(j->writer);
}

// ---- the file ------------------------------------------------------------------------------------------------------

static void put_importances(job *j) {
  pm_gguf_put_string(j->writer, "quantize.imatrix.file", j->o->imatrix);
  pm_gguf_put_string(j->writer, "quantize.imatrix.dataset", pm_imatrix_file_dataset(j->imatrix));
  pm_gguf_put_u32(j->writer, "quantize.imatrix.entries_count", pm_imatrix_file_n_entry(j->imatrix));
  pm_gguf_put_u32(j->writer, "quantize.imatrix.chunks_count", pm_imatrix_file_n_chunk(j->imatrix));
}

static bool starts_with(const char *s, const char *start) { return !strncmp(s, start, strlen(start)); }

static pm_status put_header(job *j) {
  uint32_t alignment = 32;
  PM_TRY(pm_meta_u32(j->file, "general.alignment", 0, &alignment));
  pm_gguf_set_alignment(j->writer, alignment);
  for (uint64_t i = 0; i < pm_model_file_n_meta(j->file); i++) {
    const pm_meta *m = pm_model_file_meta(j->file, i);
    bool replaced = !strcmp(m->key, "general.file_type") || !strcmp(m->key, "general.quantization_version");
    if (!replaced && !starts_with(m->key, "split.") && !starts_with(m->key, "quantize.imatrix.")) pm_gguf_put_meta(j->writer, j->file, m);
  }
  pm_gguf_put_u32(j->writer, "general.file_type", j->mix->file_type);
  pm_gguf_put_u32(j->writer, "general.quantization_version", 2);
  if (j->imatrix) put_importances(j);
  for (uint64_t i = 0; i < pm_model_file_n_tensor(j->file); i++) {
    const pm_file_tensor *t = pm_model_file_tensor(j->file, i);
    pm_gguf_put_tensor(j->writer, t->name, pm_mix_choose(j->mix, &j->model, t, NULL), t->n_dim, t->ne);
  }
  return pm_gguf_writer_status(j->writer);
}

static pm_status write_file(job *j) {
  PM_TRY(put_header(j));
  PM_TRY(pm_team_create(j->o->n_thread, &j->team));
  pm_status status = write_tensors(j);
  pm_team_destroy(j->team);
  return status;
}

// Tells the caller about every tensor, and finds out what cannot be done before work begins. *bytes: of the new file's tensors.
static pm_status list_tensors(job *j, uint64_t *bytes) {
  *bytes = 0;
  for (uint64_t i = 0; i < pm_model_file_n_tensor(j->file); i++) {
    const pm_file_tensor *t = j->tensor = pm_model_file_tensor(j->file, i);
    pm_quantize_row row = {.name = t->name, .n_value = t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3], .from_bytes = t->bytes};
    pm_type type = pm_mix_choose(j->mix, &j->model, t, &row.fallback);
    row.from = pm_format_get((pm_type)t->type)->name, row.to = pm_format_get(type)->name;
    row.to_bytes = pm_format_bytes(type, row.n_value);
    if (j->imatrix && type != t->type) PM_TRY(read_importance(j, &row.weighted));
    if (j->o->row) j->o->row(j->o->user, &row);
    j->total_bytes += t->bytes, *bytes += row.to_bytes;
  }
  return PM_OK;
}

static pm_status open_inputs(job *j, const char *from) {
  PM_TRY(pm_model_file_open(from, NULL, &j->file));
  if (pm_model_file_n_tensor(j->file) == 0) PM_FAIL(PM_ERR_FORMAT, "%s: the file has no tensors", from);
  const char *architecture = "";
  size_t n = 0;
  PM_TRY(pm_meta_string(j->file, "general.architecture", 0, &architecture, &n));
  char key[96];
  snprintf(key, sizeof key, "%.*s.block_count", (int)(n < 64 ? n : 64), architecture);
  PM_TRY(pm_meta_u32(j->file, key, 0, &j->model.n_layer));
  j->model.tied = !pm_model_file_find_tensor(j->file, "output.weight");
  j->model.imatrix = j->o->imatrix != NULL;
  return j->o->imatrix ? pm_imatrix_file_open(j->o->imatrix, &j->imatrix) : PM_OK;
}

static pm_status check_output(const job *j, const char *to, uint64_t bytes) {
  for (uint32_t i = 0; i < pm_model_file_n_shard(j->file); i++)
    if (pm_file_same(to, pm_model_file_shard_path(j->file, i)))
      PM_FAIL(PM_ERR_ARGUMENT, "%s is the file to be read; give the new file another name", to);
  uint64_t room = pm_file_room(to);
  if (room && room < bytes)
    PM_FAIL(PM_ERR_IO, "%s needs %.1f MB, but only %.1f MB are free there", to, (double)bytes * 1e-6, (double)room * 1e-6);
  return PM_OK;
}

static pm_status run(job *j, const char *from, const char *to) {
  uint64_t bytes;
  PM_TRY(open_inputs(j, from));
  PM_TRY(list_tensors(j, &bytes));
  if (j->o->dry_run) return PM_OK;
  PM_TRY(check_output(j, to, bytes));
  PM_TRY(pm_gguf_writer_open(to, &j->writer));
  pm_status status = write_file(j);
  if (status == PM_OK) return pm_gguf_writer_commit(j->writer);
  pm_gguf_writer_abandon(j->writer);
  return status;
}

pm_status pm_quantize(const char *from, const char *to, const pm_quantize_options *o) {
  job j = {.o = o, .mix = o->mix ? pm_mix_find(o->mix) : NULL};
  if (!j.mix) PM_FAIL(PM_ERR_ARGUMENT, "there is no mix \"%s\"", o->mix ? o->mix : "");
  pm_status status = run(&j, from, to);
  pm_free(j.made.bytes);
  pm_free(j.written.bytes);
  pm_free(j.values);
  pm_free(j.importance);
  pm_imatrix_file_close(j.imatrix);
  pm_model_file_close(j.file);
  return status;
}
