// Schemas of strings, numbers and arrays, and which type a schema is of.
#include <math.h>
#include <stdio.h>

#include "json_numbers.h"
#include "json_pattern.h"
#include "schema_writer.h"

enum {
  MAX_LENGTH = 10000,  // of strings and arrays that a schema may ask for
  NO_LIMIT = UINT32_MAX,
};

// A keyword that is a count; `otherwise` if it is absent.
static pm_status get_count(const pm_schema_writer *w, const pm_value *schema, const char *keyword, uint32_t otherwise, uint32_t *out) {
  const pm_value *v = pm_schema_find(schema, keyword);
  *out = otherwise;
  if (!v) return PM_OK;
  if (v->kind != PM_INT || v->integer < 0) return pm_schema_refuse(w, PM_ERR_ARGUMENT, keyword, "must be a number of 0 or more");
  if (v->integer > MAX_LENGTH) return pm_schema_refuse(w, PM_ERR_UNSUPPORTED, keyword, "must be at most 10000");
  *out = (uint32_t)v->integer;
  return PM_OK;
}

static pm_status get_counts(const pm_schema_writer *w, const pm_value *schema, const char *least, const char *most, uint32_t counts[2]) {
  PM_TRY(get_count(w, schema, least, 0, &counts[0]));
  PM_TRY(get_count(w, schema, most, NO_LIMIT, &counts[1]));
  return counts[1] < counts[0] ? pm_schema_refuse(w, PM_ERR_ARGUMENT, most, "is less than the least that is asked for") : PM_OK;
}

// ---- strings ----

static pm_status put_pattern(pm_schema_writer *w, const pm_value *schema, const pm_value *pattern) {
  if (pattern->kind != PM_STRING) return pm_schema_refuse(w, PM_ERR_ARGUMENT, "pattern", "must be a text");
  if (pm_schema_find(schema, "minLength") || pm_schema_find(schema, "maxLength"))
    return pm_schema_refuse(w, PM_ERR_UNSUPPORTED, "pattern", "is not supported beside lengths");
  const char *why = pm_json_pattern(w->out, pattern->text);
  return why ? pm_schema_refuse(w, PM_ERR_UNSUPPORTED, "pattern", why) : PM_OK;
}

static pm_status put_string(pm_schema_writer *w, const pm_value *schema) {
  const pm_value *format = pm_schema_find(schema, "format");
  const char *known = format && format->kind == PM_STRING ? pm_json_format(format->text) : NULL;
  if (known) return pm_buffer_puts(w->out, known), PM_OK;
  const pm_value *pattern = pm_schema_find(schema, "pattern");
  if (pattern) return put_pattern(w, schema, pattern);
  uint32_t n[2];
  PM_TRY(get_counts(w, schema, "minLength", "maxLength", n));
  if (n[1] == NO_LIMIT)
    pm_buffer_printf(w->out, "\"\\\"\" char{%u,} \"\\\"\" ", n[0]);
  else
    pm_buffer_printf(w->out, "\"\\\"\" char{%u,%u} \"\\\"\" ", n[0], n[1]);
  return PM_OK;
}

// ---- numbers ----

static pm_status get_bound(const pm_schema_writer *w, const pm_value *schema, const char *keyword, bool *there, int64_t *out) {
  const pm_value *v = pm_schema_find(schema, keyword);
  double value;
  *there = v != NULL;
  if (!v) return PM_OK;
  if (!pm_value_number(*v, &value) || v->kind == PM_BOOL) return pm_schema_refuse(w, PM_ERR_ARGUMENT, keyword, "must be a number");
  if (value != floor(value) || fabs(value) > 1e15)
    return pm_schema_refuse(w, PM_ERR_UNSUPPORTED, keyword, "must be a whole number of up to 15 digits");
  *out = (int64_t)value;
  return PM_OK;
}

