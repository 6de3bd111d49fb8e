#include "schema_writer.h"

#include <stdio.h>
#include <string.h>

#include "json.h"

// ---- errors ----

// "#/properties/items" and the like: the keywords on the way to a part.
static void put_path(const pm_schema_writer *w, uint32_t index, char *path, size_t n) {
  if (!index) {
    snprintf(path, n, "#");
    return;
  }
  put_path(w, w->parts[index].parent, path, n);
  size_t used = strlen(path);
  snprintf(path + used, n - used, "/%s", w->parts[index].where);
}

pm_status pm_schema_refuse(const pm_schema_writer *w, pm_status status, const char *keyword, const char *what) {
  char path[256];
  put_path(w, w->now, path, sizeof path);
  PM_FAIL(status, "JSON schema, %s: '%s' %s", path, keyword, what);
}

pm_status pm_schema_not_supported(const pm_schema_writer *w, const char *keyword) {
  return pm_schema_refuse(w, PM_ERR_UNSUPPORTED, keyword, "is not supported");
}

// ---- schemas within the schema ----

const pm_value *pm_schema_find(const pm_value *schema, const char *keyword) {
  return schema->kind == PM_DICT ? pm_dict_find_text(schema->dict, keyword) : NULL;
}

// The rule of a schema within the schema; the same one for the same schema, so that it may contain itself.
static pm_status use_part(pm_schema_writer *w, const pm_value *schema, const char *where, uint32_t *out) {
  for (uint32_t i = 0; i < w->n_part; i++)
    if (w->parts[i].schema == schema) return *out = i, PM_OK;
  if (schema->kind != PM_DICT && schema->kind != PM_BOOL)
    return pm_schema_refuse(w, PM_ERR_ARGUMENT, where, "must be a schema: an object, true or false");
  if (w->n_part == PM_SCHEMA_MAX_PARTS) return pm_schema_refuse(w, PM_ERR_UNSUPPORTED, where, "is one schema too many: 1024 are the most");
  w->parts[w->n_part] = (pm_schema_part){schema, w->now, where};
  *out = w->n_part++;
  return PM_OK;
}

pm_status pm_schema_put_part(pm_schema_writer *w, const pm_value *schema, const char *where) {
  uint32_t index = 0;
  PM_TRY(use_part(w, schema, where, &index));
  pm_buffer_printf(w->out, "s%u ", index);
  return PM_OK;
}

// ---- literals ----

void pm_schema_put_literal(pm_schema_writer *w, const char *text, size_t n) {
  pm_buffer_puts(w->out, "\"");
  for (size_t i = 0; i < n; i++) {
    if (text[i] == '"' || text[i] == '\\') pm_buffer_puts(w->out, "\\");
    pm_buffer_put(w->out, text + i, 1);
  }
  pm_buffer_puts(w->out, "\" ");
}

pm_status pm_schema_put_json(pm_schema_writer *w, const pm_value *v) {
  pm_buffer text = {.limit = PM_SCHEMA_MAX_TEXT};
  pm_json_write_compact(&text, *v);
  if (text.status == PM_OK) pm_schema_put_literal(w, text.at, text.n);
  pm_status status = text.status;
  pm_buffer_finish(&text);
  return status;
}
