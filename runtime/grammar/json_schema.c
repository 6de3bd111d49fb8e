#include "json_schema.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "json_numbers.h"
#include "json_pattern.h"
#include "memory.h"

enum {
  MAX_PARTS = 1024,    // schemas within a schema
  MAX_TEXT = 4 << 20,  // bytes of the grammar
  MAX_LENGTH = 10000,  // of strings and arrays that a schema may ask for
  NO_LIMIT = UINT32_MAX,
};

// Rules that schemas use. Numbers are short and lone surrogates impossible, so that whatever is produced can be read anywhere; white
// space is bounded, because models that are held to a grammar may otherwise go on with it for ever.
static const char base_rules[] =
    "ws ::= ( \" \" | \"\\n\" [ \\t]{0,20} )?\n"
    "plain ::= [^\"\\\\\\x00-\\x1f\\x7f]\n"
    "char ::= plain | \"\\\\\" ( [\"\\\\/bfnrt] | \"u\" unit )\n"
    "unit ::= [0-9a-cefA-CEF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2} | "
    "[dD] [89abAB] [0-9a-fA-F]{2} \"\\\\u\" [dD] [c-fC-F] [0-9a-fA-F]{2}\n"
    "string ::= \"\\\"\" char* \"\\\"\"\n"
    "whole ::= \"0\" | [1-9] [0-9]{0,15}\n"
    "integer ::= \"-\"? whole\n"
    "number ::= integer ( \".\" [0-9]{1,16} )? ( [eE] [-+]? [0-9]{1,2} )?\n"
    "value ::= string | number | object | array | \"true\" | \"false\" | \"null\"\n"
    "object ::= \"{\" ws ( member ( \",\" ws member )* ws )? \"}\"\n"
    "member ::= string \":\" ws value\n"
    "array ::= \"[\" ws ( value ( \",\" ws value )* ws )? \"]\"\n";

typedef struct part {  // a schema within the schema: the rule s<index>
  const pm_value *schema;
  uint32_t parent;
  const char *where;  // in the parent: a keyword
} part;

typedef struct writer {
  pm_heap heap;
  pm_value root;
  pm_buffer *out;
  part parts[MAX_PARTS];
  uint32_t n_part;
  uint32_t now;     // the part being written
  bool has_object;  // it needs the rules of an object
} writer;

// ---- errors ----

// "#/properties/items" and the like: the keywords on the way to a part.
static void put_path(const writer *w, uint32_t index, char *path, size_t n) {
  if (!index) {
    snprintf(path, n, "#");
    return;
  }
  put_path(w, w->parts[index].parent, path, n);
  size_t used = strlen(path);
  snprintf(path + used, n - used, "/%s", w->parts[index].where);
}

static pm_status object(const writer *w, pm_status status, const char *keyword, const char *what) {
  char path[256];
  put_path(w, w->now, path, sizeof path);
  PM_FAIL(status, "JSON schema, %s: '%s' %s", path, keyword, what);
}

static pm_status not_supported(const writer *w, const char *keyword) { return object(w, PM_ERR_UNSUPPORTED, keyword, "is not supported"); }

// ---- looking at schemas ----

static const pm_value *find(const pm_value *schema, const char *keyword) {
  return schema->kind == PM_DICT ? pm_dict_find_text(schema->dict, keyword) : NULL;
}

static bool is_dict(const pm_value *v) { return v && v->kind == PM_DICT; }
static bool is_list(const pm_value *v) { return v && v->kind == PM_LIST; }
static bool is_false(const pm_value *v) { return v && v->kind == PM_BOOL && !v->truth; }

// A keyword that is a count; `otherwise` if it is absent.
static pm_status get_count(const writer *w, const pm_value *schema, const char *keyword, uint32_t otherwise, uint32_t *out) {
  const pm_value *v = find(schema, keyword);
  *out = otherwise;
  if (!v) return PM_OK;
  if (v->kind != PM_INT || v->integer < 0) return object(w, PM_ERR_ARGUMENT, keyword, "must be a number of 0 or more");
  if (v->integer > MAX_LENGTH) return object(w, PM_ERR_UNSUPPORTED, keyword, "must be at most 10000");
  *out = (uint32_t)v->integer;
  return PM_OK;
}