static pm_status get_bounds(const pm_schema_writer *w, const pm_value *schema, pm_json_bounds *b) {
  *b = (pm_json_bounds){0};
  PM_TRY(get_bound(w, schema, "exclusiveMinimum", &b->above, &b->low));
  if (!b->above) PM_TRY(get_bound(w, schema, "minimum", &b->from, &b->low));
  PM_TRY(get_bound(w, schema, "exclusiveMaximum", &b->below, &b->high));
  if (!b->below) PM_TRY(get_bound(w, schema, "maximum", &b->to, &b->high));
  if (pm_schema_find(schema, "minimum") && b->above)
    return pm_schema_refuse(w, PM_ERR_UNSUPPORTED, "minimum", "is not supported beside 'exclusiveMinimum'");
  if (pm_schema_find(schema, "maximum") && b->below)
    return pm_schema_refuse(w, PM_ERR_UNSUPPORTED, "maximum", "is not supported beside 'exclusiveMaximum'");
  b->from |= b->above, b->to |= b->below;
  bool empty = b->from && b->to && (b->low > b->high || (b->low == b->high && (b->above || b->below)));
  return empty ? pm_schema_refuse(w, PM_ERR_ARGUMENT, "minimum", "and 'maximum' leave no number") : PM_OK;
}

static pm_status put_integer(pm_schema_writer *w, const pm_value *schema) {
  pm_json_bounds b;
  PM_TRY(get_bounds(w, schema, &b));
  if (!b.from && !b.to) return pm_buffer_puts(w->out, "integer "), PM_OK;
  b.low += b.above, b.high -= b.below;
  if (b.from && b.to && b.low > b.high)
    return pm_schema_refuse(w, PM_ERR_ARGUMENT, "exclusiveMinimum", "and 'exclusiveMaximum' leave no whole number");
  pm_json_integers(w->out, &b);
  return PM_OK;
}

static pm_status put_number(pm_schema_writer *w, const pm_value *schema) {
  pm_json_bounds b;
  PM_TRY(get_bounds(w, schema, &b));
  if (!b.from && !b.to) return pm_buffer_puts(w->out, "number "), PM_OK;
  pm_json_decimals(w->out, &b);
  return PM_OK;
}

// ---- arrays ----

// `n[0]` to `n[1]` more items behind at least one (`first`: or none) that is there.
static pm_status put_items(pm_schema_writer *w, const pm_value *items, uint32_t n_before, const uint32_t n[2]) {
  uint32_t least = n[0] > n_before ? n[0] - n_before : 0, most = n[1] == NO_LIMIT ? NO_LIMIT : n[1] - n_before;
  char count[32] = "";
  if (is_false(items) || most == 0) return PM_OK;
  if (!n_before) {  // the first one has no comma
    pm_buffer_puts(w->out, least ? "" : "( ");
    PM_TRY(pm_schema_put_part(w, items, "items"));
    most -= most != NO_LIMIT, least -= least > 0;
  }
  snprintf(count, sizeof count, most == NO_LIMIT ? "{%u,} " : "{%u,%u} ", least, most);
  pm_buffer_puts(w->out, "( \",\" ws ");
  PM_TRY(pm_schema_put_part(w, items, "items"));
  pm_buffer_printf(w->out, ")%s", count);
  if (!n_before && !n[0]) pm_buffer_puts(w->out, ")? ");
  return PM_OK;
}

