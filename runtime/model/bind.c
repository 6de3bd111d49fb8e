#include "bind.h"

#include <stdio.h>
#include <string.h>

#include "memory.h"

const pm_file_tensor *pm_bind_find(const pm_binder *b, const char *name) {
  char full[96];
  if (b->layer < 0) {
    snprintf(full, sizeof full, "%s", name);
  } else {
    snprintf(full, sizeof full, "blk.%d.%s", (int)b->layer, name);
  }
  return pm_model_file_find_tensor(b->model->file, full);
}

pm_status pm_bind_check(const pm_binder *b, const pm_file_tensor *t, const uint64_t ne[3], bool plain) {
  const char *path = pm_model_file_path(b->model->file);
  const pm_format *f = pm_format_find(t->type);
  for (int i = 0; i < 4; i++) {
    uint64_t wanted = i < 3 ? ne[i] : 1;
    if (t->ne[i] != wanted)
      PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s: dimension %d is %llu, expected %llu", path, t->name, i, (unsigned long long)t->ne[i],
              (unsigned long long)wanted);
  }
  if (plain && t->type != PM_TYPE_F32) PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s: type is %s, expected F32", path, t->name, f->name);
  if (!f->decode)
    PM_FAIL(PM_ERR_UNSUPPORTED, "%s: tensor %s: format %s cannot be computed with yet; take a file in another quantization", path, t->name,
            f->name);
  return PM_OK;
}

// Some files scale a weight "x.weight" as a whole by a tensor "x.scale". Ignoring that would give wrong answers.
static pm_status refuse_scale(const pm_binder *b, const pm_file_tensor *t) {
  char name[128];
  const char *end = strrchr(t->name, '.');
  snprintf(name, sizeof name, "%.*s.scale", end ? (int)(end - t->name) : 0, t->name);
  if (!pm_model_file_find_tensor(b->model->file, name)) return PM_OK;
  PM_FAIL(PM_ERR_UNSUPPORTED,
          "%s: tensor %s: weights that are scaled as a whole cannot be computed with yet; take a file in another quantization",
          pm_model_file_path(b->model->file), name);
}

static pm_status bind_one(const pm_binder *b, const pm_weight_rule *r, void *slots) {
  const pm_file_tensor *t = pm_bind_find(b, r->name);
  if (!t && r->optional) return PM_OK;
  if (!t && b->layer < 0) PM_FAIL(PM_ERR_FORMAT, "%s: tensor %s is missing", pm_model_file_path(b->model->file), r->name);
  if (!t) PM_FAIL(PM_ERR_FORMAT, "%s: tensor blk.%d.%s is missing", pm_model_file_path(b->model->file), (int)b->layer, r->name);
  uint64_t ne[3] = {b->dims[r->dim[0]], b->dims[r->dim[1]], b->dims[r->dim[2]]};
  PM_TRY(pm_bind_check(b, t, ne, r->plain));
  PM_TRY(refuse_scale(b, t));
  pm_tensor *w = pm_program_weight(b->program, t->name, (pm_type)t->type, ne, t->data, 0);
  w->slabs = t->slabs;
  *(const pm_tensor **)((char *)slots + r->slot) = w;
  return PM_OK;
}

pm_status pm_bind(const pm_binder *b, const pm_weight_rule *rules, size_t n_rule, void *slots) {
  for (size_t i = 0; i < n_rule; i++)
    if ((rules[i].when & b->conditions) == rules[i].when) PM_TRY(bind_one(b, &rules[i], slots));
  return PM_OK;
}

void *pm_bind_alloc(const pm_binder *b, size_t bytes) {
  pm_model *m = b->model;
  void **more = pm_realloc(m->owned, (m->n_owned + 1) * sizeof *more);
  if (!more) return NULL;
  m->owned = more;
  void *p = pm_alloc_aligned(bytes, 64);
  if (p) m->owned[m->n_owned++] = p;
  return p;
}
