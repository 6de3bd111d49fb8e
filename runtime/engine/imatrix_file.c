#include "imatrix_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "memory.h"

struct pm_imatrix_file {
  pm_model_file *file;
  uint32_t n_entry, n_chunk;
  char dataset[256];
};

static const char SUMS[] = ".in_sum2", COUNTS[] = ".counts";

static pm_status read_metadata(pm_imatrix_file *m) {
  const char *text = "";
  size_t n = 0;
  PM_TRY(pm_meta_string(m->file, "general.type", 0, &text, &n));
  if (n != 7 || memcmp(text, "imatrix", n))
    PM_FAIL(PM_ERR_FORMAT, "%s: general.type is \"%.*s\", expected \"imatrix\": the file is no importance matrix",
            pm_model_file_path(m->file), (int)(n < 64 ? n : 64), text);
  PM_TRY(pm_meta_u32(m->file, "imatrix.chunk_count", 0, &m->n_chunk));
  const pm_meta *datasets = pm_model_file_find_meta(m->file, "imatrix.datasets");
  if (!datasets || datasets->count == 0) return PM_OK;
  PM_TRY(pm_meta_string(m->file, "imatrix.datasets", 0, &text, &n));
  snprintf(m->dataset, sizeof m->dataset, "%.*s", (int)(n < sizeof m->dataset ? n : sizeof m->dataset - 1), text);
  return PM_OK;
}

static bool is_sums(const char *name) {
  size_t n = strlen(name), end = sizeof SUMS - 1;
  return n > end && !strcmp(name + n - end, SUMS);
}

pm_status pm_imatrix_file_open(const char *path, pm_imatrix_file **out) {
  *out = NULL;
  pm_imatrix_file *m;
  PM_NEW(&m, 1, "an importance matrix");
  pm_status status = pm_model_file_open(path, NULL, &m->file);
  if (status == PM_OK) status = read_metadata(m);
  for (uint64_t i = 0; status == PM_OK && i < pm_model_file_n_tensor(m->file); i++)
    m->n_entry += is_sums(pm_model_file_tensor(m->file, i)->name);
  if (status == PM_OK && !m->n_entry) status = pm_fail(PM_ERR_FORMAT, "%s: no tensor ends in %s", path, SUMS);
  if (status != PM_OK) {
    pm_imatrix_file_close(m);
    return status;
  }
  *out = m;
  return PM_OK;
}

void pm_imatrix_file_close(pm_imatrix_file *m) {
  if (!m) return;
  pm_model_file_close(m->file);
  pm_free(m);
}

uint32_t pm_imatrix_file_n_entry(const pm_imatrix_file *m) { return m->n_entry; }

uint32_t pm_imatrix_file_n_chunk(const pm_imatrix_file *m) { return m->n_chunk; }

const char *pm_imatrix_file_dataset(const pm_imatrix_file *m) { return m->dataset; }

static uint64_t n_value(const pm_file_tensor *t) { return t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3]; }

static pm_status find_part(const pm_imatrix_file *m, const pm_file_tensor *t, const char *end, const pm_file_tensor **out) {
  char name[128];
  snprintf(name, sizeof name, "%s%s", t->name, end);
  *out = pm_model_file_find_tensor(m->file, name);
  if (*out && (*out)->type != PM_TYPE_F32)
    PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s: type is %s, expected F32", pm_model_file_path(m->file), name,
            pm_format_get((pm_type)(*out)->type)->name);
  return PM_OK;
}

static float value_at(const pm_file_tensor *t, uint64_t i) {
  float f;
  memcpy(&f, (const char *)t->data + 4 * i, 4);
  return f;
}

pm_status pm_imatrix_file_get(const pm_imatrix_file *m, const pm_file_tensor *t, float *out, bool *found) {
  const pm_file_tensor *sums, *counts;
  PM_TRY(find_part(m, t, SUMS, &sums));
  PM_TRY(find_part(m, t, COUNTS, &counts));
  *found = sums && counts;
  if (!*found) return PM_OK;
  uint64_t n_slab = t->ne[2] * t->ne[3], n_sum = n_value(sums), n_count = n_value(counts);
  if ((n_sum != t->ne[0] && n_sum != t->ne[0] * n_slab) || (n_count != 1 && n_count != n_slab))
    PM_FAIL(PM_ERR_FORMAT, "%s: %s has %llu sums and %llu counts, expected %llu columns and %llu slabs: it was measured for another model",
            pm_model_file_path(m->file), t->name, (unsigned long long)n_sum, (unsigned long long)n_count, (unsigned long long)t->ne[0],
            (unsigned long long)n_slab);
  for (uint64_t i = 0; i < t->ne[0] * n_slab; i++) {
    float count = value_at(counts, n_count == 1 ? 0 : i / t->ne[0]), sum = value_at(sums, i % n_sum);
    out[i] = count > 0 ? sum / count : 0;
    if (!isfinite(count) || !isfinite(sum) || !isfinite(out[i]) || sum < 0)
      PM_FAIL(PM_ERR_FORMAT, "%s: %s: sum %llu is %g of %g values, expected a finite sum of squares", pm_model_file_path(m->file), t->name,
              (unsigned long long)i, (double)sum, (double)count);
  }
  return PM_OK;
}