static pm_status put_array(pm_schema_writer *w, const pm_value *schema) {
  static const pm_value any = {.kind = PM_BOOL, .truth = true}, none = {.kind = PM_BOOL, .truth = false};
  const pm_value *items = pm_schema_find(schema, "items"), *prefix = pm_schema_find(schema, "prefixItems");
  uint32_t n[2], n_prefix = is_list(prefix) ? (uint32_t)prefix->list->n : 0;
  PM_TRY(get_counts(w, schema, "minItems", "maxItems", n));
  if (is_list(items)) return pm_schema_refuse(w, PM_ERR_UNSUPPORTED, "items", "as a list is not supported; use 'prefixItems'");
  if (prefix && !n_prefix) return pm_schema_refuse(w, PM_ERR_ARGUMENT, "prefixItems", "must be a list of schemas");
  if (n[1] < n_prefix) return pm_schema_refuse(w, PM_ERR_UNSUPPORTED, "maxItems", "must not be less than the length of 'prefixItems'");
  if (is_false(items) && n[0] > n_prefix) return pm_schema_refuse(w, PM_ERR_ARGUMENT, "minItems", "is more than there can be");
  pm_buffer_puts(w->out, "\"[\" ws ");
  for (uint32_t i = 0; i < n_prefix; i++) {
    if (i) pm_buffer_puts(w->out, "\",\" ws ");
    PM_TRY(pm_schema_put_part(w, &prefix->list->items[i], "prefixItems"));
  }
  if (!items) items = n_prefix ? &none : &any;  // as with members: more only where it is asked for
  PM_TRY(put_items(w, items, n_prefix, n));
  pm_buffer_puts(w->out, "ws \"]\" ");
  return PM_OK;
}

// ---- types ----

static pm_status put_boolean(pm_schema_writer *w, const pm_value *schema) {
  (void)schema;
  pm_buffer_puts(w->out, "( \"true\" | \"false\" ) ");
  return PM_OK;
}

static pm_status put_null(pm_schema_writer *w, const pm_value *schema) {
  (void)schema;
  pm_buffer_puts(w->out, "\"null\" ");
  return PM_OK;
}

// A type, and the keywords that are about it and nothing else.
typedef struct type_row {
  const char *name;
  pm_status (*put)(pm_schema_writer *w, const pm_value *schema);
  const char *keywords[8];
} type_row;

static const type_row types[] = {
    {"object", pm_schema_put_object_use, {"properties", "required", "additionalProperties"}},
    {"array", put_array, {"items", "prefixItems", "minItems", "maxItems"}},
    {"string", put_string, {"minLength", "maxLength", "pattern"}},
    {"number", put_number, {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}},
    {"integer", put_integer, {NULL}},
    {"boolean", put_boolean, {NULL}},
    {"null", put_null, {NULL}},
};
enum { N_TYPE = sizeof types / sizeof *types };

static pm_status put_type(pm_schema_writer *w, const pm_value *schema, const pm_value *name) {
  for (const type_row *t = types; name->kind == PM_STRING && t < types + N_TYPE; t++)
    if (pm_span_is(name->text, t->name)) return t->put(w, schema);
  return pm_schema_refuse(w, PM_ERR_ARGUMENT, "type", "must be object, array, string, number, integer, boolean or null, or a list of them");
}

pm_status pm_schema_put_types(pm_schema_writer *w, const pm_value *schema) {
  const pm_value *type = pm_schema_find(schema, "type");
  for (const type_row *t = types; !type && t < types + N_TYPE; t++)
    for (const char *const *k = t->keywords; *k; k++)
      if (pm_schema_find(schema, *k)) return t->put(w, schema);
  if (!type) return pm_buffer_puts(w->out, "value "), PM_OK;
  if (!is_list(type)) return put_type(w, schema, type);
  if (!type->list->n) return pm_schema_refuse(w, PM_ERR_ARGUMENT, "type", "must not be empty");
  for (size_t i = 0; i < type->list->n; i++) {
    pm_buffer_puts(w->out, i ? "| " : "");
    PM_TRY(put_type(w, schema, &type->list->items[i]));
  }
  return PM_OK;
}

const char *pm_schema_type_keyword(const pm_value *schema) {
  for (const type_row *t = types; t < types + N_TYPE; t++)
    for (const char *const *k = t->keywords; *k; k++)
      if (pm_schema_find(schema, *k)) return *k;
  return NULL;
}