static pm_status get_counts(const writer *w, const pm_value *schema, const char *least, const char *most, uint32_t counts[2]) {
  PM_TRY(get_count(w, schema, least, 0, &counts[0]));
  PM_TRY(get_count(w, schema, most, NO_LIMIT, &counts[1]));
  return counts[1] < counts[0] ? object(w, PM_ERR_ARGUMENT, most, "is less than the least that is asked for") : PM_OK;
}

// The rule of a schema within the schema; the same one for the same schema, so that it may contain itself.
static pm_status use_part(writer *w, const pm_value *schema, const char *where, uint32_t *out) {
  for (uint32_t i = 0; i < w->n_part; i++)
    if (w->parts[i].schema == schema) return *out = i, PM_OK;
  if (schema->kind != PM_DICT && schema->kind != PM_BOOL)
    return object(w, PM_ERR_ARGUMENT, where, "must be a schema: an object, true or false");
  if (w->n_part == MAX_PARTS) return object(w, PM_ERR_UNSUPPORTED, where, "is one schema too many: 1024 are the most");
  w->parts[w->n_part] = (part){schema, w->now, where};
  *out = w->n_part++;
  return PM_OK;
}

static pm_status put_part(writer *w, const pm_value *schema, const char *where) {
  uint32_t index = 0;
  PM_TRY(use_part(w, schema, where, &index));
  pm_buffer_printf(w->out, "s%u ", index);
  return PM_OK;
}

// ---- literals ----

static void put_literal(writer *w, const char *text, size_t n) {
  pm_buffer_puts(w->out, "\"");
  for (size_t i = 0; i < n; i++) {
    if (text[i] == '"' || text[i] == '\\') pm_buffer_puts(w->out, "\\");
    pm_buffer_put(w->out, text + i, 1);
  }
  pm_buffer_puts(w->out, "\" ");
}

static pm_status put_json(writer *w, const pm_value *v) {
  pm_buffer text = {.limit = MAX_TEXT};
  pm_json_write_compact(&text, *v);
  if (text.status == PM_OK) put_literal(w, text.at, text.n);
  pm_status status = text.status;
  pm_buffer_finish(&text);
  return status;
}

// ---- strings ----

static pm_status put_pattern(writer *w, const pm_value *schema, const pm_value *pattern) {
  if (pattern->kind != PM_STRING) return object(w, PM_ERR_ARGUMENT, "pattern", "must be a text");
  if (find(schema, "minLength") || find(schema, "maxLength"))
    return object(w, PM_ERR_UNSUPPORTED, "pattern", "is not supported beside lengths");
  const char *why = pm_json_pattern(w->out, pattern->text);
  return why ? object(w, PM_ERR_UNSUPPORTED, "pattern", why) : PM_OK;
}

