#include "config.h"

#include <stdio.h>
#include <string.h>

#include "memory.h"

#define PM_ARCH(suffix, name) extern const pm_arch pm_arch_##suffix;
#include "archs.def"
#undef PM_ARCH

static const pm_arch *const archs[] = {
#define PM_ARCH(suffix, name) &pm_arch_##suffix,
#include "archs.def"
#undef PM_ARCH
};
enum { N_ARCH = sizeof archs / sizeof *archs };

pm_status pm_config_read(const pm_model_file *f, const char *arch, const pm_config_key *keys, size_t n_key, void *out) {
  for (size_t i = 0; i < n_key; i++) {
    const pm_config_key *k = &keys[i];
    char name[128];
    snprintf(name, sizeof name, "%s.%s", arch, k->name);
    if (k->required && !pm_model_file_find_meta(f, name)) PM_FAIL(PM_ERR_FORMAT, "%s: key %s is missing", pm_model_file_path(f), name);
    void *value = (char *)out + k->offset;
    switch (k->kind) {
      case PM_KEY_U32: PM_TRY(pm_meta_u32(f, name, 0, value)); break;
      case PM_KEY_F32: PM_TRY(pm_meta_f32(f, name, 0, value)); break;
      case PM_KEY_BOOL: PM_TRY(pm_meta_bool(f, name, 0, value)); break;
    }
  }
  return PM_OK;
}

pm_status pm_config_range(const pm_model_file *f, const char *arch, const char *key, uint64_t value, uint64_t first, uint64_t last) {
  if (value >= first && value <= last) return PM_OK;
  PM_FAIL(PM_ERR_FORMAT, "%s: %s.%s is %llu, expected %llu to %llu", pm_model_file_path(f), arch, key, (unsigned long long)value,
          (unsigned long long)first, (unsigned long long)last);
}

static pm_status find_arch(const pm_model_file *f, const pm_arch **out) {
  const char *name = NULL;
  size_t n = 0;
  PM_TRY(pm_meta_string(f, "general.architecture", 0, &name, &n));
  if (!name) PM_FAIL(PM_ERR_FORMAT, "%s: key general.architecture is missing; is this a model?", pm_model_file_path(f));
  char known[256] = "";
  for (int i = 0; i < N_ARCH; i++) {
    if (strlen(archs[i]->name) == n && !memcmp(archs[i]->name, name, n)) return *out = archs[i], PM_OK;
    size_t used = strlen(known);
    snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", archs[i]->name);
  }
  PM_FAIL(PM_ERR_UNSUPPORTED, "%s: architecture '%.*s' is not supported; this build runs: %s", pm_model_file_path(f),
          (int)(n < 64 ? n : 64), name, known);
}

pm_status pm_model_init(pm_model *m, const pm_model_file *file, bool exact) {
  *m = (pm_model){.file = file, .exact = exact};
  PM_TRY(find_arch(file, &m->arch));
  return m->arch->configure(file, &m->config);
}

void pm_model_finish(pm_model *m) {
  for (uint32_t i = 0; i < m->n_owned; i++) pm_free(m->owned[i]);
  pm_free(m->owned);
  *m = (pm_model){0};
}

pm_status pm_model_build(pm_model *m, uint32_t max_rows, uint32_t max_logits, pm_type kv_type, uint32_t n_cell, pm_program *p) {
  pm_program_init(p, max_rows, max_logits, m->config.rope.n_pair * 2);
  PM_TRY(m->arch->build(m, kv_type, n_cell, p));
  return pm_program_check(p);
}