static pm_status put_string(writer *w, const pm_value *schema) {
  const pm_value *format = find(schema, "format");
  const char *known = format && format->kind == PM_STRING ? pm_json_format(format->text) : NULL;
  if (known) return pm_buffer_puts(w->out, known), PM_OK;
  const pm_value *pattern = find(schema, "pattern");
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

static pm_status get_bound(const writer *w, const pm_value *schema, const char *keyword, bool *there, int64_t *out) {
  const pm_value *v = find(schema, keyword);
  double value;
  *there = v != NULL;
  if (!v) return PM_OK;
  if (!pm_value_number(*v, &value) || v->kind == PM_BOOL) return object(w, PM_ERR_ARGUMENT, keyword, "must be a number");
  if (value != floor(value) || fabs(value) > 1e15)
    return object(w, PM_ERR_UNSUPPORTED, keyword, "must be a whole number of up to 15 digits");
  *out = (int64_t)value;
  return PM_OK;
}

static pm_status get_bounds(const writer *w, const pm_value *schema, pm_json_bounds *b) {
  *b = (pm_json_bounds){0};
  PM_TRY(get_bound(w, schema, "exclusiveMinimum", &b->above, &b->low));
  if (!b->above) PM_TRY(get_bound(w, schema, "minimum", &b->from, &b->low));
  PM_TRY(get_bound(w, schema, "exclusiveMaximum", &b->below, &b->high));
  if (!b->below) PM_TRY(get_bound(w, schema, "maximum", &b->to, &b->high));
  if (find(schema, "minimum") && b->above) return object(w, PM_ERR_UNSUPPORTED, "minimum", "is not supported beside 'exclusiveMinimum'");
  if (find(schema, "maximum") && b->below) return object(w, PM_ERR_UNSUPPORTED, "maximum", "is not supported beside 'exclusiveMaximum'");
  b->from |= b->above, b->to |= b->below;
  bool empty = b->from && b->to && (b->low > b->high || (b->low == b->high && (b->above || b->below)));
  return empty ? object(w, PM_ERR_ARGUMENT, "minimum", "and 'maximum' leave no number") : PM_OK;
}

static pm_status put_integer(writer *w, const pm_value *schema) {
  pm_json_bounds b;
  PM_TRY(get_bounds(w, schema, &b));
  if (!b.from && !b.to) return pm_buffer_puts(w->out, "integer "), PM_OK;
  b.low += b.above, b.high -= b.below;
  if (b.from && b.to && b.low > b.high)
    return object(w, PM_ERR_ARGUMENT, "exclusiveMinimum", "and 'exclusiveMaximum' leave no whole number");
  pm_json_integers(w->out, &b);
  return PM_OK;
}

static pm_status put_number(writer *w, const pm_value *schema) {
  pm_json_bounds b;
  PM_TRY(get_bounds(w, schema, &b));
  if (!b.from && !b.to) return pm_buffer_puts(w->out, "number "), PM_OK;
  pm_json_decimals(w->out, &b);
  return PM_OK;
}

// ---- arrays ----

// `n[0]` to `n[1]` more items behind at least one (`first`: or none) that is there.
static pm_status put_items(writer *w, const pm_value *items, uint32_t n_before, const uint32_t n[2]) {
  uint32_t least = n[0] > n_before ? n[0] - n_before : 0, most = n[1] == NO_LIMIT ? NO_LIMIT : n[1] - n_before;
  char count[32] = "";
  if (is_false(items) || most == 0) return PM_OK;
  if (!n_before) {  // the first one has no comma
    pm_buffer_puts(w->out, least ? "" : "( ");
    PM_TRY(put_part(w, items, "items"));
    most -= most != NO_LIMIT, least -= least > 0;
  }
  snprintf(count, sizeof count, most == NO_LIMIT ? "{%u,} " : "{%u,%u} ", least, most);
  pm_buffer_puts(w->out, "( \",\" ws ");
  PM_TRY(put_part(w, items, "items"));
  pm_buffer_printf(w->out, ")%s", count);
  if (!n_before && !n[0]) pm_buffer_puts(w->out, ")? ");
  return PM_OK;
}

static pm_status put_array(writer *w, const pm_value *schema) {
  static const pm_value any = {.kind = PM_BOOL, .truth = true}, none = {.kind = PM_BOOL, .truth = false};
  const pm_value *items = find(schema, "items"), *prefix = find(schema, "prefixItems");
  uint32_t n[2], n_prefix = is_list(prefix) ? (uint32_t)prefix->list->n : 0;
  PM_TRY(get_counts(w, schema, "minItems", "maxItems", n));
  if (is_list(items)) return object(w, PM_ERR_UNSUPPORTED, "items", "as a list is not supported; use 'prefixItems'");
  if (prefix && !n_prefix) return object(w, PM_ERR_ARGUMENT, "prefixItems", "must be a list of schemas");
  if (n[1] < n_prefix) return object(w, PM_ERR_UNSUPPORTED, "maxItems", "must not be less than the length of 'prefixItems'");
  if (is_false(items) && n[0] > n_prefix) return object(w, PM_ERR_ARGUMENT, "minItems", "is more than there can be");
  pm_buffer_puts(w->out, "\"[\" ws ");
  for (uint32_t i = 0; i < n_prefix; i++) {
    if (i) pm_buffer_puts(w->out, "\",\" ws ");
    PM_TRY(put_part(w, &prefix->list->items[i], "prefixItems"));
  }
  if (!items) items = n_prefix ? &none : &any;  // as with members: more only where it is asked for
  PM_TRY(put_items(w, items, n_prefix, n));
  pm_buffer_puts(w->out, "ws \"]\" ");
  return PM_OK;
}

// ---- objects ----

typedef struct member {
  pm_value key;
  const pm_value *schema;
  bool required;
} member;

typedef struct members {
  member *list;
  uint32_t n, first_required;
  const pm_value *others;  // the schema of members with other names; NULL: there are none
} members;

static bool is_required(const pm_value *required, pm_value key) {
  for (size_t i = 0; required && i < required->list->n; i++)
    if (required->list->items[i].kind == PM_STRING && pm_span_equal(required->list->items[i].text, key.text)) return true;
  return false;
}

// Those of `properties` in their order, then those that are only required.
static pm_status list_members(const writer *w, const pm_value *schema, members *m) {
  static const pm_value any = {.kind = PM_BOOL, .truth = true};
  const pm_value *properties = find(schema, "properties"), *required = find(schema, "required");
  const pm_value *others = find(schema, "additionalProperties");
  if (properties && !is_dict(properties)) return object(w, PM_ERR_ARGUMENT, "properties", "must be an object");
  if (required && !is_list(required)) return object(w, PM_ERR_ARGUMENT, "required", "must be a list of names");
  size_t n = (properties ? properties->dict->n : 0) + (required ? required->list->n : 0);
  PM_NEW(&m->list, n, "JSON schema");
  for (size_t i = 0; properties && i < properties->dict->n; i++) {
    const pm_entry *e = &properties->dict->entries[i];
    m->list[m->n++] = (member){e->key, &e->value, is_required(required, e->key)};
  }
  for (size_t i = 0; required && i < required->list->n; i++) {
    pm_value key = required->list->items[i];
    if (key.kind != PM_STRING) return object(w, PM_ERR_ARGUMENT, "required", "must be a list of names");
    if (!properties || !pm_dict_find(properties->dict, key)) m->list[m->n++] = (member){key, &any, true};
  }
  while (m->first_required < m->n && !m->list[m->first_required].required) m->first_required++;
  m->others = is_false(others) ? NULL : others ? others : properties ? NULL : &any;
  return PM_OK;
}

// Whether a member before k has a name that begins with these n bytes.
static bool begins_alike(const member *list, const member *k, const char *name, size_t n) {
  for (; list < k; list++)
    if (list->key.text.n >= n && !memcmp(list->key.text.at, name, n)) return true;
  return false;
}

static pm_status put_member(writer *w, const member *m) {
  PM_TRY(put_json(w, &m->key));
  pm_buffer_puts(w->out, "\":\" ws ");
  return put_part(w, m->schema, "properties");
}

// Names that are none of the members': each beginning of a member's name, and then something else than any of them has there.
static void put_other_name(writer *w, const members *m) {
  const char * or = "";
  for (const member *k = m->list; k < m->list + m->n; k++)
    for (size_t n = 0; n <= k->key.text.n; n++) {
      if (begins_alike(m->list, k, k->key.text.at, n)) continue;
      bool whole = false;
      pm_buffer_puts(w->out, or);
      put_literal(w, k->key.text.at, n);
      pm_buffer_puts(w->out, "( [^\\\"\\\\\\x00-\\x1f\\x7f");
      for (const member *o = m->list; o < m->list + m->n; o++) {
        if (o->key.text.n < n || memcmp(o->key.text.at, k->key.text.at, n)) continue;
        if (o->key.text.n == n)
          whole = true;
        else
          pm_buffer_printf(w->out, "\\x%02x", (unsigned char)o->key.text.at[n]);
      }
      pm_buffer_puts(w->out, whole ? "] plain* ) " : "] plain* )? ");
      or = "| ";
    }
  if (!m->n) pm_buffer_puts(w->out, "plain* ");
}

static pm_status check_names(const writer *w, const members *m) {
  for (const member *k = m->list; k < m->list + m->n; k++)
    for (size_t i = 0; i < k->key.text.n; i++) {
      char c = k->key.text.at[i];
      if (c < ' ' || c > '~' || c == '"' || c == '\\')
        return object(w, PM_ERR_UNSUPPORTED, "additionalProperties",
                      "is not supported beside names with characters that are not plain ASCII");
    }
  return PM_OK;
}

// Rules s<N>-o, the object; s<N>-r<i>, what may follow a member before member i; s<N>-m, a member with another name.
static pm_status put_object(writer *w, const members *m) {
  pm_buffer_printf(w->out, "s%u-o ::= \"{\" ws ", w->now);
  bool optional = m->first_required == m->n;
  if (m->n || m->others) pm_buffer_puts(w->out, "( ");
  for (uint32_t i = 0; i < m->n && i <= m->first_required; i++) {
    pm_buffer_puts(w->out, i ? "| " : "");
    PM_TRY(put_member(w, &m->list[i]));
    pm_buffer_printf(w->out, "s%u-r%u ", w->now, i + 1);
  }
  if (m->others && optional) pm_buffer_printf(w->out, "%ss%u-m s%u-r%u ", m->n ? "| " : "", w->now, w->now, m->n);
  if (m->n || m->others) pm_buffer_puts(w->out, optional ? "ws )? " : "ws ) ");
  pm_buffer_puts(w->out, "\"}\"\n");
  for (uint32_t i = 1; i < m->n; i++) {
    pm_buffer_printf(w->out, "s%u-r%u ::= ( \",\" ws ", w->now, i);
    PM_TRY(put_member(w, &m->list[i]));
    pm_buffer_printf(w->out, ")%s s%u-r%u\n", m->list[i].required ? "" : "?", w->now, i + 1);
  }
  if (!m->n && !m->others) return PM_OK;
  pm_buffer_printf(w->out, "s%u-r%u ::= ", w->now, m->n);
  if (!m->others) return pm_buffer_puts(w->out, "\n"), PM_OK;
  pm_buffer_printf(w->out, "( \",\" ws s%u-m )*\ns%u-m ::= \"\\\"\" ( ", w->now, w->now);
  PM_TRY(check_names(w, m));
  put_other_name(w, m);
  pm_buffer_puts(w->out, ") \"\\\"\" \":\" ws ");
  PM_TRY(put_part(w, m->others, "additionalProperties"));
  pm_buffer_puts(w->out, "\n");
  return PM_OK;
}

static pm_status put_object_rules(writer *w, const pm_value *schema) {
  members m = {0};
  pm_status status = list_members(w, schema, &m);
  if (!status) status = put_object(w, &m);
  pm_free(m.list);
  return status;
}

// ---- types ----

static pm_status put_object_use(writer *w, const pm_value *schema) {
  (void)schema;
  w->has_object = true;
  pm_buffer_printf(w->out, "s%u-o ", w->now);
  return PM_OK;
}

static pm_status put_boolean(writer *w, const pm_value *schema) {
  (void)schema;
  pm_buffer_puts(w->out, "( \"true\" | \"false\" ) ");
  return PM_OK;
}

static pm_status put_null(writer *w, const pm_value *schema) {
  (void)schema;
  pm_buffer_puts(w->out, "\"null\" ");
  return PM_OK;
}

// A type, and the keywords that are about it and nothing else.
typedef struct type_row {
  const char *name;
  pm_status (*put)(writer *w, const pm_value *schema);
  const char *keywords[8];
} type_row;

static const type_row types[] = {
    {"object", put_object_use, {"properties", "required", "additionalProperties"}},
    {"array", put_array, {"items", "prefixItems", "minItems", "maxItems"}},
    {"string", put_string, {"minLength", "maxLength", "pattern"}},
    {"number", put_number, {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}},
    {"integer", put_integer, {NULL}},
    {"boolean", put_boolean, {NULL}},
    {"null", put_null, {NULL}},
};
enum { N_TYPE = sizeof types / sizeof *types };

static pm_status put_type(writer *w, const pm_value *schema, const pm_value *name) {
  for (const type_row *t = types; name->kind == PM_STRING && t < types + N_TYPE; t++)
    if (pm_span_is(name->text, t->name)) return t->put(w, schema);
  return object(w, PM_ERR_ARGUMENT, "type", "must be object, array, string, number, integer, boolean or null, or a list of them");
}

static pm_status put_types(writer *w, const pm_value *schema) {
  const pm_value *type = find(schema, "type");
  for (const type_row *t = types; !type && t < types + N_TYPE; t++)
    for (const char *const *k = t->keywords; *k; k++)
      if (find(schema, *k)) return t->put(w, schema);
  if (!type) return pm_buffer_puts(w->out, "value "), PM_OK;
  if (!is_list(type)) return put_type(w, schema, type);
  if (!type->list->n) return object(w, PM_ERR_ARGUMENT, "type", "must not be empty");
  for (size_t i = 0; i < type->list->n; i++) {
    pm_buffer_puts(w->out, i ? "| " : "");
    PM_TRY(put_type(w, schema, &type->list->items[i]));
  }
  return PM_OK;
}

// ---- what stands for a whole schema ----

static pm_status put_const(writer *w, const pm_value *schema, const pm_value *v) {
  (void)schema;
  return put_json(w, v);
}

static pm_status put_enum(writer *w, const pm_value *schema, const pm_value *v) {
  (void)schema;
  if (!is_list(v) || !v->list->n) return object(w, PM_ERR_ARGUMENT, "enum", "must be a list of values, not empty");
  for (size_t i = 0; i < v->list->n; i++) {
    pm_buffer_puts(w->out, i ? "| " : "");
    PM_TRY(put_json(w, &v->list->items[i]));
  }
  return PM_OK;
}

static pm_status put_any_of(writer *w, const pm_value *schema, const pm_value *v) {
  const char *where = find(schema, "anyOf") == v ? "anyOf" : find(schema, "oneOf") == v ? "oneOf" : "allOf";
  if (!is_list(v) || !v->list->n) return object(w, PM_ERR_ARGUMENT, where, "must be a list of schemas, not empty");
  for (size_t i = 0; i < v->list->n; i++) {
    pm_buffer_puts(w->out, i ? "| " : "");
    PM_TRY(put_part(w, &v->list->items[i], where));
  }
  return PM_OK;
}

static pm_status put_all_of(writer *w, const pm_value *schema, const pm_value *v) {
  return is_list(v) && v->list->n > 1 ? object(w, PM_ERR_UNSUPPORTED, "allOf", "of several schemas is not supported")
                                      : put_any_of(w, schema, v);
}

// The value that a JSON pointer (RFC 6901) leads to.
static const pm_value *follow(const pm_value *v, pm_span pointer) {
  const char *at = pointer.at, *end = pointer.at + pointer.n;
  while (v && at < end) {
    char name[256];
    size_t n = 0;
    if (*at++ != '/') return NULL;
    for (; at < end && *at != '/' && n < sizeof name; n++) {
      name[n] = *at++;
      if (name[n] == '~' && at < end) name[n] = *at++ == '1' ? '/' : '~';
    }
    if (n == sizeof name) return NULL;
    if (v->kind == PM_LIST) {
      size_t index = n == 1 && name[0] >= '0' && name[0] <= '9' ? (size_t)(name[0] - '0') : v->list->n;
      v = index < v->list->n ? &v->list->items[index] : NULL;
    } else {
      v = is_dict(v) ? pm_dict_find(v->dict, pm_value_text((pm_span){name, n})) : NULL;
    }
  }
  return v;
}

static pm_status put_ref(writer *w, const pm_value *schema, const pm_value *v) {
  (void)schema;
  if (v->kind != PM_STRING) return object(w, PM_ERR_ARGUMENT, "$ref", "must be a text");
  if (!v->text.n || v->text.at[0] != '#') return object(w, PM_ERR_UNSUPPORTED, "$ref", "is supported within the schema only: '#/...'");
  const pm_value *to = follow(&w->root, (pm_span){v->text.at + 1, v->text.n - 1});
  if (!to) return object(w, PM_ERR_ARGUMENT, "$ref", "leads nowhere");
  return put_part(w, to, "$ref");
}

static const struct {
  const char *name;
  pm_status (*put)(writer *w, const pm_value *schema, const pm_value *v);
} whole[] = {{"$ref", put_ref},     {"const", put_const},  {"enum", put_enum},
             {"anyOf", put_any_of}, {"oneOf", put_any_of}, {"allOf", put_all_of}};
enum { N_WHOLE = sizeof whole / sizeof *whole };

// Beside a keyword that stands for the whole schema there may be notes, and the type, which is that of what it stands for.
static pm_status check_alone(const writer *w, const pm_value *schema, const char *keyword) {
  for (size_t i = 0; i < N_WHOLE; i++)
    if (strcmp(whole[i].name, keyword) != 0 && find(schema, whole[i].name)) return not_supported(w, whole[i].name);
  for (const type_row *t = types; t < types + N_TYPE; t++)
    for (const char *const *k = t->keywords; *k; k++)
      if (find(schema, *k)) return not_supported(w, *k);
  return PM_OK;
}

static pm_status check_keywords(const writer *w, const pm_value *schema) {
  static const char *const refused[] = {"not",
                                        "if",
                                        "then",
                                        "else",
                                        "patternProperties",
                                        "propertyNames",
                                        "minProperties",
                                        "maxProperties",
                                        "dependentRequired",
                                        "dependentSchemas",
                                        "dependencies",
                                        "unevaluatedProperties",
                                        "unevaluatedItems",
                                        "additionalItems",
                                        "contains",
                                        "uniqueItems",
                                        "multipleOf",
                                        "$dynamicRef",
                                        "$recursiveRef"};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    const pm_value *v = find(schema, refused[i]);
    if (v && !is_false(v)) return not_supported(w, refused[i]);
  }
  return PM_OK;
}

static pm_status put_schema(writer *w, const pm_value *schema) {
  if (is_false(schema)) return object(w, PM_ERR_ARGUMENT, w->parts[w->now].where, "is a schema that allows nothing");
  if (schema->kind == PM_BOOL) return pm_buffer_puts(w->out, "value "), PM_OK;
  PM_TRY(check_keywords(w, schema));
  for (size_t i = 0; i < N_WHOLE; i++) {
    const pm_value *v = find(schema, whole[i].name);
    if (!v) continue;
    PM_TRY(check_alone(w, schema, whole[i].name));
    return whole[i].put(w, schema, v);
  }
  return put_types(w, schema);
}

static pm_status put_rule(writer *w) {
  const pm_value *schema = w->parts[w->now].schema, *nullable = find(schema, "nullable");
  w->has_object = false;
  pm_buffer_printf(w->out, "s%u ::= ", w->now);
  PM_TRY(put_schema(w, schema));
  if (nullable && !is_false(nullable)) pm_buffer_puts(w->out, "| \"null\"");
  pm_buffer_puts(w->out, "\n");
  return w->has_object ? put_object_rules(w, schema) : PM_OK;
}

static pm_status write(writer *w) {
  bool any = w->root.kind == PM_DICT && !w->root.dict->n;
  if (w->root.kind != PM_DICT) PM_FAIL(PM_ERR_ARGUMENT, "a JSON schema must be an object");
  pm_buffer_puts(w->out, any ? "root ::= object\n" : "root ::= s0\n");
  if (!any) w->parts[w->n_part++] = (part){&w->root, 0, "#"};
  for (; w->now < w->n_part && w->out->status == PM_OK; w->now++) PM_TRY(put_rule(w));
  pm_buffer_puts(w->out, base_rules);
  return w->out->status;
}

pm_status pm_json_schema_to_gbnf(const char *text, size_t bytes, pm_buffer *out) {
  writer *w;
  PM_NEW(&w, 1, "JSON schema");
  w->heap.limit = MAX_TEXT, w->out = out;
  pm_status status = pm_json_parse(&w->heap, text, bytes, &w->root);
  if (status == PM_OK)
    status = write(w);
  else
    status = pm_fail_prefix(status, "JSON schema");
  pm_heap_finish(&w->heap);
  pm_free(w);
  return status;
}

pm_status pm_json_schema_parse(const char *text, size_t bytes, pm_grammar **out) {
  pm_buffer gbnf = {.limit = MAX_TEXT};
  *out = NULL;
  pm_status status = pm_json_schema_to_gbnf(text, bytes, &gbnf);
  if (status == PM_OK) {
    status = pm_grammar_parse(gbnf.at, gbnf.n, out);
    if (status) status = pm_fail_prefix(status, "JSON schema");
  }
  pm_buffer_finish(&gbnf);
  return status;
}
